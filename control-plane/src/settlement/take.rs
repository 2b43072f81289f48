//! What of a relay's reports is to be settled: from the cursor on, up to the first gap. Pure.

use sluice_domain::{AccountId, Record, RequestRecord, UnixMillis};

use super::store::Cursor;
use super::{Batch, Counts, Incoming, MAX_RECORDS, Settled};

/// What of the batches is to be settled now.
pub(super) struct Taken<'a> {
    pub(super) first_seq: i64,
    pub(super) next_seq: i64,
    pub(super) records: Vec<TakenRecord<'a>>,
    pub(super) duplicates: u64,
    pub(super) has_gap: bool,
    pub(super) ends: bool,
}

pub(super) struct TakenRecord<'a> {
    pub(super) seq: i64,
    pub(super) sent_at: UnixMillis,
    pub(super) record: &'a Incoming,
}

/// Takes the records from the cursor on, up to the first gap.
pub(super) fn take(cursor: Cursor, batches: &[Batch]) -> Taken<'_> {
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
        taken.ends |= batch.epoch_ended && end == taken.next_seq && !cursor.ended;
    }
    taken
}

impl<'a> Taken<'a> {
    pub(super) fn requests(&self) -> impl Iterator<Item = &'a RequestRecord> + '_ {
        self.records.iter().filter_map(|taken| request_of(taken.record))
    }

    pub(super) fn into_settled(self, cursor: Cursor, counts: Counts, richer: Vec<AccountId>) -> Settled {
        let counts = Counts { duplicates: self.duplicates, ..counts };
        Settled { next_seq: cursor.next_seq, has_gap: self.has_gap, counts, richer }
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
