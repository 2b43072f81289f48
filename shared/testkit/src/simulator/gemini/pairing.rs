//! That calls, responses and signatures of a conversation belong together.

use super::contents::{Content, Part};
use crate::simulator::asked::{ToolResult, Turn};
use crate::simulator::refusal::Refusal;
use crate::simulator::seal::{Seal, decode};

/// What the service takes for a signature although it never gave it out.
const SUBSTITUTES: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

/// Checks the contents against each other.
pub(super) fn check(contents: &[Content], wants_signatures: bool) -> Result<(), Refusal> {
    for (place, content) in contents.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| contents.get(place));
        if content.calls().next().is_some() && before.is_none_or(|before| before.role != "user") {
            let text =
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.";
            return Err(Refusal::bad(text));
        }
        let responses = content.responses().count();
        let calls_before = before.map_or(0, |before| before.calls().count());
        if responses > 0 && calls_before == 0 {
            let text = "Please ensure that function response turn comes immediately after a function call turn.";
            return Err(Refusal::bad(text));
        }
        if responses != calls_before {
            let text = "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";
            return Err(Refusal::bad(text));
        }
        let ids: Vec<&str> = before.into_iter().flat_map(Content::calls).filter_map(|call| call.id).collect();
        if let Some(id) = content.responses().find(|id| !ids.is_empty() && !ids.contains(id)).filter(|id| !id.is_empty()) {
            return Err(Refusal::bad(format!(
                "Please ensure that the function response id \"{id}\" is that of a function call."
            )));
        }
    }
    if wants_signatures { check_signatures(contents) } else { Ok(()) }
}

/// The first call of each step of the current turn carries its signature.
fn check_signatures(contents: &[Content]) -> Result<(), Refusal> {
    let asks = |content: &Content| content.role == "user" && content.responses().next().is_none();
    let start = contents.iter().rposition(asks).unwrap_or(0);
    for (place, content) in contents.iter().enumerate().skip(start) {
        let Some(call) = content.calls().next() else { continue };
        let Some(signature) = call.signature else {
            let text = format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, \
                 and missing thought_signature may lead to degraded model performance. Additional data, function call \
                 `default_api:{}` , position {}.",
                call.name,
                place + 1
            );
            return Err(Refusal::bad(text));
        };
        let is_substitute = decode(signature).is_some_and(|bytes| SUBSTITUTES.iter().any(|known| known.as_bytes() == bytes));
        if !is_substitute && !SUBSTITUTES.contains(&signature) && !Seal::Thought.is_mine(signature) {
            return Err(Refusal::bad("Corrupted thought signature."));
        }
    }
    Ok(())
}

struct Call<'a> {
    id: Option<&'a str>,
    name: &'a str,
    signature: Option<&'a str>,
}

impl Content {
    fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Call { id, name, signature } => {
                Some(Call { id: id.as_deref(), name: name.as_str(), signature: signature.as_deref() })
            }
            _ => None,
        })
    }

    /// The id of each response; empty where it has none.
    fn responses(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Response { id, .. } => Some(id.as_deref().unwrap_or("")),
            _ => None,
        })
    }
}

/// The contents as turns.
pub(super) fn turns(contents: Vec<Content>) -> Vec<Turn> {
    contents.into_iter().map(turn).collect()
}

/// A content as a turn.
pub(super) fn turn(content: Content) -> Turn {
    let mut turn = Turn { role: content.role, ..Turn::default() };
    let mut texts = Vec::new();
    for part in content.parts {
        match part {
            Part::Text(text) => texts.push(text),
            Part::Media(media) => turn.media.push(media),
            Part::Response { name, said, media, .. } => {
                turn.results.push(ToolResult { name, said });
                turn.media.extend(media);
            }
            Part::Call { .. } | Part::Other => {}
        }
    }
    texts.join(" ").trim().clone_into(&mut turn.text);
    turn
}
