//! What goes into a course, and what comes out.

use std::sync::Arc;
use std::time::Duration;

use sluice_domain::Epoch;

use crate::spool::Batch;

/// How a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its epoch.
    pub epoch: Epoch,
    /// The sequence below which it is settled; at least 1.
    pub acked_below: u64,
    /// The sequence after its last record; `None`: it is the log of this epoch, and grows.
    pub end: Option<u64>,
    /// Whether records of it are lost.
    pub is_damaged: bool,
    /// Whether the control plane has to be asked how far it was settled before any of it is told.
    pub must_ask: bool,
}

/// What is to be done, and then awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a course goes on only when its steps are done"]
pub struct Step {
    /// To be done in this order.
    pub deeds: Vec<Deed>,
    /// What is awaited after it.
    pub awaits: Await,
}

/// Something to do that nothing is awaited of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// What is said from here on goes over another stream, and answers on this one are not heard any more.
    BeginAnew,
    /// The log of this epoch is in hand from here on.
    TakeUp(Epoch),
    /// To be said.
    Say(Said),
    /// Of the log in hand these are settled.
    Settled(Arc<Batch>),
    /// The log in hand is settled to its end, and the control plane knows that it is one.
    Ended,
    /// The log in hand cannot be read, and stays open.
    Left,
    /// The log of this epoch cannot be read, and is left alone for a while.
    LeftAlone,
    /// So many records of an epoch are asked for again and not kept any more.
    Gone {
        /// The epoch.
        epoch: Epoch,
        /// How many.
        count: u64,
    },
    /// The control plane's database went back to the past: everything that is kept is told again.
    WentBack {
        /// The epoch that showed it.
        epoch: Epoch,
        /// The record that is asked for.
        asked: u64,
        /// Everything below was settled.
        settled_below: u64,
    },
    /// Everything that is kept is settled in the history that the control plane is in.
    CaughtUp,
}

/// A message about an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The epoch.
    pub epoch: Epoch,
    /// The sequence of its first record, or of the next one.
    pub first_seq: u64,
    /// What it says.
    pub what: What,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These records.
    Records(Arc<Batch>),
    /// So many records are gone.
    Gone(usize),
    /// Nothing follows in this epoch.
    End {
        /// Whether records of it are lost.
        is_damaged: bool,
    },
    /// Everything before was settled, in the history that is noted beside the spool.
    SettledBelow,
    /// Nothing.
    Nothing,
}

/// What is awaited, one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Await {
    /// The logs of earlier epochs, oldest first: [`Event::Logs`].
    Logs {
        /// All that are kept, or those that are not settled to their end.
        all: bool,
    },
    /// The newest earlier epoch, if it is settled to its end: [`Event::LastEnded`].
    LastEnded,
    /// The log in hand is at this record: [`Event::Sought`].
    Sought(u64),
    /// The log in hand fits what was settled of it: [`Event::Mended`].
    Mended {
        /// Everything below was settled.
        below: u64,
    },
    /// The next records of the log in hand: [`Event::Read`].
    Read,
    /// The next answer: [`Event::Answered`].
    Answer,
    /// The control plane knows which leases are held: [`Event::Greeted`].
    Greeting,
    /// Whether nothing will be written any more and everything is settled: [`Event::Over`].
    WhetherOver,
    /// There are records to read, or nothing will be written any more: [`Event::More`]; or nothing of that for so long: [`Event::Quiet`].
    More {
        /// How long.
        at_most: Duration,
    },
    /// The moment until which the next records wait for others, unless nothing will be written any more: [`Event::Rested`].
    Company {
        /// The moment.
        until: Duration,
    },
    /// So much time passes: [`Event::Rested`].
    Rest(Duration),
    /// The connection is to be given up.
    Break,
    /// Nothing, for ever.
    Nothing,
}

/// What came of what was awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// How these logs stand.
    Logs(Vec<Standing>),
    /// An epoch and the sequence after its last record; `None`: there is none, or it has no records.
    LastEnded(Option<(Epoch, u64)>),
    /// Where the log in hand is.
    Sought(Sought),
    /// How the log in hand stands after it.
    Mended(Standing),
    /// Records; `None`: there are none for the moment.
    Read(Option<Batch>),
    /// The log in hand cannot be read.
    Unreadable,
    /// An answer about an epoch.
    Answered(Epoch, Verdict),
    /// The control plane knows which leases are held.
    Greeted,
    /// Whether this epoch is over.
    Over(bool),
    /// There is more to tell, or an end.
    More,
    /// There was nothing to tell for a while.
    Quiet,
    /// The time has passed.
    Rested,
}

/// Where a log is that was to go to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// At it.
    There,
    /// It is not kept any more.
    Gone {
        /// The oldest record that is.
        oldest: u64,
    },
}

/// What the control plane says about what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything below is settled.
    Acked {
        /// The sequence.
        below: u64,
        /// Whether the epoch is over there.
        has_ended: bool,
    },
    /// There is a gap: go on from here.
    Expect(u64),
}
