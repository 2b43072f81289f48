//! What of a relay's reports is to be settled: from the cursor on, up to the first gap. Pure.

use sluice_domain::{AccountId, Record, RequestRecord, UnixMillis};

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
        taken.ends |= batch.epoch_ended && end <= taken.next_seq && !cursor.ended;
    }
    taken
}

impl<'a> Taken<'a> {
    pub(super) fn requests(&self) -> impl Iterator<Item = &'a RequestRecord> + '_ {
        self.records.iter().filter_map(|taken| request_of(taken.record))
    }

    /// The answer to the relay.
    #[must_use]
    pub fn into_settled(self, cursor: Cursor, counts: Counts, richer: Vec<AccountId>) -> Settled {
        let counts = Counts { duplicates: self.duplicates, ..counts };
        Settled { next_seq: cursor.next_seq, has_gap: self.has_gap, has_ended: cursor.ended, counts, richer }
    }
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
