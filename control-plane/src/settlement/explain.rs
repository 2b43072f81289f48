//! How the price of a settled request came about, told again on demand.
//!
//! Only the attempts and a lowered limit are stored: the formula follows from the request's row and the rates of its config version.

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use sluice_billing::{Formula, explain, standing_surcharge};
use sluice_domain::{ChannelId, RequestRecord, Usage};

use super::rates::Rates;
use crate::db::Db;

/// Attempts told per request; a request makes at most a dozen.
const MAX_ATTEMPTS: usize = 12;

/// What is kept of a request for some days besides its row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Every attempt, in order.
    pub attempts: Vec<AttemptLine>,
    /// The output limit that was sent upstream for each answer, in tokens, because the balance covered no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<u32>,
}

/// One try at one channel with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptLine {
    /// The channel.
    pub channel_id: i64,
    /// The key of that channel.
    pub channel_key_id: i64,
    /// Status of the upstream; 0 when it did not answer.
    pub status: u16,
    /// What went wrong; empty when the answer was used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// How long it took to know, in milliseconds.
    pub millis: u64,
}

/// What is kept of a record; `None` when it says no more than the request's row.
pub(super) fn explanation(record: &RequestRecord) -> Option<String> {
    if record.attempts.is_empty() && record.output_limit.is_none() {
        return None;
    }
    let line = |attempt: &sluice_domain::Attempt| AttemptLine {
        channel_id: attempt.channel_id.get(),
        channel_key_id: attempt.channel_key_id.get(),
        status: attempt.status,
        error: attempt.error.chars().filter(|c| !c.is_control()).take(64).collect(),
        millis: attempt.millis,
    };
    let attempts = record.attempts.iter().take(MAX_ATTEMPTS).map(line).collect();
    serde_json::to_string(&Explanation { attempts, output_limit: record.output_limit }).ok()
}

/// What of a request's row its price follows from.
#[derive(Debug, Clone, Copy)]
pub struct Priced<'a> {
    /// The config version.
    pub config_seq: i64,
    /// The model asked for.
    pub model: &'a str,
    /// The path of the interface.
    pub path: &'a str,
    /// The group.
    pub group: &'a str,
    /// The channel that answered.
    pub channel: Option<ChannelId>,
    /// What was consumed.
    pub usage: Usage,
}

/// The formula of a settled request. `None` when its rates are not kept any more.
///
/// # Errors
/// When the database is away.
pub async fn formula(db: &Db, rates: &Rates, request: Priced<'_>) -> Result<Option<Formula>, DbErr> {
    rates.load(db, request.config_seq).await?;
    let rate = rates.rate(request.config_seq, request.model, request.group, request.channel).ok();
    let surcharge = standing_surcharge(request.path, request.model);
    Ok(rate.and_then(|rate| explain(&rate, &request.usage, surcharge.as_slice()).ok()))
}
