//! Tools in namespaces. Everybody else knows such a tool by one name: `namespace.name`.
//!
//! Coding agents send them: `{"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "spawn", …}]}`. A call says
//! both, `"namespace": "agents", "name": "spawn"`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const SEPARATOR: char = '.';

/// The one name of a tool.
pub(super) fn joined(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{namespace}{SEPARATOR}{name}"),
        None => name.to_owned(),
    }
}

/// The one name of the tool that an item calls, if it names one.
pub(super) fn of_call(item: &Value) -> String {
    let text = |field: &str| item.get(field).and_then(Value::as_str);
    match text("name") {
        Some(name) if !name.is_empty() => joined(text("namespace"), name),
        _ => String::new(),
    }
}

/// What a caller's body says of its tools, as far as calls of them are told otherwise than those of plain functions.
#[derive(Debug, Clone, Default)]
pub(super) struct Callers {
    /// Tools that take text.
    customs: BTreeSet<String>,
    /// Tools in a namespace, by their one name, with the length of the namespace.
    inside: Vec<(String, usize)>,
}

impl Callers {
    /// Looks through a body.
    pub(super) fn of(body: Option<&Map<String, Value>>) -> Self {
        let mut callers = Self::default();
        for tool in tools(body.and_then(|body| body.get("tools"))) {
            callers.take(None, tool);
            let namespace = text(tool, "name").filter(|_| text(tool, "type") == Some("namespace"));
            for inner in namespace.into_iter().flat_map(|_| tools(tool.get("tools"))) {
                callers.take(namespace, inner);
            }
        }
        callers
    }

    /// Whether a tool takes text, not JSON.
    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.customs.contains(name)
    }

    /// The namespace of a tool, and its name in there.
    pub(super) fn parted<'n>(&self, name: &'n str) -> (Option<&'n str>, &'n str) {
        let known = self.inside.iter().find(|(known, _)| known == name);
        let parts = known.and_then(|(_, length)| Some((name.get(..*length)?, name.get(length + SEPARATOR.len_utf8()..)?)));
        parts.map_or((None, name), |(namespace, name)| (Some(namespace), name))
    }

    fn take(&mut self, namespace: Option<&str>, tool: &Value) {
        let Some(name) = text(tool, "name").map(|name| joined(namespace, name)) else { return };
        if text(tool, "type") == Some("custom") {
            self.customs.insert(name.clone());
        }
        if let Some(namespace) = namespace {
            self.inside.push((name, namespace.len()));
        }
    }
}

fn tools(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_joined_for_others_and_parted_for_the_caller_who_joined_them() {
        let body = json!({"tools": [
            {"type": "namespace", "name": "a.b", "tools": [{"type": "function", "name": "c"}, {"type": "custom", "name": "d"}]},
            {"type": "function", "name": "plain.name"},
        ]});
        let callers = Callers::of(body.as_object());
        assert_eq!(joined(Some("a.b"), "c"), "a.b.c");
        assert_eq!(callers.parted("a.b.c"), (Some("a.b"), "c"));
        assert_eq!(callers.parted("plain.name"), (None, "plain.name"));
        assert_eq!(callers.parted("a.b.x"), (None, "a.b.x"));
        assert!(callers.is_custom("a.b.d") && !callers.is_custom("a.b.c") && !callers.is_custom("d"));
        assert_eq!(of_call(&json!({"namespace": "a.b", "name": "c"})), "a.b.c");
        assert_eq!(of_call(&json!({"name": "c"})), "c");
        assert_eq!(of_call(&json!({"namespace": "a"})), "");
    }
}
