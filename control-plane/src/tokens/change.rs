//! Operations that change tokens.

use secrecy::SecretString;
use sluice_domain::{AccountId, GroupName, Limits, Quota, Status, TokenId, UnixMillis, UserId};
use sluice_sealed::random;

use super::rules::{Checked, check, check_lists};
use super::{Key, Token, TokenFields, TokenWithKey, keys, store, visible};
use crate::app::App;
use crate::audit;
use crate::auth::Scope;
use crate::db::Tx;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Code, Patch, Written};
use crate::publish::log::{self, Changed};
use crate::users::{self, User, may_manage};
use crate::wallet::{self, AccountKind, Entry, EntryKind};
use crate::{groups, settings};

/// Makes a token for oneself, or for a user of a lower role. Its key is in the answer.
///
/// # Errors
/// 404 when the user is not the caller's to see, 403 when not below them, 409 when they have too many, 422 when a field breaks a rule.
pub async fn create(
    app: &App,
    asking: &Asking,
    owner: Option<UserId>,
    fields: TokenFields,
) -> Result<Written<TokenWithKey>, ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let owner = owner_of(app, asking, owner.unwrap_or(asking.actor.user_id)).await?;
    let checked = check(fields, asking.now)?;
    if checked.name.is_none() {
        return Err(ApiError::field("name", "required", "is required"));
    }
    let most = settings::site(app).await?.max_user_tokens;
    let key = keys::make(&app.keyring);
    let mut token = blank(owner.id, &key, asking.now);
    checked.put_into(&mut token);
    check_lists(&token)?;

    let tx = app.db.begin().await?;
    if store::count(&tx, owner.id).await? >= most {
        return Err(ApiError::new(Code::TooMany, format!("a user has at most {most} tokens")));
    }
    need_group(&tx, &owner, token.group.as_ref()).await?;
    open(app, &tx, &mut token, &key).await?;
    if let Patch::Set(limit) = checked.request_limit {
        open_uses(&tx, asking, &mut token, limit).await?;
        store::update(&tx, &token).await?;
    }
    if let Patch::Set(quota) = checked.quota {
        let reason = format!("quota of the token set to {quota}");
        move_limit(&tx, asking, token.account_id, quota, reason).await?;
    }
    audit::write(&tx, asking, "tokens.create", &target(token.id), &token).await?;
    let seq = log::record(&tx, asking.now, &[Changed::Token(token.id)]).await?;
    let made = Written { object: TokenWithKey { token, key: keys::shown(&key.secret) }, config_seq: Some(seq) };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(made)
}

/// Changes a token. Its `quota` is what may be spent through it in its whole life: what was spent stays counted.
///
/// # Errors
/// 404 when it is not the caller's to see, 403, 412, 422.
pub async fn patch(app: &App, asking: &Asking, id: TokenId, fields: TokenFields) -> Result<Written<Token>, ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    let owner = owner_of_token(app, asking, id).await?;
    let checked = check(fields, asking.now)?;

    let tx = app.db.begin().await?;
    let before = store::lock(&tx, id).await?.ok_or_else(not_found)?;
    asking.need_unchanged(before.rev)?;
    let mut after = Token { rev: before.rev + 1, updated_at: asking.now, ..before.clone() };
    checked.put_into(&mut after);
    check_lists(&after)?;
    need_enabling(&after, &checked, asking.now)?;
    if !before.status.is_enabled() && after.status.is_enabled() {
        need_rest(&tx, &after, &checked).await?;
    }
    if after.group != before.group {
        need_group(&tx, &owner, after.group.as_ref()).await?;
    }
    if let Patch::Set(limit) = checked.request_limit {
        open_uses(&tx, asking, &mut after, limit).await?;
    }
    store::update(&tx, &after).await?;
    if let Patch::Set(quota) = checked.quota {
        let reason = format!("quota of the token set to {quota}");
        move_limit(&tx, asking, after.account_id, quota, reason).await?;
    }
    let detail = serde_json::json!({"before": &before, "after": &after});
    audit::write(&tx, asking, "tokens.patch", &target(id), &detail).await?;
    let seq = log::record(&tx, asking.now, &[Changed::Token(id)]).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(Written { object: after, config_seq: Some(seq) })
}

/// Gives a token another key. The one before ends at once.
///
/// # Errors
/// 404 when it is not the caller's to see, 403, 412.
pub async fn rotate(app: &App, asking: &Asking, id: TokenId) -> Result<Written<TokenWithKey>, ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    owner_of_token(app, asking, id).await?;
    let key = keys::make(&app.keyring);
    let tx = app.db.begin().await?;
    let before = store::lock(&tx, id).await?.ok_or_else(not_found)?;
    asking.need_unchanged(before.rev)?;
    let after = Token { hint: key.hint.clone(), rev: before.rev + 1, updated_at: asking.now, ..before };
    store::set_key(&tx, id, &key, &keys::seal(&app.keyring, &after.public_id, &key.secret)?).await?;
    store::update(&tx, &after).await?;
    audit::write(&tx, asking, "tokens.rotate", &target(id), &after).await?;
    let seq = log::record(&tx, asking.now, &[Changed::Token(id)]).await?;
    let made = Written { object: TokenWithKey { token: after, key: keys::shown(&key.secret) }, config_seq: Some(seq) };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(made)
}

/// Shows the key of one's own token again. Needs a fresh sign-in.
///
/// # Errors
/// 404 when it is not the caller's own, 403 when the sign-in is too old.
pub async fn reveal(app: &App, asking: &Asking, id: TokenId) -> Result<TokenWithKey, ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    let token = visible(app.db.read(), &asking.actor, id).await?;
    // a key acts for its owner: nobody else needs to see it
    if token.user_id != asking.actor.user_id {
        return Err(not_found());
    }
    app.gate.critical(asking.client_ip)?;
    asking.need_fresh_sign_in()?;
    let sealed = store::sealed_key(app.db.read(), id).await?.ok_or_else(not_found)?;
    let key = keys::open(&app.keyring, &token.public_id, &sealed)?;
    let tx = app.db.begin().await?;
    audit::write(&tx, asking, "tokens.reveal", &target(id), &()).await?;
    tx.commit().await?;
    Ok(TokenWithKey { token, key })
}

/// Deletes a token. It ends at once on every relay; its requests and ledger stay.
///
/// # Errors
/// 404 when it is not the caller's to see, 403, 412.
pub async fn delete(app: &App, asking: &Asking, id: TokenId) -> Result<i64, ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    let owner = owner_of_token(app, asking, id).await?;
    let tx = app.db.begin().await?;
    let token = store::lock(&tx, id).await?.ok_or_else(not_found)?;
    asking.need_unchanged(token.rev)?;
    store::delete(&tx, owner.id, Some(id), asking.now).await?;
    audit::write(&tx, asking, "tokens.delete", &target(id), &token).await?;
    let seq = log::record(&tx, asking.now, &[Changed::Token(id)]).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(seq)
}

/// Deletes every token of a user and answers which. The caller records the change.
///
/// # Errors
/// When the database is away.
pub async fn delete_all_of(tx: &Tx, user: UserId, now: UnixMillis) -> Result<Vec<TokenId>, ApiError> {
    Ok(store::delete(tx, user, None, now).await?)
}

/// Stores a token with a key that the settings give. The caller records the change.
///
/// # Errors
/// When the database is away.
pub async fn open_given(app: &App, tx: &Tx, user: UserId, key: &SecretString, now: UnixMillis) -> Result<TokenId, ApiError> {
    let key = keys::of_given(&app.keyring, key)?;
    let mut token = Token { name: "initial".to_owned(), ..blank(user, &key, now) };
    open(app, tx, &mut token, &key).await?;
    Ok(token.id)
}

/// A token without limits.
fn blank(user_id: UserId, key: &Key, now: UnixMillis) -> Token {
    Token {
        id: TokenId::new(0),
        public_id: format!("tok_{}", hex::encode(random::bytes::<12>())),
        user_id,
        account_id: AccountId::new(0),
        name: String::new(),
        hint: key.hint.clone(),
        status: Status::Enabled,
        group: None,
        capped: false,
        uses_account_id: None,
        uses_limited: false,
        expires_at: None,
        models: None,
        ip_allow: Vec::new(),
        limits: Limits::default(),
        rev: 1,
        created_at: now,
        updated_at: now,
        last_used_at: None,
    }
}

/// Stores a token and opens its account.
async fn open(app: &App, tx: &Tx, token: &mut Token, key: &Key) -> Result<(), ApiError> {
    let sealed = keys::seal(&app.keyring, &token.public_id, &key.secret)?;
    token.id = store::insert(tx, token, key, &sealed).await?;
    token.account_id = wallet::open(tx, AccountKind::Cap(token.id), token.user_id, token.created_at).await?;
    store::set_account(tx, token.id, token.account_id).await?;
    Ok(())
}

/// Limits the uses of a token. Their account is opened when that is done for the first time.
async fn open_uses(tx: &Tx, asking: &Asking, token: &mut Token, limit: Quota) -> Result<(), ApiError> {
    let account = match token.uses_account_id {
        Some(account) => account,
        None => wallet::open(tx, AccountKind::Uses(token.id), token.user_id, asking.now).await?,
    };
    token.uses_account_id = Some(account);
    move_limit(tx, asking, account, limit, format!("request limit of the token set to {limit}")).await
}

/// Moves what is left so that it and what was spent make up the limit.
async fn move_limit(tx: &Tx, asking: &Asking, account: AccountId, limit: Quota, reason: String) -> Result<(), ApiError> {
    let standings = wallet::standings(tx, &[account]).await?;
    let standing = standings.first().ok_or_else(|| ApiError::internal("a token has no account"))?;
    let granted = standing.total().saturating_plus(standing.spent);
    let amount = limit.saturating_minus(granted);
    if amount.is_zero() {
        return Ok(());
    }
    let entry = Entry {
        account,
        kind: EntryKind::CapChange,
        amount,
        reference: users::unique_reference("cap"),
        actor: Some(asking.actor.user_id),
        reason,
    };
    wallet::post(tx, entry, asking.now).await?;
    Ok(())
}

/// A user whose tokens the caller may change: themselves, or somebody of a lower role.
async fn owner_of(app: &App, asking: &Asking, id: UserId) -> Result<User, ApiError> {
    let owner = users::visible(app.db.read(), &asking.actor, id).await?;
    if owner.id != asking.actor.user_id {
        may_manage(&asking.actor, owner.role)?;
    }
    Ok(owner)
}

async fn owner_of_token(app: &App, asking: &Asking, id: TokenId) -> Result<User, ApiError> {
    let token = visible(app.db.read(), &asking.actor, id).await?;
    owner_of(app, asking, token.user_id).await
}

/// A token's group exists and is one its owner may use.
async fn need_group(tx: &Tx, owner: &User, group: Option<&GroupName>) -> Result<(), ApiError> {
    let Some(group) = group else { return Ok(()) };
    groups::need(tx, "group", group).await?;
    if groups::usable_from(tx, &owner.group).await?.contains(group) {
        return Ok(());
    }
    Err(ApiError::field("group", "not_usable", format!("must be a group that members of {} may use", owner.group)))
}

/// A token that has ended is not switched on again without a new end.
fn need_enabling(after: &Token, asked: &Checked, now: UnixMillis) -> Result<(), ApiError> {
    let is_over = after.expires_at.is_some_and(|end| end <= now);
    if asked.status == Some(Status::Enabled) && is_over {
        return Err(ApiError::field("expires_at", "past", "has passed: set a new one, or null"));
    }
    Ok(())
}

/// A token that has used up what it was given is not switched on again without more.
async fn need_rest(tx: &Tx, after: &Token, asked: &Checked) -> Result<(), ApiError> {
    let limits = [
        ("quota", after.capped.then_some(after.account_id), &asked.quota),
        ("request_limit", after.uses_account_id.filter(|_| after.uses_limited), &asked.request_limit),
    ];
    for (field, account, asked) in limits {
        let Some(account) = account else { continue };
        let standings = wallet::standings(tx, &[account]).await?;
        let standing = standings.first().ok_or_else(|| ApiError::internal("a token has no account"))?;
        let rest = match *asked {
            Patch::Set(limit) => limit.saturating_minus(standing.spent),
            Patch::Keep | Patch::Clear => standing.total(),
        };
        if !rest.is_positive() {
            return Err(ApiError::field(field, "used_up", "is used up: set a higher one, or null"));
        }
    }
    Ok(())
}

fn target(id: TokenId) -> String {
    format!("token:{id}")
}

fn not_found() -> ApiError {
    ApiError::not_found("token")
}
