//! Tools and the choice among them.

use serde_json::{Map, Value};

use super::fields::{CacheMarks, array, boolean, given, missing, object, only, path, tag, text, wrong};
use crate::simulator::asked::{MustCall, Tool};
use crate::simulator::refusal::Refusal;

/// How the types of tools that run elsewhere begin: accepted, never called.
const HOSTED: &[&str] = &[
    "bash_",
    "code_execution_",
    "computer_",
    "mcp_toolset",
    "memory_",
    "text_editor_",
    "tool_search_tool_",
    "web_fetch_",
    "web_search_",
];
const FIELDS: &[&str] = &[
    "type",
    "name",
    "description",
    "input_schema",
    "cache_control",
    "strict",
    "defer_loading",
    "allowed_callers",
    "input_examples",
    "eager_input_streaming",
];

/// The tools the caller runs itself, and whether there are any others.
pub(super) fn read(body: &Map<String, Value>, marks: &mut CacheMarks) -> Result<(Vec<Tool>, bool), Refusal> {
    let mut tools: Vec<Tool> = Vec::new();
    let mut has_hosted = false;
    let Some(list) = given(body, "tools") else { return Ok((tools, false)) };
    for (place, tool) in array(list, "tools")?.iter().enumerate() {
        let at = format!("tools.{place}");
        let fields = object(tool, &at)?;
        let kind = fields.get("type").and_then(Value::as_str).unwrap_or("custom");
        if HOSTED.iter().any(|hosted| kind.starts_with(hosted)) {
            marks.see(fields, &at)?;
            has_hosted = true;
            continue;
        }
        if kind != "custom" {
            tag(fields, &at, &["bash_20250124", "custom", "text_editor_20250728", "web_search_20250305"])?;
        }
        let tool = read_custom(fields, &path(&at, "custom"), marks)?;
        if tools.iter().any(|other| other.name == tool.name) {
            return Err(wrong("tools", "Tool names must be unique."));
        }
        tools.push(tool);
    }
    Ok((tools, has_hosted))
}

fn read_custom(fields: &Map<String, Value>, at: &str, marks: &mut CacheMarks) -> Result<Tool, Refusal> {
    only(fields, FIELDS, at)?;
    marks.see(fields, at)?;
    let name = text(fields, "name", at)?;
    check_name(name, &path(at, "name"))?;
    let at = path(at, "input_schema");
    let schema = given(fields, "input_schema").ok_or_else(|| missing(&at))?;
    let kind = given(object(schema, &at)?, "type").ok_or_else(|| missing(&path(&at, "type")))?;
    if kind != "object" {
        return Err(wrong(&path(&at, "type"), "Input should be 'object'"));
    }
    if ["oneOf", "allOf", "anyOf"].iter().any(|choice| schema.get(choice).is_some()) {
        return Err(wrong(&at, "input_schema does not support oneOf, allOf, or anyOf at the top level"));
    }
    Ok(Tool { name: name.to_owned(), parameters: schema.clone() })
}

pub(super) fn check_name(name: &str, at: &str) -> Result<(), Refusal> {
    let fits =
        (1..=128).contains(&name.len()) && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_-".contains(&letter));
    if fits { Ok(()) } else { Err(wrong(at, "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")) }
}

/// Whether a tool must be called, and whether several may be.
pub(super) fn choice(body: &Map<String, Value>, tools: &[Tool], has_hosted: bool) -> Result<(MustCall, bool), Refusal> {
    let Some(choice) = given(body, "tool_choice") else { return Ok((MustCall::No, true)) };
    let at = "tool_choice";
    let fields = object(choice, at)?;
    let kind = tag(fields, at, &["any", "auto", "none", "tool"])?;
    let at = path(at, kind);
    let known: &[&str] = match kind {
        "none" => &["type"],
        "tool" => &["type", "name", "disable_parallel_tool_use"],
        _ => &["type", "disable_parallel_tool_use"],
    };
    only(fields, known, &at)?;
    if tools.is_empty() && !has_hosted {
        return Err(Refusal::bad("tool_choice may only be specified while providing tools."));
    }
    let must_call = match kind {
        "any" => MustCall::Any,
        "none" => MustCall::Never,
        "tool" => {
            let name = text(fields, "name", &at)?;
            if !has_hosted && !tools.iter().any(|tool| tool.name == name) {
                return Err(Refusal::bad(format!("Tool '{name}' not found in provided tools")));
            }
            MustCall::Tool(name.to_owned())
        }
        _ => MustCall::No,
    };
    let may_be_parallel = !boolean(fields, "disable_parallel_tool_use", &at)?.unwrap_or(false);
    Ok((must_call, may_be_parallel))
}
