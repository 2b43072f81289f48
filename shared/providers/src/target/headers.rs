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
        let known: Option<Vec<Value>> =
            body.get("anthropic_beta").map_or(Some(Vec::new()), |raw| serde_json::from_slice(raw).ok());
        let Some(mut all) = known else { return };
        let count = all.len();
        for beta in self::betas(client).into_iter().map(Value::from) {
            if !all.contains(&beta) {
                all.push(beta);
            }
        }
        if all.is_empty() {
            body.remove("anthropic_beta");
        } else if all.len() > count {
            body.set("anthropic_beta", Value::Array(all).to_string());
        }
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
            let betas = if capability.is_anthropic() { betas(client).join(",") } else { String::new() };
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

/// The caller's features and those the body needs, each once. A value of the caller's that is no text has none.
fn betas<'a>(client: &ClientHints<'a>) -> Vec<&'a str> {
    let own = client.anthropic_beta.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut all = Vec::new();
    for feature in own.split(',').chain(client.betas.iter().copied()).map(str::trim) {
        if !feature.is_empty() && !all.contains(&feature) {
            all.push(feature);
        }
    }
    all
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
