//! Files that a vendor must have before it is asked: what goes to its own upload, and how the request names it then.
//!
//! Dify: <https://docs.dify.ai/api-reference/files/upload-file>, Coze: <https://www.coze.cn/open/docs/developer_guides/upload_files>.

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::Vendor;

/// The longest name that a vendor gives a file, in bytes.
const MAX_ID_BYTES: usize = 64;

/// A file to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// What stands for it in the request's body, until the vendor has named it.
    pub mark: String,
    /// Its media type.
    pub mime: String,
    /// Its bytes.
    pub data: Bytes,
}

/// A form with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Where it goes, on the same host.
    pub path: String,
    /// Its `Content-Type`.
    pub content_type: String,
    /// What it says.
    pub body: Bytes,
}

impl Upload {
    pub(super) fn new(number: usize, mime: &str, data: &Bytes) -> Self {
        Self { mark: format!("sluice-upload-{number}"), mime: mime.to_owned(), data: data.clone() }
    }

    /// The body with the vendor's name for the file in place of its mark.
    #[must_use]
    pub fn named(&self, body: &[u8], id: &str) -> Bytes {
        let (mut named, mut from) = (Vec::with_capacity(body.len()), 0);
        for at in memmem::find_iter(body, self.mark.as_bytes()) {
            let end = at + self.mark.len();
            // `…-1` is not the beginning of `…-12`
            if body.get(end).is_some_and(u8::is_ascii_digit) {
                continue;
            }
            named.extend_from_slice(body.get(from..at).unwrap_or_default());
            named.extend_from_slice(id.as_bytes());
            from = end;
        }
        named.extend_from_slice(body.get(from..).unwrap_or_default());
        named.into()
    }

    /// What it is called: its kind is told by the ending.
    fn file_name(&self) -> String {
        let ending = match self.mime.as_str() {
            "image/jpeg" => "jpg",
            "image/svg+xml" => "svg",
            "text/plain" => "txt",
            "text/markdown" => "md",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation" => "pptx",
            other => {
                other.rsplit('/').next().filter(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric())).unwrap_or("bin")
            }
        };
        format!("file.{ending}")
    }
}

impl Vendor {
    /// The form by which a file is uploaded for a request to `path` that says `sent`. `None`: the vendor has no uploads.
    #[must_use]
    pub fn upload(self, path: &str, sent: &[u8], file: &Upload) -> Option<Form> {
        let (path, user) = match self {
            Self::Dify => {
                let front = path.rsplit_once("/v1/").map_or("", |(front, _)| front);
                let sent: Value = serde_json::from_slice(sent).ok()?;
                (format!("{front}/v1/files/upload"), Some(sent.get("user")?.as_str()?.to_owned()))
            }
            Self::Coze => (format!("{}/v1/files/upload", path.strip_suffix("/v3/chat")?), None),
            _ => return None,
        };
        let boundary = boundary(&file.data);
        let mut body = Vec::with_capacity(file.data.len() + 512);
        if let Some(user) = user {
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\n{user}\r\n");
            body.extend_from_slice(head.as_bytes());
        }
        let name = file.file_name();
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {}\r\n\r\n",
            file.mime
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&file.data);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Some(Form { path, content_type: format!("multipart/form-data; boundary={boundary}"), body: body.into() })
    }

    /// The name that a vendor gave to an uploaded file. `None` where its answer gives none.
    #[must_use]
    pub fn uploaded(self, answer: &[u8]) -> Option<String> {
        let said: Value = serde_json::from_slice(answer).ok()?;
        let id = match self {
            Self::Dify => said.get("id"),
            Self::Coze => said.pointer("/data/id"),
            _ => None,
        };
        let is_name = |id: &&str| {
            (1..=MAX_ID_BYTES).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        id?.as_str().filter(is_name).map(str::to_owned)
    }
}

/// A line that the file does not hold.
fn boundary(data: &[u8]) -> String {
    let mut number = 0_u64;
    loop {
        let boundary = format!("sluice-form-{number:016x}");
        if memmem::find(data, boundary.as_bytes()).is_none() {
            return boundary;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(data: &'static [u8]) -> Upload {
        Upload::new(1, "image/png", &Bytes::from_static(data))
    }

    #[test]
    fn a_file_goes_in_a_form_whose_line_it_does_not_hold() {
        let form = Vendor::Dify
            .upload("/x/v1/workflows/run", br#"{"user":"u-1"}"#, &file(b"\x89PNG sluice-form-0000000000000000"))
            .unwrap();
        assert_eq!(form.path, "/x/v1/files/upload");
        assert_eq!(form.content_type, "multipart/form-data; boundary=sluice-form-0000000000000001");
        let body = String::from_utf8_lossy(&form.body).into_owned();
        assert!(body.contains("name=\"user\"\r\n\r\nu-1\r\n--sluice-form-0000000000000001\r\n"), "{body}");
        assert!(body.contains("filename=\"file.png\"\r\nContent-Type: image/png\r\n\r\n"), "{body}");
        assert!(body.ends_with("PNG sluice-form-0000000000000000\r\n--sluice-form-0000000000000001--\r\n"), "{body}");
        let form = Vendor::Coze.upload("/v3/chat", b"{}", &file(b"x")).unwrap();
        assert!(form.path == "/v1/files/upload" && !String::from_utf8_lossy(&form.body).contains("user"));
        assert_eq!(Vendor::Ollama.upload("/api/chat", b"{}", &file(b"x")), None);
    }

    #[test]
    fn the_vendors_name_takes_the_place_of_the_mark() {
        let body = br#"{"a":"sluice-upload-1","b":"sluice-upload-12","c":"{\"file_id\":\"sluice-upload-1\"}"}"#;
        let named = file(b"x").named(body, "f-9");
        assert_eq!(named, &br#"{"a":"f-9","b":"sluice-upload-12","c":"{\"file_id\":\"f-9\"}"}"#[..]);
        assert_eq!(Vendor::Dify.uploaded(br#"{"id":"72fa-9","name":"x"}"#).as_deref(), Some("72fa-9"));
        assert_eq!(Vendor::Coze.uploaded(br#"{"code":0,"data":{"id":"7369"}}"#).as_deref(), Some("7369"));
        for wrong in [&br#"{"id":"\",\"x\":\""}"#[..], b"{}", b"no json"] {
            assert_eq!(Vendor::Dify.uploaded(wrong), None);
        }
    }
}
