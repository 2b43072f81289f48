//! Relays: who may serve, who is alive, and what each says of itself.
//!
//! A relay has a name and lives one life at a time; each life has a higher epoch than the one before. Whoever registers a newer epoch
//! fences the older one off: nothing is granted to it any more, and its streams are closed.

mod api;
mod store;

use std::collections::BTreeSet;

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use sluice_domain::{Epoch, NodeId, UnixMillis};

use crate::db::{Db, Urgency};
use crate::leases::Life;

pub use api::routes;
pub use store::{Relay, fleet, list, lives, touch};
pub(crate) use store::{alive, lock_fenced, sessions};

/// A relay that was not heard of for this long is not counted as part of the fleet, in milliseconds.
pub const SEEN_LATELY_MILLIS: i64 = 20_000;

/// The session of a relay's first registration.
const FIRST_SESSION: i64 = 1;

/// A relay joins the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name and life.
    pub life: Life,
    /// Random name of its process.
    pub boot_id: String,
    /// Its version, for people.
    pub build: String,
    /// Where it listens, for people.
    pub address: String,
}

/// Why a relay may not join.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A later life of this relay has registered.
    #[error("a later life of relay {node} has registered: epoch {current}, not {asked}")]
    Superseded {
        /// The relay.
        node: NodeId,
        /// The epoch in force.
        current: Epoch,
        /// The epoch that was refused.
        asked: Epoch,
    },
    /// Another process registered this very life: two processes share a data folder, or a name.
    #[error("another process has registered relay {node} with epoch {asked}")]
    Twin {
        /// The relay.
        node: NodeId,
        /// The epoch that was refused.
        asked: Epoch,
    },
    /// The database refused or is away.
    #[error("cannot register a relay")]
    Database(#[from] DbErr),
}

/// A resource that a relay cannot use; its previous form stays in force there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RejectedResource {
    /// What it is: `channel`, `group`, `price` or `setting`.
    pub kind: String,
    /// Its id or name.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// How a relay is, by its own word. For people and metrics; nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Config sequence it serves.
    pub config_seq: i64,
    /// Milliseconds since the last heartbeat whose head it had applied.
    pub staleness_ms: i64,
    /// Requests being served.
    pub in_flight: i64,
    /// Leases it holds.
    pub leases_held: i64,
    /// Quota units in them.
    pub leased_quota: i64,
    /// Bytes of usage not yet acknowledged.
    pub spool_bytes: i64,
    /// Requests since its start.
    pub requests_total: i64,
    /// Tokens and users it holds in memory.
    pub identities: i64,
    /// Config sequence of the newest revocation it has applied ahead of its configuration.
    pub denied_seq: i64,
    /// Resources it cannot use.
    pub rejected_count: i64,
    /// The first of them.
    pub rejected: Vec<RejectedResource>,
}

/// Lets a relay join under its epoch, which must be higher than every earlier one. The same process may say it again. Answers the number
/// of its session: only streams of the newest are listened to, whichever replica they are at.
///
/// # Errors
/// When a later life or another process has registered, or the database is away.
pub async fn register(db: &Db, registration: &Registration, now: UnixMillis) -> Result<i64, RegisterError> {
    let tx = db.begin_as(Urgency::Grant).await?;
    let (node, asked) = (&registration.life.node, registration.life.epoch);
    let session = match store::lock(&tx, node).await? {
        None => {
            store::insert(&tx, registration, now).await?;
            FIRST_SESSION
        }
        Some((current, ..)) if current > asked => {
            return Err(RegisterError::Superseded { node: node.clone(), current, asked });
        }
        Some((current, boot_id, _)) if current == asked && boot_id != registration.boot_id => {
            return Err(RegisterError::Twin { node: node.clone(), asked });
        }
        Some((_, _, before)) => {
            let session = before + 1;
            store::update(&tx, registration, session, now).await?;
            session
        }
    };
    tx.commit().await.map_err(sea_orm::DbErr::from)?;
    Ok(session)
}

/// The names of relays that serve at least this config sequence, and of those that lag behind, by what they said last.
///
/// # Errors
/// When the database is away.
pub async fn applied(db: &Db, seq: i64, now: UnixMillis) -> Result<Applied, DbErr> {
    let mut applied = Applied::default();
    for relay in list(db.read()).await?.into_iter().filter(|relay| relay.is_live_at(now)) {
        if relay.status.config_seq >= seq {
            applied.on.push(relay.node);
        } else {
            applied.lagging.push(relay.node);
        }
    }
    Ok(applied)
}

/// On which relays a config sequence is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// These serve it.
    pub on: Vec<NodeId>,
    /// These do not yet.
    pub lagging: Vec<NodeId>,
}

/// Lives out of a set.
pub(crate) type Lives = BTreeSet<Life>;
