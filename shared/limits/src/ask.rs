//! What is asked of limits, and what they answer.

use std::fmt::Write;
use std::time::Duration;

use sluice_domain::{ChannelId, Counted, GroupName, Limit, ModelName, TokenId, UserId};

use crate::gcra::{self, Pace};

/// Whose use is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// All tokens of a user.
    User(UserId),
    /// One token, with its owner.
    Token(UserId, TokenId),
    /// A user in one group.
    Member(UserId, GroupName),
    /// Everybody in a group.
    Group(GroupName),
    /// Everybody who asks for a model.
    Model(ModelName),
    /// Everything that is sent over a channel.
    Channel(ChannelId),
}

/// Counters that are kept in one place, so that they can be asked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Those of one user and their tokens.
    User(UserId),
    /// Those that everybody shares.
    Site,
}

impl Subject {
    /// Where its counters are.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match self {
            Self::User(user) | Self::Token(user, _) | Self::Member(user, _) => Slot::User(*user),
            Self::Group(_) | Self::Model(_) | Self::Channel(_) => Slot::Site,
        }
    }

    /// The word used in logs and as label.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Token(..) => "token",
            Self::Member(..) => "member",
            Self::Group(_) => "group",
            Self::Model(_) => "model",
            Self::Channel(_) => "channel",
        }
    }

    /// Whether it is the caller's own, so that callers may be told how much is left.
    #[must_use]
    pub const fn is_callers(&self) -> bool {
        matches!(self.slot(), Slot::User(_))
    }
}

/// Names one counter. Its count is no part of it: whoever raises a limit finds what was used already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose use is counted.
    pub subject: Subject,
    /// What is counted.
    pub of: Counted,
    /// Over which time, in seconds; 0: at a moment.
    pub window_secs: u32,
}

impl Key {
    /// The name in Redis. The part in braces keeps the counters of a slot on one node of a cluster.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = String::with_capacity(48);
        // writing to a string cannot fail
        let _ = match self.subject.slot() {
            Slot::User(user) => write!(name, "sluice:limit:{{u{user}}}:"),
            Slot::Site => write!(name, "sluice:limit:{{site}}:"),
        };
        let _ = match &self.subject {
            Subject::User(_) => write!(name, "all"),
            Subject::Token(_, token) => write!(name, "t{token}"),
            Subject::Member(_, group) => write!(name, "in:{group}"),
            Subject::Group(group) => write!(name, "g:{group}"),
            Subject::Model(model) => write!(name, "m:{model}"),
            Subject::Channel(channel) => write!(name, "c{channel}"),
        };
        let _ = write!(name, ":{}:{}", self.of.as_str(), self.window_secs);
        name
    }
}

/// Something that wants to use a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The counter.
    pub key: Key,
    /// The limit.
    pub limit: Limit,
    /// How much is wanted: 1, or tokens.
    pub cells: u64,
}

impl Ask {
    /// One request of an estimated size at a limit.
    #[must_use]
    pub fn new(subject: Subject, limit: &Limit, tokens: u64) -> Self {
        let cells = if limit.of == Counted::Tokens { tokens } else { 1 };
        let key = Key { subject, of: limit.of, window_secs: limit.window_secs };
        Self { key, limit: *limit, cells }
    }

    /// The pace, unless it is counted at a moment.
    #[must_use]
    pub fn pace(&self) -> Option<Pace> {
        Pace::of(&self.limit)
    }
}

/// What a counter said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Whether what was wanted fits.
    pub fits: bool,
    /// The level afterwards in microseconds, or the number at this moment; as it is when nothing was taken.
    pub level: u64,
}

/// How a limit stands, for whoever is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The counter.
    pub key: Key,
    /// The limit.
    pub limit: Limit,
    /// What is left of it.
    pub left: u64,
    /// When all of it is there again.
    pub reset: Duration,
    /// When what was wanted would fit; zero when it did.
    pub wait: Duration,
    /// Whether it fitted.
    pub fits: bool,
    /// Whether it asks for more than the limit ever has.
    pub is_too_large: bool,
}

impl Standing {
    /// How long to wait for a place among those that run: nobody knows, so callers come back soon.
    pub const WAIT_FOR_A_PLACE: Duration = Duration::from_secs(1);

    /// Reads what a counter said. `relays`: among how many the limit is shared out, 1 for a whole one.
    #[must_use]
    pub fn of(ask: &Ask, said: Said, relays: u64) -> Self {
        let (key, limit, fits) = (ask.key.clone(), ask.limit, said.fits);
        let Some(pace) = ask.pace() else {
            let left = gcra::share_of_moment(limit.count, relays).saturating_sub(said.level);
            let wait = if fits { Duration::ZERO } else { Self::WAIT_FOR_A_PLACE };
            return Self { key, limit, left, reset: wait, wait, fits, is_too_large: false };
        };
        let is_too_large = pace.cost(ask.cells) > pace.window_micros();
        let (cost, room) = pace.share(ask.cells, relays);
        let wait = if fits { Duration::ZERO } else { gcra::wait(said.level, cost, room) };
        let left = pace.left(said.level) / relays.max(1);
        Self { key, limit, left, reset: Duration::from_micros(said.level), wait, fits, is_too_large }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(subject: Subject) -> String {
        Key { subject, of: Counted::Tokens, window_secs: 60 }.name()
    }

    #[test]
    fn counters_of_a_user_and_of_everybody_have_a_tag_each_and_no_two_share_a_name() {
        let (user, group) = (UserId::new(4), GroupName::parse("a{b}:tokens:60").unwrap());
        assert_eq!(name(Subject::User(user)), "sluice:limit:{u4}:all:tokens:60");
        assert_eq!(name(Subject::Token(user, TokenId::new(7))), "sluice:limit:{u4}:t7:tokens:60");
        assert_eq!(name(Subject::Member(user, group.clone())), "sluice:limit:{u4}:in:a{b}:tokens:60:tokens:60");
        assert_eq!(name(Subject::Group(group)), "sluice:limit:{site}:g:a{b}:tokens:60:tokens:60");
        let model = ModelName::parse("gpt-4o").unwrap();
        assert_eq!(name(Subject::Model(model)), "sluice:limit:{site}:m:gpt-4o:tokens:60");
        assert_eq!(name(Subject::Channel(ChannelId::new(9))), "sluice:limit:{site}:c9:tokens:60");
    }

    #[test]
    fn only_tokens_are_wanted_by_the_number() {
        let limit = |of| Limit { of, count: 5, window_secs: u32::from(of != Counted::Concurrency) * 60, is_shadow: false };
        let cells = |of| Ask::new(Subject::User(UserId::new(1)), &limit(of), 700).cells;
        assert_eq!(Counted::ALL.map(cells), [1, 1, 700, 1]);
    }

    #[test]
    fn what_is_too_large_is_told_apart_from_what_has_to_wait() {
        let limit = Limit { of: Counted::Tokens, count: 600, window_secs: 60, is_shadow: false };
        let ask = |cells| Ask::new(Subject::User(UserId::new(1)), &limit, cells);
        let full = Said { fits: false, level: 60_000_000 };
        let standing = Standing::of(&ask(10), full, 1);
        assert_eq!((standing.left, standing.wait, standing.is_too_large), (0, Duration::from_secs(1), false));
        assert_eq!(standing.reset, Duration::from_mins(1));
        assert!(Standing::of(&ask(601), Said { fits: false, level: 0 }, 1).is_too_large);
        assert_eq!(Standing::of(&ask(60), Said { fits: true, level: 6_000_000 }, 1).left, 540);
        let shared_out = Standing::of(&ask(300), Said { fits: false, level: 6_000_000 }, 3);
        assert_eq!((shared_out.left, shared_out.wait), (180, Duration::from_secs(6)));
    }
}
