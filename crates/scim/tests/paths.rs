//! Attribute names and PATCH paths.

use scim::dialect::{Quirk, Quirks};
use scim::path::{AttributePath, PatchPath};
use scim::schema::{Attribute, Schema, Type};
use scim::{Error, Kind, Preset, ResourceType};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A user with two extensions more, the URN of one of which is the beginning of the other's.
fn user() -> ResourceType {
    let text = |name: &str| Attribute {
        name: name.into(),
        kind: Type::String,
        sub_attributes: Vec::new(),
        multi_valued: false,
        description: String::new(),
        required: false,
        canonical_values: Vec::new(),
        case_exact: false,
        mutability: scim::schema::Mutability::ReadWrite,
        returned: scim::schema::Returned::Default,
        uniqueness: scim::schema::Uniqueness::None,
        reference_types: Vec::new(),
    };
    let schema = |id: &str, attributes: Vec<Attribute>| {
        Schema { id: id.into(), name: id.into(), description: String::new(), attributes }.into()
    };
    let badges = Attribute { multi_valued: true, ..text("badges") };
    ResourceType::user()
        .with_extension(schema("urn:okta:custom:user:1.0", vec![text("shoeSize"), badges]), false)
        .with_extension(schema("urn:okta:custom:user:1.0:more", vec![text("hat")]), false)
        .with_extension(schema("http://example.com/legacy", vec![text("floor")]), false)
}

fn parse(text: &str, preset: Preset) -> Result<PatchPath, Error> {
    PatchPath::parse(text, &user(), preset, &mut Quirks::new())
}

#[test]
fn a_path_prints_with_canonical_names() {
    let check = |text: &str, expected: &str| {
        let path = parse(text, Preset::Strict).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(path.to_string(), expected, "{text}");
        assert_eq!(parse(expected, Preset::Strict), Ok(path.clone()), "{text}");
        assert!(path.resolve(&user()).is_some(), "{text}");
    };
    check("userName", "userName");
    check("USERNAME", "userName");
    check(" title ", "title");
    check("name.FAMILYname", "name.familyName");
    check("urn:ietf:params:scim:schemas:core:2.0:User:userName", "userName");
    check("URN:IETF:params:scim:schemas:core:2.0:user:name.givenName", "name.givenName");
    check("urn:ietf:params:scim:schemas:core:2.0:User:externalId", "externalId");
    check("id", "id");
    check("meta.Created", "meta.created");
    check("password", "password");
    check("schemas", "schemas");
    check("emails", "emails");
    check("emails.value", "emails.value");
    check("emails[type eq \"work\"]", "emails[type eq \"work\"]");
    check("emails[type eq\"work\"].VALUE", "emails[type eq \"work\"].value");
    check("emails[ TYPE Eq \"a]b.c\" ].value", "emails[type eq \"a]b.c\"].value");
    check("emails[type ne \"work\"]", "emails[not (type eq \"work\")]");
    check(
        "addresses[(type eq \"work\" or primary eq true) and country pr].locality",
        "addresses[(type eq \"work\" or primary eq true) and country pr].locality",
    );
    check("groups.$ref", "groups.$ref");
    check(ENTERPRISE, ENTERPRISE);
    check("URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:User", ENTERPRISE);
    check(&format!("{ENTERPRISE}:Department"), &format!("{ENTERPRISE}:department"));
    check(&format!("{ENTERPRISE}:manager.VALUE"), &format!("{ENTERPRISE}:manager.value"));
    check("urn:okta:custom:user:1.0", "urn:okta:custom:user:1.0");
    check("urn:okta:custom:user:1.0:SHOEsize", "urn:okta:custom:user:1.0:shoeSize");
    check("urn:okta:custom:user:1.0:more", "urn:okta:custom:user:1.0:more");
    check("urn:okta:custom:user:1.0:more:hat", "urn:okta:custom:user:1.0:more:hat");
    check(
        "urn:okta:custom:user:1.0:badges[value eq \"gold\"]",
        "urn:okta:custom:user:1.0:badges[value eq \"gold\"]",
    );
    check("http://example.com/legacy:floor", "http://example.com/legacy:floor");
}

#[test]
fn a_path_that_names_nothing_is_refused() {
    let check = |text: &str, expected: Kind, detail: &str| {
        for preset in [Preset::Strict, Preset::Lenient] {
            let error = parse(text, preset).expect_err(text);
            assert_eq!(error.status(), 400, "{text}");
            assert_eq!(error.kind(), Some(expected), "{text}");
            assert!(error.detail().contains(detail), "{text}: {error}");
        }
    };
    let path = Kind::InvalidPath;
    check("", path, "an attribute's name is missing");
    check("foo", path, "a User has no attribute `foo`");
    check("members", path, "a User has no attribute `members`");
    check("/nickName", path, "JSON Patch");
    check("/emails/0", path, "emails[type eq");
    check("emails[0].value", path, "counts values");
    check("emails/0", path, "is not the name of an attribute");
    check("emails[type eq \"work\"", path, "no closing `]`");
    check("emails[type eq \"work\"]value", path, "goes on after `]`");
    check("emails[type eq \"work\"].", path, "name is missing");
    check("emails[type eq \"work\"].foo", path, "it has `value`, `display`, `type`, `primary`");
    check("emails[type eq \"work\"].value.x", path, "has no sub-attribute `value.x`");
    check("emails.value[type eq \"work\"]", path, "does not hold a list");
    check("userName[value eq \"x\"]", path, "does not hold a list");
    check("name[givenName eq \"x\"]", path, "does not hold a list");
    check("[type eq \"work\"]", path, "name is missing");
    check("name.givenName.first", path, "too many parts");
    check("name..givenName", path, "too many parts");
    check("name.", path, "is not the name of an attribute");
    check(".name", path, "is not the name of an attribute");
    check("user name", path, "cannot stand in a name");
    check("userNamé", path, "cannot stand in a name");
    check("userName.first", path, "has no sub-attributes");
    check("urn:ietf:params:scim:schemas:core:2.0:User", path, "whole schema");
    check("urn:ietf:params:scim:schemas:core:2.0:User:", path, "no attribute ``");
    check("urn:ietf:params:scim:schemas:core:2.0:Userx", path, "belongs to no schema");
    check("urn:ietf:params:scim:schemas:core:2.0:User.userName", path, "belongs to no schema");
    check(&format!("{ENTERPRISE}:foo"), path, "has no attribute `foo`");
    check(&format!("{ENTERPRISE}:manager.foo"), path, "has no sub-attribute `foo`");
    check(&format!("{ENTERPRISE}[a eq 1]"), path, "does not hold a list");
    check("urn:other:user:x", path, "belongs to no schema");
    check(&"x".repeat(600), path, "too long");
    check(&"x".repeat(1_000_000), path, "at most 8192");

    let filter = Kind::InvalidFilter;
    check("emails[]", filter, "expected the name of an attribute");
    check("emails[type]", filter, "expected an operator");
    check("emails[type is \"work\"]", filter, "the operator `is` is not supported");
    check("emails[foo eq \"work\"]", filter, "has no sub-attribute `foo`");
    check("emails[primary gt true]", filter, "cannot be compared with `gt`");
    check("emails[type eq \"work\" and ims[type eq \"x\"]]", filter, "`[` inside of `[…]`");
    check("emails[type eq \"work\"].value]", filter, "expected `and`");
    check(&format!("emails[{}type pr", "(".repeat(100)), path, "no closing `]`");
    check(&format!("emails[{}]", "(".repeat(100)), filter, "nested more than 32 deep");
}

#[test]
fn an_attribute_of_an_extension_may_lack_its_urn_under_the_lenient_preset() {
    let mut quirks = Quirks::new();
    let path = PatchPath::parse("MANAGER.value", &user(), Preset::Lenient, &mut quirks).unwrap();
    assert_eq!(path.to_string(), format!("{ENTERPRISE}:manager.value"));
    assert_eq!(quirks.iter().collect::<Vec<_>>(), [Quirk::ExtensionUrnMissing]);

    let error = parse("manager", Preset::Strict).unwrap_err();
    assert_eq!(
        error.detail(),
        format!(
            "`manager` belongs to an extension: write it with the extension's URN, as in `{ENTERPRISE}:manager`"
        )
    );
}

#[test]
fn an_old_urn_is_understood_under_the_lenient_preset() {
    let check = |text: &str, expected: &str| {
        let mut quirks = Quirks::new();
        let path = PatchPath::parse(text, &user(), Preset::Lenient, &mut quirks).expect(text);
        assert_eq!(path.to_string(), expected);
        assert_eq!(quirks.iter().collect::<Vec<_>>(), [Quirk::SchemaAlias], "{text}");
        assert_eq!(parse(text, Preset::Strict).unwrap_err().kind(), Some(Kind::InvalidPath));
    };
    check("urn:scim:schemas:extension:enterprise:1.0", ENTERPRISE);
    check(
        "URN:scim:schemas:extension:enterprise:1.0:manager.value",
        &format!("{ENTERPRISE}:manager.value"),
    );
    check(
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department",
        &format!("{ENTERPRISE}:department"),
    );

    let of_group = PatchPath::parse(
        "urn:scim:schemas:extension:enterprise:1.0:manager",
        &ResourceType::group(),
        Preset::Lenient,
        &mut Quirks::new(),
    );
    assert_eq!(of_group.unwrap_err().kind(), Some(Kind::InvalidPath));
}

#[test]
fn a_path_says_what_it_names() {
    let path = parse("emails[type eq \"work\"].value", Preset::Strict).unwrap();
    assert_eq!((path.extension(), path.attribute()), (None, Some("emails")));
    assert_eq!(path.sub_attribute(), Some("value"));
    let user = user();
    let resolved = path.resolve(&user).unwrap();
    assert_eq!(resolved.attribute.unwrap().kind, Type::Complex);
    assert_eq!(resolved.sub_attribute.unwrap().kind, Type::String);

    let path = parse(&format!("{ENTERPRISE}:manager"), Preset::Strict).unwrap();
    assert_eq!((path.extension(), path.attribute()), (Some(ENTERPRISE), Some("manager")));
    assert!(path.resolve(&ResourceType::group()).is_none());

    let path = parse(ENTERPRISE, Preset::Strict).unwrap();
    assert_eq!((path.extension(), path.attribute()), (Some(ENTERPRISE), None));
    assert!(path.resolve(&user).unwrap().attribute.is_none());
}

#[test]
fn a_name_is_kept_as_it_was_written() {
    let path = AttributePath::parse("NAME.givenname").unwrap();
    assert_eq!(path.to_string(), "NAME.givenname");
    assert_eq!(AttributePath::parse(path.as_str()), Ok(path));
}
