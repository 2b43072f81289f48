//! JSON that fits a schema: the arguments of tool calls, and structured answers.

use serde_json::{Map, Value, json};

use super::asked::Tool;

/// How deep a schema is followed; beyond, every value is `null`.
const MAX_DEPTH: u32 = 16;

/// Arguments for a tool, as JSON text. `place` makes those of parallel calls differ.
pub(super) fn arguments(tool: &Tool, place: u32) -> String {
    if !tool.parameters["properties"].is_object() {
        return "{}".to_owned();
    }
    fitting(&tool.parameters, place).to_string()
}

/// A value that fits this schema.
pub(super) fn fitting(schema: &Value, place: u32) -> Value {
    Sampler { root: schema, place }.fit(schema, 0)
}

struct Sampler<'a> {
    root: &'a Value,
    place: u32,
}

impl Sampler<'_> {
    fn fit(&self, schema: &Value, depth: u32) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|path| self.root.pointer(path.strip_prefix('#')?)) {
            return self.fit(target, depth + 1);
        }
        if let Some(only) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return only.clone();
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema[choice].get(0) {
                return self.fit(first, depth + 1);
            }
        }
        self.of_type(kind_of(schema), schema, depth)
    }

    fn of_type(&self, kind: &str, schema: &Value, depth: u32) -> Value {
        match kind.to_ascii_lowercase().as_str() {
            "integer" | "number" => json!(self.place + 1),
            "boolean" => json!(true),
            "null" => Value::Null,
            "array" => match schema.get("items") {
                Some(items) => json!([self.fit(items, depth + 1)]),
                None => json!([]),
            },
            "object" => {
                let properties = schema["properties"].as_object();
                let fitted = properties.into_iter().flatten().map(|(name, of)| (name.clone(), self.fit(of, depth + 1)));
                Value::Object(fitted.collect::<Map<String, Value>>())
            }
            _ => json!(format!("sample {}", self.place + 1)),
        }
    }
}

/// The type a schema names; the first that is not `null` when it names several.
fn kind_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null"),
        _ if schema["properties"].is_object() => "object",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_fits_what_the_schema_asks_for() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "STRING"},
                "unit": {"enum": ["celsius", "kelvin"]},
                "days": {"type": ["null", "integer"]},
                "place": {"$ref": "#/$defs/place"},
                "tags": {"type": "array", "items": {"type": "boolean"}},
                "kind": {"const": 7},
            },
            "$defs": {"place": {"type": "object", "properties": {"lat": {"type": "number"}}}},
        });
        let expected = json!({
            "city": "sample 2", "unit": "celsius", "days": 2, "place": {"lat": 2}, "tags": [true], "kind": 7,
        });
        assert_eq!(fitting(&schema, 1), expected);
    }

    #[test]
    fn a_schema_that_contains_itself_comes_to_an_end() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(fitting(&schema, 0)["next"]["next"].is_object());
    }

    #[test]
    fn a_tool_without_properties_takes_no_arguments() {
        let tool = |parameters| Tool { name: "now".to_owned(), parameters };
        assert_eq!(arguments(&tool(Value::Null), 0), "{}");
        assert_eq!(arguments(&tool(json!({"type": "object"})), 0), "{}");
    }
}
