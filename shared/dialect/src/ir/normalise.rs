//! Brings a conversation into the form that every target takes, before it is written for one: turns alternate, every call has its result,
//! and results stand where they belong.
//!
//! What is added is fixed text, so that the same history is the same prompt on every turn.

mod pairs;
mod turns;

use std::borrow::Cow;

use sluice_domain::Dialect;

use super::{Block, Request, Role, Turn};
use crate::target::Capabilities;

/// What stands in for a first turn of the user's, and for a turn that would be empty. Claude takes no empty text.
const SILENCE: &str = "…";

/// The request as a target of a dialect takes it:
///
/// * Instructions before the first turn are in `system`; later ones stay where they are, or go there too where the target has no place for
///   them (Messages, unless the model takes them midway, and Gemini).
/// * Neighbouring turns of a role are one. Text of white space alone is left out where the turn has something else. An empty turn is none.
/// * Results stand first in the user's turn right after the calls, in the order of the calls. A call without one has failed with
///   `(no result)`, unless nothing comes after it. Results carry the name of their tool. A result without a call is text of the user's: `[tool result <name>] …`.
/// * Calls of one history have different ids.
/// * Media of results stand behind the results of the turn, each after `[image from tool <name>]`, where the target takes none in results
///   (Chat never does).
/// * For Messages and Gemini the user speaks first, if only `…`. For Messages no turn is of white space alone.
///
/// A request that is already so is borrowed. Doing it twice changes nothing more.
#[must_use]
pub fn for_target<'r>(request: &'r Request, dialect: Dialect, capabilities: &Capabilities) -> Cow<'r, Request> {
    let keeps_system = match dialect {
        Dialect::OpenAi | Dialect::Responses => true,
        Dialect::Anthropic => capabilities.system_midway,
        Dialect::Gemini => false,
    };
    let takes_media = dialect != Dialect::OpenAi && capabilities.result_images;
    let needs_user_first = matches!(dialect, Dialect::Anthropic | Dialect::Gemini);

    let mut system = request.system.clone();
    let turns = turns::without_system(request.turns.clone(), keeps_system, &mut system);
    let turns = turns::merged(turns);
    let turns = pairs::with_different_ids(turns);
    let mut turns = turns::merged(pairs::with_results(turns));
    if !takes_media {
        turns.iter_mut().for_each(pairs::move_media);
    }
    if needs_user_first {
        turns::let_the_user_begin(&mut turns);
    }
    if dialect == Dialect::Anthropic {
        turns::break_silence(&mut turns);
    }
    system.retain(|block| !turns::is_blank(block));
    if turns == request.turns && system == request.system {
        return Cow::Borrowed(request);
    }
    Cow::Owned(Request { system, turns, ..request.clone() })
}

/// A turn of one block.
fn turn(role: Role, block: Block) -> Turn {
    Turn { role, blocks: vec![block] }
}

#[cfg(test)]
mod tests;
