//! Ids of calls for providers that take nine letters and digits.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use sluice_dialect::json::{self, Fields};

/// Letters of an id.
const ID_LETTERS: usize = 9;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Replaces ids that do not fit, in calls and in results. The same request gives the same ids, so that prompt caches hold.
pub(super) fn shorten(body: &mut Fields) {
    let mut ids = Ids::default();
    body.each_object("messages", |message| {
        message.each_object("tool_calls", |call| ids.replace(call, "id"));
        ids.replace(message, "tool_call_id");
    });
}

/// The ids of one request: what each was, by what it is.
#[derive(Debug, Default)]
struct Ids {
    taken: HashMap<String, String>,
}

impl Ids {
    fn replace(&mut self, object: &mut Fields, field: &str) {
        let Some(id) = object.text(field).filter(|id| !id.is_empty()) else { return };
        // One that fits may be another's replacement only by an accident of hashing: then it gives way.
        let mut short = if fits(&id) { id.clone() } else { hashed(&id, 0) };
        for turn in 1..=u8::MAX {
            if self.taken.get(&short).is_none_or(|owner| *owner == id) {
                break;
            }
            short = hashed(&id, turn);
        }
        if short != id {
            object.set(field, json::quoted(&short));
        }
        self.taken.insert(short, id);
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
