//! What administrators have relays try for them: a model of a channel, its upstream's list of models, what is left of its money.
//!
//! It is tried by a relay because the way out is the relays': their network, their proxies. An errand is a row: whoever asks writes it, a
//! replica with a relay connected claims it ([`take`]) and hands it over on the lease stream (`rpc/errands`), the relay reports, and
//! [`report`] writes down what came of it. So it matters neither which replica was asked nor which one the relay is connected to, and
//! nothing is lost with either: a claim that nobody answers ends, and the row is claimed anew.
//!
//! Nothing of an errand is charged to anybody, and none is a request of anybody's. What the upstream charges for a test is the site's: the
//! row says what a caller would have paid for it, and is kept as long as requests are logged.

mod api;
pub mod jobs;
mod rules;
mod store;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};
use sluice_billing::Unpriced;
use sluice_domain::{ChannelId, ChannelKeyId, NodeId, Role, UnixMillis, UserId};
use sluice_providers::Capability;
use tokio::time::{Instant, sleep};

use crate::app::App;
use crate::auth::Scope;
use crate::channels::{self, Channel, Evidence};
use crate::db::{Db, Urgency, retried};
use crate::http::{ApiError, Asking, Code, Listing, Page};
use crate::{audit, pricing, providers, publish};

pub use api::routes;
pub(crate) use api::{BalanceView, TestView};
pub use rules::{Kind, Outcome, Wish};

/// Errands that may be open at once, of the whole site.
pub const MOST_OPEN: u64 = 200;
/// How long whoever asked waits for an answer. After it they are told where to look.
pub const WAIT: Duration = Duration::from_secs(15);
/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// How long a relay may take, in milliseconds: longer than it does. After it the errand is given to another.
pub const CLAIM_MILLIS: i64 = 90_000;
/// How long an errand waits for a relay at all, in milliseconds.
pub const LIFE_MILLIS: i64 = 600_000;

/// Something a relay is to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Its id.
    pub id: i64,
    /// What.
    pub kind: Kind,
    /// With this channel.
    pub channel: ChannelId,
    /// And this key; `None`: the channel has none.
    pub key: Option<ChannelKeyId>,
    /// Of a test: the model, by the name callers use.
    pub model: Option<String>,
    /// From this config sequence on the channel is as whoever asked saw it.
    pub config_seq: i64,
    /// Who asked; `None`: Sluice by itself.
    pub asked_by: Option<UserId>,
    /// When.
    pub asked_at: UnixMillis,
    /// The relay that has it.
    pub node: Option<String>,
    /// When it was over.
    pub done_at: Option<UnixMillis>,
    /// What came of it.
    pub outcome: Option<Outcome>,
}

/// How a channel did when it was last looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// The last test.
    pub test: Option<TestCheck>,
    /// The last balance that was told.
    pub balance: Option<BalanceCheck>,
}

/// The last test of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCheck {
    /// When.
    pub at: UnixMillis,
    /// Whether the model answered.
    pub ok: bool,
    /// How long it took, in milliseconds.
    pub latency_millis: i64,
    /// The model.
    pub model: String,
    /// Why it failed.
    pub message: Option<String>,
}

/// The last balance of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceCheck {
    /// When.
    pub at: UnixMillis,
    /// Decimal text.
    pub amount: String,
    /// In three letters.
    pub currency: String,
}

/// What was asked for of many channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The errands.
    pub ids: Vec<i64>,
    /// Channels for which there was no room.
    pub left_out: u64,
}

/// Which errands are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ErrandFilter {
    /// Only with this channel.
    pub channel: Option<ChannelId>,
    /// Only of this kind.
    pub kind: Option<Kind>,
}

/// Has a relay try something with a channel.
///
/// # Errors
/// 403 for all but administrators, 404, 422 when the channel has no such key or model, or its provider does not offer it; 429 when too
/// much is open.
pub async fn ask(app: &App, asking: &Asking, id: ChannelId, wish: Wish) -> Result<Vec<i64>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let channel = channels::find(app, id).await?.ok_or_else(|| ApiError::not_found("channel"))?;
    let provider = providers::find(app, &channel.provider).await?;
    let provider = provider.ok_or_else(|| not_offered("the channel's provider is not known"))?;
    match wish.kind {
        Kind::Models if !provider.serves(Capability::Models) => {
            return Err(not_offered("the channel's provider has no list of models"));
        }
        Kind::Balance if provider.balance.is_none() => {
            return Err(not_offered("the channel's provider does not say what is left of its money"));
        }
        Kind::Test | Kind::Models | Kind::Balance => {}
    }
    let errands = rules::errands(&channel, &wish)?;
    insert(app, Some(asking), &errands).await
}

/// Has relays test every channel that nobody switched off, those first that were not tested for longest, as far as there is room.
///
/// # Errors
/// 403 for all but administrators, 429 when there is no room at all.
pub async fn ask_all(app: &App, asking: &Asking) -> Result<Asked, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let room = MOST_OPEN.saturating_sub(store::open(app.db.read()).await?);
    let due = store::due(app.db.read(), UnixMillis(i64::MAX), MOST_OPEN).await?;
    let wanted = store::count_due(app.db.read()).await?;
    if room == 0 && wanted > 0 {
        return Err(full());
    }
    let mut errands = Vec::new();
    for id in due.into_iter().take(usize::try_from(room).unwrap_or(0)) {
        let Some(channel) = channels::find(app, id).await? else { continue };
        // one whose only models make images is not tested
        errands.extend(rules::errands(&channel, &Wish::test()).unwrap_or_default());
    }
    let left_out = wanted.saturating_sub(u64::try_from(errands.len()).unwrap_or(u64::MAX));
    if errands.is_empty() {
        return Ok(Asked { ids: Vec::new(), left_out });
    }
    Ok(Asked { ids: insert(app, Some(asking), &errands).await?, left_out })
}

/// Writes errands down, for whichever replica hands them over.
async fn insert(app: &App, asking: Option<&Asking>, errands: &[Errand]) -> Result<Vec<i64>, ApiError> {
    let (now, config_seq) = (app.clock.wall(), publish::head(app).await?.seq);
    let tx = app.db.begin().await?;
    // two who ask at the same moment may both find room: a few too many do no harm
    let open = store::open(&tx).await?;
    if open.saturating_add(u64::try_from(errands.len()).unwrap_or(u64::MAX)) > MOST_OPEN {
        return Err(full());
    }
    let mut ids = Vec::new();
    for errand in errands {
        let asked_by = asking.map(|asking| asking.actor.user_id);
        let errand = Errand { config_seq, asked_by, asked_at: now, ..errand.clone() };
        let id = store::insert(&tx, &errand).await?;
        if let Some(asking) = asking {
            let detail = serde_json::json!({"errand": id, "key_id": errand.key, "model": &errand.model});
            audit::write(&tx, asking, errand.kind.action(), &format!("channel:{}", errand.channel), &detail).await?;
        }
        ids.push(id);
    }
    tx.commit().await?;
    Ok(ids)
}

/// A page of errands.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking, filter: &ErrandFilter, listing: &Listing) -> Result<Page<Errand>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    Ok(store::list(app.db.read(), filter, listing).await?)
}

/// One errand.
///
/// # Errors
/// 403 for all but administrators, 404.
pub async fn get(app: &App, asking: &Asking, id: i64) -> Result<Errand, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    store::find(app.db.read(), id).await?.ok_or_else(|| ApiError::not_found("errand"))
}

/// One errand, once it is over; as it is after a while, if it is not.
///
/// # Errors
/// 404, or when the database is away.
pub async fn wait(app: &App, id: i64, patience: Duration) -> Result<Errand, ApiError> {
    let until = Instant::now() + patience;
    loop {
        let errand = store::find(app.db.read(), id).await?.ok_or_else(|| ApiError::not_found("errand"))?;
        if errand.done_at.is_some() || Instant::now() >= until {
            return Ok(errand);
        }
        sleep(LOOK).await;
    }
}

/// Claims some errands for a relay: those nobody has, and those whose relay has been silent for too long.
///
/// # Errors
/// When the database refuses or is away.
pub async fn take(db: &Db, node: &NodeId, most: u64, now: UnixMillis) -> Result<Vec<Errand>, DbErr> {
    let waiting = store::waiting(db.read(), now.plus_millis(-CLAIM_MILLIS), most).await?;
    let mut taken = Vec::new();
    for errand in waiting {
        let is_ours = retried(|| async {
            let tx = db.begin_as(Urgency::Job).await?;
            let is_ours = store::claim(&tx, errand.id, node, now, now.plus_millis(-CLAIM_MILLIS)).await?;
            tx.commit().await?;
            Ok(is_ours)
        });
        if is_ours.await? {
            taken.push(errand);
        }
    }
    Ok(taken)
}

/// Takes in what a relay says came of an errand: decides about the channel by it, and writes it down. One that the relay does not have, or
/// not any more, is not listened to.
///
/// # Errors
/// When the database refuses or is away.
pub async fn report(app: &App, node: &NodeId, id: i64, outcome: Outcome, evidence: Option<Evidence>) -> Result<(), ApiError> {
    let Some(errand) = store::find(app.db.read(), id).await? else { return Ok(()) };
    if errand.done_at.is_some() || errand.node.as_deref() != Some(node.as_str()) {
        return Ok(());
    }
    let quota = worth(app, &errand, &outcome).await?;
    let outcome = Outcome { quota, ..outcome };
    // first what follows from it: whoever sees that it is over sees that, too
    verdict::decide(app, &errand, &outcome, evidence).await?;
    let now = app.clock.wall();
    retried(|| async {
        let tx = app.db.begin_as(Urgency::Job).await?;
        if store::finish(&tx, id, node, &outcome, now).await? {
            store::check(&tx, &errand, &outcome, now).await?;
        }
        Ok(tx.commit().await?)
    })
    .await?;
    Ok(())
}

/// What a caller would have paid for a test that passed, if its model has a price.
async fn worth(app: &App, errand: &Errand, outcome: &Outcome) -> Result<Option<i64>, ApiError> {
    let Some(model) = errand.model.as_deref().filter(|_| errand.kind == Kind::Test && outcome.ok) else { return Ok(None) };
    let Some(channel) = channels::find(app, errand.channel).await? else { return Ok(None) };
    let price = pricing::book(app.db.read()).await?.find(model, Unpriced::Refuse);
    Ok(price.and_then(|price| rules::worth(&channel, model, &outcome.usage, price)))
}

/// How some channels did when they were last looked into.
///
/// # Errors
/// When the database is away.
pub async fn checks(db: &impl ConnectionTrait, channels: &[ChannelId]) -> Result<BTreeMap<ChannelId, Check>, DbErr> {
    store::checks(db, channels).await
}

fn full() -> ApiError {
    ApiError::new(Code::TooManyRequests, format!("{MOST_OPEN} errands of relays are open; wait until some of them are over"))
}

fn not_offered(detail: &'static str) -> ApiError {
    ApiError::field("provider", "not_offered", detail)
}

/// The model that a channel is tested with when none is named: the one its settings name, else its first.
fn usual_model(channel: &Channel) -> Option<String> {
    let named = channel.settings.test_model().map(str::to_owned);
    named.or_else(|| channel.models.first().map(ToString::to_string))
}
