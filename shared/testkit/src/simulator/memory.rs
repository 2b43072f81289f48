//! What the simulator remembers of the responses it gave out: for `previous_response_id`, for items sent back by id, and for who asks for one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::asked::Asked;
use super::script::Script;
use super::stamp::Stamp;

/// Responses remembered; the oldest are forgotten.
const MOST_RESPONSES: usize = 10_000;

/// A response that was given out.
#[derive(Debug, Clone, Default)]
pub(super) struct Remembered {
    /// Calls that wait for their output: id and name.
    pub(super) calls: Vec<(String, String)>,
    /// Ids of its items.
    pub(super) items: Vec<String>,
    /// Words of the conversation up to and with it.
    pub(super) words: i64,
    /// All of it.
    pub(super) told: Option<Arc<Told>>,
    /// It was made in the background, and then ended by its caller.
    pub(super) is_cancelled: bool,
}

/// A response as it was made.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) asked: Asked,
    pub(super) stamp: Stamp,
    pub(super) script: Script,
}

/// The responses of one simulator that were to be stored.
#[derive(Default)]
pub(super) struct Memory(Mutex<Kept>);

/// The part of it that one key may see.
#[derive(Clone, Copy)]
pub(super) struct Account<'a> {
    memory: &'a Memory,
    key: Option<&'a str>,
}

#[derive(Default)]
struct Kept {
    order: VecDeque<String>,
    /// With the key they were made with.
    responses: HashMap<String, (Option<String>, Remembered)>,
    items: HashSet<String>,
}

impl Memory {
    /// What the holder of a key may see.
    pub(super) fn of<'a>(&'a self, key: Option<&'a str>) -> Account<'a> {
        Account { memory: self, key }
    }
}

impl Account<'_> {
    pub(super) fn keep(self, id: &str, response: Remembered) {
        let mut guard = self.memory.0.lock();
        let kept = &mut *guard;
        kept.items.extend(response.items.iter().cloned());
        kept.responses.insert(id.to_owned(), (self.key.map(str::to_owned), response));
        kept.order.push_back(id.to_owned());
        if kept.order.len() <= MOST_RESPONSES {
            return;
        }
        let oldest = kept.order.pop_front().and_then(|id| kept.responses.remove(&id));
        for id in oldest.into_iter().flat_map(|(_, response)| response.items) {
            kept.items.remove(&id);
        }
    }

    pub(super) fn recall(self, id: &str) -> Option<Remembered> {
        let guard = self.memory.0.lock();
        guard.responses.get(id).filter(|(key, _)| key.as_deref() == self.key).map(|(_, response)| response.clone())
    }

    /// Forgets a response. Its items may still be sent back.
    pub(super) fn forget(self, id: &str) {
        let mut kept = self.memory.0.lock();
        kept.responses.remove(id);
        kept.order.retain(|known| known != id);
    }

    /// Ends a response that is being made.
    pub(super) fn cancel(self, id: &str) {
        if let Some((_, response)) = self.memory.0.lock().responses.get_mut(id) {
            response.is_cancelled = true;
        }
    }

    pub(super) fn knows_item(self, id: &str) -> bool {
        self.memory.0.lock().items.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_responses_are_forgotten_and_nobody_sees_anothers() {
        let memory = Memory::default();
        let account = memory.of(Some("key-a"));
        for place in 0..=MOST_RESPONSES {
            let items = vec![format!("rs_{place}")];
            account.keep(&format!("resp_{place}"), Remembered { items, ..Remembered::default() });
        }
        assert!(account.recall("resp_0").is_none() && !account.knows_item("rs_0"));
        assert!(account.recall("resp_1").is_some() && account.knows_item("rs_1"));
        assert!(memory.of(Some("key-b")).recall("resp_1").is_none() && memory.of(None).recall("resp_1").is_none());
        account.forget("resp_1");
        assert!(account.recall("resp_1").is_none());
    }
}
