//! Records that were set aside because they could not be settled: shown to people, who have them settled after all or let them go.
//!
//! What such a request would cost is still held in its relay's lease when it is set aside; once that lease is closed the balance pays.

mod api;
mod store;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sea_orm::DbErr;
use serde::Serialize;
use sluice_domain::{Epoch, NodeId, Record, RequestRecord, Role, UnixMillis};

use super::Settler;
use crate::app::App;
use crate::audit;
use crate::auth::Scope;
use crate::db::{Db, Tx};
use crate::http::{ApiError, Asking, Code, Listing, Page};
use crate::leases::Life;
use crate::publish;

pub use api::routes;
pub(crate) use store::count_open;

/// A record that was set aside.
#[derive(Debug, Clone, PartialEq)]
pub struct SetAside {
    /// Its number among them.
    pub id: i64,
    /// The relay that reported it.
    pub node: String,
    /// The life it reported it in.
    pub epoch: i64,
    /// Its number in that life.
    pub seq: i64,
    /// The request it is about; empty when it could not be read.
    pub request_id: String,
    /// Why it could not be settled.
    pub reason: String,
    /// When it was set aside.
    pub at: UnixMillis,
    /// What people decided, and when.
    pub resolution: Option<(Resolution, UnixMillis)>,
    /// The request; `None` when it cannot be read.
    pub request: Option<Box<RequestRecord>>,
}

/// What people decided about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It was settled after all.
    Settled,
    /// It will not be.
    Discarded,
}

impl Resolution {
    /// The word kept in `quarantine.resolution`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Discarded => "discarded",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Settled, Self::Discarded].into_iter().find(|resolution| resolution.as_str() == word)
    }
}

/// What became of a record, for the answer and the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// The record.
    pub id: i64,
    /// The request it is about.
    pub request_id: String,
    /// Why it was set aside.
    pub reason: String,
    /// What was decided.
    pub resolution: &'static str,
    /// What it was charged, in quota units.
    pub quota: u64,
}

/// A page of the records, oldest first: those nobody has decided about, or the others.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking, is_resolved: bool, listing: &Listing) -> Result<Page<SetAside>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let page: Result<_, DbErr> = store::list(app.db.read(), is_resolved, listing).await;
    Ok(page?)
}

/// Settles a record after all, at what its request costs by now if it could not be priced before.
///
/// # Errors
/// 403 for all but administrators, 404, 409 when it was decided about already or still cannot be settled.
pub async fn retry(app: &App, asking: &Asking, id: i64) -> Result<Resolved, ApiError> {
    asking.actor.need(Role::Admin, Scope::Money)?;
    let lineage = publish::head(app).await?.lineage;
    let tx = app.db.begin().await?;
    let known = undecided(&tx, id).await?;
    let settler = Settler::new(app.db.clone(), lineage, app.rates.clone());
    let (Some(request), Some(life)) = (known.request.clone(), known.life()) else {
        return Err(ApiError::new(Code::Protected, "the record cannot be read by this version"));
    };
    let moments = (known.at, asking.now);
    let counts = settler
        .settle_again(&tx, &life, known.seq, *request, moments)
        .await?
        .map_err(|reason| ApiError::new(Code::Protected, format!("the record still cannot be settled: {reason}")))?;
    resolve(tx, asking, &known, Resolution::Settled, counts.quota).await
}

/// Lets a record go: its request is not charged.
///
/// # Errors
/// 403 for all but administrators, 404, 409 when it was decided about already.
pub async fn discard(app: &App, asking: &Asking, id: i64) -> Result<Resolved, ApiError> {
    asking.actor.need(Role::Admin, Scope::Money)?;
    let tx = app.db.begin().await?;
    let known = undecided(&tx, id).await?;
    resolve(tx, asking, &known, Resolution::Discarded, 0).await
}

/// How many records nobody has decided about.
///
/// # Errors
/// When the database is away.
pub async fn undecided_count(db: &Db) -> Result<i64, DbErr> {
    count_open(db.read()).await
}

async fn undecided(tx: &Tx, id: i64) -> Result<SetAside, ApiError> {
    let known = store::lock(tx, id).await?.ok_or_else(|| ApiError::not_found("record"))?;
    match known.resolution {
        None => Ok(known),
        Some((resolution, _)) => Err(ApiError::new(Code::Protected, format!("the record is {} already", resolution.as_str()))),
    }
}

async fn resolve(tx: Tx, asking: &Asking, known: &SetAside, resolution: Resolution, quota: u64) -> Result<Resolved, ApiError> {
    store::resolve(&tx, known.id, resolution, asking.now).await?;
    let resolved = Resolved {
        id: known.id,
        request_id: known.request_id.clone(),
        reason: known.reason.clone(),
        resolution: resolution.as_str(),
        quota,
    };
    let action = match resolution {
        Resolution::Settled => "quarantine.retry",
        Resolution::Discarded => "quarantine.discard",
    };
    audit::write(&tx, asking, action, &format!("record:{}", known.id), &resolved).await?;
    tx.commit().await?;
    Ok(resolved)
}

impl SetAside {
    fn life(&self) -> Option<Life> {
        Some(Life { node: NodeId::parse(&self.node).ok()?, epoch: Epoch(self.epoch) })
    }
}

/// The request in a record as it was reported, if this version can read it.
fn request_in(body: &str) -> Option<Box<RequestRecord>> {
    match sluice_rpc::usage::decode(&STANDARD.decode(body).ok()?) {
        Ok(Record::Request(request)) => Some(request),
        _ => None,
    }
}
