//! Groups: who may use which channels, and at which ratio.

mod api;
mod store;

use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};
use sluice_billing::Ratio;
use sluice_domain::{GroupName, Limits, Role, UnixMillis};

use crate::app::App;
use crate::audit;
use crate::auth::{Actor, Scope};
use crate::db::Tx;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Code, LimitBody, Listing, Page, Rules, Written};
use crate::publish::log::{self, Changed, RateChange, RateKind};
use crate::users;

pub use api::routes;

/// The most groups a group's members may choose besides their own.
const MOST_USABLE: usize = 200;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, for ever.
    pub name: GroupName,
    /// What every price is multiplied by.
    pub ratio: Ratio,
    /// Groups that tokens of its members may choose besides their own.
    pub usable: Vec<GroupName>,
    /// What it is for, shown to its members.
    pub description: String,
    /// How much all who use it may use together.
    #[serde(default)]
    pub limits: Limits,
    /// Grows with every change.
    pub rev: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was changed.
    pub updated_at: UnixMillis,
}

/// What a new group is to be, or what is to change of one; `None` takes the default, or stays.
#[derive(Debug, Default)]
pub struct GroupFields {
    /// What every price is multiplied by, as decimal text.
    pub ratio: Option<String>,
    /// Groups that tokens of its members may choose.
    pub usable: Option<Vec<String>>,
    /// What it is for.
    pub description: Option<String>,
    /// How much all who use it may use together.
    pub limits: Option<Vec<LimitBody>>,
}

impl GroupFields {
    /// Puts the fields that are there into a group.
    fn put_into(self, group: &mut Group) -> Result<(), ApiError> {
        let mut rules = Rules::new();
        if let Some(ratio) = self.ratio {
            group.ratio = rules.read("ratio", "ratio", ratio.parse()).unwrap_or_default();
        }
        if let Some(usable) = self.usable {
            rules.at_most("usable", &usable, MOST_USABLE);
            let names = usable.iter().enumerate();
            let read = names.filter_map(|(at, name)| rules.read(&format!("usable[{at}]"), "name", GroupName::parse(name)));
            group.usable = read.collect();
            group.usable.sort();
            group.usable.dedup();
        }
        if let Some(description) = self.description {
            rules.line("description", &description, 0, 255);
            group.description = description;
        }
        if let Some(limits) = LimitBody::read(&mut rules, self.limits.as_deref()) {
            group.limits = limits;
        }
        rules.done()
    }
}

/// A page of groups: all for administrators, else those the caller's tokens may choose.
///
/// # Errors
/// When the database is away.
pub async fn list(app: &App, asking: &Asking, listing: &Listing) -> Result<Page<Group>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let only = if asking.actor.is_admin() { None } else { Some(usable_by(app.db.read(), &asking.actor).await?) };
    Ok(store::list(app.db.read(), only.as_deref(), listing).await?)
}

/// One group.
///
/// # Errors
/// 404 when there is none of this name for the caller.
pub async fn get(app: &App, asking: &Asking, name: &str) -> Result<Group, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let group = store::find(app.db.read(), name).await?.ok_or_else(not_found)?;
    if asking.actor.is_admin() || usable_by(app.db.read(), &asking.actor).await?.contains(&group.name) {
        return Ok(group);
    }
    Err(not_found())
}

async fn usable_by(db: &impl ConnectionTrait, actor: &Actor) -> Result<Vec<GroupName>, ApiError> {
    let user = users::visible(db, actor, actor.user_id).await?;
    Ok(usable_from(db, &user.group).await?)
}

/// Groups that tokens of a group's members may choose: their own, and those it lists.
///
/// # Errors
/// When the database is away.
pub async fn usable_from(db: &impl ConnectionTrait, group: &GroupName) -> Result<Vec<GroupName>, DbErr> {
    let listed = store::find(db, group.as_str()).await?.map(|group| group.usable).unwrap_or_default();
    Ok(std::iter::once(group.clone()).chain(listed).collect())
}

/// Lets pass when a group exists.
///
/// # Errors
/// 422 for the field when it does not.
pub async fn need(db: &impl ConnectionTrait, field: &str, group: &GroupName) -> Result<(), ApiError> {
    match store::find(db, group.as_str()).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::field(field, "unknown_group", "must be the name of a group")),
    }
}

/// Makes a group.
///
/// # Errors
/// 403 for all but administrators, 409 when the name is taken, 422 when a field breaks a rule.
pub async fn create(app: &App, asking: &Asking, name: &str, fields: GroupFields) -> Result<Written<Group>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let name = GroupName::parse(name).map_err(|rule| ApiError::field("name", "name", rule.to_string()))?;
    if name.as_str() == "auto" {
        return Err(ApiError::field("name", "reserved", "must not be the word for the first group that serves a model"));
    }
    let now = asking.now;
    let (usable, description, limits) = (Vec::new(), String::new(), Limits::default());
    let mut group = Group { name, ratio: Ratio::ONE, usable, description, limits, rev: 1, created_at: now, updated_at: now };
    fields.put_into(&mut group)?;

    let tx = app.db.begin().await?;
    need_usable(&tx, &group).await?;
    store::insert(&tx, &group).await?;
    audit::write(&tx, asking, "groups.create", &target(&group), &group).await?;
    let config_seq = record(&tx, asking, &group, Some(&group.ratio)).await?;
    let made = Written { object: group, config_seq: Some(config_seq) };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(made)
}

/// Changes a group.
///
/// # Errors
/// 403 for all but administrators, 404, 412, 422.
pub async fn patch(app: &App, asking: &Asking, name: &str, fields: GroupFields) -> Result<Written<Group>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let tx = app.db.begin().await?;
    let before = store::lock(&tx, name).await?.ok_or_else(not_found)?;
    asking.need_unchanged(before.rev)?;
    let mut after = Group { rev: before.rev + 1, updated_at: asking.now, ..before.clone() };
    fields.put_into(&mut after)?;
    need_usable(&tx, &after).await?;
    store::update(&tx, &after).await?;
    let detail = serde_json::json!({"before": &before, "after": &after});
    audit::write(&tx, asking, "groups.patch", &target(&after), &detail).await?;
    let config_seq = record(&tx, asking, &after, Some(&after.ratio)).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(Written { object: after, config_seq: Some(config_seq) })
}

/// Deletes a group that nothing uses.
///
/// # Errors
/// 403 for all but administrators, 404, 409 when something uses it, 412.
pub async fn delete(app: &App, asking: &Asking, name: &str) -> Result<i64, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    if name == GroupName::DEFAULT {
        return Err(ApiError::new(Code::Protected, "the default group stays"));
    }
    let tx = app.db.begin().await?;
    let group = store::lock(&tx, name).await?.ok_or_else(not_found)?;
    asking.need_unchanged(group.rev)?;
    let uses = store::uses(&tx, &group.name).await?;
    if let Some((what, count)) = uses.into_iter().find(|(_, count)| *count > 0) {
        return Err(ApiError::new(Code::InUse, format!("{count} {what} use it")));
    }
    store::delete(&tx, &group.name).await?;
    audit::write(&tx, asking, "groups.delete", &target(&group), &group).await?;
    let seq = record(&tx, asking, &group, None).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(seq)
}

async fn need_usable(tx: &Tx, group: &Group) -> Result<(), ApiError> {
    let known = store::names(tx, &group.usable).await?;
    let missing = group.usable.iter().find(|name| **name != group.name && !known.contains(name));
    match missing {
        Some(name) => Err(ApiError::field("usable", "unknown_group", format!("there is no group {name}"))),
        None => Ok(()),
    }
}

async fn record(tx: &Tx, asking: &Asking, group: &Group, ratio: Option<&Ratio>) -> Result<i64, DbErr> {
    let rate = RateChange { kind: RateKind::Group, name: group.name.to_string(), body: ratio.map(Ratio::to_string) };
    log::record_rates(tx, asking.now, &[Changed::Group(group.name.clone())], &[rate]).await
}

fn target(group: &Group) -> String {
    format!("group:{}", group.name)
}

fn not_found() -> ApiError {
    ApiError::not_found("group")
}
