//! Follows the log of changes, keeps the current state, and tells whoever listens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{DbErr, Value};
use sluice_domain::Clock;
use sluice_snapshot::ResourceKey;
use sluice_telemetry::drain::Drain;
use tokio::sync::{broadcast, watch};
use tracing::{error, info, warn};

use super::look::{Look, MOST_AT_ONCE, Next, Pace, Rows, Wanted};
use super::state::{Change, Revoked, State, Versioned};
use super::store::{self, Which};
use crate::app::App;
use crate::db::Tx;
use crate::leases::{Proof, begin_history};

/// Changes a listener may be behind; one that is further behind starts over from the state.
const BACKLOG: usize = 256;

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
        let (began, mut pace, mut failing) = (Instant::now(), Pace::default(), false);
        loop {
            tokio::select! {
                () = &mut closing => return,
                () = app.poke.wait() => {}
                () = tokio::time::sleep(pace.wait(began.elapsed())) => {}
            }
            let begun = app.clock.read().boot_millis;
            let looked = self.look(&app).await;
            if looked.is_ok() {
                self.looked_at.store(begun, Ordering::Relaxed);
            }
            match &looked {
                Ok(change) => {
                    if let Some(change) = change {
                        pace.found(change, began.elapsed());
                    }
                    if failing {
                        info!("the log of changes is followed again");
                    }
                }
                Err(error) if !failing => warn!(%error, "cannot follow the log of changes, trying again"),
                Err(_) => {}
            }
            failing = looked.is_err();
        }
    }

    /// Looks once, and passes on what it finds: the change, when it followed on what is known.
    async fn look(&self, app: &App) -> Result<Option<Arc<Change>>, DbErr> {
        let look = Look::new(self.state());
        if look.head(&store::head(app.db.read()).await?) == Next::Rest {
            return Ok(None);
        }
        let tx = app.db.begin_snapshot().await?;
        let head = store::head(&tx).await?;
        let mut next = look.head(&head);
        loop {
            next = match next {
                Next::Rest => return Ok(None),
                Next::Stamp(seq) => look.stamp(&head, store::stamp_of(&tx, seq).await?),
                Next::Log(above) => look.log(&head, &store::logged_above(&tx, above, MOST_AT_ONCE).await?),
                Next::Rows(wanted) => {
                    let rows = read(&tx, app, &look, &wanted).await?;
                    let (change, state) = look.change(head, &wanted, rows);
                    let change = Arc::new(change);
                    self.state.send_replace(Arc::new(state));
                    // nobody listening is no failure
                    let _ = self.news.send(News::Change(Arc::clone(&change)));
                    return Ok(Some(change));
                }
                Next::All => {
                    drop(tx);
                    return self.reload(app).await.map(|()| None);
                }
                Next::WentBack(proof) => {
                    drop(tx);
                    return self.went_back(app, &proof).await.map(|()| None);
                }
            };
        }
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
        self.reload(app).await
    }

    async fn reload(&self, app: &App) -> Result<(), DbErr> {
        let state = load(app, &self.state()).await?;
        if state.version().lineage != self.state().version().lineage {
            // versions are counted anew: what prices were at them is read again
            app.rates.forget();
        }
        warn!(seq = state.version().seq, "the configuration is read anew as a whole");
        self.state.send_replace(Arc::new(state));
        let _ = self.news.send(News::Reload);
        Ok(())
    }
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
    for key in unreadable(&tx, &state.lacks(before)).await? {
        state.keep(before, &key);
    }
    Ok(state)
}

async fn read(tx: &Tx, app: &App, look: &Look, wanted: &Wanted) -> Result<Rows, DbErr> {
    let upserts = read_resources(tx, app, &wanted.keys).await?;
    let unreadable = unreadable(tx, &look.missing(wanted, &upserts)).await?;
    let (tokens, users) = (store::tokens(tx, &wanted.tokens).await?, store::users(tx, &wanted.users).await?);
    let accounts = if wanted.accounts.is_empty() { Vec::new() } else { store::account_revs(tx, &wanted.accounts).await? };
    Ok(Rows { upserts, unreadable, tokens, users, accounts })
}

async fn read_resources(tx: &Tx, app: &App, keys: &BTreeSet<ResourceKey>) -> Result<Vec<Versioned>, DbErr> {
    let (mut channels, mut groups, mut prices) = (Vec::new(), Vec::new(), Vec::new());
    let (mut settings, mut providers) = (Vec::new(), Vec::new());
    for key in keys {
        let (of_kind, name): (&mut Vec<Value>, Value) = match key {
            ResourceKey::Channel(id) => (&mut channels, id.get().into()),
            ResourceKey::Group(name) => (&mut groups, name.as_str().into()),
            ResourceKey::Price(model) => (&mut prices, model.as_str().into()),
            ResourceKey::Setting(name) => (&mut settings, name.as_str().into()),
            ResourceKey::Provider(slug) => (&mut providers, slug.as_str().into()),
        };
        of_kind.push(name);
    }
    let mut resources = Vec::new();
    if !channels.is_empty() {
        resources.extend(store::channels(tx, &app.keyring, Which::These(&channels)).await?);
    }
    if !groups.is_empty() {
        resources.extend(store::groups(tx, Which::These(&groups)).await?);
    }
    if !prices.is_empty() {
        resources.extend(store::prices(tx, Which::These(&prices)).await?);
    }
    if !settings.is_empty() {
        resources.extend(store::settings(tx, Which::These(&settings)).await?);
    }
    if !providers.is_empty() {
        resources.extend(store::providers(tx, Which::These(&providers)).await?);
    }
    Ok(resources)
}

/// Of resources that could not be read, those that are there all the same: they keep their form (property P8).
async fn unreadable(tx: &Tx, missing: &BTreeSet<ResourceKey>) -> Result<BTreeSet<ResourceKey>, DbErr> {
    if missing.is_empty() { Ok(BTreeSet::new()) } else { store::existing(tx, missing).await }
}
