//! What a relay reports: one record per finished request, and one per closed lease.

use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::id::{AccountId, ChannelId, ChannelKeyId, LeaseId, RequestId, TokenId, UserId};
use crate::name::{GroupName, ModelName};
use crate::outcome::{Dialect, Outcome};
use crate::quota::Quota;
use crate::usage::Usage;

/// One line of a relay's report. Records of one epoch are numbered from 1 without gap.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A request ended.
    Request(Box<RequestRecord>),
    /// A lease is used no more; every record that charges it came earlier.
    LeaseClosed(LeaseId),
}

/// One finished request: who, what, how it went, what it consumed and who pays.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRecord {
    /// Names the request everywhere.
    pub request_id: RequestId,
    /// Who pays.
    pub user_id: UserId,
    /// The token it came with.
    pub token_id: TokenId,
    /// What each lease pays; per account the sum is `quota`.
    pub charges: Vec<LeaseCharge>,
    /// The relay's figure. The control plane charges what it computes itself.
    pub quota: Quota,
    /// What was held for it.
    pub held: Quota,
    /// History of the config it was priced with.
    pub config_lineage: Arc<str>,
    /// Version of the config it was priced with.
    pub config_seq: i64,
    /// Model the caller asked for; price and log go by it.
    pub model: ModelName,
    /// Model the upstream was asked for.
    pub upstream_model: String,
    /// Group whose ratio applies.
    pub group: GroupName,
    /// Channel that answered, or was tried last.
    pub channel_id: Option<ChannelId>,
    /// What it consumed.
    pub usage: Usage,
    /// The usage is the relay's estimate: the upstream reported none.
    pub usage_estimated: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// Code of the error the caller got; empty when none.
    pub error_code: String,
    /// Status the caller got; 0 when none was sent.
    pub status: u16,
    /// Protocol of the caller.
    pub dialect: Dialect,
    /// Path of the interface, without query.
    pub path: String,
    /// Whether the answer was asked for as a stream.
    pub stream: bool,
    /// When it came in.
    pub started_at: UnixMillis,
    /// How long it took.
    pub total_millis: u64,
    /// To the first byte from the upstream.
    pub first_byte_millis: Option<u64>,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
    /// Where the caller was; empty when unknown.
    pub client_ip: String,
    /// The upstream's own name for it; empty when it gave none.
    pub upstream_request_id: String,
    /// The output limit that was sent upstream for each answer, in tokens, because the balance covered no more. `None`: the caller's
    /// own request went upstream.
    pub output_limit: Option<u32>,
}

/// The part of a request's price that one lease pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseCharge {
    /// The lease.
    pub lease_id: LeaseId,
    /// Its account.
    pub account_id: AccountId,
    /// How much. Above what was left in the lease it is debt.
    pub amount: Quota,
}

/// One try at one channel with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The channel.
    pub channel_id: ChannelId,
    /// The key of that channel.
    pub channel_key_id: ChannelKeyId,
    /// Status of the upstream; 0 when it did not answer.
    pub status: u16,
    /// What went wrong; empty when the answer was used.
    pub error: String,
    /// How long it took to know.
    pub millis: u64,
}
