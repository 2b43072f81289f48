//! Requests, both ways.

use serde_json::{Value, json};
use sluice_domain::Dialect;

use super::{read, write};
use crate::codec::Written;
use crate::ir::*;
use crate::loss::{LossPolicy, Losses, Unsupported};
use crate::signature::Sealer;
use crate::target::{Capabilities, Host, Options, Sampling, Target, Thinking};

mod reading;
mod writing;

fn sealer() -> Sealer {
    Sealer::new(&[3; 32])
}

fn read_ok(body: Value) -> Request {
    read(&body, &sealer()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn read_err(body: Value) -> String {
    read(&body, &sealer()).map(|request| format!("{request:?}")).unwrap_err().to_string()
}

/// What is written for a target, and what is left out, as a caller of Chat calls it.
struct To {
    capabilities: Capabilities,
    options: Options,
    output_limit: Option<u32>,
    family: Family,
    policy: LossPolicy,
    client: Dialect,
}

impl Default for To {
    fn default() -> Self {
        Self {
            capabilities: Capabilities { thinking: Thinking::Level, ..Capabilities::default() },
            options: Options { derives_cache_key: false, ..Options::default() },
            output_limit: None,
            family: Family::OpenAi,
            policy: LossPolicy::default(),
            client: Dialect::OpenAi,
        }
    }
}

impl To {
    fn write(&self, request: &Request) -> Result<(Written, Vec<&'static str>), Unsupported> {
        let target = Target {
            model: "gpt-5.1",
            family: self.family,
            host: Host::Own,
            capabilities: &self.capabilities,
            options: &self.options,
            output_limit: self.output_limit,
            account: Some(7),
        };
        let mut losses = Losses::new(self.client, Dialect::Responses, &self.policy);
        let written = write(request, &target, &mut losses)?;
        Ok((written, losses.dropped().collect()))
    }

    fn body(&self, request: &Request) -> Value {
        Value::Object(self.write(request).unwrap().0.body)
    }

    fn err(&self, request: &Request) -> String {
        self.write(request).unwrap_err().path.to_owned()
    }
}

fn user(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::User, blocks }
}

fn assistant(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::Assistant, blocks }
}

fn call(id: &str, name: &str, arguments: Value) -> Block {
    let arguments = Arguments::Object(arguments.as_object().cloned().unwrap_or_default());
    Block::ToolCall { id: id.to_owned(), name: name.to_owned(), arguments, signature: None, cache: None }
}

fn result(id: &str, content: Vec<Block>) -> Block {
    Block::ToolResult { id: id.to_owned(), name: None, content, is_error: false, cache: None }
}

fn media(kind: MediaKind, source: Source) -> Block {
    Block::Media { kind, source, detail: None, title: None, cache: None }
}

fn png() -> Source {
    Source::Inline { mime: "image/png".to_owned(), data: bytes::Bytes::from_static(b"\x89PNG") }
}

fn signature(family: Family, account: Option<u64>) -> Signature {
    Signature { family, account, item: Some("rs_1".to_owned()), value: "gAAA".to_owned() }
}

fn asked(turns: Vec<Turn>) -> Request {
    Request { model: "m".to_owned(), turns, ..Request::default() }
}

fn function(name: &str, schema: Option<Value>, strict: Option<bool>) -> Tool {
    Tool::Function { name: name.to_owned(), description: None, schema, strict, cache: None }
}
