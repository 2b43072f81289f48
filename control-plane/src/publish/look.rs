//! What a look at the log of changes leads to: pure. Whoever looks reads what it asks for, in one snapshot of the database.
//!
//! [`Look::head`] begins; each answer says what is read next, up to the [`Change`] that is passed on. Whatever does not follow without a
//! gap on what is known is read anew as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sluice_domain::{AccountId, Status, TokenId, UserId};
use sluice_rpc::identity;
use sluice_snapshot::{Resource, ResourceKey, Token, User};

use super::head::{Head, Past, Stamp};
use super::log::Changed;
use super::state::{Change, Revoked, State, Versioned};
use crate::leases::Proof;

/// How often the log is looked at without being poked: other replicas write, too.
pub const POLL: Duration = Duration::from_millis(200);
/// How often after money was asked back: whoever asked waits for the answers, and the next question is likely near.
const RECALL_POLL: Duration = Duration::from_millis(50);
/// How long it is looked that often.
const RECALLING: Duration = Duration::from_secs(1);
/// Above this many sequence numbers or changes at once, or when some are gone from the log, everything is read anew. No statement may
/// name more rows: SQLite takes 32,766 values, PostgreSQL and MySQL 65,535.
pub(super) const MOST_AT_ONCE: u64 = 10_000;

/// What was logged above a sequence number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logged {
    /// What changed, each once.
    pub changes: BTreeSet<Changed>,
    /// How many sequence numbers there were.
    pub seqs: usize,
    /// Whether there may be more than was asked for.
    pub is_cut: bool,
}

/// What is to be read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is all known.
    Rest,
    /// The stamp that the log has at this number: [`Look::stamp`].
    Stamp(i64),
    /// What was logged above this number, the oldest, at most as many as may be taken at once: [`Look::log`].
    Log(i64),
    /// These rows: [`Look::missing`], then [`Look::change`].
    Rows(Wanted),
    /// Everything.
    All,
    /// The database went back behind what is known of it.
    WentBack(Proof),
}

/// Rows to be read, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Resources.
    pub keys: BTreeSet<ResourceKey>,
    /// Tokens, those that are gone, too.
    pub tokens: Vec<TokenId>,
    /// Users, those that are gone, too.
    pub users: Vec<UserId>,
    /// Accounts whose revision is asked for: money came in.
    pub accounts: Vec<AccountId>,
    /// Accounts of which money is asked back: nothing is to be read.
    pub recalls: Vec<AccountId>,
}

impl Wanted {
    fn new(changes: &BTreeSet<Changed>) -> Self {
        let mut wanted = Self::default();
        for change in changes {
            match change {
                Changed::Channel(id) => drop(wanted.keys.insert(ResourceKey::Channel(*id))),
                Changed::Group(name) => drop(wanted.keys.insert(ResourceKey::Group(name.clone()))),
                Changed::Price(model) => drop(wanted.keys.insert(ResourceKey::Price(model.clone()))),
                Changed::Setting(name) => drop(wanted.keys.insert(ResourceKey::Setting(name.clone()))),
                Changed::Provider(slug) => drop(wanted.keys.insert(ResourceKey::Provider(slug.clone()))),
                Changed::Token(id) => wanted.tokens.push(*id),
                Changed::User(id) => wanted.users.push(*id),
                Changed::Account(id) => wanted.accounts.push(*id),
                Changed::Recall(id) => wanted.recalls.push(*id),
            }
        }
        wanted
    }
}

/// What was read of [`Wanted`].
#[derive(Debug, Default)]
pub struct Rows {
    /// The resources that are there and can be read.
    pub upserts: Vec<Versioned>,
    /// Of those that are [`Look::missing`], the ones that are there and cannot be read: they keep their form (property P8).
    pub unreadable: BTreeSet<ResourceKey>,
    /// Tokens.
    pub tokens: Vec<identity::Change<Token, TokenId>>,
    /// Users.
    pub users: Vec<identity::Change<User, UserId>>,
    /// Accounts with their revisions.
    pub accounts: Vec<(AccountId, i64)>,
}

/// A look at the log by somebody who knows a state.
#[derive(Debug, Clone)]
pub struct Look {
    known: Arc<State>,
}

impl Look {
    /// Of somebody who knows this.
    #[must_use]
    pub const fn new(known: Arc<State>) -> Self {
        Self { known }
    }

    /// The head is this.
    #[must_use]
    pub fn head(&self, head: &Head) -> Next {
        let known = self.known.head();
        if head == known {
            return Next::Rest;
        }
        match head.past(known) {
            Past::Gone => Next::WentBack(Proof::Configuration(known.clone())),
            Past::AskLog => Next::Stamp(known.version.seq),
            Past::Kept => self.follow(head),
        }
    }

    /// The log has this stamp at the number that is known; `None`: it was trimmed, which proves nothing.
    #[must_use]
    pub fn stamp(&self, head: &Head, logged: Option<Stamp>) -> Next {
        let known = self.known.head();
        if logged.is_some_and(|stamp| stamp.differs(known.stamp)) {
            return Next::WentBack(Proof::Configuration(known.clone()));
        }
        self.follow(head)
    }

    fn follow(&self, head: &Head) -> Next {
        let (here, there) = (self.known.version(), &head.version);
        let is_near = self.behind(head).is_some_and(|behind| (1..=MOST_AT_ONCE).contains(&behind));
        if is_near && there.lineage == here.lineage { Next::Log(here.seq) } else { Next::All }
    }

    fn behind(&self, head: &Head) -> Option<u64> {
        u64::try_from(head.version.seq.saturating_sub(self.known.version().seq)).ok()
    }

    /// This was logged above what is known.
    #[must_use]
    pub fn log(&self, head: &Head, logged: &Logged) -> Next {
        let has_gap = u64::try_from(logged.seqs).ok() != self.behind(head);
        if logged.is_cut || has_gap { Next::All } else { Next::Rows(Wanted::new(&logged.changes)) }
    }

    /// Resources that were known and are not among those read: gone, or not to be read.
    #[must_use]
    pub fn missing(&self, wanted: &Wanted, upserts: &[Versioned]) -> BTreeSet<ResourceKey> {
        let read: BTreeSet<ResourceKey> = upserts.iter().map(|upsert| upsert.resource.key()).collect();
        wanted.keys.iter().filter(|key| !read.contains(key) && self.known.get(key).is_some()).cloned().collect()
    }

    /// The change that leads to the head, and the state there.
    #[must_use]
    pub fn change(&self, head: Head, wanted: &Wanted, rows: Rows) -> (Change, State) {
        let mut deletes = self.missing(wanted, &rows.upserts);
        deletes.retain(|key| !rows.unreadable.contains(key));
        let mut urgent: Vec<Revoked> = revoked_identities(&rows.tokens, &rows.users);
        urgent.extend(rows.upserts.iter().filter_map(revoked_channel));
        urgent.extend(deletes.iter().filter_map(|key| match key {
            ResourceKey::Channel(id) => Some(Revoked::Channel(*id, i64::MAX)),
            _ => None,
        }));
        urgent.extend(rows.accounts.into_iter().map(|(id, rev)| Revoked::Credit(id, rev)));
        urgent.extend(wanted.recalls.iter().copied().map(Revoked::Recall));
        let change = Change {
            from: self.known.version().clone(),
            to: head.version,
            upserts: rows.upserts.into_iter().map(Arc::new).collect(),
            deletes: deletes.into_iter().collect(),
            tokens: rows.tokens,
            users: rows.users,
            urgent,
        };
        let state = self.known.after(&change, head.stamp);
        (change, state)
    }
}

/// How often the log is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    recalled_at: Option<Duration>,
}

impl Pace {
    /// A change was found, at this moment.
    pub fn found(&mut self, change: &Change, now: Duration) {
        if change.urgent.iter().any(|urgent| matches!(urgent, Revoked::Recall(_))) {
            self.recalled_at = Some(now);
        }
    }

    /// After which time it is looked again.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        let is_recalling = self.recalled_at.is_some_and(|at| now.saturating_sub(at) < RECALLING);
        if is_recalling { RECALL_POLL } else { POLL }
    }
}

fn revoked_channel(versioned: &Versioned) -> Option<Revoked> {
    match &versioned.resource {
        Resource::Channel(channel) if !channel.status.is_enabled() => Some(Revoked::Channel(channel.id, versioned.rev)),
        _ => None,
    }
}

fn revoked_identities(tokens: &[identity::Change<Token, TokenId>], users: &[identity::Change<User, UserId>]) -> Vec<Revoked> {
    use identity::Change::{Gone, Is};
    let is_off = |status: Status| !status.is_enabled();
    let tokens = tokens.iter().filter_map(|change| match change {
        Is(token) if is_off(token.status) => Some(Revoked::Token(token.id, token.rev)),
        Is(_) => None,
        Gone { id, rev } => Some(Revoked::Token(*id, *rev)),
    });
    let users = users.iter().filter_map(|change| match change {
        Is(user) if is_off(user.status) => Some(Revoked::User(user.id, user.rev)),
        Is(_) => None,
        Gone { id, rev } => Some(Revoked::User(*id, *rev)),
    });
    tokens.chain(users).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use sluice_domain::{ChannelId, Limits};
    use sluice_snapshot::{Channel, ChannelPolicy, Setting, Version};

    fn at(lineage: &str, seq: i64, stamp: i64) -> Head {
        Head { version: Version { lineage: lineage.into(), seq }, stamp: Stamp::from_row(stamp) }
    }

    fn setting(name: &str, value: &str) -> Versioned {
        Versioned::new(Resource::Setting(Setting { name: name.into(), value: value.into() }), 1)
    }

    fn key(name: &str) -> ResourceKey {
        ResourceKey::Setting(name.into())
    }

    /// Knows the settings a and b at number 10.
    fn look() -> Look {
        Look::new(Arc::new(State::new(at("l", 10, 7), vec![setting("a", "1"), setting("b", "1")])))
    }

    #[test]
    fn only_what_follows_on_what_is_known_is_read_from_the_log() {
        let look = look();
        assert_eq!(look.head(&at("l", 10, 7)), Next::Rest);
        assert_eq!(look.head(&at("l", 11, 8)), Next::Stamp(10));
        assert_eq!(look.stamp(&at("l", 11, 8), Some(Stamp::from_row(7))), Next::Log(10));
        assert_eq!(look.stamp(&at("l", 11, 8), None), Next::Log(10), "what was trimmed proves nothing");
        assert_eq!(look.head(&at("other", 11, 8)), Next::All);
        let far = 10 + i64::try_from(MOST_AT_ONCE).unwrap();
        assert_eq!(look.stamp(&at("l", far, 8), None), Next::Log(10));
        assert_eq!(look.stamp(&at("l", far + 1, 8), None), Next::All);
    }

    #[test]
    fn a_head_behind_what_is_known_or_of_other_transactions_proves_that_the_database_went_back() {
        let proof = Next::WentBack(Proof::Configuration(at("l", 10, 7)));
        assert_eq!(look().head(&at("l", 9, 7)), proof);
        assert_eq!(look().head(&at("l", 10, 8)), proof);
        assert_eq!(look().stamp(&at("l", 11, 8), Some(Stamp::from_row(6))), proof);
    }

    #[test]
    fn a_log_with_a_gap_or_without_an_end_is_not_followed() {
        let (look, head) = (look(), at("l", 12, 8));
        let logged = |seqs, is_cut| Logged { changes: BTreeSet::from([Changed::Setting("a".into())]), seqs, is_cut };
        let wanted = Wanted { keys: BTreeSet::from([key("a")]), ..Wanted::default() };
        assert_eq!(look.log(&head, &logged(2, false)), Next::Rows(wanted));
        for (seqs, is_cut) in [(1, false), (3, false), (2, true)] {
            assert_eq!(look.log(&head, &logged(seqs, is_cut)), Next::All, "{seqs} {is_cut}");
        }
    }

    #[test]
    fn what_is_not_there_any_more_is_deleted_and_what_cannot_be_read_keeps_its_form() {
        let look = look();
        let wanted = Wanted { keys: ["a", "b", "c", "d"].map(key).into(), ..Wanted::default() };
        let upserts = vec![setting("c", "1")];
        assert_eq!(look.missing(&wanted, &upserts), ["a", "b"].map(key).into(), "d was never known");
        let rows = Rows { upserts, unreadable: [key("b")].into(), ..Rows::default() };
        let (change, state) = look.change(at("l", 11, 8), &wanted, rows);
        assert_eq!((change.from.seq, change.to.seq, &change.deletes[..]), (10, 11, &[key("a")][..]));
        let there: Vec<ResourceKey> = state.resources().map(|known| known.resource.key()).collect();
        assert_eq!((there, state.head()), (["b", "c"].map(key).into(), &at("l", 11, 8)));
    }

    #[test]
    fn what_may_not_be_used_any_more_and_money_go_ahead_on_the_urgent_lane() {
        let changes = [Changed::Recall(AccountId::new(4)), Changed::Token(TokenId::new(5)), Changed::Account(AccountId::new(6))];
        let wanted = Wanted::new(&changes.into());
        assert_eq!((wanted.tokens.len(), wanted.accounts.len(), wanted.keys.len()), (1, 1, 0));
        let tokens = vec![identity::Change::Gone { id: TokenId::new(5), rev: 3 }];
        let rows = Rows { tokens, accounts: vec![(AccountId::new(6), 9)], ..Rows::default() };
        let (change, _) = look().change(at("l", 11, 8), &wanted, rows);
        let (token, credit) = (Revoked::Token(TokenId::new(5), 3), Revoked::Credit(AccountId::new(6), 9));
        assert_eq!(change.urgent, [token, credit, Revoked::Recall(AccountId::new(4))]);
    }

    #[test]
    fn a_channel_that_is_gone_is_revoked_for_good() {
        let id = ChannelId::new(3);
        let off = Channel {
            id,
            name: String::new(),
            provider: "openai".into(),
            base_url: None,
            api_version: None,
            keys: Vec::new(),
            models: Vec::new(),
            groups: Vec::new(),
            priority: 0,
            weight: 1,
            status: Status::Disabled,
            model_mapping: BTreeMap::new(),
            cache_read_ratio: None,
            policy: ChannelPolicy::default(),
            limits: Limits::default(),
            settings: Arc::default(),
            definition: None,
        };
        let known = State::new(at("l", 10, 7), vec![Versioned::new(Resource::Channel(off.clone()), 1)]);
        let look = Look::new(Arc::new(known));
        let wanted = Wanted { keys: [ResourceKey::Channel(id)].into(), ..Wanted::default() };
        let rows = Rows { upserts: vec![Versioned::new(Resource::Channel(off), 2)], ..Rows::default() };
        assert_eq!(look.change(at("l", 11, 8), &wanted, rows).0.urgent, [Revoked::Channel(id, 2)]);
        assert_eq!(look.change(at("l", 11, 8), &wanted, Rows::default()).0.urgent, [Revoked::Channel(id, i64::MAX)]);
    }

    #[test]
    fn the_log_is_looked_at_more_often_while_somebody_waits_for_what_was_asked_back() {
        let (mut pace, at) = (Pace::default(), Duration::from_secs);
        pace.found(&Change::default(), at(0));
        assert_eq!(pace.wait(at(0)), POLL);
        pace.found(&Change { urgent: vec![Revoked::Recall(AccountId::new(1))], ..Change::default() }, at(5));
        assert_eq!((pace.wait(at(5)), pace.wait(at(6))), (RECALL_POLL, POLL));
    }
}
