//! What is asked, and what the answer must be.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use serde_json::{Value, json};

/// The simulator's model with prebuilt answers.
pub(crate) const FAST_MODEL: &str = "sim-fast";
/// The simulator's model that obeys the directive in the message.
pub(crate) const PLAYED_MODEL: &str = "sim-plain";

/// What stands between two events.
pub(crate) const END_OF_EVENT: &[u8] = b"\n\n";
const PATH: &str = "/v1/chat/completions";
/// About what a short chat looks like, so that the bodies read and inspected are not toys.
const SYSTEM: &str = "You are a helpful assistant for the customers of a shop for bicycles. Answer in a friendly tone, in at most \
    three sentences, and never promise a date of delivery. If you are not sure about something, say so.";

/// A request to be sent many times.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    path: &'static str,
    body: Bytes,
    expected: Expected,
}

/// What an answer must be to count.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// Any answer of status 200: to learn what the provider itself says.
    Anything,
    /// Byte for byte what the provider says, with so many events in it.
    Bytes(Bytes, u64),
    /// Any answer that ends so.
    Ending(Ending),
    /// An event stream of so many events with `[DONE]` at the end.
    Events(u64),
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending(pub(crate) &'static [u8]);

impl Ending {
    /// These are the last bytes.
    pub(crate) const fn of(bytes: &'static [u8]) -> Self {
        Self(bytes)
    }
}

impl Question {
    /// Any question at an interface.
    pub(crate) fn at(path: &'static str, body: &Value, end: Ending) -> Self {
        Self { path, body: Bytes::from(body.to_string()), expected: Expected::Ending(end) }
    }

    /// Plain chat with the prebuilt answer of about 1 KB.
    pub(crate) fn plain() -> Self {
        Self::new(FAST_MODEL, "What is the best tyre for gravel?", false, Expected::Anything)
    }

    /// A stream with the prebuilt answer, which the simulator writes in one go.
    pub(crate) fn flat_out() -> Self {
        Self::new(FAST_MODEL, "What is the best tyre for gravel?", true, Expected::Anything)
    }

    /// The same, asking for usage figures as a relay does on behalf of a caller who did not.
    pub(crate) fn flat_out_with_usage() -> Self {
        let mut question = Self::flat_out();
        if let Some(open) = question.body.strip_suffix(b"}") {
            question.body = [open, br#","stream_options":{"include_usage":true}}"#].concat().into();
        }
        question
    }

    /// A stream of so many events with content, so many milliseconds apart.
    pub(crate) fn paced(chunks: u64, delay_ms: u64) -> Self {
        let message = format!("[sim: chunks={chunks} delay_ms={delay_ms}]");
        // Beside the content: the role, the finish reason and `[DONE]`.
        Self::new(PLAYED_MODEL, &message, true, Expected::Events(chunks + 3))
    }

    /// The same question, from here on with the one right answer.
    pub(crate) fn expecting(mut self, answer: Bytes) -> Self {
        let events = memchr::memmem::find_iter(&answer, END_OF_EVENT).count() as u64;
        self.expected = Expected::Bytes(answer, events);
        self
    }

    fn new(model: &str, message: &str, stream: bool, expected: Expected) -> Self {
        let mut body = json!({
            "model": model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": message}],
            "temperature": 0.7,
        });
        if stream {
            body["stream"] = json!(true);
        }
        Self { path: PATH, body: Bytes::from(body.to_string()), expected }
    }

    /// The question as it is put to one server.
    pub(crate) fn addressed(&self, server: SocketAddr, key: &str) -> Result<Addressed> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&server.to_string())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))?);
        Ok(Addressed { question: self.clone(), uri: Uri::from_static(self.path), headers })
    }
}

/// A stream without the event that carries only usage figures, as a caller gets it who did not ask for them.
pub(crate) fn without_usage_event(stream: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(stream);
    text.split_inclusive("\n\n").filter(|event| !event.contains(r#""choices":[]"#)).collect::<String>().into()
}

/// A question with everything a server wants to see.
#[derive(Debug, Clone)]
pub(crate) struct Addressed {
    question: Question,
    uri: Uri,
    headers: HeaderMap,
}

impl Addressed {
    /// What an answer must be.
    pub(crate) fn expected(&self) -> &Expected {
        &self.question.expected
    }

    /// One more request.
    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.question.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_with_only_usage_is_hidden_and_no_other() {
        let stream = Bytes::from_static(
            b"data: {\"choices\":[1],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":2}\n\ndata: [DONE]\n\n",
        );
        let left = without_usage_event(&stream);
        assert_eq!(left, Bytes::from_static(b"data: {\"choices\":[1],\"usage\":null}\n\ndata: [DONE]\n\n"));
    }

    #[test]
    fn asking_for_usage_leaves_the_question_json() {
        let body: serde_json::Value = serde_json::from_slice(&Question::flat_out_with_usage().body).unwrap();
        assert_eq!(body["stream_options"]["include_usage"], true);
        assert_eq!(body["stream"], true);
    }
}
