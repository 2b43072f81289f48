//! Which path a request takes, and what stands in its places.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sluice_dialect::capabilities::is_like;
use sluice_domain::suffix;

use crate::{BaseUrl, CallError, Capability, FieldName, Provider};

/// Stands for the model's name, as one step of a path.
pub(crate) const MODEL: &str = "{model}";
/// Stands for the model's name as one step, with every letter escaped that may be.
const MODEL_ID: &str = "{model_id}";
/// Stands for the model's name, whose slashes are steps of the path.
const MODEL_PATH: &str = "{model_path}";
/// Stands for the version of the addresses.
pub(crate) const VERSION: &str = "{version}";
/// Stands for the channel's account.
const ACCOUNT: &str = "{account_id}";
/// Stands for the region.
pub(crate) const REGION: &str = "{region}";
/// Stands for the project of a service account.
const PROJECT: &str = "{project_id}";
/// All that can stand in a path.
pub(crate) const PLACES: [&str; 7] = [MODEL, MODEL_ID, MODEL_PATH, VERSION, ACCOUNT, REGION, PROJECT];

/// Letters that may stand in a path segment or a query value as they are.
const SEGMENT: &AsciiSet = &UNRESERVED.remove(b':').remove(b'@');
/// Letters that never need escaping.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An endpoint that only some models or some addresses have. It goes before the ordinary one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialEndpoint {
    /// What is asked for.
    pub capability: Capability,
    /// When it is used.
    pub when: When,
    /// Its path.
    pub path: String,
    /// Its path for answers that are streamed, where that is another.
    pub stream_path: Option<String>,
}

/// An endpoint that a provider has, but not for some models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// What cannot be asked for.
    pub capability: Capability,
    /// For which models.
    pub when: When,
    /// Only where the host of the base URL ends with this: a proxy may have what the provider has not.
    pub at_host: Option<String>,
}

impl Gap {
    pub(crate) fn is_of(&self, base: &BaseUrl, capability: Capability, model: &str) -> bool {
        let is_there = self.at_host.as_deref().is_none_or(|host| base.host().ends_with(host));
        self.capability == capability && is_there && self.when.is_met(base, model, &[])
    }
}

/// A condition on a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The model's name starts with a text.
    ModelStartsWith(String),
    /// The model's name has a text in it.
    ModelContains(String),
    /// The model's name is of a form: `*` is any text, `?` one character, and case does not matter.
    ModelLike(String),
    /// It is one of OpenAI's models that reason, by its name.
    ModelReasons,
    /// The host of the base URL ends with a text.
    HostEndsWith(String),
    /// The channel has a setting of this value.
    SettingIs {
        /// Which setting.
        name: FieldName,
        /// Its value.
        value: String,
    },
}

impl When {
    fn is_met(&self, base: &BaseUrl, model: &str, settings: &[(FieldName, &str)]) -> bool {
        match self {
            Self::ModelStartsWith(text) => model.starts_with(text.as_str()),
            Self::ModelContains(text) => model.contains(text.as_str()),
            Self::ModelLike(pattern) => is_like(model, pattern),
            Self::ModelReasons => suffix::reasons(model),
            Self::HostEndsWith(text) => base.host().ends_with(text.as_str()),
            Self::SettingIs { name, value } => settings.iter().any(|(known, given)| known == name && given.trim() == value),
        }
    }
}

/// A word that stands for a set of addresses: what a channel has as base URL when its key belongs to a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The word.
    pub name: String,
    /// Whole addresses.
    pub endpoints: BTreeMap<Capability, String>,
}

impl Provider {
    /// The subscription a base URL stands for.
    pub(crate) fn plan(&self, base: &BaseUrl) -> Option<&Plan> {
        self.plans.iter().find(|plan| base.is_word() && plan.name == base.as_str())
    }

    /// The path for a capability; `None` when there is none.
    pub(crate) fn path(
        &self,
        (base, settings): (&BaseUrl, &[(FieldName, &str)]),
        capability: Capability,
        model: &str,
        is_streamed: bool,
    ) -> Option<&str> {
        if self.has_gap(base, capability, model) {
            return None;
        }
        let fits = |special: &&SpecialEndpoint| special.capability == capability && special.when.is_met(base, model, settings);
        if let Some(special) = self.special_endpoints.iter().find(fits) {
            return Some(special.stream_path.as_ref().filter(|_| is_streamed).unwrap_or(&special.path));
        }
        let streamed = self.stream_endpoints.get(&capability).filter(|_| is_streamed);
        streamed.or_else(|| self.endpoints.get(&capability)).map(String::as_str)
    }

    pub(crate) fn has_gap(&self, base: &BaseUrl, capability: Capability, model: &str) -> bool {
        self.gaps.iter().any(|gap| gap.is_of(base, capability, model))
    }
}

/// What stands in the places of an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The model's name.
    pub(crate) model: &'a str,
    /// The version of the addresses.
    pub(crate) version: Option<&'a str>,
    /// The channel's account.
    pub(crate) account: Option<&'a str>,
    /// The region.
    pub(crate) region: &'a str,
    /// The project of a service account.
    pub(crate) project: Option<&'a str>,
}

impl Places<'_> {
    /// A path or address with its places filled.
    pub(crate) fn fill<'t>(&self, template: &'t str) -> Result<Cow<'t, str>, CallError> {
        if !template.contains('{') {
            return Ok(Cow::Borrowed(template));
        }
        let mut filled = template.to_owned();
        for place in PLACES {
            if filled.contains(place) {
                filled = filled.replace(place, &self.value(place)?);
            }
        }
        Ok(Cow::Owned(filled))
    }

    fn value(&self, place: &str) -> Result<String, CallError> {
        let setting = |field| CallError::Setting { field };
        match place {
            MODEL => step(self.model, SEGMENT).ok_or(CallError::Model),
            MODEL_ID => step(self.model, UNRESERVED).ok_or(CallError::Model),
            MODEL_PATH => {
                let steps: Option<Vec<String>> = self.model.split('/').map(|text| step(text, SEGMENT)).collect();
                steps.map(|steps| steps.join("/")).ok_or(CallError::Model)
            }
            VERSION => self.version.map(str::to_owned).ok_or(CallError::Version),
            ACCOUNT => self.account.and_then(|text| step(text, SEGMENT)).ok_or(setting(FieldName::AccountId)),
            REGION => Some(self.region).filter(|text| is_region(text)).map(str::to_owned).ok_or(setting(FieldName::Region)),
            _ => self.project.and_then(|text| step(text, SEGMENT)).ok_or(CallError::Secret),
        }
    }
}

/// `us-east-1`: it may become part of a host.
pub(crate) fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A text as one step of a path. Nothing, and the two that would climb in the path whatever stands around them, cannot be one.
fn step(text: &str, set: &'static AsciiSet) -> Option<String> {
    (!matches!(text, "" | "." | "..")).then(|| utf8_percent_encode(text, set).to_string())
}
