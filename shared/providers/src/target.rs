//! From a channel and a request to an address and headers.

use std::borrow::Cow;
use std::fmt;

use http::Method;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::base_url::MODEL;
use crate::{AuthScheme, BaseUrl, BaseUrlMeaning, Capability, Hook, Provider, Versions};

/// The longest version a caller or a channel may name, in bytes.
const MAX_VERSION_BYTES: usize = 64;
/// Cloudflare's gateway brings its own version and provider segments.
const CF_AI_GATEWAY: &str = "https://gateway.ai.cloudflare.com";
/// What that gateway replaces.
const CF_REPLACED: [&str; 2] = ["/openai/deployments", "/v1"];
/// Letters that may stand in a path segment or a query value as they are.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

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
}

/// What of the caller's request line and headers may matter upstream. Everything else is dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientHints<'a> {
    /// The raw query, without `?`. Only a version is read from it.
    pub query: Option<&'a str>,
    /// `Content-Type`
    pub content_type: Option<&'a HeaderValue>,
    /// `Accept`
    pub accept: Option<&'a HeaderValue>,
    /// `OpenAI-Beta`
    pub openai_beta: Option<&'a HeaderValue>,
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
    /// The parts do not make an address.
    #[error("base URL and path do not make an address")]
    Url,
}

impl Provider {
    /// The address and headers for one request.
    ///
    /// `model` is the upstream's name of the model, after mapping; it is not looked at where no address carries it.
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
        let url = match self.base_url.meaning {
            BaseUrlMeaning::FullUrl if !self.base_url.serves.contains(&capability) => return Err(self.not_served(capability)),
            BaseUrlMeaning::FullUrl => with_model(channel.base_url.as_str(), channel, model)?.into_owned(),
            BaseUrlMeaning::Prefix => self.address(channel, capability, model, client)?,
        };
        let url = Url::parse(&url).map_err(|_| CallError::Url)?;
        let headers = self.headers(channel, capability, is_streamed, client)?;
        Ok(Target { method: capability.method(), url, headers })
    }

    fn address(
        &self,
        channel: &ChannelAddress<'_>,
        capability: Capability,
        model: &str,
        client: &ClientHints<'_>,
    ) -> Result<String, CallError> {
        let version = match &self.versions {
            Some(versions) => Some((versions, version(versions, channel, client)?)),
            None => None,
        };
        let (endpoints, query) = match &version {
            Some((versions, version)) if *version == versions.unversioned => (&versions.endpoints, None),
            Some((versions, version)) => (&self.endpoints, Some((&versions.query, version))),
            None => (&self.endpoints, None),
        };
        let path = endpoints.get(&capability).ok_or_else(|| self.not_served(capability))?;
        let base = channel.base_url.as_str();
        let mut url = String::with_capacity(base.len() + path.len() + model.len() + 32);
        url.push_str(base);
        url.push_str(&with_model(self.own_part(channel.base_url, path), channel, model)?);
        if let Some((name, version)) = query {
            url.push('?');
            url.push_str(name);
            url.push('=');
            url.push_str(version);
        }
        Ok(url)
    }

    /// What of a path is not in the base URL yet.
    fn own_part<'p>(&self, base: &BaseUrl, path: &'p str) -> &'p str {
        let is_cloudflare = self.hooks.contains(&Hook::CfAiGatewayPrefix) && base.as_str().starts_with(CF_AI_GATEWAY);
        if is_cloudflare {
            return CF_REPLACED.iter().find_map(|start| path.strip_prefix(start)).unwrap_or(path);
        }
        // People write the version into the base URL of providers whose paths have it too.
        path.strip_prefix("/v1").filter(|rest| rest.starts_with('/') && base.path().ends_with("/v1")).unwrap_or(path)
    }

    fn headers(
        &self,
        channel: &ChannelAddress<'_>,
        capability: Capability,
        is_streamed: bool,
        client: &ClientHints<'_>,
    ) -> Result<HeaderMap, CallError> {
        let mut headers = HeaderMap::with_capacity(8);
        if capability.method() == Method::POST {
            let content_type = client.content_type.cloned();
            headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/json")));
        }
        let accept = if is_streamed { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, client.accept.cloned().unwrap_or(HeaderValue::from_static(accept)));
        // Bytes are relayed as they come, so nothing may be compressed.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(beta) = client.openai_beta {
            headers.insert(HeaderName::from_static("openai-beta"), beta.clone());
        }
        if let Some(organization) = channel.organization.filter(|text| !text.is_empty()) {
            let value = HeaderValue::from_str(organization).map_err(|_| CallError::Organization)?;
            headers.insert(HeaderName::from_static("openai-organization"), value);
        }
        self.sign(channel, &mut headers)?;
        Ok(headers)
    }

    fn sign(&self, channel: &ChannelAddress<'_>, headers: &mut HeaderMap) -> Result<(), CallError> {
        let key = channel.secret.expose_secret().trim();
        if key.is_empty() {
            return if self.auth.key_optional { Ok(()) } else { Err(CallError::Secret) };
        }
        let (name, value) = match self.auth.scheme {
            AuthScheme::Bearer => (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {key}"))),
            AuthScheme::Header => {
                let name = self.auth.header.as_deref().unwrap_or_default();
                (HeaderName::try_from(name).map_err(|_| CallError::Secret)?, HeaderValue::from_str(key))
            }
        };
        let mut value = value.map_err(|_| CallError::Secret)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }

    fn not_served(&self, capability: Capability) -> CallError {
        CallError::NotServed { provider: self.slug.clone(), capability }
    }
}

/// An address or path with the model's name in its place.
fn with_model<'t>(template: &'t str, channel: &ChannelAddress<'_>, model: &str) -> Result<Cow<'t, str>, CallError> {
    if !template.contains(MODEL) {
        return Ok(Cow::Borrowed(template));
    }
    Ok(Cow::Owned(template.replace(MODEL, &segment(channel, model)?)))
}

/// The model as one segment of a path.
fn segment(channel: &ChannelAddress<'_>, model: &str) -> Result<String, CallError> {
    let model = if channel.strip_dots { model.replace('.', "") } else { model.to_owned() };
    // These two would climb in the path whatever stands around them.
    if matches!(model.as_str(), "" | "." | "..") {
        return Err(CallError::Model);
    }
    Ok(utf8_percent_encode(&model, SEGMENT).to_string())
}

/// The version to use: the caller's, the channel's, the provider's.
fn version<'a>(versions: &'a Versions, channel: &ChannelAddress<'a>, client: &ClientHints<'a>) -> Result<&'a str, CallError> {
    let from_client = client.query.and_then(|query| {
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == versions.query).map(|(_, value)| value))
    });
    let named = |text: Option<&'a str>| text.map(str::trim).filter(|text| !text.is_empty());
    let fits = |text: &str| {
        text.len() <= MAX_VERSION_BYTES
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    if let Some(version) = named(from_client) {
        return if fits(version) { Ok(version) } else { Err(CallError::CallerVersion) };
    }
    let version = named(channel.api_version).unwrap_or(&versions.default);
    if fits(version) { Ok(version) } else { Err(CallError::Version) }
}

#[cfg(test)]
mod tests;
