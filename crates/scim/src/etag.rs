//! Entity tags in conditions: `If-Match`, `If-None-Match` and the `version` of a bulk operation
//! (RFC 7644 §3.14, RFC 9110 §8.8.3).

/// The entity tags that a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: whichever there is.
    Any,
    /// These, without quotes, and without the mark of weak ones.
    These(Vec<String>),
}

impl EntityTags {
    /// Reads the value of a condition.
    ///
    /// Tags are compared weakly, so whether one is marked as weak does not matter. RFC 9110 §13.1.1
    /// asks for the strong comparison in `If-Match`, under which the weak tags of SCIM's own
    /// examples (RFC 7644 §3.14) could never match. Quotes are missing now and then, in clients that
    /// take them for those of JSON. Nothing is refused: what is not a tag of ours matches nothing.
    ///
    /// ```
    /// use scim::etag::EntityTags;
    ///
    /// let these = |tags: &[&str]| EntityTags::These(tags.iter().map(|it| it.to_string()).collect());
    /// assert_eq!(EntityTags::parse(r#"W/"3", "4""#), these(&["3", "4"]));
    /// assert_eq!(EntityTags::parse("W/3"), these(&["3"]));
    /// assert_eq!(EntityTags::parse("*"), EntityTags::Any);
    /// ```
    pub fn parse(text: &str) -> EntityTags {
        let separator = |c: char| c == ',' || c.is_ascii_whitespace();
        if text.trim_matches(separator) == "*" {
            return EntityTags::Any;
        }
        let mut tags = Vec::new();
        let mut rest = text.trim_start_matches(separator);
        while !rest.is_empty() {
            let tag = rest.strip_prefix("W/").or_else(|| rest.strip_prefix("w/")).unwrap_or(rest);
            let (tag, after) = match tag.strip_prefix('"') {
                // A comma inside of the quotes belongs to the tag.
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => tag.split_at(tag.find(separator).unwrap_or(tag.len())),
            };
            tags.push(tag.to_owned());
            rest = after.trim_start_matches(separator);
        }
        EntityTags::These(tags)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_read_however_they_are_marked() {
        let check = |text: &str, expected: &[&str]| {
            let expected = expected.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(EntityTags::parse(text), EntityTags::These(expected), "{text}");
        };
        check(r#"W/"3""#, &["3"]);
        check(r#"w/"3""#, &["3"]);
        check(r#""3""#, &["3"]);
        check("W/3", &["3"]);
        check("3", &["3"]);
        check(r#" "3" "#, &["3"]);
        check(r#""a",W/"3" , 4,, "5""#, &["a", "3", "4", "5"]);
        check(r#""a,b" "c""#, &["a,b", "c"]);
        check(r#""""#, &[""]);
        check("", &[]);
        check(" , ", &[]);
        check(r#"W/"3"#, &["3"]);
        check("W/", &[""]);
        check(r#""*""#, &["*"]);
        check(r#"*, "3""#, &["*", "3"]);
    }

    #[test]
    fn a_star_alone_is_any() {
        for text in ["*", " * ", "*,"] {
            assert_eq!(EntityTags::parse(text), EntityTags::Any, "{text}");
        }
    }

    proptest! {
        #[test]
        fn tags_that_are_printed_read_back(tags in prop::collection::vec("[^\"\u{0}]{0,9}", 1..9)) {
            let printed: Vec<_> = tags.iter().map(|tag| format!("W/\"{tag}\"")).collect();
            prop_assert_eq!(EntityTags::parse(&printed.join(", ")), EntityTags::These(tags));
        }

        #[test]
        fn no_condition_makes_the_reader_panic(text in any::<String>()) {
            EntityTags::parse(&text);
        }
    }
}
