//! Tokens and users: who calls, and what they may.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use sluice_domain::{AccountId, GroupName, KeyDigest, Limits, ModelName, Role, Status, TokenId, UnixMillis, UserId};

/// A client key, known by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub user_id: UserId,
    /// Grows with every change; an answer with a lower one is stale.
    pub rev: i64,
    /// Digest of the key.
    pub digest: KeyDigest,
    /// Whether it may be used.
    pub status: Status,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// What its owner calls it.
    pub name: Arc<str>,
    /// Group it is used in, when not its owner's.
    pub group: Option<GroupName>,
    /// Models it may ask for; `None`: every one.
    pub models: Option<Vec<ModelName>>,
    /// Where it may be used from; empty: anywhere.
    pub ip_allow: Vec<IpNet>,
    /// The account of its cap.
    pub account_id: AccountId,
    /// Whether the cap limits anything; when not, the account only counts.
    pub capped: bool,
    /// The account that counts how often it may be used; `None`: as often as one likes.
    pub uses_account_id: Option<AccountId>,
    /// How much may be used with it.
    pub limits: Limits,
}

impl Token {
    /// Whether it has ended.
    #[must_use]
    pub fn is_expired_at(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|end| end < now)
    }

    /// Whether it may be used from an address. IPv4 addresses written as IPv6 count as IPv4.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.ip_allow.is_empty() || self.ip_allow.iter().any(|net| net.contains(&address))
    }

    /// Whether a model may be asked for; its exact name or its normal form must be listed.
    #[must_use]
    pub fn allows_model(&self, model: &str) -> bool {
        let listed = |models: &Vec<ModelName>, name: &str| models.iter().any(|listed| listed.as_str() == name);
        self.models.as_ref().is_none_or(|models| listed(models, model) || listed(models, &sluice_billing::normalise(model)))
    }
}

/// A person, owner of tokens and of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Grows with every change; an answer with a lower one is stale.
    pub rev: i64,
    /// Whether they may call.
    pub status: Status,
    /// What they may do.
    pub role: Role,
    /// Their group.
    pub group: GroupName,
    /// Their wallet.
    pub account_id: AccountId,
    /// How much may be used with all their tokens together.
    pub limits: Limits,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            id: TokenId::new(1),
            user_id: UserId::new(1),
            rev: 1,
            digest: KeyDigest([0; 32]),
            status: Status::Enabled,
            expires_at: None,
            name: "t".into(),
            group: None,
            models: None,
            ip_allow: vec![],
            account_id: AccountId::new(1),
            capped: false,
            uses_account_id: None,
            limits: Limits::default(),
        }
    }

    #[test]
    fn addresses_match_single_ones_and_blocks_of_both_families() {
        let allow = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"].map(|net| net.parse().unwrap());
        let token = Token { ip_allow: allow.to_vec(), ..token() };
        for address in ["10.1.2.3", "192.0.2.7", "::ffff:10.1.2.3", "2001:db8::1"] {
            assert!(token.allows_address(address.parse().unwrap()), "{address}");
        }
        for address in ["11.0.0.1", "192.0.2.8", "::1"] {
            assert!(!token.allows_address(address.parse().unwrap()), "{address}");
        }
        assert!(Token { ip_allow: vec![], ..token }.allows_address("11.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_empty_model_list_allows_nothing_and_no_list_everything() {
        let listed = |models: &[&str]| Some(models.iter().map(|m| ModelName::parse(m).unwrap()).collect());
        assert!(token().allows_model("gpt-4o"));
        assert!(!Token { models: listed(&[]), ..token() }.allows_model("gpt-4o"));
        let limited = Token { models: listed(&["gpt-4o", "gpt-4o-gizmo-*"]), ..token() };
        assert!(limited.allows_model("gpt-4o"));
        assert!(limited.allows_model("gpt-4o-gizmo-g-123"));
        assert!(!limited.allows_model("gpt-4"));
    }

    #[test]
    fn a_token_is_good_up_to_the_moment_it_ends() {
        let token = Token { expires_at: Some(UnixMillis(100)), ..token() };
        assert!(!token.is_expired_at(UnixMillis(100)));
        assert!(token.is_expired_at(UnixMillis(101)));
    }
}
