//! What one relay's config stream is sent of what happens: pure.

use std::sync::Arc;

use sluice_snapshot::Version;

use super::state::Change;
use super::tail::News;

/// What is to be sent.
#[derive(Debug, Clone)]
pub enum Push {
    /// Nothing: it has it, or it is not for this stream.
    Nothing,
    /// The change: it starts where the relay is.
    Change(Arc<Change>),
    /// Everything anew.
    Everything,
}

/// One relay, as its stream knows it.
#[derive(Debug, Clone)]
pub struct Follower {
    sent: Version,
}

impl Follower {
    /// One that has this version.
    #[must_use]
    pub const fn new(have: Version) -> Self {
        Self { sent: have }
    }

    /// The version the relay has once it has read everything sent so far.
    #[must_use]
    pub const fn sent(&self) -> &Version {
        &self.sent
    }

    /// It was sent what leads to this version.
    pub fn was_sent(&mut self, version: Version) {
        self.sent = version;
    }

    /// What to send after news; `None`: some were missed. `here` is the newest version there is to send.
    #[must_use]
    pub fn told(&self, news: Option<&News>, here: &Version) -> Push {
        match news {
            Some(News::Change(change)) if change.from == self.sent => Push::Change(Arc::clone(change)),
            // it was in the snapshot already
            Some(News::Change(change)) if change.to.lineage == self.sent.lineage && change.to.seq <= self.sent.seq => {
                Push::Nothing
            }
            Some(News::Urgent(_)) => Push::Nothing,
            // only news that is not for this stream was missed
            None if *here == self.sent => Push::Nothing,
            Some(News::Change(_) | News::Reload) | None => Push::Everything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lineage: &str, seq: i64) -> Version {
        Version { lineage: lineage.into(), seq }
    }

    fn change(from: Version, to: Version) -> News {
        News::Change(Arc::new(Change { from, to, ..Change::default() }))
    }

    #[test]
    fn a_change_goes_to_whoever_is_where_it_starts_and_everything_to_whoever_is_behind() {
        let (follower, here) = (Follower::new(at("l", 5)), at("l", 9));
        let told = |news: &News| follower.told(Some(news), &here);
        assert!(matches!(told(&change(at("l", 5), at("l", 6))), Push::Change(_)));
        assert!(matches!(told(&change(at("l", 4), at("l", 5))), Push::Nothing), "it has it");
        assert!(matches!(told(&change(at("l", 6), at("l", 7))), Push::Everything), "it lacks what is before");
        assert!(matches!(told(&change(at("l", 4), at("l", 6))), Push::Everything), "it has a part of it");
        assert!(matches!(told(&change(at("m", 4), at("m", 5))), Push::Everything), "another history");
        assert!(matches!(told(&News::Reload), Push::Everything));
        assert!(matches!(told(&News::Urgent([].into())), Push::Nothing));
    }

    #[test]
    fn whoever_missed_something_starts_over_unless_it_has_everything() {
        let follower = Follower::new(at("l", 5));
        assert!(matches!(follower.told(None, &at("l", 5)), Push::Nothing));
        assert!(matches!(follower.told(None, &at("l", 6)), Push::Everything));
    }
}
