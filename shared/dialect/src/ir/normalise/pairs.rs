//! Calls and their results.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::turn;
use crate::ir::{Block, MediaKind, Role, Turn};

/// What a call without a result has as one.
const NO_RESULT: &str = "(no result)";

/// No two calls of the history have the same id; results follow the calls they stand behind, the first of the same id the first one.
pub(super) fn with_different_ids(mut turns: Vec<Turn>) -> Vec<Turn> {
    let mut taken: BTreeSet<String> = turns.iter().flat_map(|turn| &turn.blocks).filter_map(id_of).map(str::to_owned).collect();
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut next_numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut open: BTreeMap<String, VecDeque<String>> = BTreeMap::new();
    for turn in &mut turns {
        if turn.role == Role::Assistant {
            open.clear();
        }
        for block in &mut turn.blocks {
            match block {
                Block::ToolCall { id, .. } => {
                    let old = id.clone();
                    if used.contains(id) {
                        *id = fresh(&old, &taken, next_numbers.entry(old.clone()).or_insert(1));
                        taken.insert(id.clone());
                    }
                    used.insert(id.clone());
                    open.entry(old).or_default().push_back(id.clone());
                }
                Block::ToolResult { id, .. } => {
                    if let Some(new) = open.get_mut(id.as_str()).and_then(VecDeque::pop_front) {
                        *id = new;
                    }
                }
                _ => {}
            }
        }
    }
    turns
}

fn id_of(block: &Block) -> Option<&str> {
    match block {
        Block::ToolCall { id, .. } | Block::ToolResult { id, .. } => Some(id),
        _ => None,
    }
}

/// An id that nothing has, made of another and a number.
fn fresh(id: &str, taken: &BTreeSet<String>, number: &mut u32) -> String {
    loop {
        *number = number.saturating_add(1);
        let made = format!("{id}_{number}");
        if !taken.contains(&made) {
            return made;
        }
    }
}

/// What stands between two of the model's turns begins with the results of the calls before it.
pub(super) fn with_results(turns: Vec<Turn>) -> Vec<Turn> {
    let mut paired = Vec::with_capacity(turns.len());
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut calls: Vec<String> = Vec::new();
    let mut between: Vec<Turn> = Vec::new();
    for turn in turns {
        if turn.role != Role::Assistant {
            between.push(turn);
            continue;
        }
        close(&mut paired, &calls, std::mem::take(&mut between), &names);
        calls.clear();
        for block in &turn.blocks {
            if let Block::ToolCall { id, name, .. } = block {
                names.insert(id.clone(), name.clone());
                calls.push(id.clone());
            }
        }
        paired.push(turn);
    }
    if !between.is_empty() {
        close(&mut paired, &calls, between, &names);
    }
    paired
}

/// Adds the turns that follow some calls, results first.
fn close(paired: &mut Vec<Turn>, calls: &[String], mut turns: Vec<Turn>, names: &BTreeMap<String, String>) {
    let asked: BTreeSet<&str> = calls.iter().map(String::as_str).collect();
    let mut found: BTreeMap<String, Block> = BTreeMap::new();
    for turn in &mut turns {
        for mut block in std::mem::take(&mut turn.blocks) {
            let Block::ToolResult { id, name, .. } = &mut block else {
                turn.blocks.push(block);
                continue;
            };
            if let Some(known) = names.get(id.as_str()) {
                *name = Some(known.clone());
            }
            if asked.contains(id.as_str()) && !found.contains_key(id.as_str()) {
                found.insert(id.clone(), block);
            } else {
                turn.blocks.extend(as_text(block));
            }
        }
    }
    let results = calls.iter().map(|id| found.remove(id).unwrap_or_else(|| no_result(id, names.get(id))));
    paired.extend(results.map(|result| turn(Role::User, result)));
    paired.extend(turns);
}

fn no_result(id: &str, name: Option<&String>) -> Block {
    let content = vec![Block::text(NO_RESULT)];
    Block::ToolResult { id: id.to_owned(), name: name.cloned(), content, is_error: true, cache: None }
}

/// A result that answers no call, in the user's words.
fn as_text(result: Block) -> Vec<Block> {
    let Block::ToolResult { name, mut content, .. } = result else { return vec![result] };
    let mut told = match name {
        Some(name) => format!("[tool result {name}]"),
        None => "[tool result]".to_owned(),
    };
    match content.first_mut() {
        Some(Block::Text { text, .. }) => {
            told.push(' ');
            text.insert_str(0, &told);
        }
        _ => content.insert(0, Block::text(told)),
    }
    content
}

/// Media of results stand behind the results of the turn.
pub(super) fn move_media(turn: &mut Turn) {
    let mut moved = Vec::new();
    let mut results = 0;
    for (place, block) in turn.blocks.iter_mut().enumerate() {
        let Block::ToolResult { name, content, .. } = block else { continue };
        results = place + 1;
        for block in std::mem::take(content) {
            if let Block::Media { kind, .. } = &block {
                let name = name.as_deref().unwrap_or("unknown");
                moved.push(Block::text(format!("[{} from tool {name}]", word(*kind))));
                moved.push(block);
            } else {
                content.push(block);
            }
        }
    }
    turn.blocks.splice(results..results, moved);
}

const fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    }
}
