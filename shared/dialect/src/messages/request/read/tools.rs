//! Tools a caller declares, and its choice among them.

use serde_json::{Map, Value};

use super::Body;
use super::content::cache;
use crate::ir::{Family, Tool, ToolChoice};
use crate::node::{BodyError, Node};

impl Body<'_> {
    /// The declarations. Versioned kinds (`bash_20250124`) are tools of the provider's.
    pub(super) fn tools(&mut self, tools: &Node<'_>) -> Result<Vec<Tool>, BodyError> {
        let mut read = Vec::new();
        for tool in tools.items()? {
            tool.object()?;
            let kind = tool.get("type").map(|it| it.text()).transpose()?.unwrap_or("custom");
            read.push(match kind {
                "custom" => function(&tool)?,
                kind if kind.starts_with("web_search") => self.web_search(&tool)?,
                kind => Tool::Native { family: Family::Anthropic, kind: kind.to_owned(), raw: tool.value().clone() },
            });
        }
        Ok(read)
    }

    fn web_search(&mut self, tool: &Node<'_>) -> Result<Tool, BodyError> {
        for (name, path) in [("allowed_domains", "tools.allowed_domains"), ("blocked_domains", "tools.blocked_domains")] {
            if tool.get(name).is_some() {
                self.advice.insert(path);
            }
        }
        let max_uses = tool.get("max_uses").map(|it| it.count(0, u32::MAX)).transpose()?;
        let location = tool.get("user_location").map(|it| it.object().cloned()).transpose()?;
        let location = location.map(|mut location| {
            location.shift_remove("type");
            location
        });
        Ok(Tool::WebSearch { max_uses, location })
    }
}

fn function(tool: &Node<'_>) -> Result<Tool, BodyError> {
    let schema = tool.get("input_schema");
    let schema = schema.map(|it| it.object().cloned()).transpose()?.filter(|schema| !is_empty(schema));
    Ok(Tool::Function {
        name: tool.need("name")?.text()?.to_owned(),
        description: tool.get("description").map(|it| it.text().map(str::to_owned)).transpose()?,
        schema: schema.map(Value::Object),
        strict: tool.get("strict").map(|it| it.boolean()).transpose()?,
        cache: cache(tool)?,
    })
}

/// Whether a schema says no more than that there is an object.
fn is_empty(schema: &Map<String, Value>) -> bool {
    schema.iter().all(|(key, value)| match key.as_str() {
        "type" => value == "object",
        "properties" => value.as_object().is_some_and(Map::is_empty),
        "required" => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    })
}

/// The choice, and whether several calls may come at once.
pub(super) fn choice(choice: &Node<'_>) -> Result<(ToolChoice, Option<bool>), BodyError> {
    choice.object()?;
    let kind = choice.need("type")?;
    let read = match kind.word(&[("auto", 0), ("any", 1), ("none", 2), ("tool", 3)], "auto, any, none, tool")? {
        0 => ToolChoice::Auto,
        1 => ToolChoice::Any,
        2 => ToolChoice::None,
        _ => ToolChoice::Named(choice.need("name")?.text()?.to_owned()),
    };
    let is_single = choice.get("disable_parallel_tool_use").map(|it| it.boolean()).transpose()?;
    Ok((read, is_single.map(|is_single| !is_single)))
}
