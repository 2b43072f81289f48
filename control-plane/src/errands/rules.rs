//! What an errand is for, with which key and model, and what may come of it. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluice_billing::{ModelPrice, Rate, Ratio, price, standing_surcharge};
use sluice_domain::{ChannelKeyId, ModelName, Quota, Status, UnixMillis, Usage};
use sluice_providers::Probe;

use super::{Errand, usual_model};
use crate::channels::Channel;
use crate::http::ApiError;

/// The interface by which conversations are tried.
const CHAT: &str = "/v1/chat/completions";

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A model is asked something short.
    Test,
    /// The upstream's list of models is fetched.
    Models,
    /// It is asked what is left of the money.
    Balance,
}

impl Kind {
    /// The word in the database and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Models => "models",
            Self::Balance => "balance",
        }
    }

    /// The kind of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Test, Self::Models, Self::Balance].into_iter().find(|kind| kind.as_str() == word)
    }

    /// What the audit trail calls it.
    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Test => "channels.test",
            Self::Models => "channels.models",
            Self::Balance => "channels.balance",
        }
    }
}

/// What somebody wants tried with a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What.
    pub kind: Kind,
    /// With this key; left out: the first in use.
    pub key: Option<ChannelKeyId>,
    /// With each key.
    pub all_keys: bool,
    /// With this model; left out: the channel's usual one.
    pub model: Option<String>,
}

impl Wish {
    /// A test of a channel's usual model with its first key in use.
    #[must_use]
    pub const fn test() -> Self {
        Self { kind: Kind::Test, key: None, all_keys: false, model: None }
    }
}

/// What came of an errand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Whether it brought what was asked for.
    pub ok: bool,
    /// The HTTP status the upstream answered with; 0: it did not answer.
    pub status: i32,
    /// What went wrong, as a word of ours.
    pub error: Option<String>,
    /// The upstream's `type` of error.
    pub error_type: Option<String>,
    /// The upstream's `code` of error.
    pub error_code: Option<String>,
    /// What went wrong, for people.
    pub message: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: i64,
    /// How long the beginning of a good answer took, in milliseconds.
    pub first_byte_ms: Option<i64>,
    /// What a test used.
    pub usage: Usage,
    /// What a caller would have paid for a test at the model's price and a ratio of 1, in quota; `None`: the model has no price.
    pub quota: Option<i64>,
    /// The names in a list of models.
    pub models: Option<Vec<String>>,
    /// A balance, as decimal text.
    pub amount: Option<String>,
    /// Its currency, in three letters.
    pub currency: Option<String>,
}

impl Outcome {
    /// Of an errand that no relay took, or told anything of.
    pub(super) fn not_run() -> Self {
        Self {
            error: Some("not_run".to_owned()),
            message: Some("no relay took it in time, or none told what came of it".to_owned()),
            ..Self::default()
        }
    }
}

/// What a caller would have paid for a test, in quota. Nobody pays it: it says what tests cost the site.
pub(super) fn worth(channel: &Channel, model: &str, usage: &Usage, of_model: Arc<ModelPrice>) -> Option<i64> {
    let rate = Rate { channel_cache_read_ratio: channel.cache_read_ratio, ..Rate::new(of_model, Ratio::ONE) };
    let asks_chat = Probe::of(upstream_model(channel, model)) == Probe::Chat;
    let surcharge = standing_surcharge(CHAT, model).filter(|_| asks_chat);
    price(&rate, usage, surcharge.as_slice()).ok().map(Quota::get)
}

/// A model by its upstream's name.
fn upstream_model<'c>(channel: &'c Channel, model: &'c str) -> &'c str {
    channel.model_mapping.get(model).map_or(model, String::as_str)
}

/// The errands that fulfil a wish: one, or one for each key.
pub(super) fn errands(channel: &Channel, wish: &Wish) -> Result<Vec<Errand>, ApiError> {
    let model = match wish.kind {
        Kind::Test => Some(model(channel, wish.model.as_deref())?),
        Kind::Models | Kind::Balance => None,
    };
    let errand = |key: Option<ChannelKeyId>| Errand {
        id: 0,
        kind: wish.kind,
        channel: channel.id,
        key,
        model: model.clone(),
        config_seq: 0,
        asked_by: None,
        asked_at: UnixMillis(0),
        node: None,
        done_at: None,
        outcome: None,
    };
    if let Some(key) = wish.key {
        if !channel.keys.iter().any(|one| one.id == key) {
            return Err(ApiError::field("key_id", "unknown", "must be the id of one of the channel's keys"));
        }
        return Ok(vec![errand(Some(key))]);
    }
    if wish.all_keys && !channel.keys.is_empty() {
        return Ok(channel.keys.iter().map(|key| errand(Some(key.id))).collect());
    }
    Ok(vec![errand(usual_key(channel))])
}

/// The first key in use, else the first that was switched off by itself, else the first.
fn usual_key(channel: &Channel) -> Option<ChannelKeyId> {
    let first = |status: Status| channel.keys.iter().find(|key| key.status == status);
    let key = first(Status::Enabled).or_else(|| first(Status::AutoDisabled)).or_else(|| channel.keys.first());
    key.map(|key| key.id)
}

fn model(channel: &Channel, wanted: Option<&str>) -> Result<String, ApiError> {
    let wrong = |code, detail| ApiError::field("model", code, detail);
    let model = match wanted {
        Some(name) => ModelName::parse(name).map_err(|error| wrong("name", format!("{error}")))?.to_string(),
        None => usual_model(channel).ok_or_else(|| wrong("required", "is required: the channel has no models".to_owned()))?,
    };
    if Probe::of(upstream_model(channel, &model)) == Probe::Images {
        let detail = "makes images, and is not tested: it would cost what an image does";
        return Err(wrong("not_tested", detail.to_owned()));
    }
    Ok(model)
}
