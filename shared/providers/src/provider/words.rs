//! The words that catalogue files have for what codecs know.

use serde::{Deserialize, Serialize};
use sluice_dialect::ir::Family;
use sluice_dialect::target::Host;

/// The words for families.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", remote = "Family")]
pub(super) enum FamilyWord {
    OpenAi,
    Anthropic,
    Google,
    Compatible,
}

/// The words for hosts.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", remote = "Host")]
pub(super) enum HostWord {
    Own,
    Vertex,
    Bedrock,
}

/// Any provider of the Chat dialect.
pub(super) const fn compatible() -> Family {
    Family::Compatible
}
