//! Operations that change people.

use sluice_domain::{GroupName, Quota, Role, Status, UserId};
use uuid::Uuid;

use super::rules::{may_give, may_manage, read_email};
use super::{Found, NewAccount, NewUser, User, UserPatch, check_username, open, store};
use crate::app::App;
use crate::audit;
use crate::auth::{Scope, check_password, end_sessions, management};
use crate::db::Tx;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Code, LimitBody, Patch, Rules, Written};
use crate::publish::log::{self, Changed, MAX_CHANGES};
use crate::wallet::{self, Entry, EntryKind};
use crate::{groups, settings, tokens};

/// Makes a person with an empty wallet, or the gift for new users in it.
///
/// # Errors
/// 403 when the role is not below the caller's, or a management token without every scope sets a password or makes an administrator; 422 when a field breaks a rule, 409 when the username or e-mail address is taken.
pub async fn create(app: &App, asking: &Asking, new: NewUser) -> Result<Written<User>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    may_give(&asking.actor, new.role)?;
    if new.password.is_some() || new.role >= Role::Admin {
        asking.actor.need_every_scope()?;
    }
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let (mut account, password) = check_new(new)?;
    if let Some(password) = password {
        account.password_hash = Some(app.passwords.digest(password).await?);
    }
    let gift = settings::site(app).await?.quota_for_new_user;

    let tx = app.db.begin().await?;
    if let Some(group) = &account.group {
        groups::need(&tx, "group", group).await?;
    }
    let user = open(&tx, account, asking.now).await?;
    give(&tx, asking, user.id, gift).await?;
    audit::write(&tx, asking, "users.create", &target(user.id), &user).await?;
    let seq = log::record(&tx, asking.now, &[Changed::User(user.id)]).await?;
    let made = Written { object: user, config_seq: Some(seq) };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(made)
}

fn check_new(new: NewUser) -> Result<(NewAccount, Option<secrecy::SecretString>), ApiError> {
    let mut rules = Rules::new();
    check_username(&mut rules, "username", &new.username);
    let display_name = new.display_name.unwrap_or_else(|| new.username.clone());
    rules.line("display_name", &display_name, 0, 64);
    let email = new.email.map(|email| read_email(&mut rules, &email));
    let group = new.group.map(|group| rules.read("group", "name", GroupName::parse(&group)));
    let limits = LimitBody::read(&mut rules, new.limits.as_deref()).unwrap_or_default();
    if let Some(password) = &new.password {
        rules.read("password", "password", check_password(password, &new.username, new.role));
    }
    rules.done()?;
    let account = NewAccount { display_name, email, group: group.flatten(), limits, ..NewAccount::new(&new.username, new.role) };
    Ok((account, new.password))
}

async fn give(tx: &Tx, asking: &Asking, user: UserId, gift: Quota) -> Result<(), ApiError> {
    if !gift.is_positive() {
        return Ok(());
    }
    let wallets = store::wallets_of(tx, &[user]).await?;
    let account = wallets.get(&user).copied().ok_or_else(|| ApiError::internal("a new user has no wallet"))?;
    let entry = Entry {
        account,
        kind: EntryKind::SignupGift,
        amount: gift,
        reference: format!("signup_gift:{user}"),
        actor: Some(asking.actor.user_id),
        reason: String::new(),
    };
    wallet::post(tx, entry, asking.now).await.map(drop).map_err(ApiError::from)
}

/// Changes a person. People change their own display name, e-mail address and password; administrators the rest, of lower roles.
///
/// # Errors
/// 404, 403, 409, 412 or 422 as the fields and roles have it.
pub async fn patch(app: &App, asking: &Asking, id: UserId, patch: UserPatch) -> Result<Written<User>, ApiError> {
    asking.actor.need_scope(Scope::Write)?;
    let before = super::visible(app.db.read(), &asking.actor, id).await?;
    authorise(asking, &before, &patch)?;
    let digest = new_password(app, asking, &before, &patch).await?;

    let tx = app.db.begin().await?;
    let Some(Found { user: before, .. }) = store::lock(&tx, id).await? else { return Err(ApiError::not_found("user")) };
    authorise(asking, &before, &patch)?;
    asking.need_unchanged(before.rev)?;
    let after = patched(&before, patch)?;
    if after.group != before.group {
        groups::need(&tx, "group", &after.group).await?;
    }
    store::update(&tx, &after, asking.now).await?;
    if let Some(digest) = &digest {
        store::set_password(&tx, id, Some(digest)).await?;
    }
    if digest.is_some() || !after.may_sign_in() {
        end_sessions(&tx, id).await?;
    }
    let after = User { rev: before.rev + 1, updated_at: asking.now, ..after };
    let detail = serde_json::json!({"before": &before, "after": &after, "password_changed": digest.is_some()});
    audit::write(&tx, asking, "users.patch", &target(id), &detail).await?;
    let known = |user: &User| (user.status, user.role, user.group.clone(), user.limits.clone());
    let is_for_relays = known(&after) != known(&before);
    let config_seq = if is_for_relays { Some(log::record(&tx, asking.now, &[Changed::User(id)]).await?) } else { None };
    tx.commit().await?;
    app.poke.look();
    Ok(Written { object: after, config_seq })
}

/// Who may change what of whom.
fn authorise(asking: &Asking, before: &User, patch: &UserPatch) -> Result<(), ApiError> {
    let is_self = asking.actor.user_id == before.id;
    if !is_self {
        asking.actor.need(Role::Admin, Scope::Write)?;
        may_manage(&asking.actor, before.role)?;
    }
    if let Some(role) = patch.role.filter(|role| *role != before.role) {
        if is_self {
            return Err(ApiError::new(Code::Protected, "nobody changes their own role"));
        }
        may_give(&asking.actor, role)?;
        if role >= Role::Admin {
            asking.actor.need_every_scope()?;
        }
    }
    if patch.password.is_some() {
        asking.actor.need_every_scope()?;
    }
    let is_root = before.role == Role::Root;
    if is_root && (patch.role.is_some_and(|role| role != Role::Root) || patch.status.is_some_and(|status| !status.is_enabled())) {
        return Err(ApiError::new(Code::Protected, "root cannot be demoted or disabled"));
    }
    let is_ruling = patch.status.is_some() || patch.group.is_some() || patch.limits.is_some();
    let is_for_admins = is_ruling || patch.username.is_some();
    if is_for_admins {
        asking.actor.need(Role::Admin, Scope::Write)?;
    }
    if is_ruling && is_self && asking.actor.role != Role::Root {
        return Err(ApiError::new(Code::Protected, "nobody changes their own status, group or limits"));
    }
    Ok(())
}

/// The digest of a new password, after the old one was shown to be known.
async fn new_password(app: &App, asking: &Asking, before: &User, patch: &UserPatch) -> Result<Option<String>, ApiError> {
    let Some(password) = &patch.password else { return Ok(None) };
    let mut rules = Rules::new();
    let username = patch.username.as_deref().unwrap_or(&before.username);
    rules.read("password", "password", check_password(password, username, patch.role.unwrap_or(before.role)));
    rules.done()?;
    if asking.actor.user_id == before.id {
        app.gate.critical(asking.client_ip)?;
        let found = store::find_by_username(app.db.read(), &super::username_key(&before.username)).await?;
        let stored = found.and_then(|found| found.password_hash);
        // whoever never had a password has none to show; they may do all that their role may
        if stored.is_some() {
            let Some(current) = &patch.current_password else {
                return Err(ApiError::field("current_password", "required", "is required to change your own password"));
            };
            if !app.passwords.verify(stored, current.clone()).await? {
                return Err(ApiError::field("current_password", "wrong", "is not your password"));
            }
        }
    }
    Ok(Some(app.passwords.digest(password.clone()).await?))
}

fn patched(before: &User, patch: UserPatch) -> Result<User, ApiError> {
    let mut rules = Rules::new();
    let mut after = before.clone();
    if let Some(username) = patch.username {
        check_username(&mut rules, "username", &username);
        after.username = username;
    }
    if let Some(display_name) = patch.display_name {
        rules.line("display_name", &display_name, 0, 64);
        after.display_name = display_name;
    }
    after.email = match patch.email {
        Patch::Set(email) => Some(read_email(&mut rules, &email)),
        other => other.apply(after.email),
    };
    if let Some(group) = patch.group {
        after.group = rules.read("group", "name", GroupName::parse(&group)).unwrap_or(after.group);
    }
    if let Some(limits) = LimitBody::read(&mut rules, patch.limits.as_deref()) {
        after.limits = limits;
    }
    if let Some(status) = patch.status {
        if status == Status::AutoDisabled {
            rules.refuse("status", "choice", "must be enabled or disabled");
        }
        after.status = status;
    }
    after.role = patch.role.unwrap_or(after.role);
    rules.done()?;
    Ok(after)
}

/// Deletes a person: their sessions, management tokens and keys end in the same transaction. Ledger and requests stay.
///
/// # Errors
/// 404, 403 when they are not below the caller, 409 for root.
pub async fn delete(app: &App, asking: &Asking, id: UserId) -> Result<i64, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let tx = app.db.begin().await?;
    let Some(Found { user, .. }) = store::lock(&tx, id).await? else { return Err(ApiError::not_found("user")) };
    if user.role == Role::Root {
        return Err(ApiError::new(Code::Protected, "root cannot be deleted"));
    }
    may_manage(&asking.actor, user.role)?;
    asking.need_unchanged(user.rev)?;
    store::delete(&tx, id, asking.now).await?;
    end_sessions(&tx, id).await?;
    management::delete_all_of(&tx, id).await?;
    let ended = tokens::delete_all_of(&tx, id, asking.now).await?;
    audit::write(&tx, asking, "users.delete", &target(id), &user).await?;
    // a deleted user already keeps every token of theirs out, so tokens beyond one transaction's share need no row of their own
    let tokens = ended.into_iter().map(Changed::Token);
    let changes: Vec<Changed> = std::iter::once(Changed::User(id)).chain(tokens).take(MAX_CHANGES).collect();
    let seq = log::record(&tx, asking.now, &changes).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(seq)
}

/// A name for a movement of money that nothing else has.
pub(crate) fn unique_reference(kind: &str) -> String {
    let name = Uuid::from_bytes(sluice_sealed::random::bytes());
    format!("{kind}:{}", name.simple())
}

fn target(id: UserId) -> String {
    format!("user:{id}")
}
