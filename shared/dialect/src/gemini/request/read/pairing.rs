//! Results without ids find their calls: by id, then the k-th result of a tool for its k-th call, then by position.

use crate::ir::{Block, Role, Turn};

/// A call, or a result that waits for one.
struct Party<'t> {
    id: &'t str,
    name: &'t str,
}

/// When a result belongs to a call; the first rule that finds one decides.
const RULES: [fn(&Party<'_>, &Party<'_>) -> bool; 3] =
    [|result, call| result.id == call.id, |result, call| result.name == call.name, |_, _| true];

/// Gives every result the id of the call it answers, of those in the turn before. Turns alternate.
pub(super) fn pair(turns: &mut [Turn]) {
    let mut calls: Vec<(String, String)> = Vec::new();
    for (number, turn) in turns.iter_mut().enumerate() {
        if turn.role == Role::Assistant {
            calls = calls_of(turn);
        } else {
            answer(number, turn, std::mem::take(&mut calls));
        }
    }
}

fn calls_of(turn: &Turn) -> Vec<(String, String)> {
    let calls = turn.blocks.iter().filter_map(|block| match block {
        Block::ToolCall { id, name, .. } => Some((id.clone(), name.clone())),
        _ => None,
    });
    calls.collect()
}

fn answer(number: usize, turn: &mut Turn, mut calls: Vec<(String, String)>) {
    let results = turn.blocks.iter_mut().filter_map(|block| match block {
        Block::ToolResult { id, name, .. } => Some((id, name.as_deref().unwrap_or_default())),
        _ => None,
    });
    let mut waiting: Vec<(&mut String, &str)> = results.collect();
    for belongs in RULES {
        waiting.retain_mut(|(id, name)| {
            let result = Party { id: id.as_str(), name };
            let found = calls.iter().position(|(id, name)| belongs(&result, &Party { id, name }));
            if let Some(at) = found {
                **id = calls.remove(at).0;
            }
            found.is_none()
        });
    }
    for (place, (id, _)) in waiting.into_iter().enumerate() {
        if id.is_empty() {
            *id = format!("call_g{number}_r{place}");
        }
    }
}
