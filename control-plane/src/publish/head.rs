//! How far a history of configuration is, and whose transactions led there.

use sluice_snapshot::Version;

/// Random bits in a stamp: whole numbers up to there are the same in every program that reads one.
const BITS: u32 = 53;

/// Drawn by chance for each number of the sequence, and kept with it. A database that went back gives numbers out again, to other
/// transactions: their stamps say so, when it is no longer behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp(i64);

impl Stamp {
    /// Of a number taken by a release that drew none, or of one that is known by hearsay.
    pub const UNKNOWN: Self = Self(0);

    /// As a column holds it.
    #[must_use]
    pub const fn from_row(value: i64) -> Self {
        Self(value)
    }

    /// What a column holds.
    #[must_use]
    pub const fn to_row(self) -> i64 {
        self.0
    }

    /// A new one.
    pub(super) fn draw() -> Self {
        let drawn = u64::from_be_bytes(sluice_sealed::random::bytes()) >> (u64::BITS - BITS);
        Self(drawn.cast_signed().max(1))
    }

    /// Whether these are of two transactions, as far as that is known.
    #[must_use]
    pub fn differs(self, other: Self) -> bool {
        self != Self::UNKNOWN && other != Self::UNKNOWN && self != other
    }
}

/// The version that is committed, and the stamp of its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The version.
    pub version: Version,
    /// The stamp.
    pub stamp: Stamp,
}

/// A version somebody has heard of.
impl From<Version> for Head {
    fn from(version: Version) -> Self {
        Self { version, stamp: Stamp::UNKNOWN }
    }
}

/// Whether `known` is a later version of the same history: if `head` is what is committed, the database went back.
#[must_use]
pub fn is_behind(head: &Version, known: &Version) -> bool {
    head.lineage == known.lineage && head.seq < known.seq
}

/// What a head says of the history it was reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// It went over what is known, or is of another history.
    Kept,
    /// What is known is not in it: the database went back.
    Gone,
    /// That is for the stamp at the known number to say, if the log still has it.
    AskLog,
}

impl Head {
    /// What it says of a head that was known before.
    #[must_use]
    pub fn past(&self, known: &Self) -> Past {
        let (here, there) = (&self.version, &known.version);
        if here.lineage != there.lineage {
            Past::Kept
        } else if here.seq > there.seq {
            Past::AskLog
        } else if here.seq < there.seq || self.stamp.differs(known.stamp) {
            Past::Gone
        } else {
            Past::Kept
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lineage: &str, seq: i64, stamp: i64) -> Head {
        Head { version: Version { lineage: lineage.into(), seq }, stamp: Stamp(stamp) }
    }

    #[test]
    fn a_head_tells_what_it_went_over_from_what_is_gone() {
        let known = at("l", 10, 7);
        assert_eq!(at("l", 10, 7).past(&known), Past::Kept);
        assert_eq!(at("l", 9, 7).past(&known), Past::Gone);
        assert_eq!(at("l", 10, 8).past(&known), Past::Gone);
        assert_eq!(at("l", 11, 8).past(&known), Past::AskLog);
        for seq in [9, 10, 11] {
            assert_eq!(at("other", seq, 8).past(&known), Past::Kept, "another history proves nothing");
        }
        assert_eq!(at("l", 10, 8).past(&at("l", 10, 0)), Past::Kept, "known by hearsay");
        assert_eq!(at("l", 10, 0).past(&known), Past::Kept, "an earlier release drew none");
    }

    #[test]
    fn stamps_are_positive_below_two_to_the_53_and_not_the_same_twice() {
        let drawn: std::collections::BTreeSet<i64> = (0..1_000).map(|_| Stamp::draw().to_row()).collect();
        assert!(drawn.iter().all(|stamp| (1..1 << BITS).contains(stamp)));
        assert_eq!(drawn.len(), 1_000);
    }
}
