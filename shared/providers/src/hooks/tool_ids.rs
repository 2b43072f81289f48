//! Ids of calls for providers that take nine letters and digits.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::fields::messages;

/// Letters of an id.
const ID_LETTERS: usize = 9;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Replaces ids that do not fit, in calls and in results. The same request gives the same ids, so that prompt caches hold.
pub(super) fn shorten(body: &mut Map<String, Value>) {
    let mut ids = Ids::default();
    for message in messages(body) {
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(id) = call.get_mut("id") {
                ids.replace(id);
            }
        }
        if let Some(id) = message.get_mut("tool_call_id") {
            ids.replace(id);
        }
    }
}

/// The ids of one request: what each was, by what it is.
#[derive(Debug, Default)]
struct Ids {
    taken: HashMap<String, String>,
}

impl Ids {
    fn replace(&mut self, value: &mut Value) {
        let Value::String(id) = value else { return };
        if id.is_empty() {
            return;
        }
        // One that fits may be another's replacement only by an accident of hashing: then it gives way.
        let mut short = if fits(id) { id.clone() } else { hashed(id, 0) };
        for turn in 1..=u8::MAX {
            if self.taken.get(&short).is_none_or(|owner| owner == id) {
                break;
            }
            short = hashed(id, turn);
        }
        self.taken.insert(short.clone(), id.clone());
        *id = short;
    }
}

fn fits(id: &str) -> bool {
    id.len() == ID_LETTERS && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn hashed(id: &str, turn: u8) -> String {
    let digest = Sha256::new().chain_update([turn]).chain_update(id).finalize();
    let letter = |byte: &u8| char::from(ALPHABET.get(usize::from(*byte) % ALPHABET.len()).copied().unwrap_or(b'A'));
    digest.iter().take(ID_LETTERS).map(letter).collect()
}
