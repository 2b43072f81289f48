//! What is wanted of a response that was given out.

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use super::answer::{Status, made, object};
use super::stream::Events;
use crate::simulator::answer::{EVENT_STREAM, document, plain};
use crate::simulator::memory::{Account, Remembered, Told};
use crate::simulator::play::Body;
use crate::simulator::refusal::Refusal;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum StoredCall {
    Retrieve,
    Delete,
    Cancel,
    InputItems,
}

impl StoredCall {
    /// By method and path, after `responses/`; with the id.
    pub(in crate::simulator) fn of<'p>(method: &Method, path: &'p str) -> Option<(&'p str, Self)> {
        let (id, step) = path.split_once('/').map_or((path, None), |(id, step)| (id, Some(step)));
        let call = match (method, step) {
            (&Method::GET, None) => Self::Retrieve,
            (&Method::DELETE, None) => Self::Delete,
            (&Method::POST, Some("cancel")) => Self::Cancel,
            (&Method::GET, Some("input_items")) => Self::InputItems,
            _ => return None,
        };
        (!id.is_empty()).then_some((id, call))
    }

    const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Retrieve => &["include", "include[]", "include_obfuscation", "starting_after", "stream", "api-version"],
            Self::InputItems => &["after", "before", "include", "include[]", "limit", "order", "api-version"],
            Self::Delete | Self::Cancel => &["api-version"],
        }
    }
}

/// A response somebody asks for.
pub(in crate::simulator) struct Stored<'a> {
    pub(in crate::simulator) account: Account<'a>,
    pub(in crate::simulator) id: &'a str,
    pub(in crate::simulator) query: Option<&'a str>,
}

/// The answer.
pub(in crate::simulator) enum Answer {
    Document(Value),
    Events(Vec<u8>),
}

impl Answer {
    pub(in crate::simulator) fn into_response(self) -> Response<Body> {
        match self {
            Self::Document(value) => document(200, &value),
            Self::Events(bytes) => plain(200, EVENT_STREAM, Bytes::from(bytes)),
        }
    }
}

impl Stored<'_> {
    pub(in crate::simulator) fn answer(&self, call: StoredCall) -> Result<Answer, Refusal> {
        let pairs = self.query.into_iter().flat_map(|query| query.split('&'));
        if let Some(unknown) = pairs.filter_map(|pair| pair.split('=').next()).find(|name| !call.parameters().contains(name)) {
            return Err(Refusal::bad(format!("Unknown parameter: '{unknown}'.")).param(unknown).code("unknown_parameter"));
        }
        let missing = || Refusal::new(404, format!("Response with id '{}' not found.", self.id));
        let remembered = self.account.recall(self.id).ok_or_else(missing)?;
        let told = remembered.told.clone().ok_or_else(missing)?;
        match call {
            StoredCall::Retrieve if self.parameter("stream") == Some("true") => self.events(&told).map(Answer::Events),
            StoredCall::Retrieve => Ok(Answer::Document(response(&told, &remembered))),
            StoredCall::InputItems => self.items(&told).map(Answer::Document),
            StoredCall::Delete => {
                self.account.forget(self.id);
                Ok(Answer::Document(json!({"id": self.id, "object": "response", "deleted": true})))
            }
            StoredCall::Cancel if told.asked.repeated["background"] != true => {
                Err(Refusal::bad("Cannot cancel a synchronous response."))
            }
            StoredCall::Cancel => {
                self.account.cancel(self.id);
                Ok(Answer::Document(response(&told, &Remembered { is_cancelled: true, ..remembered })))
            }
        }
    }

    /// The events again, from where the caller lost them.
    fn events(&self, told: &Told) -> Result<Vec<u8>, Refusal> {
        if told.asked.repeated["background"] != true || !told.asked.stream {
            let text = "This response cannot be streamed because it was not created with background=true and stream=true.";
            return Err(Refusal::bad(text).param("stream"));
        }
        let after = match self.parameter("starting_after") {
            None => None,
            Some(text) => {
                Some(text.parse::<u64>().map_err(|_| Refusal::bad("Invalid 'starting_after'.").param("starting_after"))?)
            }
        };
        let events = Events::new(told.asked.clone(), told.stamp.clone(), told.script.clone());
        let first = after.map_or(0, |after| after + 1);
        Ok((first..events.total()).filter_map(|place| events.get(place)).flat_map(|event| event.bytes).collect())
    }

    /// A page of what the request said, the newest first unless told otherwise.
    fn items(&self, told: &Told) -> Result<Value, Refusal> {
        let bad = |name: &str| Refusal::bad(format!("Invalid '{name}'.")).param(name);
        let limit = self.parameter("limit").map_or(Ok(20), |text| text.parse::<usize>().map_err(|_| bad("limit")))?;
        if !(1..=100).contains(&limit) {
            return Err(bad("limit"));
        }
        let mut items = told.asked.said.clone();
        match self.parameter("order") {
            None | Some("desc") => items.reverse(),
            Some("asc") => {}
            Some(_) => return Err(bad("order")),
        }
        if let Some(after) = self.parameter("after") {
            let place = items.iter().position(|item| item["id"] == after).ok_or_else(|| bad("after"))?;
            items.drain(..=place);
        }
        let has_more = items.len() > limit;
        items.truncate(limit);
        let id = |item: Option<&Value>| item.map(|item| item["id"].clone());
        Ok(json!({
            "object": "list", "first_id": id(items.first()), "last_id": id(items.last()), "has_more": has_more, "data": items,
        }))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

fn response(told: &Told, remembered: &Remembered) -> Value {
    if remembered.is_cancelled {
        return object(&told.asked, &told.stamp, Status::Cancelled);
    }
    made(&told.asked, &told.stamp, &told.script)
}
