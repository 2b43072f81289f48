//! The SQL of relays.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, LockType, Order, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{Epoch, NodeId, UnixMillis};

use super::{FIRST_SESSION, Lives, NodeStatus, Registration, SEEN_LATELY_MILLIS};
use crate::db::Tx;
use crate::leases::Life;

/// Relays in one look-up.
const NODES_AT_ONCE: usize = 500;

/// A relay as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Its name.
    pub node: NodeId,
    /// Its life.
    pub epoch: Epoch,
    /// Its version.
    pub build: String,
    /// Where it listens.
    pub address: String,
    /// When this life began.
    pub registered_at: UnixMillis,
    /// When it was last heard of, to within some seconds.
    pub last_seen_at: UnixMillis,
    /// What it said then.
    pub status: NodeStatus,
}

impl Relay {
    /// Whether it counts as part of the fleet.
    #[must_use]
    pub const fn is_live_at(&self, now: UnixMillis) -> bool {
        now.millis_since(self.last_seen_at) <= SEEN_LATELY_MILLIS
    }
}

/// Locks a relay's row, and answers the epoch, the boot id and the session in force.
pub(super) async fn lock(tx: &Tx, node: &NodeId) -> Result<Option<(Epoch, String, i64)>, DbErr> {
    let select = Query::select()
        .columns(["epoch", "boot_id", "session"])
        .from("nodes")
        .and_where(Expr::col("node_id").eq(node.as_str()))
        .lock(LockType::Update)
        .to_owned();
    let Some(row) = tx.query_one(&select).await? else { return Ok(None) };
    Ok(Some((Epoch(row.try_get("", "epoch")?), row.try_get("", "boot_id")?, row.try_get("", "session")?)))
}

pub(super) async fn insert(tx: &Tx, registration: &Registration, now: UnixMillis) -> Result<(), DbErr> {
    let columns = ["node_id", "epoch", "boot_id", "build", "address", "registered_at", "last_seen_at", "status", "session"];
    let insert = Query::insert()
        .into_table("nodes")
        .columns(columns)
        .values_panic([
            registration.life.node.as_str().into(),
            registration.life.epoch.0.into(),
            registration.boot_id.as_str().into(),
            registration.build.as_str().into(),
            registration.address.as_str().into(),
            now.0.into(),
            now.0.into(),
            "{}".into(),
            FIRST_SESSION.into(),
        ])
        .to_owned();
    tx.execute(&insert).await.map(drop)
}

pub(super) async fn update(tx: &Tx, registration: &Registration, session: i64, now: UnixMillis) -> Result<(), DbErr> {
    let update = Query::update()
        .table("nodes")
        .value("epoch", registration.life.epoch.0)
        .value("boot_id", registration.boot_id.as_str())
        .value("session", session)
        .value("build", registration.build.as_str())
        .value("address", registration.address.as_str())
        .value("registered_at", now.0)
        .value("last_seen_at", now.0)
        .and_where(Expr::col("node_id").eq(registration.life.node.as_str()))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// Locks the rows of relays, so that none can register anew meanwhile, and answers the lives among these that are not in force.
pub(crate) async fn lock_fenced(tx: &Tx, lives: &Lives) -> Result<Lives, DbErr> {
    let nodes: Vec<&str> = lives.iter().map(|life| life.node.as_str()).collect();
    let mut in_force = BTreeMap::new();
    for chunk in nodes.chunks(NODES_AT_ONCE) {
        let select = Query::select()
            .columns(["node_id", "epoch"])
            .from("nodes")
            .and_where(Expr::col("node_id").is_in(chunk.iter().copied()))
            .order_by("node_id", Order::Asc)
            .lock(LockType::Update)
            .to_owned();
        for row in tx.query_all(&select).await? {
            let (node, epoch): (String, i64) = (row.try_get("", "node_id")?, row.try_get("", "epoch")?);
            in_force.insert(node, Epoch(epoch));
        }
    }
    Ok(lives.iter().filter(|life| in_force.get(life.node.as_str()) != Some(&life.epoch)).cloned().collect())
}

/// The epochs and sessions in force of these relays. Those that never registered are left out.
pub(crate) async fn sessions(db: &impl ConnectionTrait, nodes: &[NodeId]) -> Result<BTreeMap<NodeId, (Epoch, i64)>, DbErr> {
    let mut found = BTreeMap::new();
    for chunk in nodes.chunks(NODES_AT_ONCE) {
        let select = Query::select()
            .columns(["node_id", "epoch", "session"])
            .from("nodes")
            .and_where(Expr::col("node_id").is_in(chunk.iter().map(NodeId::as_str)))
            .to_owned();
        for row in db.query_all(&select).await? {
            let node: String = row.try_get("", "node_id")?;
            let Ok(node) = NodeId::parse(&node) else { continue };
            found.insert(node, (Epoch(row.try_get("", "epoch")?), row.try_get("", "session")?));
        }
    }
    Ok(found)
}

/// The lives among these that are in force and were heard of since a moment.
pub(crate) async fn alive(db: &impl ConnectionTrait, lives: &Lives, since: UnixMillis) -> Result<Lives, DbErr> {
    let seen = self::lives(db, since).await?;
    Ok(lives.intersection(&seen).cloned().collect())
}

/// The lives in force of relays that were heard of since a moment.
///
/// # Errors
/// When the database is away.
pub async fn lives(db: &impl ConnectionTrait, since: UnixMillis) -> Result<BTreeSet<Life>, DbErr> {
    let select =
        Query::select().columns(["node_id", "epoch"]).from("nodes").and_where(Expr::col("last_seen_at").gte(since.0)).to_owned();
    let mut lives = BTreeSet::new();
    for row in db.query_all(&select).await? {
        let node: String = row.try_get("", "node_id")?;
        if let Ok(node) = NodeId::parse(&node) {
            lives.insert(Life { node, epoch: Epoch(row.try_get("", "epoch")?) });
        }
    }
    Ok(lives)
}

/// How many relays there are, by those heard of lately.
///
/// # Errors
/// When the database is away.
pub async fn fleet(db: &impl ConnectionTrait, now: UnixMillis) -> Result<usize, DbErr> {
    Ok(lives(db, now.plus_millis(-SEEN_LATELY_MILLIS)).await?.len())
}

/// Every relay there ever was and that was not cleared away, by name.
///
/// # Errors
/// When the database is away.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Relay>, DbErr> {
    let select = Query::select()
        .columns(["node_id", "epoch", "build", "address", "registered_at", "last_seen_at", "status"])
        .from("nodes")
        .order_by("node_id", Order::Asc)
        .to_owned();
    let rows = db.query_all(&select).await?;
    rows.iter().filter_map(|row| relay_of(row).transpose()).collect()
}

fn relay_of(row: &QueryResult) -> Result<Option<Relay>, DbErr> {
    let (node, status): (String, String) = (row.try_get("", "node_id")?, row.try_get("", "status")?);
    let Ok(node) = NodeId::parse(&node) else { return Ok(None) };
    Ok(Some(Relay {
        node,
        epoch: Epoch(row.try_get("", "epoch")?),
        build: row.try_get("", "build")?,
        address: row.try_get("", "address")?,
        registered_at: UnixMillis(row.try_get("", "registered_at")?),
        last_seen_at: UnixMillis(row.try_get("", "last_seen_at")?),
        status: serde_json::from_str(&status).unwrap_or_default(),
    }))
}

/// Writes down that relays are alive, and what they say. Lives that are not in force any more are left as they are.
///
/// # Errors
/// When the database refuses or is away.
pub async fn touch(tx: &Tx, said: &[(Life, NodeStatus)], now: UnixMillis) -> Result<(), DbErr> {
    for chunk in said.chunks(NODES_AT_ONCE) {
        let mut status = CaseStatement::new();
        for (life, said) in chunk {
            let text = serde_json::to_string(said).map_err(|error| DbErr::Custom(error.to_string()))?;
            status = status.case(Expr::col("node_id").eq(life.node.as_str()).and(Expr::col("epoch").eq(life.epoch.0)), text);
        }
        let names = Expr::tuple([Expr::col("node_id"), Expr::col("epoch")]);
        let lives = chunk.iter().map(|(life, _)| (life.node.to_string(), life.epoch.0));
        let update = Query::update()
            .table("nodes")
            .value("last_seen_at", now.0)
            .value("status", status.finally(Expr::col("status")))
            .and_where(names.in_tuples(lives))
            .to_owned();
        tx.execute(&update).await?;
    }
    Ok(())
}
