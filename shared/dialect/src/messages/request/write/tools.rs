//! Tools for an upstream, and the choice among them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use super::content::marked;
use super::{Parts, Writer};
use crate::ir::{CacheMark, Tool, ToolChoice};
use crate::loss::{Field, Unsupported};
use crate::schema;
use crate::target::Host;

impl Writer<'_, '_> {
    /// Declares the tools, and says which may be called.
    pub(super) fn tools(&mut self, parts: &mut Parts) -> Result<Option<Value>, Unsupported> {
        let request = self.request;
        for tool in &request.tools {
            let is_allowed = match (&request.tool_choice, tool) {
                (ToolChoice::Allowed { names, .. }, Tool::Function { name, .. }) => names.contains(name),
                (ToolChoice::Allowed { .. }, _) => false,
                _ => true,
            };
            if is_allowed {
                parts.tools.extend(self.tool(tool)?);
            }
        }
        if !parts.tools.is_empty() {
            return Ok(self.choice());
        }
        parts.tools = from_history(&parts.messages);
        Ok((!parts.tools.is_empty()).then(|| json!({"type": "none"})))
    }

    fn tool(&mut self, tool: &Tool) -> Result<Option<Value>, Unsupported> {
        match tool {
            Tool::Function { name, description, schema, strict, cache } => {
                let is_strict = strict.unwrap_or(false) && self.target.capabilities.structured;
                Ok(Some(self.function(name, description.as_deref(), schema.as_ref(), is_strict, *cache)))
            }
            Tool::WebSearch { .. } if self.target.host == Host::Bedrock => {
                self.losses.reject(Field::WebSearch)?;
                Ok(None)
            }
            Tool::WebSearch { max_uses, location } => Ok(Some(web_search(*max_uses, location.as_ref()))),
            Tool::Native { family, raw, .. } if *family == self.target.family => Ok(Some(raw.clone())),
            Tool::Native { .. } => {
                self.losses.reject(Field::ServerTool)?;
                Ok(None)
            }
        }
    }

    fn function(
        &mut self,
        name: &str,
        description: Option<&str>,
        schema: Option<&Value>,
        is_strict: bool,
        cache: Option<CacheMark>,
    ) -> Value {
        let mut tool = Map::new();
        tool.insert("name".to_owned(), self.names.for_upstream(name, Dialect::Anthropic).into());
        if let Some(description) = description.filter(|description| !description.is_empty()) {
            tool.insert("description".to_owned(), description.into());
        }
        tool.insert("input_schema".to_owned(), of_object(schema));
        if is_strict && schema.is_some_and(schema::strict_ready) {
            tool.insert("strict".to_owned(), true.into());
        }
        marked(tool, cache)
    }

    fn choice(&mut self) -> Option<Value> {
        let (kind, name) = match &self.request.tool_choice {
            ToolChoice::Unset if self.request.parallel_tools != Some(false) => return None,
            ToolChoice::Unset | ToolChoice::Auto | ToolChoice::Allowed { is_required: false, .. } => ("auto", None),
            ToolChoice::None => return Some(json!({"type": "none"})),
            ToolChoice::Any | ToolChoice::Allowed { is_required: true, .. } => ("any", None),
            ToolChoice::Named(name) => ("tool", Some(self.names.for_upstream(name, Dialect::Anthropic))),
        };
        let mut choice = Map::from_iter([("type".to_owned(), kind.into())]);
        choice.extend(name.map(|name| ("name".to_owned(), name.into())));
        if self.request.parallel_tools == Some(false) {
            choice.insert("disable_parallel_tool_use".to_owned(), true.into());
        }
        Some(Value::Object(choice))
    }
}

/// Declarations of what was called before: the provider wants them wherever calls stand in the history.
fn from_history(messages: &[Value]) -> Vec<Value> {
    let blocks = messages.iter().filter_map(|message| message.get("content")?.as_array()).flatten();
    let calls = blocks.filter(|block| block.get("type").is_some_and(|kind| kind == "tool_use"));
    let names: BTreeSet<&str> = calls.filter_map(|call| call.get("name")?.as_str()).collect();
    names.into_iter().map(|name| json!({"name": name, "input_schema": of_object(None)})).collect()
}

/// A schema of arguments, which has to be one of an object.
fn of_object(schema: Option<&Value>) -> Value {
    let Some(schema) = schema.and_then(Value::as_object) else { return json!({"type": "object", "properties": {}}) };
    if schema.get("type").is_some_and(|kind| kind == "object") {
        return Value::Object(schema.clone());
    }
    let mut written = Map::from_iter([("type".to_owned(), "object".into())]);
    written.extend(schema.iter().filter(|(key, _)| *key != "type").map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(written)
}

fn web_search(max_uses: Option<u32>, location: Option<&Map<String, Value>>) -> Value {
    let mut tool = Map::new();
    tool.insert("type".to_owned(), "web_search_20250305".into());
    tool.insert("name".to_owned(), "web_search".into());
    tool.extend(max_uses.map(|uses| ("max_uses".to_owned(), uses.into())));
    if let Some(location) = location.filter(|location| !location.is_empty()) {
        let mut place = Map::from_iter([("type".to_owned(), "approximate".into())]);
        place.extend(location.clone());
        tool.insert("user_location".to_owned(), place.into());
    }
    Value::Object(tool)
}
