//! What a catalogue file says about a provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_dialect::ir::Family;
use sluice_dialect::openai::StreamOptions;
use sluice_dialect::target::{App, Host, Options};

use crate::endpoint::{Gap, Plan, SpecialEndpoint};
use crate::{Auth, Balance, BaseUrl, BaseUrlError, BaseUrlMeaning, Capability, Hook};

mod form;
mod words;

pub use form::{FieldName, FormField, HeaderRule};

/// One provider: a catalogue file, read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The stable name kept in the database, for instance `azure-openai`.
    pub slug: String,
    /// The name people read.
    pub name: String,
    /// The number in the catalogue of One API's family: New API's type, 1000 + One API's, or 2000 and more.
    pub id: u32,
    /// New API's channel type, for imports and for its clients.
    pub new_api_id: Option<u32>,
    /// One API's channel type, for imports.
    pub one_api_id: Option<u32>,
    /// Whether the vendor still offers it.
    #[serde(default)]
    pub status: ProviderStatus,
    /// Why relays cannot serve it, as a clause that follows its name; `None`: they can.
    pub unserved: Option<String>,
    /// Whose state and files it understands.
    #[serde(default = "words::compatible", with = "words::FamilyWord")]
    pub family: Family,
    /// Where its models are served: the same dialect differs in its envelope.
    #[serde(default, with = "words::HostWord")]
    pub host: Host,
    /// What its streams are cut into.
    #[serde(default)]
    pub framing: Framing,
    /// The vendor's API reference.
    pub docs: Option<String>,
    /// Where the vendor hands out keys.
    pub keys_page: Option<String>,
    /// What its endpoints do with `stream_options`; a channel may override it.
    pub stream_options: StreamOptions,
    /// Whether its streams end with `data: [DONE]`. Those of a provider without it end with the last answer asked for.
    #[serde(default = "yes")]
    pub sends_done: bool,
    /// Named behaviours beyond data, in the order they are applied.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// Models offered when a channel is made; any other may be added.
    pub models: Vec<String>,
    /// What a channel's base URL means.
    pub base_url: BaseUrlRule,
    /// How the key is sent.
    pub auth: Auth,
    /// The path of each capability, after the base URL. `{model}` stands for the model, `{model_id}` for it with every letter escaped that
    /// may be, `{model_path}` for one whose slashes are the path's, `{version}` for the version, `{account_id}` for the channel's setting of
    /// that name, `{region}` for its setting or its key's, `{project_id}` for its key's.
    #[serde(default)]
    pub endpoints: BTreeMap<Capability, String>,
    /// Paths for answers that are streamed, where they are others.
    #[serde(default)]
    pub stream_endpoints: BTreeMap<Capability, String>,
    /// Endpoints that only some models or addresses have.
    #[serde(default)]
    pub special_endpoints: Vec<SpecialEndpoint>,
    /// Endpoints that some models do not have.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Endpoints where some models take no tools as they think: callers of other dialects that bring tools are asked for elsewhere.
    #[serde(default)]
    pub tool_gaps: Vec<Gap>,
    /// Interfaces that not all of its addresses have: one that is not found is asked for in another form.
    #[serde(default)]
    pub unsure: Vec<Capability>,
    /// For providers whose addresses carry a version.
    pub versions: Option<Versions>,
    /// Words that may stand in place of a base URL.
    #[serde(default)]
    pub plans: Vec<Plan>,
    /// Headers beyond those of every request.
    #[serde(default)]
    pub headers: Vec<HeaderRule>,
    /// Which of a caller's `anthropic-beta` features it takes; a channel may say otherwise. `None`: whatever a caller asks for.
    pub betas: Option<Vec<Beta>>,
    /// What writers of bodies are to do; what is not said is as everywhere.
    #[serde(default)]
    pub writer: Options,
    /// Settings of a channel beyond key, base URL and models.
    #[serde(default)]
    pub fields: Vec<FormField>,
    /// Where it says what is left of the money; without it, it does not.
    pub balance: Option<Balance>,
}

const fn yes() -> bool {
    true
}

/// A feature of Messages that is not for everybody yet, by the name a caller has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Beta {
    /// It has the same name here.
    Same(String),
    /// It has another one.
    Other {
        /// The caller's.
        name: String,
        /// The provider's.
        #[serde(rename = "as")]
        here: String,
    },
}

impl Beta {
    /// The provider's name of a feature, if this is it. Asking by the provider's own name is as good.
    pub(crate) fn named(&self, feature: &str) -> Option<&str> {
        let (Self::Same(here) | Self::Other { here, .. }) = self;
        let is_named = here == feature || matches!(self, Self::Other { name, .. } if name == feature);
        is_named.then_some(here.as_str())
    }
}

/// What streams are cut into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Events,
    /// Frames of [`crate::event_stream`], each with one event of the dialect.
    AwsEventStream,
}

/// Whether a vendor still offers what a provider describes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderStatus {
    /// Yes.
    #[default]
    Active,
    /// It runs, and the vendor offers something else to newcomers.
    Legacy,
    /// No: it is kept for channels that were imported.
    Dead,
}

/// What a channel's base URL means, and what it is when a channel has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseUrlRule {
    /// A prefix of paths, or a whole address.
    pub meaning: BaseUrlMeaning,
    /// Used when the channel has none; without it a channel must have one.
    pub default: Option<String>,
    /// Used in place of the default in a region that is not `global`; `{region}` stands for it.
    pub regional: Option<String>,
    /// Other addresses of the same service, for other regions.
    #[serde(default)]
    pub alternatives: Vec<String>,
    /// What can be asked for at a whole address.
    #[serde(default)]
    pub serves: Vec<Capability>,
    /// Help for the form.
    pub help: String,
}

/// Addresses that carry a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The query parameter; without it the version stands in the path, as `{version}`. Callers may name a version in a query alone.
    pub query: Option<String>,
    /// The version when neither the caller nor the channel names one.
    pub default: String,
    /// The version that selects `endpoints` below, without a query.
    pub unversioned: Option<String>,
    /// Paths of the addresses without version.
    #[serde(default)]
    pub endpoints: BTreeMap<Capability, String>,
}

impl Provider {
    /// Whether it can be asked for something at all: by some model, at some address.
    #[must_use]
    pub fn serves(&self, capability: Capability) -> bool {
        let unversioned = self.versions.as_ref().is_some_and(|versions| versions.endpoints.contains_key(&capability));
        let special = self.special_endpoints.iter().any(|special| special.capability == capability);
        let planned = self.plans.iter().any(|plan| plan.endpoints.contains_key(&capability));
        self.endpoints.contains_key(&capability)
            || unversioned
            || special
            || planned
            || self.base_url.serves.contains(&capability)
    }

    /// Whether a relay can serve it.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.unserved.is_none()
    }

    /// The app behind a channel with such settings, for the [`Options`] of its writer.
    #[must_use]
    pub fn app(settings: &[(FieldName, &str)]) -> App {
        let of = |names: &[FieldName]| {
            let given = settings.iter().find(|(name, _)| names.contains(name)).map(|(_, value)| value.trim());
            given.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        App {
            id: of(&[FieldName::BotId, FieldName::LibraryId]),
            kind: of(&[FieldName::BotType, FieldName::ApiVersion]),
            user: of(&[FieldName::UserId]),
        }
    }

    /// Whether a channel of it must have a base URL.
    #[must_use]
    pub fn needs_base_url(&self) -> bool {
        self.base_url.default.is_none()
    }

    /// Judges a base URL an administrator typed. Empty means the provider's own.
    ///
    /// # Errors
    /// When it cannot be one, or when it is empty and the provider has none.
    pub fn parse_base_url(&self, text: &str) -> Result<BaseUrl, BaseUrlError> {
        let text = text.trim();
        if let Some(plan) = self.plans.iter().find(|plan| plan.name == text) {
            return Ok(BaseUrl::word(&plan.name));
        }
        let text = if text.is_empty() { self.base_url.default.as_deref().ok_or(BaseUrlError::Missing)? } else { text };
        let base = BaseUrl::parse(text, self.base_url.meaning)?;
        match self.paths().find_map(|path| end_of(base.path(), path)) {
            Some(path) => Err(BaseUrlError::HasEndpoint { path }),
            None => Ok(base),
        }
    }

    /// Every path that is added to a base URL.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let versioned = self.versions.iter().flat_map(|versions| versions.endpoints.values());
        let special =
            self.special_endpoints.iter().flat_map(|special| std::iter::once(&special.path).chain(&special.stream_path));
        let all = self.endpoints.values().chain(self.stream_endpoints.values()).chain(special).chain(versioned);
        all.map(String::as_str)
    }
}

/// The endpoint's path, or the beginning of it, that a base URL's path ends with: at least two steps unless it is the whole, because
/// one alone (`/v1`) may stand in both. A step with a place to fill is any step.
fn end_of(base: &str, endpoint: &str) -> Option<String> {
    let endpoint = endpoint.split_once('?').map_or(endpoint, |(path, _)| path);
    let steps: Vec<&str> = endpoint.split('/').filter(|step| !step.is_empty()).collect();
    let typed: Vec<&str> = base.split('/').filter(|step| !step.is_empty()).collect();
    let is_end = |steps: &[&str]| {
        let fits = |(typed, step): (&&str, &&str)| step.contains('{') || typed == step;
        typed.len() >= steps.len() && typed.iter().rev().zip(steps.iter().rev()).all(fits)
    };
    let beginnings = (1..=steps.len()).rev().filter(|count| *count >= 2 || *count == steps.len());
    let found = beginnings.filter_map(|count| steps.get(..count)).find(|steps| is_end(steps))?;
    Some(format!("/{}", found.join("/")))
}
