//! The fault matrix: the real programs under load, broken in every way protocol.md part D lists, and what came of it.
//!
//! `site` starts an installation with a proxy on every line, [`traffic`] loads it at a fixed rate, a file of `rows` breaks it, [`audit`]
//! holds the ledger against the provider's own log, `forger` tells relays nonsense, [`figure`] says what was expected and what was found.
//! [`store`] reads the database from outside. `make faults` runs all of it, `docs/RELIABILITY.md` says what the figures mean.

#![expect(clippy::panic, reason = "a row fails by panicking, with words; the run goes on with the next one")]

pub mod audit;
pub mod figure;
mod forger;
mod rows;
mod site;
mod small_disk;
pub mod store;
pub mod traffic;
mod watch;

use std::any::Any;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sluice_testkit::database::Engine;
use sluice_testkit::services::{Addresses, Service, Services};
use tempfile::TempDir;

use self::audit::Audit;
use self::figure::{Figure, RowReport};
use self::site::MODEL;
use self::traffic::Mix;
pub use rows::{KILLS, ROWS, Row};

/// What a row may take beyond its load: starts, waits for settlement, what is slow on a busy machine.
const BEYOND: Duration = Duration::from_mins(5);
/// What a kill may take, with the start after it and the requests that belong to it.
const PER_KILL: Duration = Duration::from_secs(8);
/// What a row takes beyond its load as a rule.
const USUALLY_BEYOND: Duration = Duration::from_secs(15);

/// How the matrix is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database.
    pub engine: Engine,
    /// How long the load of a row lasts.
    pub lasting: Duration,
    /// Requests a second.
    pub rate: u32,
    /// Kills of the row that only kills.
    pub kills: u32,
    /// How many times as long as on an idle machine everything is waited for before it is given up. What is measured is the same.
    pub patience: u32,
}

/// What all rows of a run share: the servers, and the size of it.
pub struct Stage {
    /// How it is run.
    pub options: Options,
    /// The database.
    pub engine: Engine,
    services: Option<Services>,
    totals: Arc<Mutex<Totals>>,
    _folder: TempDir,
}

/// What was judged over all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Audits.
    pub audits: usize,
    /// Accounts looked at.
    pub accounts: usize,
    /// Whole answers compared with the provider's log to the unit.
    pub compared: usize,
    /// Whatever was wrong.
    pub wrong: usize,
}

impl Totals {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            audits: self.audits + other.audits,
            accounts: self.accounts + other.accounts,
            compared: self.compared + other.compared,
            wrong: self.wrong + other.wrong,
        }
    }

    fn add(&mut self, audit: &Audit) {
        self.audits += 1;
        self.accounts += audit.accounts;
        self.compared += audit.compared;
        self.wrong += [
            &audit.lost,
            &audit.doubled,
            &audit.mispriced,
            &audit.invented,
            &audit.unbalanced,
            &audit.unexplained,
            &audit.overdrawn,
        ]
        .iter()
        .map(|offenders| offenders.len())
        .sum::<usize>();
    }
}

impl Stage {
    /// Starts the servers of a run of their own: rows stop them.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn set(options: Options) -> std::io::Result<Self> {
        sluice_testkit::install_tls_provider();
        let folder = tempfile::tempdir()?;
        let services = match options.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some([Service::Postgres, Service::Redis]),
            Engine::Mysql => Some([Service::Mariadb, Service::Redis]),
        };
        let services = services.map(|wanted| Services::up(&folder.path().join("servers"), &wanted));
        Ok(Self { engine: options.engine, options, services, totals: Arc::default(), _folder: folder })
    }

    /// Whether everything is one process, on SQLite.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.services.is_none()
    }

    /// How long the load of a row lasts.
    #[must_use]
    pub fn lasting(&self) -> Duration {
        self.options.lasting
    }

    /// What was judged so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        *self.totals.lock()
    }

    fn addresses(&self) -> Addresses {
        self.services.as_ref().map(|services| services.addresses.clone()).unwrap_or_default()
    }

    /// The servers, on an engine that has one.
    fn services(&self) -> &Services {
        self.services.as_ref().expect("rows about servers are not played on SQLite")
    }

    fn database_service(&self) -> Service {
        if self.engine == Engine::Mysql { Service::Mariadb } else { Service::Postgres }
    }

    fn mix(&self) -> Mix {
        Mix {
            rate: self.options.rate,
            streams: 60,
            model: MODEL,
            stream: "tokens=40 delay_ms=20",
            plain: "tokens=20",
            prefix: "load".to_owned(),
        }
    }

    /// The rows that mean something here.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| if self.is_single() { row.on_one_process } else { row.on_a_fleet })
    }

    /// How long these rows take, about and at most.
    #[must_use]
    pub fn durations(&self, rows: &[&Row]) -> (Duration, Duration) {
        let about = |row: &&Row| self.lasting() + USUALLY_BEYOND + self.killing(row) / 2;
        let most = |row: &&Row| (self.lasting() * 5 + BEYOND + self.killing(row)) * self.options.patience;
        (rows.iter().map(about).sum(), rows.iter().map(most).sum())
    }

    /// What the kills of a row may take beyond its load.
    fn killing(&self, row: &Row) -> Duration {
        if row.name == KILLS { PER_KILL * self.options.kills } else { Duration::ZERO }
    }
}

/// Plays one row to its end, on a thread and a runtime of its own: one that panics fails alone.
///
/// # Panics
/// When no thread can be started.
pub fn play(stage: &Arc<Stage>, row: &'static Row) -> RowReport {
    let (begun, limit) = (Instant::now(), stage.durations(&[row]).1);
    let here = Arc::clone(stage);
    let playing = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
        let played = runtime.block_on(async { tokio::time::timeout(limit, (row.play)(&here)).await });
        runtime.shutdown_timeout(Duration::from_secs(1));
        played
    };
    let thread = std::thread::Builder::new().name(format!("row {}", row.name)).spawn(playing);
    let figures = match thread.expect("a thread can be started").join() {
        Ok(Ok(figures)) => figures,
        Ok(Err(_)) => vec![Figure::claim("the row ends", "in time", format!("not within {limit:?}"), false)],
        Err(panic) => vec![Figure::claim("the row ends", "by itself", words_of(panic.as_ref()), false)],
    };
    RowReport {
        row: row.name.to_owned(),
        fault: row.fault.to_owned(),
        engine: stage.engine.to_string(),
        lasted_secs: begun.elapsed().as_secs_f64(),
        figures,
    }
}

/// What a panic said, without the output of programs it may carry.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let line = text.unwrap_or("a panic without words").lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

/// Writes the table and the raw figures into a folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, reports: &[RowReport]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("faults.md"), figure::table(reports))?;
    std::fs::write(folder.join("faults.json"), serde_json::to_string_pretty(reports)?)?;
    Ok(())
}

type Playing<'a> = Pin<Box<dyn Future<Output = Vec<Figure>> + 'a>>;
