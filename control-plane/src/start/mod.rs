//! From settings to a running control plane.

pub mod data_dir;
mod open;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use sea_orm::DbErr;
use secrecy::SecretString;
use sluice_domain::Clock;
use sluice_providers::Catalog;
use sluice_sealed::Keyring;
use sluice_telemetry::health::Ops;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_upstream::{Client, ClientSettings};
use tonic::service::Routes;

use crate::app::App;
use crate::auth::Passwords;
use crate::auth::{FirstRunError, first_run};
use crate::channels::withdraw_demo;
use crate::config::{Limits, MigrateMode, Problems, Settings};
use crate::db::{self, Dsn, FileLock, SiteTime};
use crate::errands;
use crate::http::{Gate, GateSettings};
use crate::jobs;
use crate::metrics::Metrics;
use crate::notifications::{self, Courier};
use crate::publish::{Feed, Poke};
use crate::rpc::Rpc;
use crate::settlement::Settler;
use crate::settlement::rates::Rates;

/// What the process gives to its parts. In `sluice` both halves are given the same.
#[derive(Clone)]
pub struct Host {
    /// The clocks.
    pub clock: Clock,
    /// Whose time counts.
    pub time: Time,
    /// Where metrics are declared.
    pub registry: Registry,
    /// Where tasks are started.
    pub tasks: Tasks,
}

/// Whose time is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The database server's, where there is one: replicas share it, and their machines' clocks may differ and step.
    OfTheDatabase,
    /// The given clock's.
    OfTheClock,
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] data_dir::NotWritable),
    /// Another process uses the SQLite file.
    #[error("{setting}: {reason}")]
    FileLock {
        /// The setting that names the file.
        setting: &'static str,
        /// What is in the way.
        reason: String,
    },
    /// The database belongs to One API or New API.
    #[error(
        "{setting}: {place} holds a database of One API or New API; nothing was changed. This version cannot bring it over: \
         {setting} must name an empty database"
    )]
    Ancestor {
        /// The setting that names it.
        setting: &'static str,
        /// Where it is.
        place: String,
    },
    /// The folder holds an ancestor's file and none of ours.
    #[error(
        "SLUICE_DATA_DIR: {} is a database of One API or New API; nothing was changed. This version cannot bring it over: \
         SLUICE_DATA_DIR must name another folder",
        path.display()
    )]
    AncestorFile {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to something else.
    #[error(
        "{setting}: {place} has a table named {table} that is not ours; nothing was changed. Give Sluice a database of its own"
    )]
    Foreign {
        /// The setting that names it.
        setting: &'static str,
        /// Where it is.
        place: String,
        /// The table.
        table: String,
    },
    /// The server is too old.
    #[error("{setting}: the server is {engine} {found}; Sluice needs at least {needed}")]
    TooOld {
        /// The setting that names it.
        setting: &'static str,
        /// The engine.
        engine: &'static str,
        /// Its version.
        found: String,
        /// The oldest that will do.
        needed: String,
    },
    /// Migrations are pending and may not be applied.
    #[error(
        "SLUICE_MIGRATE does not allow it, but {} migrations are pending ({}); see `sluice-control migrate --plan`",
        .0.len(), .0.join(", ")
    )]
    Pending(Vec<String>),
    /// No secret where one is needed.
    #[error(
        "CRYPTO_SECRET must be set: the database is on a server and the data folder {} does not outlive this container, so a generated \
         secret would be lost and with it every stored key",
        path.display()
    )]
    SecretRequired {
        /// The data folder.
        path: PathBuf,
    },
    /// The generated secret is gone.
    #[error(
        "SLUICE_DATA_DIR: the secret file {} is missing and CRYPTO_SECRET is not set, but the database was sealed with one of them; restore the file, or set CRYPTO_SECRET as it was",
        path.display()
    )]
    SecretMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The secret is not the one of this database.
    #[error("{setting} is not the secret this database was sealed with; nothing was changed")]
    WrongSecret {
        /// Where the secret came from.
        setting: String,
    },
    /// The secret file cannot be used.
    #[error("SLUICE_DATA_DIR: {reason}")]
    SecretFile {
        /// Which file, and why.
        reason: String,
    },
    /// The secret cannot be used.
    #[error("CRYPTO_SECRET {0}")]
    Secret(#[from] sluice_sealed::SecretError),
    /// The database cannot be reached.
    #[error("{setting}: cannot reach the database {place}: {reason}")]
    Unreachable {
        /// The setting that names it.
        setting: &'static str,
        /// Where it is.
        place: String,
        /// What the last attempt ended with.
        reason: String,
    },
    /// The database refused while starting.
    #[error("cannot prepare the database")]
    Database(#[from] DbErr),
    /// The first user could not be made.
    #[error(transparent)]
    FirstRun(#[from] FirstRunError),
    /// This build is broken.
    #[error("cannot start: {0}")]
    Broken(String),
}

impl StartError {
    /// The exit code: 64 when somebody must look at a setting or at what it names, 1 when trying again may help.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Database(_) | Self::Broken(_) | Self::FirstRun(FirstRunError::Work(_)) => 1,
            _ => 64,
        }
    }
}

/// A control plane: its parts, its interfaces, and what runs by itself.
pub struct ControlPlane {
    app: App,
    feed: Feed,
    rpc: Rpc,
    host: Host,
    setup_path: Option<String>,
    join_secret: Option<SecretString>,
    migrate: MigrateMode,
    /// Minutes between two tests of each channel.
    test_minutes: u32,
    site_time: Option<SiteTime>,
    _file_lock: Option<FileLock>,
}

impl ControlPlane {
    /// Opens and prepares the database, then builds every part. Nothing listens and nothing runs yet.
    ///
    /// # Errors
    /// When the settings do not fit what is found, or the database cannot be reached.
    pub async fn build(settings: Settings, mut host: Host) -> Result<Self, StartError> {
        let opened = open::open(&settings, &host.clock).await?;
        let is_shared = host.time == Time::OfTheDatabase && !matches!(settings.database, Dsn::Sqlite(_));
        let site_time = if is_shared { Some(SiteTime::of(&opened.db, host.clock.clone()).await?) } else { None };
        if let Some(time) = &site_time {
            host.clock = time.clock();
        }
        let catalog = Catalog::served().map_err(|error| StartError::Broken(error.to_string()))?;
        let broken = |error: &dyn std::error::Error| StartError::Broken(error.to_string());
        let Limits { api, user_api, web, critical } = settings.limits;
        let limits = GateSettings { trusted_proxies: settings.trusted_proxies.clone(), api, user_api, web, critical };
        let courier = settings.webhook.map(|webhook| {
            let client = Client::new(ClientSettings::default());
            client.map(|client| Courier::new(client, webhook)).map_err(|error| broken(&error))
        });
        let app = App {
            db: opened.db,
            clock: host.clock.clone(),
            terms: settings.terms,
            keyring: Arc::new(opened.keyring),
            catalog: Arc::new(catalog),
            poke: Poke::default(),
            rates: Rates::new(),
            gate: Arc::new(Gate::new(limits, &host.clock).map_err(|error| broken(&error))?),
            passwords: Passwords::new().map_err(|error| broken(&error))?,
            metrics: Metrics::declare(&host.registry),
            drain: host.tasks.drain(),
            courier: courier.transpose()?,
            relay_address: settings.relay_address.as_str().into(),
            started_at: host.clock.wall(),
        };
        let feed = Feed::start(&app).await?;
        let settler = Settler::new(app.db.clone(), feed.state().version().lineage.clone(), app.rates.clone());
        let rpc =
            Rpc::new(&app, &feed, settler, &host.tasks).pausing_reports(settings.report_interval).watching(settings.success_rate);
        let setup_path = first_run(&app, &settings.first_run).await?.setup_link_path;
        // it leads to a process of an earlier start; whoever starts with --demo offers it anew
        withdraw_demo(&app).await.map_err(FirstRunError::Work)?;
        let (join_secret, migrate, test_minutes) = (settings.secrets.join, settings.migrate, settings.channel_test_minutes);
        Ok(Self { app, feed, rpc, host, setup_path, join_secret, migrate, test_minutes, site_time, _file_lock: opened.file_lock })
    }

    /// Closes the database after everything else has ended, within a time: SQLite then leaves nothing beside its file.
    pub async fn close(&self, limit: Duration) {
        // what still holds a connection then loses it with the process, which the next start makes good
        let _ = tokio::time::timeout(limit, self.app.db.clone().close()).await;
    }

    /// Path and query of the set-up page, while nobody has set the site up.
    #[must_use]
    pub fn setup_path(&self) -> Option<&str> {
        self.setup_path.as_deref()
    }

    /// The console and the API.
    pub fn router(&self) -> Router {
        crate::http::router(self.app.clone())
    }

    /// What operations have at hand.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Starts what runs by itself: following the log of changes, deciding grants, and jobs.
    pub fn start(&self) {
        let tasks = &self.host.tasks;
        tasks.spawn_essential("config tail", self.feed.clone().run(self.app.clone(), tasks.drain()));
        if let Some(time) = &self.site_time {
            tasks.spawn_essential("site time", time.clone().follow(self.app.db.clone(), tasks.drain()));
        }
        self.rpc.start();
        self.app.metrics.watch_database(&self.host.registry, &self.app.db);
        let (metrics, feed) = (self.app.metrics.clone(), self.feed.clone());
        self.host.registry.before_render(move || metrics.config(feed.state().version().seq));
        let holder = hex::encode(sluice_sealed::random::bytes::<16>());
        if let Some(courier) = self.app.courier.clone() {
            let sending = notifications::jobs::keep_running(self.app.clone(), courier, holder.clone(), tasks.drain());
            tasks.spawn("notifications", sending);
        }
        let testing = errands::jobs::keep_running(self.app.clone(), self.test_minutes, holder.clone(), tasks.drain());
        tasks.spawn("errands", testing);
        tasks.spawn_essential("jobs", jobs::run(self.app.clone(), self.feed.clone(), holder, tasks.drain()));
    }

    /// What relays speak to over a network.
    #[must_use]
    pub fn relay_routes(&self) -> Routes {
        self.rpc.routes(self.join_secret.clone())
    }

    /// The same for a relay in this process, which needs no proof.
    #[must_use]
    pub fn in_process_routes(&self) -> Routes {
        self.rpc.routes(None)
    }

    /// Probes and metrics.
    pub fn ops_router(&self) -> Router {
        let db = self.app.db.clone();
        let is_reachable = move || {
            let db = db.clone();
            async move { db.ping().await.map_err(|error| error.to_string()) }
        };
        let (db, is_looked_away) = (self.app.db.clone(), self.migrate == MigrateMode::Off);
        let is_schema_known = move || {
            let db = db.clone();
            async move {
                let pending = db::pending(&db).await.map_err(|error| error.to_string())?;
                let told = || Err(format!("migrations are missing: {}", pending.join(", ")));
                if pending.is_empty() || is_looked_away { Ok(()) } else { told() }
            }
        };
        let ops = Ops::new(self.host.registry.clone(), self.host.tasks.drain());
        ops.ready_when("database", is_reachable).ready_when("schema", is_schema_known).router()
    }
}

/// A keyring with the file it came from, for messages.
pub(crate) struct FoundKeyring {
    pub(crate) keyring: Keyring,
    pub(crate) from: String,
    pub(crate) readable_by_others: Option<PathBuf>,
}
