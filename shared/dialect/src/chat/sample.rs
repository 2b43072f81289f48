//! Values that tests begin with.

use sluice_domain::Dialect;

use crate::call_id::IdMaker;
use crate::codec::{Asked, Reading};
use crate::ir::{Block, Event, Family, Signature};
use crate::signature::Sealer;
use crate::target::{Capabilities, Host, Options, Target};

pub(super) fn sealer() -> Sealer {
    Sealer::new(&[7; 32])
}

pub(super) fn asked() -> Asked {
    Asked {
        model: "alias".to_owned(),
        created: 1_700_000_000,
        include_usage: false,
        shows_reasoning: true,
        wants_encrypted: false,
        thinking_to_content: false,
        media_to_markdown: false,
        is_sse: true,
        echo: None,
        ids: IdMaker::new([1; 16]),
        sealer: sealer(),
    }
}

pub(super) fn reading() -> Reading {
    Reading {
        family: Family::Compatible,
        account: Some(9),
        client: Dialect::Anthropic,
        names: crate::tool_name::ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([2; 16]),
    }
}

pub(super) fn target<'a>(family: Family, capabilities: &'a Capabilities, options: &'a Options) -> Target<'a> {
    Target { model: "theirs", family, host: Host::Own, capabilities, options, output_limit: None, account: Some(9) }
}

pub(super) fn signature(family: Family) -> Signature {
    Signature { family, account: None, item: None, value: "c2ln".to_owned() }
}

pub(super) fn call(id: &str, name: &str, arguments: &str) -> Block {
    let arguments = crate::arguments::parse(arguments);
    Block::ToolCall { id: id.to_owned(), name: name.to_owned(), arguments, signature: None, cache: None }
}

/// What breaks the order that events promise; `None` if nothing does.
pub(super) fn disorder(events: &[Event]) -> Option<String> {
    use std::collections::{BTreeMap, BTreeSet};
    let mut next = BTreeMap::<u32, u32>::new();
    let mut open = BTreeSet::new();
    let mut calls = BTreeSet::new();
    let mut finished = BTreeSet::new();
    for (place, event) in events.iter().enumerate() {
        let is_last = place + 1 == events.len();
        let is_good = match event {
            Event::Start { .. } => place == 0,
            Event::Error(_) => is_last,
            _ if place == 0 => false,
            Event::End => is_last && open.is_empty(),
            Event::Usage(_) => true,
            Event::BlockStart { choice, block, start } => {
                let number = next.entry(*choice).or_default();
                *number += 1;
                let is_call = matches!(start, crate::ir::BlockStart::ToolCall { .. });
                let is_alone = open.iter().all(|key: &(u32, u32)| key.0 != *choice || (is_call && calls.contains(key)));
                if is_call {
                    calls.insert((*choice, *block));
                }
                open.insert((*choice, *block)) && *number == *block + 1 && is_alone && !finished.contains(choice)
            }
            Event::Text { choice, block, text, .. }
            | Event::Thinking { choice, block, text }
            | Event::Refusal { choice, block, text }
            | Event::Arguments { choice, block, json: text } => open.contains(&(*choice, *block)) && !text.is_empty(),
            Event::Signed { choice, block, .. } | Event::Citation { choice, block, .. } => open.contains(&(*choice, *block)),
            Event::BlockStop { choice, block } => open.remove(&(*choice, *block)),
            Event::Finish { choice, .. } => finished.insert(*choice) && open.iter().all(|(of, _)| of != choice),
        };
        if !is_good {
            return Some(format!("{place}: {event:?}"));
        }
    }
    let is_ended = matches!(events.last(), Some(Event::End | Event::Error(_)));
    (!is_ended).then(|| "no end".to_owned())
}
