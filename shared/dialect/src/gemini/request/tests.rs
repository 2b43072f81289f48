use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_domain::Dialect;

use super::{read as read_body, write as write_body};
use crate::gemini::arbitrary;
use crate::ir::*;
use crate::loss::{LossPolicy, Losses};
use crate::signature::Sealer;
use crate::target::{Capabilities, Host, Options, Sampling, Target, Thinking};

mod read;
mod write;

fn sealer() -> Sealer {
    Sealer::new(&[9; 32])
}

fn read_ok(body: &Value) -> Request {
    read_body(body, "gemini-3-pro", false, &sealer()).unwrap()
}

fn hello(field: &str, value: Value) -> Value {
    let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    body[field] = value;
    body
}

fn config(value: Value) -> Value {
    hello("generationConfig", value)
}

#[derive(Default)]
struct Upstream {
    capabilities: Capabilities,
    options: Options,
    policy: LossPolicy,
    host: Host,
    account: Option<u64>,
    output_limit: Option<u32>,
}

impl Upstream {
    fn try_write(&self, request: &Request) -> Result<(Value, Vec<&'static str>), String> {
        let target = Target {
            model: "gemini-x",
            family: Family::Google,
            host: self.host,
            capabilities: &self.capabilities,
            options: &self.options,
            output_limit: self.output_limit,
            account: self.account,
        };
        let mut losses = Losses::new(Dialect::OpenAi, Dialect::Gemini, &self.policy);
        let written = write_body(request, &target, &mut losses).map_err(|error| error.to_string())?;
        Ok((Value::Object(written.body), losses.dropped().collect()))
    }

    fn write(&self, request: &Request) -> Value {
        self.try_write(request).unwrap().0
    }
}

fn ask(turns: Vec<Turn>) -> Request {
    Request { model: "m".to_owned(), turns, ..Request::default() }
}

fn user(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::User, blocks }
}

fn model(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::Assistant, blocks }
}

fn simple() -> Request {
    ask(vec![user(vec![Block::text("hi")])])
}

fn call(id: &str, name: &str, signature: Option<Signature>) -> Block {
    let arguments = Arguments::Object(json!({"a": 1}).as_object().unwrap().clone());
    Block::ToolCall { id: id.to_owned(), name: name.to_owned(), arguments, signature, cache: None }
}

fn result(id: &str, content: Vec<Block>) -> Block {
    Block::ToolResult { id: id.to_owned(), name: None, content, is_error: false, cache: None }
}

fn signature(family: Family) -> Signature {
    Signature { family, account: None, item: None, value: "c2ln".to_owned() }
}

fn image(source: Source) -> Block {
    Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: None }
}

fn inline() -> Source {
    Source::Inline { mime: "image/png".to_owned(), data: Bytes::from_static(b"png") }
}

#[test]
fn a_written_request_reads_back() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let tool = Tool::Function {
        name: "f".to_owned(),
        description: Some("d".to_owned()),
        schema: Some(schema.clone()),
        strict: None,
        cache: None,
    };
    let request = Request {
        model: "gemini-3-pro".to_owned(),
        system: vec![Block::text("s")],
        turns: vec![
            user(vec![Block::text("x"), image(inline())]),
            model(vec![
                Block::Thinking { text: "hm".to_owned(), signature: Some(signature(Family::Google)) },
                Block::text("a"),
                call("c1", "f", Some(signature(Family::Google))),
                call("c2", "f", None),
            ]),
            user(vec![
                Block::ToolResult {
                    id: "c1".to_owned(),
                    name: Some("f".to_owned()),
                    content: vec![Block::text("one")],
                    is_error: false,
                    cache: None,
                },
                Block::ToolResult {
                    id: "c2".to_owned(),
                    name: Some("f".to_owned()),
                    content: vec![Block::text("two")],
                    is_error: true,
                    cache: None,
                },
            ]),
        ],
        tools: vec![tool],
        tool_choice: ToolChoice::Any,
        reasoning: Reasoning {
            mode: ReasoningMode::On,
            effort: Some(Effort::Low),
            budget: None,
            show: Some(Show::Full),
            encrypted: false,
        },
        output: OutputFormat::JsonSchema { name: None, description: None, schema, strict: None },
        max_output: Some(100),
        temperature: Some(0.5),
        top_k: Some(4),
        stop: vec!["END".to_owned()],
        seed: Some(7),
        ..Request::default()
    };
    let mut upstream = Upstream::default();
    upstream.capabilities.call_ids = true;
    let mut body = upstream.write(&request);
    body.as_object_mut().unwrap().remove("safetySettings");
    assert_eq!(read_ok(&body), request);
}

proptest! {
    #[test]
    fn no_body_breaks_the_reader_and_what_is_read_is_written(body in arbitrary::value(), part in arbitrary::value()) {
        let with_part = json!({"contents": [{"role": "model", "parts": [part]}], "generationConfig": body});
        for body in [&body, &with_part] {
            if let Ok(request) = read_body(body, "m", false, &sealer()) {
                prop_assert!(!request.turns.is_empty());
                let _ = Upstream::default().try_write(&request);
            }
        }
    }
}
