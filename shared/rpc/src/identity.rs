//! Tokens and users: domain ⇄ messages.

use sluice_domain::{AccountId, KeyDigest, Role, TokenId, UnixMillis, UserId};
use sluice_snapshot::{Token, User};

use crate::error::Malformed;
use crate::pb;
use crate::resource::{group_name, limits_from_pb, limits_to_pb, model_name, status};

/// A change of an identity: its form, or that it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T, Id> {
    /// It is like this.
    Is(T),
    /// It no longer exists.
    Gone {
        /// Its id.
        id: Id,
        /// Its last revision.
        rev: i64,
    },
}

/// A token as a message.
#[must_use]
pub fn token_to_pb(token: &Token) -> pb::Token {
    pb::Token {
        id: token.id.get(),
        user_id: token.user_id.get(),
        rev: token.rev,
        digest: token.digest.0.to_vec().into(),
        status: token.status.code(),
        // 0 says never, and a token that ended in 1970 has ended
        expires_at_ms: token.expires_at.map_or(0, |end| end.0.max(1)),
        name: token.name.to_string(),
        group: token.group.as_ref().map(ToString::to_string).unwrap_or_default(),
        models_limited: token.models.is_some(),
        models: token.models.iter().flatten().map(ToString::to_string).collect(),
        ip_allow: token.ip_allow.iter().map(ToString::to_string).collect(),
        account_id: token.account_id.get(),
        capped: token.capped,
        uses_account_id: token.uses_account_id.map_or(0, AccountId::get),
        limits: limits_to_pb(&token.limits),
        deleted: false,
    }
}

/// A deleted token as a message.
#[must_use]
pub fn token_gone_to_pb(id: TokenId, rev: i64) -> pb::Token {
    pb::Token { id: id.get(), rev, deleted: true, ..pb::Token::default() }
}

/// Reads a token.
///
/// # Errors
/// When a field breaks its rule.
pub fn token_from_pb(token: pb::Token) -> Result<Change<Token, TokenId>, Malformed> {
    let id = TokenId::new(token.id);
    if token.deleted {
        return Ok(Change::Gone { id, rev: token.rev });
    }
    let models = token.models.iter().map(|name| model_name("models", name)).collect::<Result<_, _>>()?;
    Ok(Change::Is(Token {
        id,
        user_id: UserId::new(token.user_id),
        rev: token.rev,
        digest: digest_from_pb(&token.digest)?,
        status: status("status", token.status)?,
        expires_at: (token.expires_at_ms != 0).then_some(UnixMillis(token.expires_at_ms)),
        name: token.name.into(),
        group: if token.group.is_empty() { None } else { Some(group_name("group", &token.group)?) },
        models: token.models_limited.then_some(models),
        ip_allow: token.ip_allow.iter().map(|net| net.parse().map_err(Malformed::at("ip_allow"))).collect::<Result<_, _>>()?,
        account_id: AccountId::new(token.account_id),
        capped: token.capped,
        uses_account_id: (token.uses_account_id != 0).then(|| AccountId::new(token.uses_account_id)),
        limits: limits_from_pb(&token.limits)?,
    }))
}

/// A user as a message.
#[must_use]
pub fn user_to_pb(user: &User) -> pb::User {
    pb::User {
        id: user.id.get(),
        rev: user.rev,
        status: user.status.code(),
        role: user.role.code(),
        group: user.group.to_string(),
        account_id: user.account_id.get(),
        limits: limits_to_pb(&user.limits),
        deleted: false,
    }
}

/// A deleted user as a message.
#[must_use]
pub fn user_gone_to_pb(id: UserId, rev: i64) -> pb::User {
    pb::User { id: id.get(), rev, deleted: true, ..pb::User::default() }
}

/// Reads a user.
///
/// # Errors
/// When a field breaks its rule.
pub fn user_from_pb(user: &pb::User) -> Result<Change<User, UserId>, Malformed> {
    let id = UserId::new(user.id);
    if user.deleted {
        return Ok(Change::Gone { id, rev: user.rev });
    }
    Ok(Change::Is(User {
        id,
        rev: user.rev,
        status: status("status", user.status)?,
        role: Role::from_code(user.role).ok_or_else(|| Malformed::new("role", "is a role of a later version"))?,
        group: group_name("group", &user.group)?,
        account_id: AccountId::new(user.account_id),
        limits: limits_from_pb(&user.limits)?,
    }))
}

/// Reads a digest of 32 bytes.
///
/// # Errors
/// When it has another length.
pub fn digest_from_pb(digest: &[u8]) -> Result<KeyDigest, Malformed> {
    digest.try_into().map(KeyDigest).map_err(|_| Malformed::new("digest", "must have 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_domain::{Counted, GroupName, Limit, Limits, ModelName, Status};

    fn limits() -> Limits {
        let limit =
            |of: Counted| Limit { of, count: 7, window_secs: u32::from(of.has_window()) * 60, is_shadow: of == Counted::Tokens };
        Limits::new(Counted::ALL.map(limit).to_vec()).unwrap()
    }

    fn token() -> Token {
        Token {
            id: TokenId::new(7),
            user_id: UserId::new(3),
            rev: 12,
            digest: KeyDigest([9; 32]),
            status: Status::Disabled,
            expires_at: Some(UnixMillis(5)),
            name: "my key".into(),
            group: Some(GroupName::parse("vip").unwrap()),
            models: Some(vec![ModelName::parse("gpt-4o").unwrap()]),
            ip_allow: vec!["10.0.0.0/8".parse().unwrap()],
            account_id: AccountId::new(8),
            capped: true,
            uses_account_id: Some(AccountId::new(9)),
            limits: limits(),
        }
    }

    #[test]
    fn tokens_and_users_read_back_as_they_were() {
        let token = token();
        assert_eq!(token_from_pb(token_to_pb(&token)), Ok(Change::Is(token.clone())));
        let open = Token { models: None, group: None, expires_at: None, ip_allow: vec![], uses_account_id: None, ..token };
        assert_eq!(token_from_pb(token_to_pb(&open)), Ok(Change::Is(open)));
        let user = User {
            id: UserId::new(3),
            rev: 4,
            status: Status::Enabled,
            role: Role::Admin,
            group: GroupName::parse("default").unwrap(),
            account_id: AccountId::new(1),
            limits: limits(),
        };
        assert_eq!(user_from_pb(&user_to_pb(&user)), Ok(Change::Is(user)));
    }

    #[test]
    fn a_token_that_ended_at_the_very_beginning_of_time_has_ended() {
        let sent = token_to_pb(&Token { expires_at: Some(UnixMillis(0)), ..token() });
        let Ok(Change::Is(read)) = token_from_pb(sent) else { panic!("not read") };
        assert!(read.is_expired_at(UnixMillis(1_000)));
    }

    #[test]
    fn a_limit_that_is_not_understood_is_never_left_out() {
        let refused =
            |limit: pb::Limit| token_from_pb(pb::Token { limits: vec![limit], ..token_to_pb(&token()) }).unwrap_err().field;
        let good = pb::Limit { of: pb::Counted::Requests.into(), count: 1, window_secs: 60, shadow: false };
        assert_eq!(refused(pb::Limit { of: 9, ..good }), "limits.of");
        assert_eq!(refused(pb::Limit { count: -1, ..good }), "limits.count");
        assert_eq!(refused(pb::Limit { window_secs: 0, ..good }), "limits");
    }

    #[test]
    fn an_unknown_status_is_an_error_not_a_default() {
        let user = pb::User { status: 9, role: 1, group: "default".into(), ..pb::User::default() };
        assert_eq!(user_from_pb(&user).unwrap_err().field, "status");
        let token = pb::Token { status: 1, digest: vec![0; 31].into(), ..pb::Token::default() };
        assert_eq!(token_from_pb(token).unwrap_err().field, "digest");
    }
}
