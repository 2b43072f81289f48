//! From the database to the relays: what changed, in which order, and who has it.
//!
//! A transaction that changes anything relays know calls [`log::record`] as its last write, and [`Poke::look`] after its commit. A
//! poke carries no data: it only says look at once; the tail looks by itself every 200 ms anyway. [`tail`] reads what [`look`] asks for, keeps
//! the current [`State`] and gives out [`Change`]s; `rpc` turns them into messages. Every replica tails for itself: there is no leader.

mod follower;
mod head;
pub mod log;
mod look;
mod rows;
mod state;
mod store;
mod tail;

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::{KeyDigest, UnixMillis};
use sluice_snapshot::{Token, User, Version};
use tokio::sync::Notify;

pub use follower::{Follower, Push};
pub use head::{Head, Past, Stamp, is_behind};
pub use look::{Logged, Look, Next, POLL, Pace, Rows, Wanted};
pub use state::{Change, Revoked, State, Versioned};
pub use store::IdentityPage;
pub use tail::{Feed, News};

use crate::app::App;
use crate::db::Tx;

/// Says to the tail: there is something to see.
#[derive(Debug, Clone, Default)]
pub struct Poke(Arc<Notify>);

impl Poke {
    /// Call after a commit. Costs nothing, may be called too often, and may be lost without harm.
    pub fn look(&self) {
        self.0.notify_one();
    }

    /// Waits for the next poke.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// Who a key belongs to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The token and its owner; `None`: there is no such key.
    pub identity: Option<(Token, User)>,
    /// The config sequence the answer was read at.
    pub as_of: i64,
}

/// How far the configuration is by the database, which may be further than this replica has seen.
///
/// # Errors
/// When the database is away.
pub async fn head(app: &App) -> Result<Version, DbErr> {
    store::head(app.db.read()).await.map(|head| head.version)
}

/// The same outside an [`App`], with the stamp of its number.
pub(crate) async fn head_of(db: &impl ConnectionTrait) -> Result<Head, DbErr> {
    store::head(db).await
}

/// The head of what is committed, which nobody changes until this transaction ends. The last lock it takes.
pub(crate) async fn lock_head(tx: &Tx) -> Result<Head, DbErr> {
    store::lock_head(tx).await
}

/// Whether what was known of this history is not in it any more, with `head` read in the same transaction, if any: then the database
/// went back. What was trimmed from the log proves nothing.
pub(crate) async fn is_gone(db: &impl ConnectionTrait, head: &Head, known: &Head) -> Result<bool, DbErr> {
    match head.past(known) {
        Past::Kept => Ok(false),
        Past::Gone => Ok(true),
        Past::AskLog => {
            let logged = store::stamp_of(db, known.version.seq).await?;
            Ok(logged.is_some_and(|stamp| stamp.differs(known.stamp)))
        }
    }
}

/// Gives the history another name, with [`lock_head`] held. The number it is at keeps its stamp.
pub(crate) async fn rename_history(tx: &Tx, lineage: &str) -> Result<(), DbErr> {
    store::rename(tx, lineage).await
}

/// Looks a key up by its digest.
///
/// # Errors
/// When the database is away, or what it holds cannot be read: then it is not known whose key it is.
pub async fn resolve(app: &App, digest: &KeyDigest) -> Result<Resolved, DbErr> {
    let tx = app.db.begin_snapshot().await?;
    let as_of = store::head(&tx).await?.version.seq;
    let Some(token) = store::token_by_digest(&tx, digest).await? else { return Ok(Resolved { identity: None, as_of }) };
    let user = store::user(&tx, token.user_id).await?;
    Ok(Resolved { identity: user.map(|user| (token, user)), as_of })
}

/// The next page of the identities used since a moment (never used ones count as used when they were made), by ascending token id.
///
/// # Errors
/// When the database is away.
pub async fn identities(app: &App, after: i64, limit: u64, since: UnixMillis) -> Result<IdentityPage, DbErr> {
    let tx = app.db.begin_snapshot().await?;
    store::identity_page(&tx, after, limit, since).await
}

/// Whether there are at most so many tokens.
///
/// # Errors
/// When the database is away.
pub async fn has_at_most(app: &App, tokens: u64) -> Result<bool, DbErr> {
    store::has_at_most(app.db.read(), tokens).await
}
