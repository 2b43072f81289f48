//! A small HTTP client that reads plain answers and event streams, whole and as they come.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// No answer may take longer than this; a test that hangs fails with it.
pub const ANSWER_LIMIT: Duration = Duration::from_mins(2);
/// The largest answer that is read: 256 MiB.
pub const MAX_ANSWER_BYTES: usize = 256 << 20;

/// A caller of one server with one key.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    base_url: String,
    key: Option<String>,
    request_id: Option<String>,
    headers: HeaderMap,
}

impl Caller {
    /// A caller without a key. `base_url` has no path.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        crate::install_tls_provider();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_LIMIT).build().expect("an HTTP client can be built");
        Self { http, base_url: base_url.into(), key: None, request_id: None, headers: HeaderMap::new() }
    }

    /// The same caller, sending `Authorization: Bearer` with this key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same caller, naming its requests (`X-Request-Id`): for one that asks once.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The same caller, sending this header with every request. Panics when it is no header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).expect("the header is well-formed"));
        self
    }

    /// A request to build further and [`send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base_url)).headers(self.headers.clone());
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        match &self.request_id {
            Some(id) => request.header("x-request-id", id),
            None => request,
        }
    }

    /// GETs a path and reads the whole answer.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await.expect("the server answers")
    }

    /// POSTs JSON and reads the whole answer. Panics when there is none; see [`Caller::try_post`].
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).await.expect("the server answers")
    }

    /// POSTs JSON and reads the whole answer.
    ///
    /// # Errors
    /// When the server cannot be reached or the answer breaks off.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Answer> {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// POSTs JSON and returns when the headers are there, to read the events one by one.
    ///
    /// # Errors
    /// When the server cannot be reached or sends no headers.
    pub async fn open(&self, path: &str, body: &Value) -> reqwest::Result<EventStream> {
        let response = self.request(Method::POST, path).json(body).send().await?;
        Ok(EventStream {
            status: response.status(),
            headers: response.headers().clone(),
            response,
            pending: BytesMut::new(),
            read: 0,
        })
    }

    /// POSTs JSON and reads all events. Panics when no headers come.
    pub async fn stream(&self, path: &str, body: &Value) -> Transcript {
        self.open(path, body).await.expect("the server answers").collect().await
    }
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// When the server cannot be reached or the answer breaks off.
pub async fn send(request: RequestBuilder) -> reqwest::Result<Answer> {
    let mut response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        assert!(body.len() <= MAX_ANSWER_BYTES, "the answer is larger than {MAX_ANSWER_BYTES} bytes");
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON. Panics when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The `event:` field.
    pub name: Option<String>,
    /// The `data:` fields, joined by line breaks.
    pub data: String,
    /// The comment lines (`: …`) before or in it.
    pub comments: Vec<String>,
}

impl Event {
    /// The data as JSON. Panics when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in {}", self.data))
    }
}

/// An open event stream. Dropping it hangs up.
pub struct EventStream {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    response: Response,
    pending: BytesMut,
    read: usize,
}

impl EventStream {
    /// The next event; `None` when the stream ended cleanly. Bytes that never became an event come last, as one.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> reqwest::Result<Option<Event>> {
        loop {
            if let Some(event) = cut_event(&mut self.pending) {
                return Ok(Some(event));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None if self.pending.is_empty() => return Ok(None),
                None => return Ok(Some(parse_event(&std::mem::take(&mut self.pending)))),
            }
            self.read = self.read.max(self.pending.len());
            assert!(self.read <= MAX_ANSWER_BYTES, "an event is larger than {MAX_ANSWER_BYTES} bytes");
        }
    }

    /// Reads to the end.
    pub async fn collect(mut self) -> Transcript {
        let mut events = Vec::new();
        let broken = loop {
            match self.next().await {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        Transcript { status: self.status, headers: self.headers, events, broken }
    }
}

/// Everything an event stream said.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The events. An answer that is no stream is one event whose data is empty or nonsense: look at the status first.
    pub events: Vec<Event>,
    /// Why the connection broke; `None` when it ended cleanly.
    pub broken: Option<String>,
}

impl Transcript {
    /// Whether the last event is `[DONE]`.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.events.last().is_some_and(|event| event.data == "[DONE]")
    }

    /// The events whose data is JSON.
    #[must_use]
    pub fn chunks(&self) -> Vec<Value> {
        self.events.iter().filter_map(|event| serde_json::from_str(&event.data).ok()).collect()
    }

    /// The content of the first choice, joined.
    #[must_use]
    pub fn text(&self) -> String {
        let of_chunk = |chunk: &Value| {
            let choice = chunk["choices"].as_array()?.iter().find(|choice| choice["index"] == 0)?;
            choice["delta"]["content"].as_str().or(choice["text"].as_str()).map(str::to_owned)
        };
        self.chunks().iter().filter_map(of_chunk).collect()
    }

    /// The last usage object.
    #[must_use]
    pub fn usage(&self) -> Option<Value> {
        self.chunks().iter().rev().map(|chunk| chunk["usage"].clone()).find(Value::is_object)
    }

    /// The error object of an error event.
    #[must_use]
    pub fn error(&self) -> Option<Value> {
        self.chunks().iter().map(|chunk| chunk["error"].clone()).find(Value::is_object)
    }

    /// The finish reason of the first choice.
    #[must_use]
    pub fn finish_reason(&self) -> Option<String> {
        self.chunks().iter().find_map(|chunk| chunk["choices"][0]["finish_reason"].as_str().map(str::to_owned))
    }

    /// The tool calls of the first choice, as name and joined arguments.
    #[must_use]
    pub fn tool_calls(&self) -> Vec<(String, String)> {
        let mut calls: Vec<(String, String)> = Vec::new();
        for chunk in self.chunks() {
            for part in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let place = part["index"].as_u64().and_then(|index| usize::try_from(index).ok()).expect("a call has an index");
                if calls.len() <= place {
                    calls.resize(place + 1, (String::new(), String::new()));
                }
                calls[place].0.push_str(part["function"]["name"].as_str().unwrap_or(""));
                calls[place].1.push_str(part["function"]["arguments"].as_str().unwrap_or(""));
            }
        }
        calls
    }
}

/// Takes the first complete event off the front: up to an empty line, ended by LF or CRLF.
fn cut_event(pending: &mut BytesMut) -> Option<Event> {
    let lf = memchr::memmem::find(pending, b"\n\n").map(|place| place + 2);
    let crlf = memchr::memmem::find(pending, b"\r\n\r\n").map(|place| place + 4);
    let end = match (lf, crlf) {
        (Some(lf), Some(crlf)) => lf.min(crlf),
        (found, None) | (None, found) => found?,
    };
    Some(parse_event(&pending.split_to(end)))
}

fn parse_event(bytes: &[u8]) -> Event {
    let text = String::from_utf8_lossy(bytes);
    let mut event = Event::default();
    let mut data: Vec<&str> = Vec::new();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("", comment)) => event.comments.push(comment.trim_start().to_owned()),
            Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value)),
            Some(("event", value)) => event.name = Some(value.trim_start().to_owned()),
            _ => {}
        }
    }
    event.data = data.join("\n");
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events_of(text: &str) -> Vec<(Option<String>, String)> {
        let mut pending = BytesMut::from(text.as_bytes());
        std::iter::from_fn(|| cut_event(&mut pending)).map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_end_at_an_empty_line_of_either_kind() {
        let read = events_of("data: one\n\nevent: ping\r\ndata: two\r\ndata: three\r\n\r\ndata: unfinished");
        assert_eq!(read, [(None, "one".to_owned()), (Some("ping".to_owned()), "two\nthree".to_owned())]);
    }

    #[test]
    fn comments_are_no_data() {
        let event = parse_event(b": PING\n\n");
        assert_eq!((event.comments, event.data), (vec!["PING".to_owned()], String::new()));
    }
}
