//! What a caller of Responses was told of an answer whose bytes pass, should it have to be told in the end that the answer failed: such an
//! event repeats the answer, and its number follows that of the last one.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A longer answer at its beginning is not repeated: it is the caller's own instructions and tools that are long.
const MOST_REPEATED_BYTES: usize = 32 << 10;
/// What is left of one that is too long.
const ALWAYS_REPEATED: [&str; 5] = ["id", "object", "created_at", "model", "metadata"];
/// Longer events are not kept until their number is asked for.
const MOST_KEPT_BYTES: usize = 16 << 10;

/// What was told so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Telling {
    /// The answer as it was announced, as JSON.
    announced: Option<Box<[u8]>>,
    /// The last event's data, as long as its number was not asked for.
    last: Vec<u8>,
    /// The last number that is known.
    number: Option<u64>,
}

#[derive(Deserialize)]
struct Announced {
    response: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Numbered {
    sequence_number: Option<u64>,
}

impl Telling {
    /// An event goes to the caller.
    pub(super) fn hear(&mut self, data: &[u8]) {
        if self.announced.is_none() {
            self.announced = announced(data);
        }
        self.last.clear();
        if data.len() > MOST_KEPT_BYTES {
            self.number = number(data).or(self.number);
        } else {
            self.last.extend_from_slice(data);
        }
    }

    /// The last event of an answer that failed. `None`: it was not announced.
    pub(super) fn failed(&self, code: &str, message: &str) -> Option<Bytes> {
        let mut response: Map<String, Value> = serde_json::from_slice(self.announced.as_deref()?).ok()?;
        response.insert("status".to_owned(), "failed".into());
        response.insert("error".to_owned(), json!({"code": code, "message": message}));
        let last = number(&self.last).or(self.number);
        let event = json!({
            "type": "response.failed", "sequence_number": last.map_or(0, |last| last.saturating_add(1)), "response": response,
        });
        Some(format!("event: response.failed\ndata: {event}\n\n").into())
    }
}

fn number(data: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Numbered>(data).ok()?.sequence_number
}

fn announced(data: &[u8]) -> Option<Box<[u8]>> {
    let mut response = serde_json::from_slice::<Announced>(data).ok()?.response?;
    if data.len() > MOST_REPEATED_BYTES {
        response.retain(|name, value| ALWAYS_REPEATED.contains(&name.as_str()) && value.to_string().len() <= MOST_KEPT_BYTES);
        // typed clients want these of every answer
        response.extend([("output".to_owned(), json!([])), ("tools".to_owned(), json!([]))]);
        response.extend([("tool_choice".to_owned(), json!("auto")), ("parallel_tool_calls".to_owned(), json!(true))]);
    }
    serde_json::to_vec(&response).ok().map(Vec::into_boxed_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(telling: &Telling) -> Option<Value> {
        let event = telling.failed("server_error", "it broke")?;
        let text = std::str::from_utf8(&event).unwrap();
        let data = text.strip_prefix("event: response.failed\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        Some(serde_json::from_str(data).unwrap())
    }

    #[test]
    fn a_failure_repeats_the_answer_and_goes_on_counting() {
        let mut telling = Telling::default();
        assert_eq!(last(&telling), None, "nothing was announced");
        telling.hear(
            br#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","tools":[]}}"#,
        );
        telling.hear(br#"{"type":"response.output_text.delta","sequence_number":6,"delta":"a"}"#);
        let response =
            json!({"id": "resp_1", "status": "failed", "tools": [], "error": {"code": "server_error", "message": "it broke"}});
        assert_eq!(last(&telling), Some(json!({"type": "response.failed", "sequence_number": 7, "response": response})));
        let long = format!(r#"{{"sequence_number":9,"delta":"{}"}}"#, "a".repeat(MOST_KEPT_BYTES));
        telling.hear(long.as_bytes());
        assert_eq!(last(&telling).unwrap()["sequence_number"], 10);
        assert!(telling.last.is_empty(), "long events are not kept");
        telling.hear(br#"{"type":"of a server that does not count"}"#);
        assert_eq!(last(&telling).unwrap()["sequence_number"], 10);
    }

    #[test]
    fn a_long_answer_is_repeated_as_far_as_clients_need_it() {
        let mut telling = Telling::default();
        let instructions = "a".repeat(MOST_REPEATED_BYTES);
        let created = json!({"response": {"id": "resp_1", "instructions": instructions, "model": "m", "status": "in_progress"}});
        telling.hear(created.to_string().as_bytes());
        let event = last(&telling).unwrap();
        assert_eq!((&event["response"]["id"], &event["response"]["output"]), (&json!("resp_1"), &json!([])));
        assert!(event.to_string().len() < 1_000);
    }
}
