//! The headers of a request.

use http::Method;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sluice_dialect::ir::Family;
use sluice_dialect::json::Fields;
use sluice_dialect::target::Host;

use super::{CallError, ChannelAddress, ClientHints};
use crate::provider::HeaderRule;
use crate::{Capability, Provider};

const OPENAI_BETA: HeaderName = HeaderName::from_static("openai-beta");
const OPENAI_ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// The version of Messages when the caller names none.
const DEFAULT_ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
/// Where clouds have the features that a request asks for.
const BODY_BETAS: &str = "anthropic_beta";

impl Provider {
    pub(super) fn headers(
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
        self.put_dialects_own(channel, capability, client, &mut headers)?;
        for rule in self.headers.iter().filter(|rule| is_streamed || !rule.when_streamed) {
            put_rule(rule, channel, &mut headers)?;
        }
        self.auth.put(channel.secret, &mut headers)?;
        Ok(headers)
    }

    /// Puts the features of a request for Messages into its body, where a cloud has them there and not in a header.
    pub fn put_betas(&self, client: &ClientHints<'_>, body: &mut Fields) {
        if self.host == Host::Own {
            return;
        }
        let said: Option<Vec<String>> = body.get(BODY_BETAS).map_or(Some(Vec::new()), |raw| serde_json::from_slice(raw).ok());
        // what is no list of names is the provider's to refuse
        let Some(said) = said else { return };
        let betas = self.betas(said.iter().map(String::as_str), client);
        if betas.is_empty() {
            body.remove(BODY_BETAS);
        } else if betas != said {
            body.set(BODY_BETAS, Value::from(betas).to_string());
        }
    }

    /// The features that are asked for, each once: the caller's in the body and the header that may be passed on, and those that the body
    /// needs. A value of the caller's that is no text has none.
    fn betas<'a>(&'a self, said: impl Iterator<Item = &'a str>, client: &ClientHints<'a>) -> Vec<&'a str> {
        let header = client.anthropic_beta.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let asked = said.chain(header.split(',').map(str::trim)).filter(|feature| !feature.is_empty());
        let passed = asked.filter_map(|feature| self.passed_beta(feature, client));
        let mut all = Vec::new();
        for feature in passed.chain(client.betas.iter().copied()) {
            if !all.contains(&feature) {
                all.push(feature);
            }
        }
        all
    }

    /// What a feature that a caller asks for is called here, if it is passed on. Clouds refuse a request for one that they do not know.
    fn passed_beta<'a>(&'a self, feature: &'a str, client: &ClientHints<'a>) -> Option<&'a str> {
        let Some(allowed) = client.allowed_betas else {
            let Some(known) = &self.betas else { return Some(feature) };
            return known.iter().find_map(|beta| beta.named(feature));
        };
        let here = self.betas.iter().flatten().find_map(|beta| beta.named(feature)).unwrap_or(feature);
        let is_allowed = allowed.split(',').map(str::trim).any(|one| one == "*" || one == here || one == feature);
        is_allowed.then_some(here)
    }

    /// Headers that belong to one dialect, and are nobody else's business.
    fn put_dialects_own(
        &self,
        channel: &ChannelAddress<'_>,
        capability: Capability,
        client: &ClientHints<'_>,
        headers: &mut HeaderMap,
    ) -> Result<(), CallError> {
        // clouds have version and features in the body
        if capability.is_gemini() || self.host != Host::Own {
            return Ok(());
        }
        if capability.is_anthropic() || self.family == Family::Anthropic {
            headers.insert(ANTHROPIC_VERSION, client.anthropic_version.cloned().unwrap_or(DEFAULT_ANTHROPIC_VERSION));
            let none = std::iter::empty();
            let betas = if capability.is_anthropic() { self.betas(none, client).join(",") } else { String::new() };
            if let Some(betas) = HeaderValue::try_from(betas).ok().filter(|betas| !betas.is_empty()) {
                headers.insert(ANTHROPIC_BETA, betas);
            }
            return Ok(());
        }
        if let Some(beta) = client.openai_beta {
            headers.insert(OPENAI_BETA, beta.clone());
        }
        if let Some(organization) = channel.organization.filter(|text| !text.is_empty()) {
            let value = HeaderValue::from_str(organization).map_err(|_| CallError::Organization)?;
            headers.insert(OPENAI_ORGANIZATION, value);
        }
        Ok(())
    }
}

fn put_rule(rule: &HeaderRule, channel: &ChannelAddress<'_>, headers: &mut HeaderMap) -> Result<(), CallError> {
    let given = rule.setting.and_then(|setting| channel.setting(setting));
    let Some(text) = given.or(rule.value.as_deref()) else { return Ok(()) };
    // The catalogue's own names and values are judged when it is read.
    let name = HeaderName::try_from(rule.name.as_str()).map_err(|_| CallError::Url)?;
    let error = rule.setting.map_or(CallError::Url, |field| CallError::Setting { field });
    headers.insert(name, HeaderValue::from_str(text).map_err(|_| error)?);
    Ok(())
}
