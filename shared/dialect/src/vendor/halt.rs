//! What vendors are asked beside a request: to stop an answer that nobody wants any more, and for an answer that was not ready.
//!
//! Dify: <https://docs.dify.ai/api-reference/chat/stop-chat-message-generation>, Coze: <https://www.coze.cn/open/docs/developer_guides/chat_cancel>,
//! Replicate: <https://replicate.com/docs/reference/http#predictions.get> and `#predictions.cancel`.

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

use super::Vendor;

/// The longest name of something that runs, in bytes.
const MAX_ID_BYTES: usize = 64;

/// A request that ends another one's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// Where it goes, on the same host.
    pub path: String,
    /// What it says. Empty: nothing.
    pub body: Bytes,
}

impl Vendor {
    /// Whether it goes on with an answer whose connection is gone, unless it is told to stop.
    #[must_use]
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::Dify | Self::Coze | Self::Replicate)
    }

    /// How an answer is stopped, as soon as a piece of it tells its name. `path` and `sent` are those of the request.
    #[must_use]
    pub fn halt(self, path: &str, sent: &[u8], piece: &[u8]) -> Option<Halt> {
        match self {
            Self::Dify => {
                let task = name(piece, "task_id")?;
                let path = match path.strip_suffix("/workflows/run") {
                    Some(front) => format!("{front}/workflows/tasks/{task}/stop"),
                    None => format!("{path}/{task}/stop"),
                };
                let sent: Value = serde_json::from_slice(sent).ok()?;
                Some(Halt { path, body: json!({"user": sent.get("user")?}).to_string().into() })
            }
            Self::Coze => {
                let conversation = name(piece, "conversation_id")?;
                let chat = name(piece, "chat_id").or_else(|| name(piece, "id"))?;
                let body = json!({"conversation_id": conversation, "chat_id": chat}).to_string().into();
                Some(Halt { path: format!("{path}/cancel"), body })
            }
            Self::Replicate => {
                let path = format!("{}/cancel", self.again(path, piece)?);
                Some(Halt { path, body: Bytes::new() })
            }
            _ => None,
        }
    }

    /// Whether it may answer that it is at it still.
    #[must_use]
    pub const fn may_be_unready(self) -> bool {
        matches!(self, Self::Replicate)
    }

    /// Where an answer is asked for again that says it is not ready. `None` where it is.
    #[must_use]
    pub fn again(self, path: &str, answer: &[u8]) -> Option<String> {
        if self != Self::Replicate {
            return None;
        }
        let said: Value = serde_json::from_slice(answer).ok()?;
        let runs = matches!(said.get("status").and_then(Value::as_str), Some("starting" | "processing"));
        let id = said.get("id").and_then(Value::as_str).filter(|id| runs && is_name(id))?;
        let front = path.split_once("/v1/").map_or("", |(front, _)| front);
        Some(format!("{front}/v1/predictions/{id}"))
    }
}

/// The text of a field, wherever it stands in a piece of a stream.
fn name<'p>(piece: &'p [u8], field: &str) -> Option<&'p str> {
    let quoted = format!("\"{field}\"");
    let at = memmem::find(piece, quoted.as_bytes())? + quoted.len();
    let rest = piece.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    std::str::from_utf8(rest.get(..end)?).ok().filter(|name| is_name(name))
}

/// Whether it may stand in an address.
fn is_name(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halt(vendor: Vendor, path: &str, piece: &str) -> Option<(String, String)> {
        let halt = vendor.halt(path, br#"{"user":"u-1"}"#, piece.as_bytes())?;
        Some((halt.path, String::from_utf8(halt.body.to_vec()).unwrap()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside what may be none")]
    fn told(path: &str, body: &str) -> Option<(String, String)> {
        Some((path.to_owned(), body.to_owned()))
    }

    #[test]
    fn an_answer_is_stopped_by_the_name_it_tells() {
        let dify = "data: {\"event\": \"message\", \"task_id\": \"900b-x\", \"answer\": \"Hi\"}\n\n";
        let user = r#"{"user":"u-1"}"#;
        assert_eq!(halt(Vendor::Dify, "/v1/chat-messages", dify), told("/v1/chat-messages/900b-x/stop", user));
        assert_eq!(halt(Vendor::Dify, "/a/v1/workflows/run", dify), told("/a/v1/workflows/tasks/900b-x/stop", user));
        assert_eq!(halt(Vendor::Dify, "/v1/chat-messages", "data: {\"task_id\":\"../x\"}"), None);
        assert_eq!(halt(Vendor::Dify, "/v1/chat-messages", "event: ping\n\n"), None);
        let created = "event:conversation.chat.created\ndata:{\"id\":\"c1\",\"conversation_id\":\"v1\",\"bot_id\":\"73\"}\n\n";
        let cancel = r#"{"conversation_id":"v1","chat_id":"c1"}"#;
        assert_eq!(halt(Vendor::Coze, "/v3/chat", created), told("/v3/chat/cancel", cancel));
        let running = r#"{"id":"r1","status":"processing"}"#;
        let path = "/v1/models/meta/llama/predictions";
        assert_eq!(halt(Vendor::Replicate, path, running), told("/v1/predictions/r1/cancel", ""));
        assert_eq!(halt(Vendor::Cohere, "/v2/chat", dify), None);
        for vendor in Vendor::ALL {
            let can_halt = [dify, created, running].iter().any(|piece| halt(vendor, "/v1/x", piece).is_some());
            assert_eq!(can_halt, vendor.goes_on(), "{vendor:?}");
        }
    }

    #[test]
    fn an_answer_that_is_not_ready_is_asked_for_again() {
        let again = |answer: &str| Vendor::Replicate.again("/x/v1/models/a/b/predictions", answer.as_bytes());
        assert_eq!(again(r#"{"id":"r1","status":"starting"}"#).as_deref(), Some("/x/v1/predictions/r1"));
        for ready in
            [r#"{"id":"r1","status":"succeeded"}"#, r#"{"id":"../r1","status":"starting"}"#, r#"{"status":"starting"}"#, "x"]
        {
            assert_eq!(again(ready), None, "{ready}");
        }
    }
}
