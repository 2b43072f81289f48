//! Turns as wholes: instructions among them, neighbours of one role, silence.

use super::{SILENCE, turn};
use crate::ir::{Block, Role, Turn};

/// The turns without instructions before the first one, which go to `system`; unless later ones are kept, these too.
pub(super) fn without_system(turns: Vec<Turn>, keeps_later: bool, system: &mut Vec<Block>) -> Vec<Turn> {
    let mut rest: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns.into_iter().filter(|turn| !turn.blocks.is_empty()) {
        if turn.role == Role::System && (rest.is_empty() || !keeps_later) {
            system.extend(turn.blocks);
        } else {
            rest.push(turn);
        }
    }
    rest
}

/// Neighbours of a role as one turn, without empty turns, and without blank text where a turn has something else.
pub(super) fn merged(turns: Vec<Turn>) -> Vec<Turn> {
    let mut merged: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns {
        let says_nothing = turn.role == Role::System && turn.blocks.iter().all(is_blank);
        if turn.blocks.is_empty() || says_nothing {
            continue;
        }
        match merged.last_mut().filter(|last| last.role == turn.role) {
            Some(last) => last.blocks.extend(turn.blocks),
            None => merged.push(turn),
        }
    }
    for turn in &mut merged {
        if turn.blocks.iter().all(is_blank) {
            turn.blocks.truncate(1);
        } else {
            turn.blocks.retain(|block| !is_blank(block));
        }
    }
    merged
}

/// Text of white space alone that carries no state.
pub(super) fn is_blank(block: &Block) -> bool {
    matches!(block, Block::Text { text, signature: None, .. } if text.trim().is_empty())
}

/// The first turn is the user's.
pub(super) fn let_the_user_begin(turns: &mut Vec<Turn>) {
    if turns.first().is_none_or(|first| first.role != Role::User) {
        turns.insert(0, turn(Role::User, Block::text(SILENCE)));
    }
}

/// Turns of blank text alone say `…`; at the end, the model's says nothing and goes.
pub(super) fn break_silence(turns: &mut Vec<Turn>) {
    let is_silent = |turn: &Turn| turn.blocks.iter().all(is_blank);
    if turns.last().is_some_and(|last| last.role == Role::Assistant && is_silent(last)) {
        turns.pop();
    }
    for turn in turns.iter_mut().filter(|turn| is_silent(turn)) {
        turn.blocks = vec![Block::text(SILENCE)];
    }
}
