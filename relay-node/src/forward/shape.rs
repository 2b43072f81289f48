//! What a channel's settings make of requests and answers: worked out once for a channel, followed for each attempt.
//!
//! A body is written in the upstream's dialect (or passes), its provider's hooks change it, fields that the channel does not send are taken
//! out, and last its rules are followed. Nothing is read or written again for a channel without rules.

use bytes::Bytes;
use http::HeaderMap;
use memchr::memmem;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde_json::{Map, Value};
use sluice_dialect::exchange::{Instructions, Manner, Rank};
use sluice_dialect::json::Fields;
use sluice_dialect::loss::{Field, LossPolicy};
use sluice_domain::Dialect;
use sluice_providers::{FieldName, HeaderOverride, OverrideContext, ParamOverride, Target};
use sluice_routing::Plan;
use sluice_snapshot::{ChannelSettings, OnLoss, SystemPromptMode};
use sluice_upstream::{ProxyUrl, Route};

use super::address::NoPlace;
use super::failure::Failure;
use super::seen::Fault;
use super::{Hints, Journey};
use crate::error::Refusal;

/// What is said of a body that was read or written as an object before.
const UNREAD: &str = "the request for the channel could not be read again";

/// What a channel's settings make of requests and answers.
#[derive(Debug)]
pub(super) struct Shape {
    manner: Manner,
    losses: LossPolicy,
    params: ParamOverride,
    headers: HeaderOverride,
    fields: Vec<(FieldName, String)>,
    route: Route,
    media_proxy: Option<ProxyUrl>,
}

impl Shape {
    /// Judges a channel's settings.
    pub(super) fn of(settings: &ChannelSettings) -> Result<Self, NoPlace> {
        let proxy = |text: &Option<String>| text.as_deref().map(ProxyUrl::parse).transpose().map_err(NoPlace::Proxy);
        Ok(Self {
            manner: manner(settings),
            losses: losses(settings),
            params: ParamOverride::compile(&settings.param_override).map_err(NoPlace::Params)?,
            headers: HeaderOverride::compile(&settings.header_override).map_err(NoPlace::Headers)?,
            fields: settings.fields.iter().filter_map(|(name, value)| Some((field(name)?, value.clone()))).collect(),
            route: Route { proxy: proxy(&settings.proxy)?, ..Route::default() },
            media_proxy: proxy(&settings.media_proxy)?,
        })
    }

    /// What happens to requests and answers on the way through dialects.
    pub(super) const fn manner(&self) -> &Manner {
        &self.manner
    }

    /// What is done otherwise than usual with what has no counterpart.
    pub(super) const fn losses(&self) -> &LossPolicy {
        &self.losses
    }

    /// How its connections are made.
    pub(super) const fn route(&self) -> &Route {
        &self.route
    }

    /// What media are fetched through.
    pub(super) const fn media_proxy(&self) -> Option<&ProxyUrl> {
        self.media_proxy.as_ref()
    }

    /// A setting that its provider has.
    pub(super) fn field(&self, name: FieldName) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All such settings.
    pub(super) fn fields(&self) -> Vec<(FieldName, &str)> {
        self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// A body as the channel wants it. `is_adjusted`: hooks changed it, and may have brought back what is not sent.
    pub(super) fn body(&self, body: Bytes, is_adjusted: bool, context: &OverrideContext<'_>) -> Result<Bytes, Box<Failure>> {
        let has_left_out = || self.manner.left_out.iter().any(|name| memmem::find(&body, name.as_bytes()).is_some());
        if self.params.is_empty() && !(is_adjusted && has_left_out()) {
            return Ok(body);
        }
        let unread = |error: String| Box::new(Failure::not_shaped(UNREAD, Fault::Params, error));
        let mut fields = Fields::parse(body).map_err(|error| unread(error.to_string()))?;
        for name in &self.manner.left_out {
            fields.remove(name);
        }
        if self.params.is_empty() {
            return Ok(fields.finish());
        }
        let body = fields.clone().finish();
        let before: Map<String, Value> = serde_json::from_slice(&body).map_err(|error| unread(error.to_string()))?;
        let mut after = before.clone();
        self.params.apply(&mut after, context).map_err(|error| {
            let message = "the channel's rules for bodies cannot be followed for this request";
            Failure::not_shaped(message, Fault::Params, error.to_string())
        })?;
        // what no rule changed keeps its bytes
        fields.retain(|name| after.contains_key(name), |_, _| {});
        for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(*value)) {
            fields.set(name, value.to_string());
        }
        Ok(fields.finish())
    }

    /// Puts the channel's headers on a request, and those of the caller's that it passes on.
    pub(super) fn put_headers(&self, target: &mut Target, hints: &Hints, secret: &SecretString) -> Result<(), Box<Failure>> {
        if self.headers.is_empty() {
            return Ok(());
        }
        let failed = |error: sluice_providers::HeaderOverrideError| Box::new(Failure::not_placed(NoPlace::Headers(error)));
        self.headers.apply(&mut target.headers, &hints.others, secret).map_err(failed)
    }
}

impl Journey {
    /// What a channel's rules for bodies may ask about. `model` is the upstream's name of it.
    pub(super) fn override_context<'j>(&'j self, model: &'j str) -> OverrideContext<'j> {
        OverrideContext {
            upstream_model: model,
            original_model: self.request.facts().model.as_str(),
            request_path: self.request.surface().path(),
            is_channel_test: self.is_trial,
        }
    }
}

/// What of the caller's headers has to be kept, because a channel that may be tried asks for some.
pub(super) fn wanted_headers(plan: &Plan, client: &HeaderMap) -> HeaderMap {
    let asks = plan.channels().any(|channel| HeaderOverride::reads_caller(&channel.settings.header_override));
    if asks { HeaderOverride::passable(client) } else { HeaderMap::new() }
}

/// What the caller is told of the last failure, in the words of its dialect. The channel may have another status for what its upstream said;
/// whether to try elsewhere was decided by what it said.
pub(super) fn told(failure: Failure, settings: &ChannelSettings, caller: Dialect) -> Refusal {
    let said = failure.refusal.upstream.as_ref().map_or(failure.status, |passed| passed.status);
    let is_error = |status: &u16| (400..600).contains(status);
    // what an upstream says of our key is never told as if it were about the caller's
    let may_be_told = |status: &u16| is_error(status) && (failure.refusal.upstream.is_some() || !matches!(status, 401 | 403));
    let told = settings.status_mapping.get(&said).copied().filter(|_| is_error(&said)).filter(may_be_told);
    Refusal { told_status: told, ..failure.refusal.for_caller(caller) }
}

fn manner(settings: &ChannelSettings) -> Manner {
    let instructions = settings.system_prompt.as_ref().filter(|prompt| !prompt.text.is_empty()).map(|prompt| Instructions {
        text: prompt.text.clone(),
        rank: match prompt.mode {
            SystemPromptMode::Fill => Rank::Fill,
            SystemPromptMode::Prepend => Rank::Prepend,
            SystemPromptMode::Replace => Rank::Replace,
        },
    });
    let unsent = [
        ("service_tier", !settings.allow_service_tier),
        ("safety_identifier", !settings.allow_safety_identifier),
        ("store", settings.disable_store),
    ];
    Manner {
        instructions,
        left_out: unsent.into_iter().filter_map(|(name, is_unsent)| is_unsent.then_some(name)).collect(),
        passes_body: settings.pass_through_body,
        rewrites_answers: settings.force_format,
        thinking_to_content: settings.thinking_to_content,
        media_to_markdown: settings.media_to_markdown,
    }
}

fn losses(settings: &ChannelSettings) -> LossPolicy {
    let of = |wanted: OnLoss| {
        let words = settings.losses.iter().filter(move |(_, on_loss)| **on_loss == wanted);
        words.filter_map(|(word, _)| Field::from_word(word)).collect()
    };
    LossPolicy { drop: of(OnLoss::Drop), reject: of(OnLoss::Reject) }
}

/// The setting of a name; one of a later version is none of our business.
fn field(name: &str) -> Option<FieldName> {
    let word: StrDeserializer<'_, WordError> = name.into_deserializer();
    FieldName::deserialize(word).ok()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;
    use sluice_dialect::error::UpstreamError;

    use super::*;

    fn settings(text: &Value) -> ChannelSettings {
        serde_json::from_value(text.clone()).unwrap()
    }

    fn shape(text: &Value) -> Shape {
        Shape::of(&settings(text)).unwrap()
    }

    #[test]
    fn bodies_of_channels_without_rules_are_not_read() {
        let body = Bytes::from_static(b"no JSON at all");
        let plain = shape(&json!({}));
        assert_eq!(plain.body(body.clone(), false, &OverrideContext::default()).unwrap(), body);
        assert_eq!(plain.body(body.clone(), true, &OverrideContext::default()).unwrap(), body);
    }

    #[test]
    fn what_a_hook_brought_back_is_left_out_and_rules_come_last() {
        let sent = |text: Value, adjusted| {
            let body = Bytes::from_static(br#"{"store":false,"service_tier":"auto","n":1}"#);
            String::from_utf8(shape(&text).body(body, adjusted, &OverrideContext::default()).unwrap().to_vec()).unwrap()
        };
        assert_eq!(sent(json!({"disable_store": true}), true), r#"{"n":1}"#);
        assert_eq!(sent(json!({"allow_service_tier": true}), true), r#"{"store":false,"service_tier":"auto","n":1}"#);
        assert_eq!(
            sent(json!({"param_override": {"service_tier": "flex"}}), false),
            r#"{"store":false,"n":1,"service_tier":"flex"}"#
        );
    }

    #[test]
    fn what_no_rule_changes_keeps_its_bytes() {
        let body = Bytes::from_static(br#"{"seed":12345678901234567890123,"a":{ "n" : 1.10},"b":"\u00e9","n":2}"#);
        let rules = shape(&json!({"param_override": {"n": 3, "new": true}}));
        let sent = rules.body(body, false, &OverrideContext::default()).unwrap();
        assert_eq!(sent, r#"{"seed":12345678901234567890123,"a":{ "n" : 1.10},"b":"\u00e9","n":3,"new":true}"#);
    }

    #[test]
    fn settings_that_cannot_be_followed_have_words_of_their_own() {
        for (text, word) in [
            (json!({"param_override": {"operations": [{"mode": "x"}]}}), "channel:param_override_invalid"),
            (json!({"header_override": {"re:(": ""}}), "channel:header_override_invalid"),
        ] {
            let failure = Failure::not_placed(Shape::of(&settings(&text)).unwrap_err());
            assert_eq!((failure.word, failure.evidence.unwrap().fault.unwrap().code()), (word, word));
        }
        let rules = json!({"param_override": {"operations": [{"mode": "to_lower", "path": "x"}]}});
        let failure = shape(&rules).body(Bytes::from_static(b"{}"), false, &OverrideContext::default()).unwrap_err();
        assert_eq!(failure.word, "channel:param_override_invalid");
        assert!(failure.evidence.is_none() && !failure.counts, "a caller must not be able to have a channel switched off");
        let unusable = Failure::not_placed(Shape::of(&settings(&json!({"proxy": "ftp://u:hunter2@h"}))).unwrap_err());
        assert!(!format!("{unusable:?}").contains("hunter2"));
    }

    #[test]
    fn callers_are_told_the_status_that_the_channel_has_for_an_upstreams() {
        let told = |answered: u16, mapping: Value| {
            let error = UpstreamError::read(answered, br#"{"error":{"message":"no"}}"#, &[]);
            let status = StatusCode::from_u16(answered).unwrap();
            let failure = Failure::refused(status, &HeaderMap::new(), error, &[]);
            super::told(failure, &settings(&json!({"status_mapping": mapping})), Dialect::OpenAi).status()
        };
        assert_eq!(told(404, json!({})), 404);
        assert_eq!(told(404, json!({"404": 400})), 400);
        assert_eq!(told(404, json!({"400": 422})), 404);
        assert_eq!(told(404, json!({"404": 200})), 404, "an error is never told as a success");
        assert_eq!(told(401, json!({})), 502);
        assert_eq!(told(401, json!({"401": 503})), 503);
        assert_eq!(told(401, json!({"401": 401})), 502, "the caller's key is not at fault");
    }

    #[test]
    fn fields_are_known_by_their_words() {
        let shape = shape(&json!({"fields": {"region": "eu", "of_a_later_version": "x"}}));
        assert_eq!((shape.field(FieldName::Region), shape.fields().len()), (Some("eu"), 1));
    }
}
