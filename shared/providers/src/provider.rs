//! What a catalogue file says about a provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_dialect::openai::{StreamOptions, Surface};

use crate::base_url::MODEL;
use crate::{BaseUrl, BaseUrlError, BaseUrlMeaning};

/// One provider: a catalogue file, read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The stable name kept in the database, for instance `azure-openai`.
    pub slug: String,
    /// The name people read.
    pub name: String,
    /// The number in the family's catalogue (`providers.json`).
    pub id: u32,
    /// New API's channel type, for imports and for its clients.
    pub new_api_id: Option<u32>,
    /// One API's channel type, for imports.
    pub one_api_id: Option<u32>,
    /// The vendor's API reference.
    pub docs: Option<String>,
    /// Where the vendor hands out keys.
    pub keys_page: Option<String>,
    /// What its endpoints do with `stream_options`; a channel may override it.
    pub stream_options: StreamOptions,
    /// Whether its streams end with `data: [DONE]`. Those of a provider without it end with the last answer asked for.
    #[serde(default = "yes")]
    pub sends_done: bool,
    /// Named behaviours beyond data.
    pub hooks: Vec<Hook>,
    /// Models offered when a channel is made; any other may be added.
    pub models: Vec<String>,
    /// What a channel's base URL means.
    pub base_url: BaseUrlRule,
    /// How the key is sent.
    pub auth: Auth,
    /// The path of each capability, after the base URL. `{model}` stands for the model.
    #[serde(default)]
    pub endpoints: BTreeMap<Capability, String>,
    /// For providers whose addresses carry a version.
    pub versions: Option<Versions>,
    /// Settings of a channel beyond key, base URL and models.
    #[serde(default)]
    pub fields: Vec<FormField>,
}

const fn yes() -> bool {
    true
}

/// What a channel's base URL means, and what it is when a channel has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseUrlRule {
    /// A prefix of paths, or a whole address.
    pub meaning: BaseUrlMeaning,
    /// Used when the channel has none; without it a channel must have one.
    pub default: Option<String>,
    /// What can be asked for at a whole address.
    #[serde(default)]
    pub serves: Vec<Capability>,
    /// Help for the form.
    pub help: String,
}

/// How the key is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Where it goes.
    pub scheme: AuthScheme,
    /// The header's name, when the scheme is [`AuthScheme::Header`].
    pub header: Option<String>,
    /// What a key looks like, for the form.
    pub key_example: String,
    /// Whether an empty key is accepted: nothing is sent then.
    #[serde(default)]
    pub key_optional: bool,
}

/// Where the key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `Authorization: Bearer <key>`
    Bearer,
    /// The bare key in a header of its own.
    Header,
}

/// Addresses that carry a version in the query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The query parameter.
    pub query: String,
    /// The version when neither the caller nor the channel names one.
    pub default: String,
    /// The version that selects `endpoints` below, without a query.
    pub unversioned: String,
    /// Paths of the addresses without version.
    pub endpoints: BTreeMap<Capability, String>,
}

/// What a provider can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Chat completions.
    Chat,
    /// Legacy completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// The list of models.
    Models,
    /// Moderations.
    Moderations,
    /// Reranking.
    Rerank,
    /// OpenAI Responses.
    Responses,
    /// Image generation.
    Images,
    /// Image editing.
    ImageEdits,
    /// Text to speech.
    Speech,
    /// Speech to text.
    Transcriptions,
    /// Speech to English text.
    Translations,
}

impl Capability {
    /// The method of its requests.
    #[must_use]
    pub fn method(self) -> http::Method {
        match self {
            Self::Models => http::Method::GET,
            _ => http::Method::POST,
        }
    }

    /// The word used in catalogue files, in JSON and in error messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::Moderations => "moderations",
            Self::Rerank => "rerank",
            Self::Responses => "responses",
            Self::Images => "images",
            Self::ImageEdits => "image_edits",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
        }
    }
}

impl From<Surface> for Capability {
    fn from(surface: Surface) -> Self {
        match surface {
            Surface::ChatCompletions => Self::Chat,
            Surface::Completions => Self::Completions,
            Surface::Embeddings => Self::Embeddings,
        }
    }
}

/// A named behaviour that any provider may have (providers.md §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// Behind Cloudflare's AI Gateway the path loses `/v1` or `/openai/deployments`.
    CfAiGatewayPrefix,
}

/// One setting of a channel, as the form shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// Which setting.
    pub name: FieldName,
    /// The label beside it.
    pub label: String,
    /// What it does and when it is needed.
    pub help: String,
    /// What a value looks like.
    pub example: String,
    /// Whether a channel must have it.
    #[serde(default)]
    pub required: bool,
}

/// The settings a channel can have; each is a field of [`crate::ChannelAddress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldName {
    /// `api_version`
    ApiVersion,
    /// `organization`
    Organization,
    /// `strip_dots`
    StripDots,
}

impl Provider {
    /// Whether it can be asked for something at all.
    #[must_use]
    pub fn serves(&self, capability: Capability) -> bool {
        let unversioned = self.versions.as_ref().is_some_and(|versions| versions.endpoints.contains_key(&capability));
        self.endpoints.contains_key(&capability) || unversioned || self.base_url.serves.contains(&capability)
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
        let text = if text.is_empty() { self.base_url.default.as_deref().ok_or(BaseUrlError::Missing)? } else { text };
        let base = BaseUrl::parse(text, self.base_url.meaning)?;
        let versioned = self.versions.iter().flat_map(|versions| versions.endpoints.values());
        match self.endpoints.values().chain(versioned).find_map(|path| end_of(base.path(), path)) {
            Some(path) => Err(BaseUrlError::HasEndpoint { path }),
            None => Ok(base),
        }
    }
}

/// The endpoint's path, or the beginning of it, that a base URL's path ends with: at least two steps unless it is the whole, because
/// one alone (`/v1`) may stand in both. `{model}` is any step.
fn end_of(base: &str, endpoint: &str) -> Option<String> {
    let steps: Vec<&str> = endpoint.split('/').filter(|step| !step.is_empty()).collect();
    let typed: Vec<&str> = base.split('/').filter(|step| !step.is_empty()).collect();
    let is_end = |steps: &[&str]| {
        let fits = |(typed, step): (&&str, &&str)| *step == MODEL || typed == step;
        typed.len() >= steps.len() && typed.iter().rev().zip(steps.iter().rev()).all(fits)
    };
    let beginnings = (1..=steps.len()).rev().filter(|count| *count >= 2 || *count == steps.len());
    let found = beginnings.filter_map(|count| steps.get(..count)).find(|steps| is_end(steps))?;
    Some(format!("/{}", found.join("/")))
}
