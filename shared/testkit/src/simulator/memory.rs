//! What the simulator remembers of the responses it gave out, for `previous_response_id` and for items sent back by id.

use std::collections::{HashMap, HashSet, VecDeque};

use parking_lot::Mutex;

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
}

/// The responses of one simulator that were to be stored.
#[derive(Default)]
pub(super) struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    order: VecDeque<String>,
    responses: HashMap<String, Remembered>,
    items: HashSet<String>,
}

impl Memory {
    pub(super) fn keep(&self, id: &str, response: Remembered) {
        let mut guard = self.0.lock();
        let kept = &mut *guard;
        kept.items.extend(response.items.iter().cloned());
        kept.responses.insert(id.to_owned(), response);
        kept.order.push_back(id.to_owned());
        if kept.order.len() <= MOST_RESPONSES {
            return;
        }
        let oldest = kept.order.pop_front().and_then(|id| kept.responses.remove(&id));
        for id in oldest.into_iter().flat_map(|response| response.items) {
            kept.items.remove(&id);
        }
    }

    pub(super) fn recall(&self, id: &str) -> Option<Remembered> {
        self.0.lock().responses.get(id).cloned()
    }

    pub(super) fn knows_item(&self, id: &str) -> bool {
        self.0.lock().items.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_responses_are_forgotten() {
        let memory = Memory::default();
        for place in 0..=MOST_RESPONSES {
            let items = vec![format!("rs_{place}")];
            memory.keep(&format!("resp_{place}"), Remembered { items, ..Remembered::default() });
        }
        assert!(memory.recall("resp_0").is_none() && !memory.knows_item("rs_0"));
        assert!(memory.recall("resp_1").is_some() && memory.knows_item("rs_1"));
    }
}
