//! From a channel and a request to an address and headers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use http::Method;
use http::header::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use url::Url;

use crate::endpoint::Places;
use crate::{BaseUrl, BaseUrlMeaning, Capability, FieldName, Hook, Provider, Versions};

mod balance;
mod headers;
mod stored;

pub use stored::StoredCall;

/// The longest version a caller or a channel may name, in bytes.
const MAX_VERSION_BYTES: usize = 64;
/// Cloudflare's gateway brings its own version and provider segments.
const CF_AI_GATEWAY: &str = "https://gateway.ai.cloudflare.com";
/// What that gateway replaces, for OpenAI and Azure.
const CF_REPLACED: [&str; 2] = ["/openai/deployments", "/v1"];
/// What it replaces for Workers AI.
const CF_WORKERS_REPLACED: [&str; 2] = ["/client/v4/accounts/{account_id}/ai/run", "/client/v4/accounts/{account_id}/ai"];

/// A channel, as far as addresses and keys go.
#[derive(Debug, Clone, Copy)]
pub struct ChannelAddress<'a> {
    /// Its base URL, made by [`Provider::parse_base_url`].
    pub base_url: &'a BaseUrl,
    /// The key to use. Empty where the provider allows it.
    pub secret: &'a SecretString,
    /// The version of the addresses, for providers that have one.
    pub api_version: Option<&'a str>,
    /// OpenAI's organization.
    pub organization: Option<&'a str>,
    /// Whether dots are taken out of deployment names.
    pub strip_dots: bool,
    /// Its other settings, as the provider's `fields` name them.
    pub extra: &'a [(FieldName, &'a str)],
}

/// The region that has the provider's ordinary address.
const GLOBAL: &str = "global";

impl<'a> ChannelAddress<'a> {
    /// One of its other settings, if it is there and not empty.
    pub(crate) fn setting(&self, name: FieldName) -> Option<&'a str> {
        let given = self.extra.iter().find(|(known, _)| *known == name).map(|(_, value)| value.trim());
        given.filter(|value| !value.is_empty())
    }

    /// The region for a model: the setting is one for all, or a JSON object of models and regions, with `default` for the others.
    fn region_of(&self, model: &str) -> Cow<'a, str> {
        let Some(setting) = self.setting(FieldName::Region) else { return Cow::Borrowed(GLOBAL) };
        let Ok(mut regions) = serde_json::from_str::<HashMap<String, String>>(setting) else { return Cow::Borrowed(setting) };
        let region = regions.remove(model).or_else(|| regions.remove("default"));
        region.map_or(Cow::Borrowed(GLOBAL), Cow::Owned)
    }
}

/// What of the caller's request line and headers may matter upstream. Everything else is dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientHints<'a> {
    /// The raw query, without `?`. Only a version and Anthropic's `beta` are read from it.
    pub query: Option<&'a str>,
    /// `Content-Type`
    pub content_type: Option<&'a HeaderValue>,
    /// `Accept`
    pub accept: Option<&'a HeaderValue>,
    /// `OpenAI-Beta`; not sent to interfaces of other dialects.
    pub openai_beta: Option<&'a HeaderValue>,
    /// `anthropic-version`; sent to interfaces of that dialect alone, where it is `2023-06-01` when the caller names none.
    pub anthropic_version: Option<&'a HeaderValue>,
    /// `anthropic-beta`; sent to interfaces of that dialect alone.
    pub anthropic_beta: Option<&'a HeaderValue>,
    /// Features that the body needs, beside the caller's `anthropic-beta`. Each is sent once.
    pub betas: &'a [&'a str],
    /// The channel's setting [`FieldName::Betas`](crate::FieldName::Betas): which of the caller's features are passed on.
    pub allowed_betas: Option<&'a str>,
}

/// Where a request goes, and its headers. The one with the key is marked sensitive.
#[derive(Clone)]
pub struct Target {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// The headers; the body's length and the host are not among them.
    pub headers: HeaderMap,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may be the operator's secret, and some providers carry keys in it.
        f.debug_struct("Target").field("method", &self.method).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// Why a channel cannot be asked for something. No value is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The provider has no such endpoint.
    #[error("provider {provider} does not serve {}", capability.as_str())]
    NotServed {
        /// The provider's slug.
        provider: String,
        /// What was asked for.
        capability: Capability,
    },
    /// The model's name cannot stand in an address.
    #[error("the model's name cannot stand in an address")]
    Model,
    /// The version is empty, too long or has odd characters.
    #[error("the API version must be 1 to {MAX_VERSION_BYTES} letters, digits, dots, dashes and underscores")]
    Version,
    /// The same of a version that the caller asked for.
    #[error("the api-version must be 1 to {MAX_VERSION_BYTES} letters, digits, dots, dashes and underscores")]
    CallerVersion,
    /// The key is empty, or holds characters that no header may have.
    #[error("the channel's key is empty or has characters that cannot be sent")]
    Secret,
    /// Another setting holds characters that no header may have.
    #[error("the channel's organization has characters that cannot be sent")]
    Organization,
    /// Another setting is missing, or cannot be sent.
    #[error("the channel's {} is missing or cannot be sent", field.as_str())]
    Setting {
        /// Which setting.
        field: FieldName,
    },
    /// The parts do not make an address.
    #[error("base URL and path do not make an address")]
    Url,
}

impl Provider {
    /// The address and headers for one request.
    ///
    /// `model` is the upstream's name of the model, after mapping; it is not looked at where no address carries it. Endings that the
    /// provider's hooks read and take off are not in the address.
    ///
    /// # Errors
    /// When the provider does not serve the capability, or the parts do not make a request.
    pub fn call(
        &self,
        channel: &ChannelAddress<'_>,
        capability: Capability,
        model: &str,
        is_streamed: bool,
        client: &ClientHints<'_>,
    ) -> Result<Target, CallError> {
        let plain = self.plain_model(capability, model);
        let known = self.auth.known(channel.secret)?;
        let region = known.region.map_or_else(|| channel.region_of(model), Cow::Owned);
        let named = self.name_for(plain, &region);
        let named = if channel.strip_dots { Cow::Owned(named.replace('.', "")) } else { named };
        let places = Places {
            model: &named,
            version: None,
            account: channel.setting(FieldName::AccountId),
            region: &region,
            project: known.project.as_deref(),
        };
        let url = match (self.plan(channel.base_url), self.base_url.meaning) {
            (Some(plan), _) => plan.endpoints.get(&capability).cloned().ok_or_else(|| self.not_served(capability))?,
            (None, BaseUrlMeaning::Prefix) => self.address(channel, capability, (plain, places, is_streamed), client)?,
            (None, BaseUrlMeaning::FullUrl) if self.base_url.serves.contains(&capability) => {
                places.fill(channel.base_url.as_str())?.into_owned()
            }
            (None, BaseUrlMeaning::FullUrl) => return Err(self.not_served(capability)),
        };
        let mut url = Url::parse(&url).map_err(|_| CallError::Url)?;
        if capability.is_anthropic() && wants_beta(channel, client) {
            url.query_pairs_mut().append_pair("beta", "true");
        }
        let headers = self.headers(channel, capability, is_streamed, client)?;
        Ok(Target { method: capability.method(), url, headers })
    }

    fn address(
        &self,
        channel: &ChannelAddress<'_>,
        capability: Capability,
        (model, places, is_streamed): (&str, Places<'_>, bool),
        client: &ClientHints<'_>,
    ) -> Result<String, CallError> {
        let version = match &self.versions {
            Some(versions) => Some((versions, version(versions, channel, client)?)),
            None => None,
        };
        let unversioned = version.filter(|(versions, version)| versions.unversioned.as_deref() == Some(*version));
        let path = match unversioned {
            Some((versions, _)) => versions.endpoints.get(&capability).map(String::as_str),
            None => self.path((channel.base_url, channel.extra), capability, model, is_streamed),
        };
        let path = path.ok_or_else(|| self.not_served(capability))?;
        let places = Places { version: version.map(|(_, version)| version), ..places };
        let path = places.fill(self.replaced(channel.base_url, path))?;
        let base = self.base(channel.base_url, &places)?;
        let mut url = String::with_capacity(base.len() + path.len() + 32);
        url.push_str(&base);
        url.push_str(own_part(channel.base_url, &path));
        // A path with a query of its own says what it wants of the version.
        if let Some((query, version)) = version.and_then(|(versions, version)| Some((versions.query.as_ref()?, version)))
            && unversioned.is_none()
            && !path.contains('?')
        {
            url.push('?');
            url.push_str(query);
            url.push('=');
            url.push_str(version);
        }
        Ok(url)
    }

    /// The channel's address, or the region's where the channel has the provider's.
    fn base<'b>(&self, base: &'b BaseUrl, places: &Places<'_>) -> Result<Cow<'b, str>, CallError> {
        match &self.base_url.regional {
            Some(regional) if places.region != GLOBAL && self.base_url.default.as_deref() == Some(base.as_str()) => {
                places.fill(regional).map(|regional| Cow::Owned(regional.into_owned()))
            }
            _ => Ok(Cow::Borrowed(base.as_str())),
        }
    }

    /// What of a path a gateway does not bring itself.
    fn replaced<'p>(&self, base: &BaseUrl, path: &'p str) -> &'p str {
        if !base.as_str().starts_with(CF_AI_GATEWAY) {
            return path;
        }
        let starts: &[&str] = if self.hooks.contains(&Hook::CfAiGatewayPrefix) {
            &CF_REPLACED
        } else if self.hooks.contains(&Hook::AiGatewayBase) {
            &CF_WORKERS_REPLACED
        } else {
            &[]
        };
        starts.iter().find_map(|start| path.strip_prefix(start)).unwrap_or(path)
    }

    fn not_served(&self, capability: Capability) -> CallError {
        CallError::NotServed { provider: self.slug.clone(), capability }
    }
}

/// What of a path is not in the base URL yet: people write the version into the base URL of providers whose paths have it too.
fn own_part<'p>(base: &BaseUrl, path: &'p str) -> &'p str {
    let Some((first, rest)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else { return path };
    let is_version =
        first == "beta" || first.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_there = base.path().strip_suffix(first).is_some_and(|front| front.ends_with('/'));
    if is_version && is_there { path.get(path.len() - rest.len() - 1..).unwrap_or(path) } else { path }
}

/// Whether Anthropic's interfaces are asked for their beta form.
fn wants_beta(channel: &ChannelAddress<'_>, client: &ClientHints<'_>) -> bool {
    let from_client = client.query.is_some_and(|query| query.split('&').any(|pair| pair == "beta=true"));
    from_client || channel.setting(FieldName::BetaQuery) == Some("true")
}

/// The version to use: the caller's, the channel's, the provider's.
fn version<'a>(versions: &'a Versions, channel: &ChannelAddress<'a>, client: &ClientHints<'a>) -> Result<&'a str, CallError> {
    let value = |query: &'a str, parameter: &str| {
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == parameter).map(|(_, value)| value))
    };
    let from_client = versions.query.as_deref().and_then(|parameter| value(client.query?, parameter));
    let named = |text: Option<&'a str>| text.map(str::trim).filter(|text| !text.is_empty());
    let fits = |text: &str| {
        text.len() <= MAX_VERSION_BYTES
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            && !matches!(text, "." | "..")
    };
    if let Some(version) = named(from_client) {
        return if fits(version) { Ok(version) } else { Err(CallError::CallerVersion) };
    }
    let version = named(channel.api_version).unwrap_or(&versions.default);
    if fits(version) { Ok(version) } else { Err(CallError::Version) }
}

#[cfg(test)]
mod tests;
