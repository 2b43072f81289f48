//! Operations that change channels.

use std::collections::BTreeMap;

use secrecy::SecretString;
use sluice_domain::{ChannelId, ChannelKeyId, Role, Status};
use tracing::{info, warn};

use super::{Channel, ChannelFields, Policy, Settings, demo, not_found, rules, store};
use crate::app::App;
use crate::auth::Scope;
use crate::db::Tx;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Code, Written};
use crate::notifications::{self, SwitchedOff, SwitchedOn};
use crate::publish::log::{self, Changed, RateChange, RateKind};
use crate::{audit, groups, providers};

/// Characters that the column of a reason holds.
const MOST_REASON: usize = 255;

/// A key of a channel, shown again.
#[derive(Debug)]
pub struct RevealedKey {
    /// Its id.
    pub id: ChannelKeyId,
    /// The key.
    pub key: SecretString,
}

/// Makes a channel.
///
/// # Errors
/// 403 for all but administrators, 422 when a field breaks a rule.
pub async fn create(app: &App, asking: &Asking, mut fields: ChannelFields) -> Result<Written<Channel>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let slug = fields.provider.take().ok_or_else(|| ApiError::field("provider", "required", "is required"))?;
    let tx = app.db.begin().await?;
    let provider = providers::need(&tx, &app.catalog, &slug).await?;
    rules::with_defaults(&mut fields);
    let mut channel = blank(slug, asking);
    rules::put_into(&mut channel, &mut fields, &provider)?;
    if channel.name.is_empty() {
        return Err(ApiError::field("name", "required", "is required"));
    }
    need_groups(&tx, &channel).await?;
    channel.id = store::insert(&tx, &app.keyring, &channel).await?;
    channel.keys = store::replace_keys(&tx, &app.keyring, channel.id, fields.keys.as_deref().unwrap_or_default()).await?;
    audit::write(&tx, asking, "channels.create", &target(channel.id), &channel).await?;
    let aside = demo::step_aside(&tx, &app.keyring, asking, &channel).await?;
    let config_seq = record(&tx, asking, None, Some(&channel), aside).await?;
    let made = Written { object: channel, config_seq: Some(config_seq) };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(made)
}

/// Changes a channel. Keys that are given take the place of those there are.
///
/// # Errors
/// 403 for all but administrators, 404, 412, 422.
pub async fn patch(app: &App, asking: &Asking, id: ChannelId, mut fields: ChannelFields) -> Result<Written<Channel>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let tx = app.db.begin().await?;
    let before = store::lock(&tx, &app.keyring, id).await?.ok_or_else(not_found)?;
    asking.need_unchanged(before.rev)?;
    if rules::is_empty(&fields) {
        return Ok(Written { object: before, config_seq: None });
    }
    let mut after = Channel { rev: before.rev + 1, updated_at: asking.now, ..before.clone() };
    if let Some(slug) = fields.provider.take() {
        after.provider = slug;
    }
    let provider = providers::need(&tx, &app.catalog, &after.provider).await?;
    rules::put_into(&mut after, &mut fields, &provider)?;
    need_groups(&tx, &after).await?;
    store::update(&tx, &app.keyring, &after).await?;
    if let Some(keys) = &fields.keys {
        after.keys = store::replace_keys(&tx, &app.keyring, id, keys).await?;
    }
    if fields.status == Some(Status::Enabled) {
        store::switch_on_keys(&tx, &mut after).await?;
    }
    let detail = serde_json::json!({"before": &before, "after": &after});
    audit::write(&tx, asking, "channels.patch", &target(id), &detail).await?;
    let aside = demo::step_aside(&tx, &app.keyring, asking, &after).await?;
    let config_seq = record(&tx, asking, Some(&before), Some(&after), aside).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(Written { object: after, config_seq: Some(config_seq) })
}

/// Deletes a channel and its keys. Its requests stay in the log.
///
/// # Errors
/// 403 for all but administrators, 404, 412.
pub async fn delete(app: &App, asking: &Asking, id: ChannelId) -> Result<i64, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let tx = app.db.begin().await?;
    let channel = store::lock(&tx, &app.keyring, id).await?.ok_or_else(not_found)?;
    asking.need_unchanged(channel.rev)?;
    store::delete(&tx, id, asking.now).await?;
    audit::write(&tx, asking, "channels.delete", &target(id), &channel).await?;
    let seq = record(&tx, asking, Some(&channel), None, None).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(seq)
}

/// Shows the keys of a channel. Root only, after a fresh sign-in; written to the audit trail.
///
/// # Errors
/// 403 for all but root or when the sign-in is too old, 404.
pub async fn reveal(app: &App, asking: &Asking, id: ChannelId) -> Result<Vec<RevealedKey>, ApiError> {
    asking.actor.need(Role::Root, Scope::Write)?;
    store::find(app.db.read(), &app.keyring, id).await?.ok_or_else(not_found)?;
    app.gate.critical(asking.client_ip)?;
    asking.need_fresh_sign_in()?;
    let keys = store::open_keys(app.db.read(), &app.keyring, id).await?;
    let tx = app.db.begin().await?;
    audit::write(&tx, asking, "channels.reveal", &target(id), &()).await?;
    tx.commit().await?;
    Ok(keys)
}

/// Switches a channel off, or one of its keys where it has others, because of what relays saw. Leaves alone what is off already and
/// what is to stay on. `true` when it changed something.
///
/// # Errors
/// When the database is away.
pub(crate) async fn switch_off(app: &App, id: ChannelId, key: Option<ChannelKeyId>, reason: &str) -> Result<bool, ApiError> {
    let now = app.clock.wall();
    let reason: String = reason.chars().take(MOST_REASON).collect();
    let tx = app.db.begin().await?;
    let Some(mut channel) = store::lock(&tx, &app.keyring, id).await? else { return Ok(false) };
    let is_used = |key: ChannelKeyId| channel.keys.iter().any(|one| one.id == key && one.status.is_enabled());
    if !channel.status.is_enabled() || channel.policy.stays_on || key.is_some_and(|key| !is_used(key)) {
        return Ok(false);
    }
    if let Some(key) = key {
        store::switch_off_key(&tx, key, &reason, now).await?;
        for one in channel.keys.iter_mut().filter(|one| one.id == key) {
            (one.status, one.status_reason) = (Status::AutoDisabled, Some(reason.clone()));
        }
    }
    if key.is_none() || !channel.keys.iter().any(|one| one.status.is_enabled()) {
        (channel.status, channel.status_reason) = (Status::AutoDisabled, Some(reason.clone()));
    }
    (channel.rev, channel.updated_at) = (channel.rev + 1, now);
    store::update(&tx, &app.keyring, &channel).await?;
    let detail = serde_json::json!({"reason": &reason, "key_id": key, "status": channel.status});
    audit::write_by_itself(&tx, now, "channels.switch_off", &target(id), &detail).await?;
    let switched_off =
        SwitchedOff { channel_id: id, channel_name: &channel.name, status: channel.status, key_id: key, reason: &reason };
    notifications::write(app, &tx, now, &switched_off.notice()).await?;
    log::record(&tx, now, &[Changed::Channel(id)]).await?;
    tx.commit().await?;
    app.poke.look();
    match key {
        Some(key) if channel.status.is_enabled() => {
            warn!(channel.id = %id, channel.key.id = %key, reason, "a key of channel {id} is switched off: {reason}");
        }
        _ => warn!(channel.id = %id, reason, "channel {id} is switched off: {reason}"),
    }
    Ok(true)
}

/// Switches a channel, and the key it was tested with, on again: a test passed. Leaves alone what a person switched off. `true` when it
/// changed something.
///
/// # Errors
/// When the database is away.
pub(crate) async fn switch_on(app: &App, id: ChannelId, key: Option<ChannelKeyId>) -> Result<bool, ApiError> {
    let now = app.clock.wall();
    let tx = app.db.begin().await?;
    let Some(mut channel) = store::lock(&tx, &app.keyring, id).await? else { return Ok(false) };
    let is_off = |status: Status| status == Status::AutoDisabled;
    let key = key.filter(|key| channel.keys.iter().any(|one| one.id == *key && is_off(one.status)));
    if channel.status == Status::Disabled || (key.is_none() && !is_off(channel.status)) {
        return Ok(false);
    }
    if let Some(key) = key {
        store::switch_on_key(&tx, key).await?;
        for one in channel.keys.iter_mut().filter(|one| one.id == key) {
            (one.status, one.status_reason) = (Status::Enabled, None);
        }
    }
    (channel.status, channel.status_reason) = (Status::Enabled, None);
    (channel.rev, channel.updated_at) = (channel.rev + 1, now);
    store::update(&tx, &app.keyring, &channel).await?;
    let detail = serde_json::json!({"key_id": key, "status": channel.status});
    audit::write_by_itself(&tx, now, "channels.switch_on", &target(id), &detail).await?;
    let switched_on = SwitchedOn { channel_id: id, channel_name: &channel.name, status: channel.status, key_id: key };
    notifications::write(app, &tx, now, &switched_on.notice()).await?;
    log::record(&tx, now, &[Changed::Channel(id)]).await?;
    tx.commit().await?;
    app.poke.look();
    info!(channel.id = %id, "channel {id} is switched on again: a test of it passed");
    Ok(true)
}

fn blank(provider: String, asking: &Asking) -> Channel {
    Channel {
        id: ChannelId::new(0),
        name: String::new(),
        provider,
        base_url: None,
        api_version: None,
        models: Vec::new(),
        groups: Vec::new(),
        priority: 0,
        weight: 1,
        status: Status::Enabled,
        status_reason: None,
        model_mapping: BTreeMap::new(),
        cache_read_ratio: None,
        policy: Policy::default(),
        limits: sluice_domain::Limits::default(),
        settings: Settings::default(),
        keys: Vec::new(),
        rev: 1,
        created_at: asking.now,
        updated_at: asking.now,
    }
}

async fn need_groups(tx: &Tx, channel: &Channel) -> Result<(), ApiError> {
    for (at, group) in channel.groups.iter().enumerate() {
        groups::need(tx, &format!("groups[{at}]"), group).await?;
    }
    Ok(())
}

/// Records the change, that of another channel which made way, and the channel's own rate where it differs from before.
async fn record(
    tx: &Tx,
    asking: &Asking,
    before: Option<&Channel>,
    after: Option<&Channel>,
    aside: Option<ChannelId>,
) -> Result<i64, ApiError> {
    let changed = after.or(before).ok_or_else(|| ApiError::new(Code::Internal, "a change of nothing"))?;
    let rate = |channel: Option<&Channel>| channel.and_then(|channel| channel.cache_read_ratio);
    let (before, after) = (rate(before), rate(after));
    let change = RateChange { kind: RateKind::Channel, name: changed.id.to_string(), body: after.map(|ratio| ratio.to_string()) };
    let rates = if before == after { Vec::new() } else { vec![change] };
    let changes: Vec<Changed> = std::iter::once(changed.id).chain(aside).map(Changed::Channel).collect();
    Ok(log::record_rates(tx, asking.now, &changes, &rates).await?)
}

fn target(id: ChannelId) -> String {
    format!("channel:{id}")
}
