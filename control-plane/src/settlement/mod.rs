//! Usage that relays report, settled exactly once.
//!
//! A record is named by (node, epoch, seq). One transaction per batch locks the cursor of that node's life, drops what was settled
//! before, computes every price anew from the rates of the record's config version, moves the money, writes the request log, and
//! moves the cursor. So a batch may come as often as it likes, be cut at any byte, and meet a crash at any statement.
//!
//! [`judge`] decides, pure; [`tally`] keeps the sums, pure; [`rates`] remembers prices; [`store`] is the SQL. Start reading at
//! [`Settler::settle`].

pub mod explain;
pub(crate) mod judge;
pub mod quarantine;
pub mod rates;
mod settler;
pub(crate) mod store;
pub(crate) mod take;
pub(crate) mod tally;

use std::sync::Arc;

use sluice_domain::{AccountId, Record, UnixMillis};

pub use settler::Settler;

/// The most records settled in one transaction.
pub const MAX_RECORDS: usize = 4_000;

/// A report of one relay's life. Its records follow each other without gap.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Number of the first record.
    pub first_seq: i64,
    /// The records.
    pub records: Vec<Incoming>,
    /// The life is over, and ended with these records.
    pub epoch_ended: bool,
    /// Records of the life are lost: when it is over, what its leases paid is not known.
    pub is_damaged: bool,
    /// The relay's clock when it sent this.
    pub sent_at: UnixMillis,
}

/// A record as it came in.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// One that could be read.
    Record(Record),
    /// One that could not: it is set aside for people, and the rest goes on.
    Unreadable {
        /// The rule it breaks.
        reason: String,
        /// The record as reported, in base64.
        body: String,
    },
}

/// How far a relay's reports are settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The history of the database it was settled in.
    pub lineage: Arc<str>,
    /// Everything below this is settled.
    pub next_seq: i64,
    /// There is a gap: the relay has to go on from `next_seq`.
    pub has_gap: bool,
    /// The life is over, and everything of it is settled.
    pub has_ended: bool,
    /// What was done.
    pub counts: Counts,
    /// Accounts to which leases gave something back: relays that were told they are exhausted may ask again.
    pub richer: Vec<AccountId>,
}

/// What a relay says of its reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Everything below this was settled.
    pub below: i64,
    /// In this history of the database.
    pub lineage: Arc<str>,
}

/// What a settlement did, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests settled.
    pub requests: u64,
    /// Records that had been settled before.
    pub duplicates: u64,
    /// Requests whose price here differs from the relay's.
    pub repriced: u64,
    /// Records set aside for people.
    pub quarantined: u64,
    /// Charges on leases that were over: taken from the balance.
    pub late: u64,
    /// Leases closed.
    pub closed: u64,
    /// Quota charged to wallets.
    pub quota: u64,
    /// Write statements it took.
    pub statements: u64,
}

impl Settled {
    /// What came after it.
    fn add(&mut self, next: Self) {
        let (counts, more) = (&mut self.counts, next.counts);
        counts.requests += more.requests;
        counts.duplicates += more.duplicates;
        counts.repriced += more.repriced;
        counts.quarantined += more.quarantined;
        counts.late += more.late;
        counts.closed += more.closed;
        counts.quota += more.quota;
        counts.statements += more.statements;
        self.richer.extend(next.richer);
        self.lineage = next.lineage;
        (self.next_seq, self.has_gap, self.has_ended) = (next.next_seq, next.has_gap, next.has_ended);
    }
}
