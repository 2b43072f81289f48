//! The part of the reference ledger that relays are told about: channels, tokens, and the log of changes.

use std::collections::BTreeMap;

use sluice_control_plane::publish::{Head, Stamp, Versioned};
use sluice_domain::{AccountId, ChannelId, GroupName, KeyDigest, ModelName, Role, Status, TokenId, UserId};
use sluice_snapshot::{Channel, Group, Resource, Token, User, Version};

use super::Ledger;

/// The only model there is.
pub const MODEL: &str = "gpt-4o";
/// The only group there is.
pub const GROUP: &str = "default";

/// A line of the log of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// A channel changed; `true`: it was switched off.
    Channel(ChannelId, bool),
    /// A token changed; `true`: it was switched off.
    Token(TokenId, bool),
    /// Money came in.
    Credit(AccountId),
    /// Remainders of leases are asked back.
    Recall(AccountId),
}

/// A row of the log: what changed, and the stamp of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What changed.
    pub logged: Logged,
    /// The stamp.
    pub stamp: Stamp,
}

/// A channel as its row holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Grows with every change.
    pub rev: i64,
    /// Whether it may be used.
    pub is_enabled: bool,
}

/// A token with its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRow {
    /// Its owner.
    pub user: UserId,
    /// Grows with every change.
    pub rev: i64,
    /// Whether it may be used.
    pub is_enabled: bool,
    /// The owner's wallet.
    pub wallet: AccountId,
    /// Its own account.
    pub cap: AccountId,
    /// Whether that limits anything.
    pub is_capped: bool,
    /// The account of its number of uses.
    pub uses: Option<AccountId>,
}

/// Channels, and the log of all changes relays are told about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// Channels.
    pub channels: BTreeMap<ChannelId, Row>,
    /// The number of the last change.
    pub seq: i64,
    /// Its stamp.
    pub stamp: Stamp,
    /// What stamps are drawn from: a database that went back draws others.
    pub draws: i64,
    /// The changes, by number.
    pub log: BTreeMap<i64, Line>,
}

impl Ledger {
    /// Where the history is.
    #[must_use]
    pub fn version(&self) -> Version {
        Version { lineage: self.lineage.clone(), seq: self.config.seq }
    }

    /// The same, with the stamp of its number.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { version: self.version(), stamp: self.config.stamp }
    }

    /// Writes a line of the log, in the transaction of the change; answers its number.
    pub fn log(&mut self, logged: Logged) -> i64 {
        let seq = self.take_number();
        self.write_line(seq, logged);
        seq
    }

    /// Takes the next number, and stamps it.
    pub fn take_number(&mut self) -> i64 {
        self.config.seq += 1;
        self.config.stamp = self.draw(self.config.seq);
        self.config.seq
    }

    /// Writes down what a number was taken for.
    pub fn write_line(&mut self, seq: i64, logged: Logged) {
        let stamp = self.draw(seq);
        self.config.log.insert(seq, Line { logged, stamp });
    }

    fn draw(&self, seq: i64) -> Stamp {
        Stamp::from_row(self.config.draws << 32 | seq)
    }

    /// Switches a channel, and says so in the log.
    pub fn switch_channel(&mut self, id: ChannelId, is_enabled: bool) -> i64 {
        let row = self.config.channels.entry(id).or_insert(Row { rev: 0, is_enabled });
        (row.rev, row.is_enabled) = (row.rev + 1, is_enabled);
        self.log(Logged::Channel(id, !is_enabled))
    }

    /// Switches a token, and says so in the log.
    pub fn switch_token(&mut self, id: TokenId, is_enabled: bool) -> i64 {
        if let Some(row) = self.tokens.get_mut(&id) {
            (row.rev, row.is_enabled) = (row.rev + 1, is_enabled);
        }
        self.log(Logged::Token(id, !is_enabled))
    }

    /// A channel with its revision.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<Versioned> {
        self.config.channels.get(&id).map(|row| Versioned::new(channel(id, *row), row.rev))
    }

    /// Every resource with its revision.
    #[must_use]
    pub fn resources(&self) -> Vec<Versioned> {
        let channels = self.config.channels.keys().filter_map(|id| self.channel(*id));
        std::iter::once(Versioned::new(group(), 1)).chain(channels).collect()
    }

    /// A token and its owner as they are sent.
    #[must_use]
    pub fn identity(&self, id: TokenId) -> Option<(Token, User)> {
        self.tokens.get(&id).map(|row| (token_of(id, row), user_of(row)))
    }
}

/// The digest of a token's key.
#[must_use]
pub fn digest_of(token: TokenId) -> KeyDigest {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&token.get().to_le_bytes());
    KeyDigest(bytes)
}

fn status(is_enabled: bool) -> Status {
    if is_enabled { Status::Enabled } else { Status::Disabled }
}

fn token_of(id: TokenId, row: &TokenRow) -> Token {
    Token {
        id,
        user_id: row.user,
        rev: row.rev,
        digest: digest_of(id),
        status: status(row.is_enabled),
        expires_at: None,
        name: "t".into(),
        group: None,
        models: None,
        ip_allow: Vec::new(),
        account_id: row.cap,
        capped: row.is_capped,
        uses_account_id: row.uses,
        limits: sluice_domain::Limits::default(),
    }
}

fn user_of(row: &TokenRow) -> User {
    let group = GroupName::parse(GROUP).expect("the group has a good name");
    User {
        id: row.user,
        rev: 1,
        status: Status::Enabled,
        role: Role::User,
        group,
        account_id: row.wallet,
        limits: sluice_domain::Limits::default(),
    }
}

fn group() -> Resource {
    Resource::Group(Group {
        name: GroupName::parse(GROUP).expect("the group has a good name"),
        ratio: "1".parse().expect("one is a ratio"),
        usable: Vec::new(),
        limits: sluice_domain::Limits::default(),
    })
}

fn channel(id: ChannelId, row: Row) -> Resource {
    Resource::Channel(Channel {
        id,
        name: String::new(),
        provider: "openai".into(),
        base_url: None,
        api_version: None,
        keys: Vec::new(),
        models: vec![ModelName::parse(MODEL).expect("the model has a good name")],
        groups: vec![GroupName::parse(GROUP).expect("the group has a good name")],
        priority: 0,
        weight: 1,
        status: status(row.is_enabled),
        model_mapping: BTreeMap::new(),
        cache_read_ratio: None,
        policy: sluice_snapshot::ChannelPolicy::default(),
        limits: sluice_domain::Limits::default(),
        settings: std::sync::Arc::default(),
        definition: None,
    })
}
