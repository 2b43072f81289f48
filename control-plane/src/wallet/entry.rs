//! The words of the ledger.

use sea_orm::DbErr;
use sluice_domain::{AccountId, Quota, QuotaOverflow, TokenId, UserId};

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// What a user has.
    Wallet(UserId),
    /// What a token may still spend. An uncapped token has one too; it only counts.
    Cap(TokenId),
    /// How often a token may still be used: its unit is the request, not quota.
    Uses(TokenId),
}

impl AccountKind {
    /// The word kept in `accounts.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wallet(_) => "wallet",
            Self::Cap(_) => "cap",
            Self::Uses(_) => "uses",
        }
    }

    /// The row id kept in `accounts.owner_id`.
    #[must_use]
    pub const fn owner_id(self) -> i64 {
        match self {
            Self::Wallet(user) => user.get(),
            Self::Cap(token) | Self::Uses(token) => token.get(),
        }
    }

    /// Reads both columns back. `None` for a kind of a later version.
    #[must_use]
    pub fn from_row(kind: &str, owner_id: i64) -> Option<Self> {
        match kind {
            "wallet" => Some(Self::Wallet(UserId::new(owner_id))),
            "cap" => Some(Self::Cap(TokenId::new(owner_id))),
            "uses" => Some(Self::Uses(TokenId::new(owner_id))),
            _ => None,
        }
    }
}

/// Why an account's total changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Usage that was settled.
    Charge,
    /// A charge given back.
    Refund,
    /// Money paid in.
    Topup,
    /// A code that was redeemed.
    Redeem,
    /// A gift to a new user.
    SignupGift,
    /// A gift to somebody who was invited.
    InviteGift,
    /// A reward for inviting.
    AffReward,
    /// Rewards moved to the wallet.
    AffTransfer,
    /// A daily check-in.
    Checkin,
    /// A correction by an administrator.
    AdminAdjust,
    /// The cap of a token was set or changed.
    CapChange,
    /// What a subscription brings.
    SubscriptionGrant,
    /// A provider's fine for a violation.
    ViolationFee,
    /// A balance brought along from another system.
    Import,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Charge,
        Self::Refund,
        Self::Topup,
        Self::Redeem,
        Self::SignupGift,
        Self::InviteGift,
        Self::AffReward,
        Self::AffTransfer,
        Self::Checkin,
        Self::AdminAdjust,
        Self::CapChange,
        Self::SubscriptionGrant,
        Self::ViolationFee,
        Self::Import,
    ];

    /// The word kept in `ledger.kind` and shown in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Topup => "topup",
            Self::Redeem => "redeem",
            Self::SignupGift => "signup_gift",
            Self::InviteGift => "invite_gift",
            Self::AffReward => "aff_reward",
            Self::AffTransfer => "aff_transfer",
            Self::Checkin => "checkin",
            Self::AdminAdjust => "admin_adjust",
            Self::CapChange => "cap_change",
            Self::SubscriptionGrant => "subscription_grant",
            Self::ViolationFee => "violation_fee",
            Self::Import => "import",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One movement of money, as it will stand in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub account: AccountId,
    /// Why.
    pub kind: EntryKind,
    /// How much; below zero takes away. May lead below zero: whether that is wanted is the caller's rule.
    pub amount: Quota,
    /// Names the movement for ever (at most 191 characters): posting the same reference twice is refused.
    pub reference: String,
    /// Who did it; `None`: Sluice by itself.
    pub actor: Option<UserId>,
    /// For people, at most 255 characters; may be empty.
    pub reason: String,
}

/// An account's place in the order of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whose it is.
    pub kind: AccountKind,
    /// The user it belongs to.
    pub user_id: UserId,
}

/// What an account holds, in quota units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub account: AccountId,
    /// Free to be leased. Below zero: debt.
    pub balance: Quota,
    /// How far below zero leases may take it.
    pub credit_limit: Quota,
    /// Handed to relays and neither settled nor returned.
    pub leased: Quota,
    /// In leases of relays that were lost; comes back or is charged.
    pub in_doubt: Quota,
    /// What charges took, ever.
    pub spent: Quota,
    /// Whether nothing may be leased.
    pub frozen: bool,
}

impl Standing {
    /// What the account is worth: `balance + leased + in_doubt`, which is the sum of its ledger.
    #[must_use]
    pub fn total(&self) -> Quota {
        [self.balance, self.leased, self.in_doubt].into_iter().sum()
    }
}

/// Why money was not moved. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(AccountId),
    /// The reference stands in the ledger already: this movement was made before.
    #[error("the ledger has an entry with the reference {0:?} already")]
    Duplicate(String),
    /// The amount or the total would be out of range.
    #[error("cannot change account {0}: the result is out of range")]
    OutOfRange(AccountId, #[source] QuotaOverflow),
    /// The database refused or is away.
    #[error("cannot move money")]
    Database(#[from] DbErr),
}
