//! Follows the log of changes, keeps the current state, and tells whoever listens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use sluice_domain::{Clock, Status, TokenId, UserId};
use sluice_rpc::identity;
use sluice_snapshot::{Resource, ResourceKey};
use sluice_telemetry::drain::Drain;
use tokio::sync::{broadcast, watch};
use tracing::{error, info, warn};

use super::is_gone;
use super::log::Changed;
use super::state::{Change, Revoked, State, Versioned};
use super::store::{self, Which};
use crate::app::App;
use crate::db::Tx;
use crate::leases::{Proof, begin_history};

/// How often the log is looked at without being poked: other replicas write, too.
pub const POLL: Duration = Duration::from_millis(200);
/// How often after money was asked back: whoever asked waits for the answers, and the next question is likely near.
const RECALL_POLL: Duration = Duration::from_millis(50);
/// How long it is looked that often.
const RECALLING: Duration = Duration::from_secs(1);
/// Changes a listener may be behind; one that is further behind starts over from the state.
const BACKLOG: usize = 256;
/// Above this many sequence numbers or changes at once, or when some are gone from the log, everything is read anew. No statement may
/// name more rows: SQLite takes 32,766 values, PostgreSQL and MySQL 65,535.
const MOST_AT_ONCE: u64 = 10_000;

/// What happened.
#[derive(Debug, Clone)]
pub enum News {
    /// The state moved on by this.
    Change(Arc<Change>),
    /// The state was read anew: take it whole.
    Reload,
    /// For the urgent lane only.
    Urgent(Arc<[Revoked]>),
}

/// The current state and what happens to it. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Feed {
    state: watch::Sender<Arc<State>>,
    news: broadcast::Sender<News>,
    /// When the last look at the database began that came to an end, by the clock since boot.
    looked_at: Arc<AtomicU64>,
}

impl Feed {
    /// Reads everything once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn start(app: &App) -> Result<Self, DbErr> {
        let looked_at = Arc::new(AtomicU64::new(app.clock.read().boot_millis));
        let state = load(app, &State::default()).await?;
        Ok(Self { state: watch::Sender::new(Arc::new(state)), news: broadcast::Sender::new(BACKLOG), looked_at })
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    /// How long ago the state was seen to be the newest there is. It grows while the database is away.
    #[must_use]
    pub fn age(&self, clock: &Clock) -> Duration {
        Duration::from_millis(clock.read().boot_millis.saturating_sub(self.looked_at.load(Ordering::Relaxed)))
    }

    /// Waits until the state is at or past a sequence number.
    pub async fn reached(&self, seq: i64) {
        // the sender lives as long as we do, so waiting cannot fail
        let _ = self.state.subscribe().wait_for(|state| state.version().seq >= seq).await;
    }

    /// The current state, and everything that happens from there on.
    #[must_use]
    pub fn listen(&self) -> (Arc<State>, broadcast::Receiver<News>) {
        // first the ear, then the state: what happens in between is heard and recognised as old by its version
        let news = self.news.subscribe();
        (self.state(), news)
    }

    /// Tells something on the urgent lane of every relay connected here.
    pub fn tell(&self, urgent: Vec<Revoked>) {
        if !urgent.is_empty() {
            // nobody listening is no failure
            let _ = self.news.send(News::Urgent(urgent.into()));
        }
    }

    /// Follows the log until the process ends.
    pub async fn run(self, app: App, drain: Drain) {
        let closing = drain.closing();
        tokio::pin!(closing);
        let mut failing = false;
        let mut recalled: Option<Instant> = None;
        loop {
            let is_recalling = recalled.is_some_and(|at| at.elapsed() < RECALLING);
            tokio::select! {
                () = &mut closing => return,
                () = app.poke.wait() => {}
                () = tokio::time::sleep(if is_recalling { RECALL_POLL } else { POLL }) => {}
            }
            let begun = app.clock.read().boot_millis;
            let looked = self.look(&app).await;
            if looked.is_ok() {
                self.looked_at.store(begun, Ordering::Relaxed);
            }
            if matches!(looked, Ok(Looked::Recalled)) {
                recalled = Some(Instant::now());
            }
            match looked {
                Ok(_) if failing => info!("the log of changes is followed again"),
                Err(ref error) if !failing => warn!(%error, "cannot follow the log of changes, trying again"),
                _ => {}
            }
            failing = looked.is_err();
        }
    }

    async fn look(&self, app: &App) -> Result<Looked, DbErr> {
        let state = self.state();
        let known = state.head();
        if store::head(app.db.read()).await? == *known {
            return Ok(Looked::Seen);
        }
        let tx = app.db.begin_snapshot().await?;
        let head = store::head(&tx).await?;
        if is_gone(&tx, &head, known).await? {
            drop(tx);
            self.went_back(app, &Proof::Configuration(known.clone())).await?;
            return Ok(Looked::Seen);
        }
        let (here, there) = (&known.version, head.version);
        let behind = u64::try_from(there.seq.saturating_sub(here.seq)).ok();
        let is_near = |behind: &u64| there.lineage == here.lineage && (1..=MOST_AT_ONCE).contains(behind);
        let Some(behind) = behind.filter(is_near) else {
            return self.reload(app).await;
        };
        let logged = store::logged_above(&tx, here.seq, MOST_AT_ONCE).await?;
        if logged.is_cut || u64::try_from(logged.seqs).ok() != Some(behind) {
            return self.reload(app).await;
        }
        let mut change = read_change(&tx, app, &state, &logged.changes).await?;
        (change.from, change.to) = (here.clone(), there);
        let is_recall = change.urgent.iter().any(|urgent| matches!(urgent, Revoked::Recall(_)));
        self.state.send_replace(Arc::new(state.after(&change, head.stamp)));
        // nobody listening is no failure
        let _ = self.news.send(News::Change(Arc::new(change)));
        Ok(if is_recall { Looked::Recalled } else { Looked::Seen })
    }

    /// Somebody knows more of this history than the database has: it was restored, or another server took over that had not
    /// received everything. Another history begins, unless somebody else has begun it already.
    ///
    /// # Errors
    /// When the database refuses or is away.
    pub async fn went_back(&self, app: &App, proof: &Proof) -> Result<(), DbErr> {
        if let Some(begun) = begin_history(&app.db, Some(proof), app.clock.wall()).await? {
            app.metrics.went_back();
            error!(
                lineage = begun.lineage,
                "the database went back behind what is known of it ({proof:?}): it was restored, or lost its last changes. Another \
                 history begins; {} leases are void, and what relays used of them is charged when they report it",
                begun.leases
            );
        }
        self.reload(app).await.map(drop)
    }

    async fn reload(&self, app: &App) -> Result<Looked, DbErr> {
        let state = load(app, &self.state()).await?;
        if state.version().lineage != self.state().version().lineage {
            // versions are counted anew: what prices were at them is read again
            app.rates.forget();
        }
        warn!(seq = state.version().seq, "the configuration is read anew as a whole");
        self.state.send_replace(Arc::new(state));
        let _ = self.news.send(News::Reload);
        Ok(Looked::Seen)
    }
}

/// What a look at the log found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looked {
    /// Whatever there is, it is told.
    Seen,
    /// Money was asked back, and somebody waits for it.
    Recalled,
}

/// Reads everything. What cannot be read keeps the form it had before, in the same history.
async fn load(app: &App, before: &State) -> Result<State, DbErr> {
    let tx = app.db.begin_snapshot().await?;
    let head = store::head(&tx).await?;
    let mut resources = store::channels(&tx, &app.keyring, Which::All).await?;
    resources.extend(store::groups(&tx, Which::All).await?);
    resources.extend(store::prices(&tx, Which::All).await?);
    resources.extend(store::settings(&tx, Which::All).await?);
    resources.extend(store::providers(&tx, Which::All).await?);
    let mut state = State::new(head, resources);
    if before.version().lineage == state.version().lineage {
        let missing = before.resources().map(|known| known.resource.key()).filter(|key| state.get(key).is_none()).collect();
        for key in unreadable(&tx, &missing).await? {
            state.keep(before, &key);
        }
    }
    Ok(state)
}

/// What was logged, by kind.
#[derive(Default)]
struct Sorted {
    channels: Vec<sea_orm::Value>,
    groups: Vec<sea_orm::Value>,
    prices: Vec<sea_orm::Value>,
    settings: Vec<sea_orm::Value>,
    providers: Vec<sea_orm::Value>,
    keys: BTreeSet<ResourceKey>,
    tokens: Vec<TokenId>,
    users: Vec<UserId>,
    accounts: Vec<sluice_domain::AccountId>,
    recalls: Vec<sluice_domain::AccountId>,
}

impl Sorted {
    fn new(changes: &BTreeSet<Changed>) -> Self {
        let mut logged = Self::default();
        for change in changes {
            match change {
                Changed::Channel(id) => {
                    logged.channels.push(id.get().into());
                    logged.keys.insert(ResourceKey::Channel(*id));
                }
                Changed::Group(name) => {
                    logged.groups.push(name.as_str().into());
                    logged.keys.insert(ResourceKey::Group(name.clone()));
                }
                Changed::Price(model) => {
                    logged.prices.push(model.as_str().into());
                    logged.keys.insert(ResourceKey::Price(model.clone()));
                }
                Changed::Setting(name) => {
                    logged.settings.push(name.as_str().into());
                    logged.keys.insert(ResourceKey::Setting(name.clone()));
                }
                Changed::Provider(slug) => {
                    logged.providers.push(slug.as_str().into());
                    logged.keys.insert(ResourceKey::Provider(slug.clone()));
                }
                Changed::Token(id) => logged.tokens.push(*id),
                Changed::User(id) => logged.users.push(*id),
                Changed::Account(id) => logged.accounts.push(*id),
                Changed::Recall(id) => logged.recalls.push(*id),
            }
        }
        logged
    }
}

async fn read_change(tx: &Tx, app: &App, state: &State, changes: &BTreeSet<Changed>) -> Result<Change, DbErr> {
    let mut logged = Sorted::new(changes);
    let mut upserts = Vec::new();
    if !logged.channels.is_empty() {
        upserts.extend(store::channels(tx, &app.keyring, Which::These(&logged.channels)).await?);
    }
    if !logged.groups.is_empty() {
        upserts.extend(store::groups(tx, Which::These(&logged.groups)).await?);
    }
    if !logged.prices.is_empty() {
        upserts.extend(store::prices(tx, Which::These(&logged.prices)).await?);
    }
    if !logged.settings.is_empty() {
        upserts.extend(store::settings(tx, Which::These(&logged.settings)).await?);
    }
    if !logged.providers.is_empty() {
        upserts.extend(store::providers(tx, Which::These(&logged.providers)).await?);
    }
    for upsert in &upserts {
        logged.keys.remove(&upsert.resource.key());
    }
    let mut deletes: BTreeSet<ResourceKey> = logged.keys.into_iter().filter(|key| state.get(key).is_some()).collect();
    let unreadable = unreadable(tx, &deletes).await?;
    deletes.retain(|key| !unreadable.contains(key));
    let (tokens, users) = (store::tokens(tx, &logged.tokens).await?, store::users(tx, &logged.users).await?);
    let mut urgent: Vec<Revoked> = revoked_identities(&tokens, &users);
    urgent.extend(upserts.iter().filter_map(revoked_channel));
    urgent.extend(deletes.iter().filter_map(|key| match key {
        ResourceKey::Channel(id) => Some(Revoked::Channel(*id, i64::MAX)),
        _ => None,
    }));
    if !logged.accounts.is_empty() {
        let revs = store::account_revs(tx, &logged.accounts).await?;
        urgent.extend(revs.into_iter().map(|(id, rev)| Revoked::Credit(id, rev)));
    }
    urgent.extend(logged.recalls.into_iter().map(Revoked::Recall));
    let (upserts, deletes) = (upserts.into_iter().map(Arc::new).collect(), deletes.into_iter().collect());
    Ok(Change { upserts, deletes, tokens, users, urgent, ..Change::default() })
}

/// Of resources that could not be read, those that are there all the same: they keep their form (property P8).
async fn unreadable(tx: &Tx, missing: &BTreeSet<ResourceKey>) -> Result<BTreeSet<ResourceKey>, DbErr> {
    if missing.is_empty() { Ok(BTreeSet::new()) } else { store::existing(tx, missing).await }
}

fn revoked_channel(versioned: &Versioned) -> Option<Revoked> {
    match &versioned.resource {
        Resource::Channel(channel) if !channel.status.is_enabled() => Some(Revoked::Channel(channel.id, versioned.rev)),
        _ => None,
    }
}

fn revoked_identities(
    tokens: &[identity::Change<sluice_snapshot::Token, TokenId>],
    users: &[identity::Change<sluice_snapshot::User, UserId>],
) -> Vec<Revoked> {
    use identity::Change::{Gone, Is};
    let is_off = |status: Status| !status.is_enabled();
    let tokens = tokens.iter().filter_map(|change| match change {
        Is(token) if is_off(token.status) => Some(Revoked::Token(token.id, token.rev)),
        Is(_) => None,
        Gone { id, rev } => Some(Revoked::Token(*id, *rev)),
    });
    let users = users.iter().filter_map(|change| match change {
        Is(user) if is_off(user.status) => Some(Revoked::User(user.id, user.rev)),
        Is(_) => None,
        Gone { id, rev } => Some(Revoked::User(*id, *rev)),
    });
    tokens.chain(users).collect()
}
