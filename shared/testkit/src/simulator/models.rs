//! The models the simulator serves.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::scenario::{Scenario, preset_models};

/// What a request asks a model to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
    /// `/v1/embeddings`.
    Embedding,
}

/// A public model name, the dated name answers carry, and what it can do.
type Known = (&'static str, &'static str, Task);

const KNOWN: &[Known] = &[
    ("gpt-4o", "gpt-4o-2024-08-06", Task::Chat),
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", Task::Chat),
    ("gpt-4.1", "gpt-4.1-2025-04-14", Task::Chat),
    ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", Task::Chat),
    ("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", Task::Chat),
    ("gpt-4-turbo", "gpt-4-turbo-2024-04-09", Task::Chat),
    ("gpt-4", "gpt-4-0613", Task::Chat),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-0125", Task::Chat),
    ("gpt-5", "gpt-5-2025-08-07", Task::Chat),
    ("gpt-5-mini", "gpt-5-mini-2025-08-07", Task::Chat),
    ("o1", "o1-2024-12-17", Task::Chat),
    ("o3", "o3-2025-04-16", Task::Chat),
    ("o3-mini", "o3-mini-2025-01-31", Task::Chat),
    ("o4-mini", "o4-mini-2025-04-16", Task::Chat),
    ("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct", Task::Completion),
    ("davinci-002", "davinci-002", Task::Completion),
    ("text-embedding-3-small", "text-embedding-3-small", Task::Embedding),
    ("text-embedding-3-large", "text-embedding-3-large", Task::Embedding),
    ("text-embedding-ada-002", "text-embedding-ada-002", Task::Embedding),
];

/// How a model name stands with a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It serves the task; answers carry this name.
    Serves(String),
    /// It exists, for another task.
    OtherTask(Task),
    /// There is no such model.
    Unknown,
}

/// The models of one simulator.
#[derive(Debug)]
pub(super) struct Models {
    /// Beside the known ones; these and the `sim-` ones serve every task.
    extra: BTreeSet<String>,
    dated: bool,
}

impl Models {
    pub(super) fn new(extra: Vec<String>, dated: bool) -> Self {
        Self { extra: extra.into_iter().collect(), dated }
    }

    pub(super) fn standing(&self, name: &str, task: Task) -> Standing {
        let is_known = |(public, dated, _): &&Known| *public == name || *dated == name;
        if let Some((_, dated, serves)) = KNOWN.iter().find(is_known) {
            let echoed = if self.dated { dated } else { name };
            return if *serves == task { Standing::Serves(echoed.to_owned()) } else { Standing::OtherTask(*serves) };
        }
        if self.extra.contains(name) || Scenario::directive_of_model(name).is_some() {
            return Standing::Serves(name.to_owned());
        }
        Standing::Unknown
    }

    pub(super) fn list(&self) -> Value {
        let known = KNOWN.iter().map(|(public, ..)| (*public).to_owned());
        let names = known.chain(["demo".to_owned()]).chain(preset_models()).chain(self.extra.iter().cloned());
        let data: Vec<Value> = names.map(|name| describe(&name)).collect();
        json!({"object": "list", "data": data})
    }

    pub(super) fn one(&self, name: &str) -> Option<Value> {
        let exists = self.standing(name, Task::Chat) != Standing::Unknown;
        exists.then(|| describe(name))
    }
}

fn describe(name: &str) -> Value {
    let owner = if name.starts_with("sim-") || name == "demo" { "sluice-simulator" } else { "system" };
    json!({"id": name, "object": "model", "created": 1_715_367_049, "owned_by": owner})
}
