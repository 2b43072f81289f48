//! The log that is told, of this epoch or of an earlier one, and how it stands.

use sluice_domain::{Epoch, LeaseId};
use sluice_rpc::usage::{self, LeaseEffect};

use super::course::{Event, Sought, Standing};
use crate::spool::{Batch, BatchLimits, CurrentLog, Disk, EarlierLog, ReadError, Spool, SystemDisk};

/// A log in hand. Everything but [`Log::settled`] and [`Log::ended`] blocks on the disk.
#[derive(Debug)]
pub enum Log<D: Disk = SystemDisk> {
    /// Of an earlier epoch.
    Earlier(Box<EarlierLog<D>>),
    /// Of this one.
    Current(CurrentLog<D>),
}

impl<D: Disk> Log<D> {
    /// Takes the log of an epoch out of those that were listed, or that of this epoch.
    pub fn take_up(epoch: Epoch, listed: &mut Vec<EarlierLog<D>>, spool: &Spool<D>) -> Option<Self> {
        if epoch == spool.epoch() {
            return Some(Self::Current(spool.current()));
        }
        let place = listed.iter().position(|log| log.epoch() == epoch)?;
        Some(Self::Earlier(Box::new(listed.remove(place))))
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Earlier(log) => log.epoch(),
            Self::Current(log) => log.epoch(),
        }
    }

    /// Goes to a record.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn seek(&mut self, seq: u64) -> Result<Event, ReadError> {
        let sought = match self {
            Self::Earlier(log) => log.seek(seq),
            Self::Current(log) => log.seek(seq),
        };
        match sought {
            Ok(()) => Ok(Event::Sought(Sought::There)),
            Err(ReadError::Gone { oldest, wanted, .. }) if oldest > wanted => Ok(Event::Sought(Sought::Gone { oldest })),
            Err(error) => Err(error),
        }
    }

    /// The next records.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read(&mut self, limits: BatchLimits) -> Result<Event, ReadError> {
        let batch = match self {
            Self::Earlier(log) => log.next_batch(limits),
            Self::Current(log) => log.next_batch(limits),
        };
        batch.map(Event::Read)
    }

    /// Makes it fit what the control plane settled of it.
    ///
    /// # Errors
    /// When the disk refuses, or the number is absurd.
    pub fn mend(&mut self, below: u64) -> Result<Event, ReadError> {
        if let Self::Earlier(log) = self {
            log.settled_below(below)?;
        }
        Ok(Event::Mended(self.standing()))
    }

    /// Waits until there is more to read, which of an earlier epoch there never is.
    pub async fn wait(&self) {
        match self {
            Self::Earlier(_) => std::future::pending().await,
            Self::Current(log) => log.wait().await,
        }
    }

    /// Whether everything that was written to it so far is settled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Earlier(log) => log.acked_below() >= log.end_seq(),
            Self::Current(log) => log.is_settled(),
        }
    }

    /// These records of it are settled.
    pub fn settled(&mut self, batch: &Batch) {
        match self {
            Self::Earlier(log) => log.acked(batch),
            Self::Current(log) => log.acked(batch),
        }
    }

    /// It is settled to its end.
    pub fn ended(&mut self) {
        match self {
            Self::Earlier(log) => log.ended(),
            Self::Current(log) => log.ended(),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self {
            Self::Earlier(log) => standing_of(log),
            Self::Current(log) => {
                Standing { epoch: log.epoch(), acked_below: log.acked_below(), end: None, is_damaged: false, must_ask: false }
            }
        }
    }
}

/// How the log of an earlier epoch stands.
#[must_use]
pub fn standing_of<D: Disk>(log: &EarlierLog<D>) -> Standing {
    Standing {
        epoch: log.epoch(),
        acked_below: log.acked_below(),
        end: Some(log.end_seq()),
        is_damaged: log.is_damaged(),
        must_ask: log.must_ask(),
    }
}

/// The newest earlier life that is kept, and its end. One that is not at its end is reported anyway.
#[must_use]
pub fn last_ended<D: Disk>(spool: &Spool<D>) -> Option<(Epoch, u64)> {
    let last = spool.retained().pop().filter(EarlierLog::has_ended)?;
    (last.end_seq() > 1).then(|| (last.epoch(), last.end_seq()))
}

/// The leases that a batch closes.
pub fn closed_in(batch: &Batch) -> impl Iterator<Item = LeaseId> {
    batch.records.iter().filter_map(|body| match usage::lease_effect(body) {
        Ok(LeaseEffect::Closes(lease)) => Some(lease),
        _ => None,
    })
}
