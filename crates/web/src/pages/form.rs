//! What a form sends.

use axum::body::Bytes;
use directory::secret::SecretHash;
use http_body_util::{BodyExt as _, Full};

/// Fields of a form that may be sent. Ours have a dozen.
const FIELDS_MAX: usize = 200;

/// The name of the field that shows that a form stood on a page of its visitor's own.
pub(crate) const PROOF: &str = "proof";

/// Fields by name, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
}

impl Form {
    /// `None` where there is more than a form of ours has, or what is no text.
    pub(crate) fn read(bytes: &[u8]) -> Option<Form> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if fields.len() == FIELDS_MAX || value.contains('\0') {
                return None;
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Some(Form { fields, files: Vec::new() })
    }

    /// The same of a form with files in it (RFC 7578).
    pub(crate) async fn read_parts(bytes: Bytes, boundary: String) -> Option<Form> {
        let body = Full::new(bytes).into_data_stream();
        let mut parts = multer::Multipart::new(body, boundary);
        let mut form = Form::default();
        while let Some(part) = parts.next_field().await.ok()? {
            if form.fields.len() + form.files.len() == FIELDS_MAX {
                return None;
            }
            let name = part.name()?.to_owned();
            if part.file_name().is_some() {
                form.files.push((name, part.bytes().await.ok()?.to_vec()));
            } else {
                let value = String::from_utf8(part.bytes().await.ok()?.to_vec()).ok()?;
                if value.contains('\0') {
                    return None;
                }
                form.fields.push((name, value));
            }
        }
        Some(form)
    }

    /// What was chosen in a field for a file; nothing, where none was.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        let found = self.files.iter().find(|(of, _)| of == name);
        found.map(|(_, content)| content.as_slice()).filter(|it| !it.is_empty())
    }

    /// What was typed into a field, without spaces around it; nothing, where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.exact(name).trim()
    }

    /// The same with all its spaces, as for a password.
    pub(crate) fn exact(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(of, _)| of == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether there is such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(of, _)| of == name)
    }

    /// All that was chosen of several fields of one name.
    pub(crate) fn texts<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.fields.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.trim())
    }

    /// What was typed into a field for several things, with spaces, commas or lines between them.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let parts = self.exact(name).split([',', ' ', '\n', '\r', '\t']);
        parts.filter(|it| !it.is_empty()).map(str::to_owned).collect()
    }

    /// Whether it stood on a page that was shown to whoever has this session.
    pub(crate) fn is_proved_by(&self, session: &str) -> bool {
        // Both are hashes: how long a comparison takes says nothing of the session.
        SecretHash::of(self.exact(PROOF)) == SecretHash::of(&proof(session))
    }
}

/// What forms carry that are shown to whoever has this session: another site cannot know it.
pub(crate) fn proof(session: &str) -> String {
    SecretHash::of(&format!("form of {session}")).as_str()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_send_them() {
        let form = Form::read(b"name=+Okta+%26+more+&name=second&password=+x+").unwrap();
        assert_eq!(form.text("name"), "Okta & more");
        assert_eq!(form.exact("password"), " x ");
        assert_eq!(form.text("nothing"), "");
        assert!(Form::read(b"a=%00").is_none());
        assert!(Form::read(b"\xff").is_none());
        assert!(Form::read("a=b&".repeat(FIELDS_MAX + 1).as_bytes()).is_none());
    }

    #[tokio::test]
    async fn files_are_read_beside_fields() {
        let sent = "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAcme & more\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"logo\"; filename=\"a.svg\"\r\n\
                    Content-Type: image/svg+xml\r\n\r\n<svg/>\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\r\n\r\n\
                    --x--\r\n";
        let form = Form::read_parts(sent.into(), "x".to_owned()).await.unwrap();
        assert_eq!(form.text("name"), "Acme & more");
        assert_eq!(form.file("logo"), Some(b"<svg/>".as_slice()));
        assert_eq!((form.file("none"), form.file("name"), form.text("logo")), (None, None, ""));
        for cut in [10, sent.len() / 2, sent.len() - 5] {
            let form = Form::read_parts(sent[..cut].to_owned().into(), "x".to_owned()).await;
            assert!(form.is_none(), "{cut}");
        }
    }

    #[test]
    fn a_form_is_proved_by_its_own_session_alone() {
        let sent = format!("{PROOF}={}", proof("mine"));
        let form = Form::read(sent.as_bytes()).unwrap();
        assert!(form.is_proved_by("mine"));
        assert!(!form.is_proved_by("yours"));
        assert!(!Form::default().is_proved_by("mine"));
    }
}
