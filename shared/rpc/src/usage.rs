//! Usage records: domain ⇄ messages ⇄ bytes (the spool keeps the same bytes that are sent).

use prost::Message;
use sluice_domain::{
    AccountId, Attempt, ChannelId, ChannelKeyId, Dialect, LeaseCharge, LeaseId, Outcome, Quota, Record, RequestId, RequestRecord,
    TokenId, UnixMillis, Usage, UserId,
};

use crate::error::Malformed;
use crate::pb;
use crate::resource::{group_name, model_name};

/// A record as bytes.
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    to_pb(record).encode_to_vec()
}

/// The record of a request as bytes, the same as [`encode`] makes of it.
#[must_use]
pub fn encode_request(request: &RequestRecord) -> Vec<u8> {
    use pb::usage_record::Record as Form;
    pb::UsageRecord { record: Some(Form::Settled(request_to_pb(request))) }.encode_to_vec()
}

/// Reads a record from bytes.
///
/// # Errors
/// When the bytes are not a record or a field breaks its rule.
pub fn decode(bytes: &[u8]) -> Result<Record, Malformed> {
    from_pb(pb::UsageRecord::decode(bytes).map_err(Malformed::at("record"))?)
}

/// Bytes of a record as the message they are, unchecked: what was spooled is sent as it is.
///
/// # Errors
/// When the bytes are not a record.
pub fn message_of(bytes: &[u8]) -> Result<pb::UsageRecord, Malformed> {
    pb::UsageRecord::decode(bytes).map_err(Malformed::at("record"))
}

/// The message that stands for a record its relay does not keep any more.
#[must_use]
pub const fn gone() -> pb::UsageRecord {
    pb::UsageRecord { record: Some(pb::usage_record::Record::Gone(pb::RecordGone {})) }
}

/// What a record does to leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseEffect {
    /// It charges these parts; none is common, too.
    Charges(Vec<LeaseCharge>),
    /// It closes a lease.
    Closes(LeaseId),
}

/// Reads of a record only what it does to leases: a relay that recovers its spool looks at every record of it.
///
/// # Errors
/// When the bytes are not a record or an amount is out of range.
pub fn lease_effect(bytes: &[u8]) -> Result<LeaseEffect, Malformed> {
    let Effect { settled, closed } = Effect::decode(bytes).map_err(Malformed::at("record"))?;
    if let Some(closed) = closed {
        return Ok(LeaseEffect::Closes(LeaseId::new(closed.lease_id)));
    }
    let charges = settled.unwrap_or_default().charges;
    charges.iter().map(charge_from_pb).collect::<Result<_, _>>().map(LeaseEffect::Charges)
}

/// `pb::UsageRecord` with the fields that matter to leases; everything else is skipped.
#[derive(Clone, PartialEq, Message)]
struct Effect {
    #[prost(message, optional, tag = "1")]
    settled: Option<Charges>,
    #[prost(message, optional, tag = "2")]
    closed: Option<pb::LeaseClosed>,
}

/// The same of `pb::RequestSettled`.
#[derive(Clone, PartialEq, Message)]
struct Charges {
    #[prost(message, repeated, tag = "4")]
    charges: Vec<pb::LeaseCharge>,
}

/// A record as a message.
#[must_use]
pub fn to_pb(record: &Record) -> pb::UsageRecord {
    use pb::usage_record::Record as Form;
    let form = match record {
        Record::Request(request) => Form::Settled(request_to_pb(request)),
        Record::LeaseClosed(lease) => Form::LeaseClosed(pb::LeaseClosed { lease_id: lease.get() }),
    };
    pb::UsageRecord { record: Some(form) }
}

/// Reads a record.
///
/// # Errors
/// When it is of a later version or a field breaks its rule.
pub fn from_pb(record: pb::UsageRecord) -> Result<Record, Malformed> {
    use pb::usage_record::Record as Form;
    match record.record {
        Some(Form::Settled(request)) => Ok(Record::Request(Box::new(request_from_pb(request)?))),
        Some(Form::LeaseClosed(closed)) => Ok(Record::LeaseClosed(LeaseId::new(closed.lease_id))),
        Some(Form::Gone(pb::RecordGone {})) => Err(Malformed::new("record", "is not kept by its relay any more")),
        None => Err(Malformed::new("record", "is of a later version")),
    }
}

fn request_to_pb(request: &RequestRecord) -> pb::RequestSettled {
    pb::RequestSettled {
        request_id: request.request_id.to_string(),
        user_id: request.user_id.get(),
        token_id: request.token_id.get(),
        charges: request.charges.iter().map(charge_to_pb).collect(),
        quota: request.quota.get(),
        held: request.held.get(),
        config: Some(pb::Version { lineage: request.config_lineage.to_string(), seq: request.config_seq }),
        model: request.model.to_string(),
        upstream_model: request.upstream_model.clone(),
        group: request.group.to_string(),
        channel_id: request.channel_id.map_or(0, ChannelId::get),
        usage: Some(counters_to_pb(&request.usage)),
        usage_estimated: request.usage_estimated,
        outcome: request.outcome.as_str().into(),
        error_code: request.error_code.clone(),
        status: request.status.into(),
        dialect: request.dialect.as_str().into(),
        path: request.path.clone(),
        stream: request.stream,
        started_at_ms: request.started_at.0,
        total_ms: signed(request.total_millis),
        first_byte_ms: request.first_byte_millis.map_or(-1, signed),
        attempts: request.attempts.iter().map(attempt_to_pb).collect(),
        client_ip: request.client_ip.clone(),
        upstream_request_id: request.upstream_request_id.clone(),
        output_limit: request.output_limit.map_or(0, i64::from),
    }
}

fn request_from_pb(request: pb::RequestSettled) -> Result<RequestRecord, Malformed> {
    let config = request.config.unwrap_or_default();
    let later = |field| Malformed::new(field, "is a word of a later version");
    Ok(RequestRecord {
        request_id: RequestId::parse(&request.request_id).map_err(Malformed::at("request_id"))?,
        user_id: UserId::new(request.user_id),
        token_id: TokenId::new(request.token_id),
        charges: request.charges.iter().map(charge_from_pb).collect::<Result<_, _>>()?,
        quota: quota("quota", request.quota)?,
        held: quota("held", request.held)?,
        config_lineage: config.lineage.into(),
        config_seq: config.seq,
        model: model_name("model", &request.model)?,
        upstream_model: request.upstream_model,
        group: group_name("group", &request.group)?,
        channel_id: (request.channel_id != 0).then_some(ChannelId::new(request.channel_id)),
        usage: counters_from_pb(&request.usage.unwrap_or_default()),
        usage_estimated: request.usage_estimated,
        outcome: Outcome::from_word(&request.outcome).ok_or_else(|| later("outcome"))?,
        error_code: request.error_code,
        status: u16::try_from(request.status).map_err(Malformed::at("status"))?,
        dialect: Dialect::from_word(&request.dialect).ok_or_else(|| later("dialect"))?,
        path: request.path,
        stream: request.stream,
        started_at: UnixMillis(request.started_at_ms),
        total_millis: u64::try_from(request.total_ms).map_err(Malformed::at("total_ms"))?,
        first_byte_millis: u64::try_from(request.first_byte_ms).ok(),
        attempts: request.attempts.into_iter().map(attempt_from_pb).collect::<Result<_, _>>()?,
        client_ip: request.client_ip,
        upstream_request_id: request.upstream_request_id,
        output_limit: u32::try_from(request.output_limit).ok().filter(|limit| *limit > 0),
    })
}

fn charge_to_pb(charge: &LeaseCharge) -> pb::LeaseCharge {
    pb::LeaseCharge { lease_id: charge.lease_id.get(), account_id: charge.account_id.get(), amount: charge.amount.get() }
}

fn charge_from_pb(charge: &pb::LeaseCharge) -> Result<LeaseCharge, Malformed> {
    Ok(LeaseCharge {
        lease_id: LeaseId::new(charge.lease_id),
        account_id: AccountId::new(charge.account_id),
        amount: quota("charges.amount", charge.amount)?,
    })
}

fn attempt_to_pb(attempt: &Attempt) -> pb::Attempt {
    pb::Attempt {
        channel_id: attempt.channel_id.get(),
        channel_key_id: attempt.channel_key_id.get(),
        status: attempt.status.into(),
        error: attempt.error.clone(),
        millis: signed(attempt.millis),
    }
}

fn attempt_from_pb(attempt: pb::Attempt) -> Result<Attempt, Malformed> {
    Ok(Attempt {
        channel_id: ChannelId::new(attempt.channel_id),
        channel_key_id: ChannelKeyId::new(attempt.channel_key_id),
        status: u16::try_from(attempt.status).map_err(Malformed::at("attempts.status"))?,
        error: attempt.error,
        millis: u64::try_from(attempt.millis).map_err(Malformed::at("attempts.millis"))?,
    })
}

/// Usage counters as a message.
#[must_use]
pub fn counters_to_pb(usage: &Usage) -> pb::UsageCounters {
    pb::UsageCounters {
        input: usage.input,
        output: usage.output,
        reasoning: usage.reasoning,
        cache_read: usage.cache_read,
        cache_write_5m: usage.cache_write_5m,
        cache_write_1h: usage.cache_write_1h,
        image_input: usage.image_input,
        audio_input: usage.audio_input,
        audio_output: usage.audio_output,
    }
}

/// Reads usage counters. Whether they are plausible is for settlement to judge.
#[must_use]
pub fn counters_from_pb(usage: &pb::UsageCounters) -> Usage {
    Usage {
        input: usage.input,
        output: usage.output,
        reasoning: usage.reasoning,
        cache_read: usage.cache_read,
        cache_write_5m: usage.cache_write_5m,
        cache_write_1h: usage.cache_write_1h,
        image_input: usage.image_input,
        audio_input: usage.audio_input,
        audio_output: usage.audio_output,
    }
}

fn quota(field: &'static str, units: i64) -> Result<Quota, Malformed> {
    Quota::new(units).map_err(Malformed::at(field))
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
