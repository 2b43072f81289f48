//! A channel's instructions beside the caller's (providers.md §13.4): in a request that was read, and in the body of each dialect.
//!
//! A body is edited where its dialect has instructions, and nowhere else; every other message stays as it was written.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::manner::{Instructions, Rank};
use crate::ir::{self, Block, Role};
use crate::json::{self, Document, Edit, Shape};
use crate::surface::Surface;

/// What stands between the channel's instructions and the caller's.
const BETWEEN: &str = "\n";

/// Puts instructions into a request that was read.
pub(super) fn instruct(request: &mut ir::Request, own: &Instructions) {
    let has_own = !request.system.is_empty() || request.turns.iter().any(|turn| turn.role == Role::System);
    match own.rank {
        Rank::Fill if has_own => {}
        Rank::Fill | Rank::Replace => {
            request.system = vec![Block::text(own.text.clone())];
            request.turns.retain(|turn| turn.role != Role::System);
        }
        Rank::Prepend => match request.system.first_mut() {
            Some(Block::Text { text, .. }) => *text = joined(own, text),
            _ => request.system.insert(0, Block::text(own.text.clone())),
        },
    }
}

/// Puts instructions into the body of a conversation. `model` is the upstream's name of it. Nothing is changed in a body whose instructions are
/// not of a form that its dialect has: the upstream says so.
pub(super) fn edit<'d>(edit: &mut Edit<'d>, surface: Surface, document: &'d Document, model: &str, own: &Instructions) {
    match surface {
        Surface::ChatCompletions => chat(edit, document, model, own),
        Surface::Responses => responses(edit, document, own),
        Surface::Messages => messages(edit, document, own),
        Surface::GenerateContent => gemini(edit, document, own),
        _ => {}
    }
}

/// Chat: the first message that is the system's or the developer's.
fn chat<'d>(edit: &mut Edit<'d>, document: &'d Document, model: &str, own: &Instructions) {
    let Some(mut messages) = document.get_some("messages").and_then(items) else { return };
    let role = if instructs_as_developer(model) { "developer" } else { "system" };
    let first = || Cow::<str>::Owned(json!({"role": role, "content": own.text}).to_string());
    match (own.rank, messages.iter().position(|message| is_instruction(message))) {
        (Rank::Fill, Some(_)) => return,
        (Rank::Fill | Rank::Prepend, None) => messages.insert(0, first()),
        (Rank::Prepend, Some(place)) => {
            if let Some(message) = messages.get_mut(place) {
                *message = Cow::Owned(with_content(message, own));
            }
        }
        (Rank::Replace, _) => {
            messages.retain(|message| !is_instruction(message));
            messages.insert(0, first());
        }
    }
    edit.set("messages", array(&messages));
}

/// Responses: `instructions`, and items of the system's and the developer's.
fn responses<'d>(edit: &mut Edit<'d>, document: &'d Document, own: &Instructions) {
    let theirs: Option<String> = document.get_some("instructions").and_then(|raw| serde_json::from_slice(raw).ok());
    let theirs = theirs.filter(|text| !text.is_empty());
    let input = document.get_some("input").and_then(items).unwrap_or_default();
    let has_items = input.iter().any(|item| is_instruction(item));
    match own.rank {
        Rank::Fill if theirs.is_some() || has_items => {}
        Rank::Fill => edit.set("instructions", json::quoted(&own.text)),
        Rank::Prepend => {
            let text = theirs.map_or_else(|| own.text.clone(), |theirs| joined(own, &theirs));
            edit.set("instructions", json::quoted(&text));
        }
        Rank::Replace => {
            edit.set("instructions", json::quoted(&own.text));
            if has_items {
                let kept: Vec<_> = input.into_iter().filter(|item| !is_instruction(item)).collect();
                edit.set("input", array(&kept));
            }
        }
    }
}

/// Messages: `system`, a text or blocks.
fn messages<'d>(edit: &mut Edit<'d>, document: &'d Document, own: &Instructions) {
    let theirs = document.get_some("system").filter(|raw| *raw != b"\"\"" && !json::is_empty_container(raw));
    let system = match (own.rank, theirs) {
        (Rank::Fill, Some(_)) => return,
        (Rank::Fill | Rank::Prepend, None) | (Rank::Replace, _) => json::quoted(&own.text),
        (Rank::Prepend, Some(theirs)) => match before(theirs, own, json!({"type": "text", "text": own.text}).to_string()) {
            Some(system) => system,
            None => return,
        },
    };
    edit.set("system", system);
}

/// Gemini: `systemInstruction`, in either spelling.
fn gemini<'d>(edit: &mut Edit<'d>, document: &'d Document, own: &Instructions) {
    let name = if document.get_some("system_instruction").is_some() { "system_instruction" } else { "systemInstruction" };
    let theirs = document.get_some(name).and_then(|raw| Document::parse(raw.to_vec().into()).ok());
    let parts = theirs.as_ref().and_then(|theirs| theirs.get_some("parts")).filter(|parts| !json::is_empty_container(parts));
    let part = json!({"text": own.text}).to_string();
    let instruction = match (own.rank, &theirs, parts) {
        (Rank::Fill, _, Some(_)) => return,
        (Rank::Prepend, Some(theirs), Some(parts)) => {
            let mut all = items(parts).unwrap_or_else(|| vec![String::from_utf8_lossy(parts)]);
            all.insert(0, Cow::Owned(part));
            let mut changed = theirs.edit();
            changed.set("parts", array(&all));
            changed.finish().to_vec()
        }
        _ => format!(r#"{{"parts":[{part}]}}"#).into_bytes(),
    };
    edit.set(name, instruction);
}

/// OpenAI's models that reason take instructions as the developer's: `o` and a digit but the first two, and `gpt-5`.
fn instructs_as_developer(model: &str) -> bool {
    let is_o = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
    let takes_none = ["o1-mini", "o1-preview"].iter().any(|start| model.starts_with(start));
    (is_o && !takes_none) || model.starts_with("gpt-5")
}

/// Whether a message or an item is the system's or the developer's.
fn is_instruction(message: &str) -> bool {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow, default)]
        role: Option<Cow<'a, str>>,
    }
    let said: Result<Said<'_>, _> = serde_json::from_str(message);
    said.is_ok_and(|said| matches!(said.role.as_deref(), Some("system" | "developer")))
}

/// A message with the channel's instructions before its own content.
fn with_content(message: &str, own: &Instructions) -> String {
    let Ok(document) = Document::parse(message.to_owned().into()) else { return message.to_owned() };
    let part = json!({"type": "text", "text": own.text}).to_string();
    let content = document.get_some("content").map_or_else(|| Some(json::quoted(&own.text)), |theirs| before(theirs, own, part));
    let mut edit = document.edit();
    if let Some(content) = content {
        edit.set("content", content);
    }
    String::from_utf8_lossy(&edit.finish()).into_owned()
}

/// The channel's instructions before a text, or as another `part` before others. `None`: it is neither.
fn before(theirs: &[u8], own: &Instructions, part: String) -> Option<String> {
    match Shape::of(theirs) {
        Shape::String => serde_json::from_slice::<String>(theirs).ok().map(|theirs| json::quoted(&joined(own, &theirs))),
        Shape::Array => {
            let mut parts = items(theirs)?;
            parts.insert(0, Cow::Owned(part));
            Some(array(&parts))
        }
        _ => None,
    }
}

fn joined(own: &Instructions, theirs: &str) -> String {
    format!("{}{BETWEEN}{theirs}", own.text)
}

/// The members of an array, as they were written.
fn items(raw: &[u8]) -> Option<Vec<Cow<'_, str>>> {
    let items: Vec<&RawValue> = serde_json::from_slice(raw).ok()?;
    Some(items.into_iter().map(|item| Cow::Borrowed(item.get())).collect())
}

fn array(items: &[Cow<'_, str>]) -> String {
    format!("[{}]", items.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const OWN: &str = "Be brief.";

    fn own(rank: Rank) -> Instructions {
        Instructions { text: OWN.to_owned(), rank }
    }

    fn edited(surface: Surface, model: &str, rank: Rank, body: &Value) -> Value {
        let document = Document::parse(body.to_string().into()).unwrap();
        let mut changes = document.edit();
        edit(&mut changes, surface, &document, model, &own(rank));
        serde_json::from_slice(&changes.finish()).unwrap()
    }

    /// Body, and what becomes of it in each rank: filled, prepended, replaced.
    fn check(surface: Surface, cases: &[(Value, [Value; 3])]) {
        for (body, expected) in cases {
            let ranks = [Rank::Fill, Rank::Prepend, Rank::Replace];
            assert_eq!(ranks.map(|rank| edited(surface, "gpt-4o", rank, body)), *expected, "{body}");
        }
    }

    #[test]
    fn chat_has_them_in_its_first_message() {
        let user = json!({"role": "user", "content": "hi"});
        let ours = json!({"role": "system", "content": OWN});
        let said = |content: Value| json!({"role": "developer", "content": content, "name": "n"});
        let of = |messages: &[&Value]| json!({"messages": messages});
        check(
            Surface::ChatCompletions,
            &[
                (of(&[&user]), [of(&[&ours, &user]), of(&[&ours, &user]), of(&[&ours, &user])]),
                (
                    of(&[&user, &said("x".into())]),
                    [of(&[&user, &said("x".into())]), of(&[&user, &said("Be brief.\nx".into())]), of(&[&ours, &user])],
                ),
                (
                    of(&[&said(json!([{"type": "text", "text": "x"}])), &user]),
                    [
                        of(&[&said(json!([{"type": "text", "text": "x"}])), &user]),
                        of(&[&said(json!([{"type": "text", "text": OWN}, {"type": "text", "text": "x"}])), &user]),
                        of(&[&ours, &user]),
                    ],
                ),
                (json!({"messages": "x"}), [json!({"messages": "x"}), json!({"messages": "x"}), json!({"messages": "x"})]),
            ],
        );
    }

    #[test]
    fn models_that_reason_get_them_from_the_developer() {
        for (model, role) in [
            ("o3-mini", "developer"),
            ("o1", "developer"),
            ("gpt-5.1", "developer"),
            ("o1-mini", "system"),
            ("o1-preview-2024", "system"),
            ("olmo-2", "system"),
            ("gpt-4o", "system"),
        ] {
            let body = edited(Surface::ChatCompletions, model, Rank::Fill, &json!({"messages": [{"role": "user"}]}));
            assert_eq!(body["messages"][0], json!({"role": role, "content": OWN}), "{model}");
        }
    }

    #[test]
    fn responses_have_them_as_instructions() {
        let item = json!({"role": "system", "content": "x"});
        let user = json!({"role": "user", "content": "hi"});
        check(
            Surface::Responses,
            &[
                (
                    json!({"input": "hi"}),
                    [
                        json!({"input": "hi", "instructions": OWN}),
                        json!({"input": "hi", "instructions": OWN}),
                        json!({"input": "hi", "instructions": OWN}),
                    ],
                ),
                (
                    json!({"instructions": "x", "input": []}),
                    [
                        json!({"instructions": "x", "input": []}),
                        json!({"instructions": "Be brief.\nx", "input": []}),
                        json!({"instructions": OWN, "input": []}),
                    ],
                ),
                (
                    json!({"input": [item, user]}),
                    [
                        json!({"input": [item, user]}),
                        json!({"input": [item, user], "instructions": OWN}),
                        json!({"input": [user], "instructions": OWN}),
                    ],
                ),
            ],
        );
    }

    #[test]
    fn messages_have_them_as_system() {
        let block = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
        let ours = json!({"type": "text", "text": OWN});
        let of = |system: Value| json!({"system": system});
        check(
            Surface::Messages,
            &[
                (json!({}), [of(OWN.into()), of(OWN.into()), of(OWN.into())]),
                (of("".into()), [of(OWN.into()), of(OWN.into()), of(OWN.into())]),
                (of("x".into()), [of("x".into()), of("Be brief.\nx".into()), of(OWN.into())]),
                (of(json!([block])), [of(json!([block])), of(json!([ours, block])), of(OWN.into())]),
                (of(1.into()), [of(1.into()), of(1.into()), of(OWN.into())]),
            ],
        );
    }

    #[test]
    fn gemini_has_them_as_system_instruction() {
        let ours = json!({"parts": [{"text": OWN}]});
        let theirs = json!({"role": "user", "parts": [{"text": "x"}]});
        let both = json!({"role": "user", "parts": [{"text": OWN}, {"text": "x"}]});
        check(
            Surface::GenerateContent,
            &[
                (json!({}), [ours.clone(), ours.clone(), ours.clone()].map(|all| json!({"systemInstruction": all}))),
                (
                    json!({"system_instruction": theirs}),
                    [theirs.clone(), both, ours.clone()].map(|all| json!({"system_instruction": all})),
                ),
                (
                    json!({"systemInstruction": {"parts": {"text": "x"}}}),
                    [json!({"parts": {"text": "x"}}), json!({"parts": [{"text": OWN}, {"text": "x"}]}), ours.clone()]
                        .map(|all| json!({"systemInstruction": all})),
                ),
                (
                    json!({"systemInstruction": {"parts": []}}),
                    [ours.clone(), ours.clone(), ours].map(|all| json!({"systemInstruction": all})),
                ),
            ],
        );
    }

    #[test]
    fn what_stands_beside_them_keeps_every_digit() {
        let body = r#"{"messages":[{"role":"user","content":"hi","x":1e400}],"seed":12345678901234567890123}"#;
        let document = Document::parse(body.to_owned().into()).unwrap();
        let mut changes = document.edit();
        edit(&mut changes, Surface::ChatCompletions, &document, "gpt-4o", &own(Rank::Fill));
        let expected = r#"{"messages":[{"content":"Be brief.","role":"system"},{"role":"user","content":"hi","x":1e400}],"seed":12345678901234567890123}"#;
        let other = expected.replace(r#""content":"Be brief.","role":"system""#, r#""role":"system","content":"Be brief.""#);
        let sent = String::from_utf8(changes.finish().to_vec()).unwrap();
        assert!(sent == expected || sent == other, "{sent}");
    }

    #[test]
    fn a_request_that_was_read_has_them_before_its_own() {
        let turn = |role| ir::Turn { role, blocks: vec![Block::text("midway")] };
        let with = |system: &[&str], midway: bool| ir::Request {
            system: system.iter().map(|text| Block::text(*text)).collect(),
            turns: if midway { vec![turn(Role::User), turn(Role::System)] } else { vec![turn(Role::User)] },
            ..ir::Request::default()
        };
        let after = |mut request: ir::Request, rank| {
            instruct(&mut request, &own(rank));
            request
        };
        assert_eq!(after(with(&[], false), Rank::Fill), with(&[OWN], false));
        assert_eq!(after(with(&["x"], false), Rank::Fill), with(&["x"], false));
        assert_eq!(after(with(&[], true), Rank::Fill), with(&[], true));
        assert_eq!(after(with(&[], true), Rank::Prepend), with(&[OWN], true));
        assert_eq!(after(with(&["x", "y"], false), Rank::Prepend), with(&["Be brief.\nx", "y"], false));
        assert_eq!(after(with(&["x"], true), Rank::Replace), with(&[OWN], false));
    }
}
