//! One book of leases with what hangs on its lock.

use std::collections::HashMap;

use sluice_billing::lease::{Closing, Terms};
use sluice_domain::{AccountId, UserId};
use tokio::sync::watch;

use super::LeaseBook;
use crate::spool::Spool;

/// A book, and the news about it.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) book: LeaseBook,
    /// Who the accounts in the book belong to.
    pub(super) owners: HashMap<AccountId, UserId>,
    /// Counts answers. Whoever waits for one looks again when it changes.
    answers: watch::Sender<u64>,
}

impl Shard {
    pub(super) fn new(terms: Terms) -> Self {
        Self { book: LeaseBook::new(terms), owners: HashMap::new(), answers: watch::Sender::new(0) }
    }

    /// What tells of answers from here on.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.answers.subscribe()
    }

    /// Tells everyone who waits that there is something new: an answer, or money that came back.
    pub(super) fn tell(&self) {
        if self.answers.receiver_count() > 0 {
            self.answers.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// Records closings. Call it under the lock of their shard, so that no charge of the same lease can come later.
pub(super) fn close(closings: &[Closing], spool: &Spool) {
    for closing in closings {
        spool.close_lease(closing.lease);
    }
}
