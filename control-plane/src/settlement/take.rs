//! What of a relay's reports is to be settled: from the cursor on, up to the first gap. Pure.

use std::collections::HashSet;

use sluice_domain::{AccountId, Outcome, Record, RequestRecord, UnixMillis};

use super::store::Cursor;
use super::{Batch, Counts, Incoming, MAX_RECORDS, Settled};

/// What of the batches is to be settled now.
pub struct Taken<'a> {
    /// Where it starts.
    pub first_seq: i64,
    /// Where the cursor is after it.
    pub next_seq: i64,
    /// The records.
    pub records: Vec<TakenRecord<'a>>,
    /// Records that were settled before.
    pub duplicates: u64,
    /// Whether something follows a gap.
    pub has_gap: bool,
    /// Whether the life ends with it.
    pub ends: bool,
    /// Whether records of it are lost.
    pub is_damaged: bool,
}

/// One record of it.
pub struct TakenRecord<'a> {
    /// Its number.
    pub seq: i64,
    /// The relay's clock when it sent it.
    pub sent_at: UnixMillis,
    /// The record.
    pub record: &'a Incoming,
}

/// Takes the records from the cursor on, up to the first gap.
#[must_use]
pub fn take(cursor: Cursor, batches: &[Batch]) -> Taken<'_> {
    let mut taken = Taken {
        first_seq: cursor.next_seq,
        next_seq: cursor.next_seq,
        records: Vec::new(),
        duplicates: 0,
        has_gap: false,
        ends: false,
        is_damaged: false,
    };
    for batch in batches {
        if batch.first_seq > taken.next_seq {
            taken.has_gap = true;
            break;
        }
        for (seq, record) in (batch.first_seq..).zip(&batch.records) {
            if seq < taken.next_seq {
                taken.duplicates += 1;
            } else if taken.records.len() < MAX_RECORDS {
                taken.records.push(TakenRecord { seq, sent_at: batch.sent_at, record });
                taken.next_seq = seq + 1;
            }
        }
        let end = batch.first_seq.saturating_add(i64::try_from(batch.records.len()).unwrap_or(i64::MAX));
        // a relay whose disk lost its last records ends before what was settled of it
        taken.is_damaged |= batch.is_damaged;
        taken.ends |= batch.epoch_ended && end <= taken.next_seq && !cursor.ended;
    }
    taken
}

impl<'a> Taken<'a> {
    pub(super) fn requests(&self) -> impl Iterator<Item = &'a RequestRecord> + '_ {
        self.records.iter().filter_map(|taken| request_of(taken.record))
    }

    /// Requests that a relay ended for an earlier life of its own, because it found no record of their end.
    pub(super) fn orphans(&self) -> impl Iterator<Item = &'a RequestRecord> + '_ {
        self.requests().filter(|request| request.outcome == Outcome::Orphaned)
    }

    /// Leaves out orphans whose end was settled before the disk of their relay lost it.
    pub fn leave_out(&mut self, settled: &HashSet<Orphan>) {
        let before = self.records.len();
        self.records.retain(|taken| {
            let orphan = request_of(taken.record).filter(|request| request.outcome == Outcome::Orphaned).map(orphan_of);
            !orphan.is_some_and(|orphan| settled.contains(&orphan))
        });
        self.duplicates += u64::try_from(before - self.records.len()).unwrap_or_default();
    }

    /// The answer to the relay.
    #[must_use]
    pub fn into_settled(self, cursor: Cursor, counts: Counts, richer: Vec<AccountId>) -> Settled {
        let counts = Counts { duplicates: self.duplicates, ..counts };
        let (has_gap, has_ended) = (self.has_gap, cursor.ended);
        Settled { next_seq: cursor.next_seq, has_gap, has_ended, counts, richer, ..Settled::default() }
    }
}

/// An orphan by what names it: its request, and when that began. A caller may name requests alike.
pub type Orphan = (String, i64);

pub(super) fn orphan_of(request: &RequestRecord) -> Orphan {
    (request.request_id.to_string(), request.started_at.0)
}

pub(super) fn request_of(record: &Incoming) -> Option<&RequestRecord> {
    match record {
        Incoming::Record(Record::Request(request)) => Some(request),
        _ => None,
    }
}

pub(super) fn records_of(batches: &[Batch]) -> impl Iterator<Item = (i64, UnixMillis, &Incoming)> {
    batches.iter().flat_map(|batch| (batch.first_seq..).zip(&batch.records).map(|(seq, record)| (seq, batch.sent_at, record)))
}
