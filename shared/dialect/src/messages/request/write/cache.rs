//! Marks of the prompt cache: the caller's own, or the usual ones where it has none.

use serde_json::{Map, Value};

use super::content::has_role;
use super::{Parts, Writer};
use crate::ir::CacheMark;
use crate::loss::{Field, Unsupported};
use crate::messages::cache_control;

/// The most that a request may have.
const MOST: usize = 4;
const KEY: &str = "cache_control";

impl Writer<'_, '_> {
    /// Keeps the caller's marks within the provider's rules, or makes the usual ones for a conversation with tools.
    pub(super) fn cache(&mut self, parts: &mut Parts) -> Result<(), Unsupported> {
        let mut marks = marks(parts);
        if marks.is_empty() {
            if self.target.options.marks_cache && !parts.tools.is_empty() && parts.messages.len() > 1 {
                mark_usual(parts);
            }
            return Ok(());
        }
        let too_many = marks.len().saturating_sub(MOST);
        for block in marks.drain(..too_many) {
            block.shift_remove(KEY);
        }
        // Marks of an hour must stand before those of minutes.
        let mut has_short = false;
        for block in marks {
            let is_long = block.get(KEY).and_then(|control| control.get("ttl")).is_some_and(|ttl| ttl == "1h");
            if is_long && has_short {
                block.insert(KEY.to_owned(), cache_control(CacheMark::FiveMinutes));
            }
            has_short |= !is_long;
        }
        if too_many > 0 {
            self.losses.drop(Field::CacheMarks)?;
        }
        Ok(())
    }
}

/// Every block with a mark, in the order the provider reads them.
fn marks(parts: &mut Parts) -> Vec<&mut Map<String, Value>> {
    let contents = parts.messages.iter_mut().filter_map(|message| message.get_mut("content")?.as_array_mut()).flatten();
    let blocks = parts.tools.iter_mut().chain(parts.system.iter_mut()).chain(contents);
    blocks.filter_map(Value::as_object_mut).filter(|block| block.contains_key(KEY)).collect()
}

/// The last tool, the last instruction, and the last two turns of the caller's.
fn mark_usual(parts: &mut Parts) {
    let turns = parts.messages.iter_mut().rev().filter(|message| has_role(message, "user")).take(2);
    let ends = turns.filter_map(|turn| turn.get_mut("content")?.as_array_mut()?.last_mut());
    for block in ends.chain(parts.tools.last_mut()).chain(parts.system.last_mut()).filter_map(Value::as_object_mut) {
        block.insert(KEY.to_owned(), cache_control(CacheMark::FiveMinutes));
    }
}
