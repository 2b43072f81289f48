//! Every golden through every codec: streams keep their order wherever they break off and survive being gathered and told again, and
//! requests find their way to every other dialect, or are refused by name.

use std::path::Path;

use bytes::BytesMut;
use serde_json::Value;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::capabilities::Table;
use sluice_dialect::codec::{Asked, Reading};
use sluice_dialect::ir::fold::Fold;
use sluice_dialect::ir::normalise::for_target;
use sluice_dialect::ir::order;
use sluice_dialect::ir::replay::replay;
use sluice_dialect::ir::{Event, Family, Request, Response};
use sluice_dialect::loss::{LossPolicy, Losses};
use sluice_dialect::signature::Sealer;
use sluice_dialect::target::{Capabilities, Host, Options, Target};
use sluice_dialect::tool_name::ToolNames;
use sluice_dialect::{chat, gemini, messages, responses};
use sluice_domain::Dialect;

/// Bytes of an answer that is gathered.
const MOST_BYTES: usize = 1 << 20;

fn folder_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "chat",
        Dialect::Responses => "responses",
        Dialect::Anthropic => "messages",
        Dialect::Gemini => "gemini",
    }
}

fn family_of(dialect: Dialect) -> Family {
    match dialect {
        Dialect::OpenAi | Dialect::Responses => Family::OpenAi,
        Dialect::Anthropic => Family::Anthropic,
        Dialect::Gemini => Family::Google,
    }
}

/// The goldens of a dialect, by file name.
fn goldens(dialect: Dialect) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder_of(dialect));
    let mut goldens: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()))
        .collect();
    goldens.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(goldens.len() >= 8, "{dialect:?}: {}", goldens.len());
    goldens
}

fn sealer() -> Sealer {
    Sealer::new(&[1; 32])
}

/// The events of a golden's stream, each with its name and data.
fn lines(golden: &Value) -> Vec<(Option<&str>, &str)> {
    let lines = golden["stream"].as_array().into_iter().flatten().map(|line| line.as_str().unwrap());
    lines
        .map(|line| match line.strip_prefix("event: ").and_then(|rest| rest.split_once("\ndata: ")) {
            Some((name, data)) => (Some(name), data.trim_end()),
            None => (None, line.strip_prefix("data: ").unwrap_or(line).trim_end()),
        })
        .collect()
}

fn read(dialect: Dialect, lines: &[(Option<&str>, &str)]) -> Vec<Event> {
    let reading = Reading {
        family: family_of(dialect),
        account: None,
        client: Dialect::OpenAi,
        names: ToolNames::default(),
        answers_by_tool: false,
        ids: IdMaker::new([0; 16]),
    };
    let mut events = Vec::new();
    let lines = lines.iter().map(|(name, data)| (name.map(str::as_bytes), data.as_bytes()));
    match dialect {
        Dialect::OpenAi => {
            let mut reader = chat::stream::Reader::new(reading);
            lines.for_each(|(name, data)| reader.push(name, data, &mut events));
            reader.finish(&mut events);
        }
        Dialect::Responses => {
            let mut reader = responses::stream::Reader::new(reading);
            lines.for_each(|(name, data)| reader.push(name, data, &mut events));
            reader.finish(&mut events);
        }
        Dialect::Anthropic => {
            let mut reader = messages::stream::Reader::new(reading);
            lines.for_each(|(name, data)| reader.push(name, data, &mut events));
            reader.finish(&mut events);
        }
        Dialect::Gemini => {
            let mut reader = gemini::stream::Reader::new(reading);
            lines.for_each(|(name, data)| reader.push(name, data, &mut events));
            reader.finish(&mut events);
        }
    }
    events
}

/// The stream as callers of a dialect get it.
fn written(dialect: Dialect, events: &[Event]) -> BytesMut {
    let asked = Asked {
        model: "model".to_owned(),
        created: 0,
        include_usage: true,
        shows_reasoning: true,
        wants_encrypted: true,
        thinking_to_content: false,
        media_to_markdown: true,
        is_sse: true,
        echo: None,
        ids: IdMaker::new([0; 16]),
        sealer: sealer(),
    };
    let mut out = BytesMut::new();
    match dialect {
        Dialect::OpenAi => {
            let mut writer = chat::stream::Writer::new(asked);
            for event in events {
                writer.push(event, &mut out);
            }
        }
        Dialect::Responses => {
            let mut writer = responses::stream::Writer::new(asked);
            for event in events {
                writer.push(event, &mut out);
            }
        }
        Dialect::Anthropic => {
            let mut writer = messages::stream::Writer::new(asked);
            for event in events {
                writer.push(event, &mut out);
            }
        }
        Dialect::Gemini => {
            let mut writer = gemini::stream::Writer::new(asked);
            for event in events {
                writer.push(event, &mut out);
            }
        }
    }
    out
}

fn folded(events: &[Event]) -> Option<Response> {
    let mut fold = Fold::new(MOST_BYTES);
    events.iter().cloned().try_for_each(|event| fold.push(event)).ok()?;
    fold.finish().ok()
}

#[test]
fn streams_keep_their_order_wherever_they_break_off() {
    for dialect in Dialect::ALL {
        for (name, golden) in goldens(dialect) {
            let lines = lines(&golden);
            for cut in 0..=lines.len() {
                let events = read(dialect, &lines[..cut]);
                order::check(&events).unwrap_or_else(|broken| panic!("{name}, cut behind {cut}: {broken}"));
                for client in Dialect::ALL {
                    assert!(lines.is_empty() || !written(client, &events).is_empty(), "{name} for {client:?}");
                }
            }
        }
    }
}

#[test]
fn a_stream_that_is_gathered_and_told_again_says_the_same() {
    for dialect in Dialect::ALL {
        let mut whole = 0;
        for (name, golden) in goldens(dialect) {
            let Some(gathered) = folded(&read(dialect, &lines(&golden))) else { continue };
            whole += 1;
            let again = replay(&gathered);
            order::check(&again).unwrap_or_else(|broken| panic!("{name}: {broken}"));
            assert_eq!(folded(&again), Some(gathered), "{name}");
        }
        assert!(whole > 0, "{dialect:?} has a stream that is whole");
    }
}

fn request(dialect: Dialect, body: &Value) -> Request {
    let read = match dialect {
        Dialect::OpenAi => chat::request::read(body, &sealer()),
        Dialect::Responses => responses::request::read(body, &sealer()),
        Dialect::Anthropic => messages::request::read(body, &sealer()),
        Dialect::Gemini => gemini::request::read(body, "gemini-3-pro", true, &sealer()),
    };
    read.unwrap()
}

/// What goes to an upstream, or the caller's name of the field that is in the way.
fn sent(client: Dialect, request: &Request, to: Dialect, model: &str) -> Result<Value, &'static str> {
    let (capabilities, options, policy) =
        (Capabilities::of(&Table::default(), model, to), Options::default(), LossPolicy::default());
    let target = Target {
        model,
        family: family_of(to),
        host: Host::Own,
        capabilities: &capabilities,
        options: &options,
        output_limit: None,
        account: None,
    };
    let request = for_target(request, to, &capabilities);
    let mut losses = Losses::new(client, to, &policy);
    let written = match to {
        Dialect::OpenAi => chat::request::write(&request, &target, &mut losses),
        Dialect::Responses => responses::request::write(&request, &target, &mut losses),
        Dialect::Anthropic => messages::request::write(&request, &target, &mut losses),
        Dialect::Gemini => gemini::request::write(&request, &target, &mut losses),
    };
    written.map(|written| Value::Object(written.body)).map_err(|refused| refused.path)
}

#[test]
fn requests_reach_every_dialect_or_are_refused_by_name() {
    const MODELS: [(Dialect, &str); 5] = [
        (Dialect::OpenAi, "gpt-5"),
        (Dialect::Responses, "gpt-5"),
        (Dialect::Anthropic, "claude-opus-4-6"),
        (Dialect::Gemini, "gemini-3-pro"),
        (Dialect::Gemini, "gemini-1.5-pro"),
    ];
    let (mut reached, mut refused) = (0, 0);
    for client in Dialect::ALL {
        for (name, golden) in goldens(client).iter().filter(|(_, golden)| golden["request"].is_object()) {
            let request = request(client, &golden["request"]);
            for (to, model) in MODELS {
                match sent(client, &request, to, model) {
                    Ok(body) => {
                        reached += 1;
                        let said = ["messages", "input", "contents"].iter().filter(|field| !body[**field].is_null()).count();
                        assert_eq!(said, 1, "{name} to {to:?} {model}: {body}");
                    }
                    Err(path) => {
                        refused += 1;
                        assert!(!path.is_empty(), "{name} to {to:?} {model}");
                    }
                }
            }
        }
    }
    assert!(reached > 4 * refused, "{reached} reached, {refused} refused");
}
