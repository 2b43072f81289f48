//! Settings: read once, all mistakes told at once, before anything is bound or written.

mod limits;
mod options;
mod reader;
mod webhook;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use sluice_billing::lease::Terms;
use sluice_limits::RedisSettings;
use sluice_telemetry::clock::Step;
use sluice_telemetry::logs::LogSettings;

pub use limits::{LimitOptions, Limits};
pub use options::{ControlOptions, ProcessOptions};
pub use webhook::WebhookOptions;

use crate::channels::SuccessRate;
use crate::db::{Dsn, PoolSettings};
use crate::notifications::Webhook;

/// The settings of a control plane, read and judged.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the console and the API listen.
    pub http: SocketAddr,
    /// Where relays connect.
    pub grpc: SocketAddr,
    /// Where probes and metrics are.
    pub ops: SocketAddr,
    /// Where programs reach the relays, without a slash at the end; empty: at the site's own address.
    pub relay_address: String,
    /// Folder for everything that must survive a restart.
    pub data_dir: PathBuf,
    /// Where the database is.
    pub database: Dsn,
    /// The setting that says so.
    pub database_setting: &'static str,
    /// How it is connected to.
    pub pool: PoolSettings,
    /// How long to wait at start for a server that is not there yet.
    pub database_patience: Duration,
    /// What to do about migrations.
    pub migrate: MigrateMode,
    /// Secrets.
    pub secrets: Secrets,
    /// What the first start is to make.
    pub first_run: FirstRunSettings,
    /// How often one address may come.
    pub limits: Limits,
    /// Proxies whose headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Time zone of days and charts.
    pub time_zone: TimeZone,
    /// What is logged.
    pub log: LogSettings,
    /// How long running work may take after SIGTERM.
    pub drain_timeout: Duration,
    /// What relays wait between two reports of usage; `None`: as they like.
    pub report_interval: Option<Duration>,
    /// How long leases live, and what else takes its time between relays and ledger.
    pub terms: Terms,
    /// A step of the wall clock that a test asks for.
    pub wall_step: Option<Step>,
    /// When a channel fails too often to be used; `None`: never.
    pub success_rate: Option<SuccessRate>,
    /// Minutes between two tests of each channel, where the site does not say; 0: they are not tested.
    pub channel_test_minutes: u32,
    /// Where notifications are sent; `None`: they are only listed.
    pub webhook: Option<Webhook>,
    /// The Redis that relays keep the limits of the whole fleet in.
    pub redis: Option<RedisSettings>,
    /// What to tell at start about settings that were accepted without effect. One line each.
    pub notices: Vec<String>,
}

/// Secrets of an installation.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Seals what is stored; `None`: the one in the data folder.
    pub crypto: Option<SecretString>,
    /// Signs links; `None`: derived from the other.
    pub session: Option<SecretString>,
    /// Lets relays in; `None`: only those on this machine.
    pub join: Option<SecretString>,
}

/// What the first start is to make besides the set-up link.
#[derive(Debug, Clone, Default)]
pub struct FirstRunSettings {
    /// A token of root for the relay API.
    pub root_token: Option<SecretString>,
    /// A management token of root.
    pub root_access_token: Option<SecretString>,
    /// The password of root.
    pub root_password: Option<SecretString>,
}

/// What to do about migrations at start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MigrateMode {
    /// Apply them.
    #[default]
    Auto,
    /// Refuse to start while some are pending.
    Check,
    /// Look away.
    Off,
}

/// Which ports a process listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ports {
    /// For people, relays and probes.
    Three,
    /// For people and probes.
    WithoutRelays,
}

/// Something wrong with one setting. The text never holds the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, by the name of its environment variable.
    pub setting: &'static str,
    /// The rule it breaks.
    pub rule: String,
}

/// Everything wrong with the settings. Shown one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "\n" };
            write!(f, "{separator}{} {}", problem.setting, problem.rule)?;
        }
        Ok(())
    }
}

impl Settings {
    /// Reads and judges what was given. Reads the files named by `*_FILE` settings and nothing else.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read(process: &ProcessOptions, control: &ControlOptions) -> Result<Self, Problems> {
        reader::read(process, control, Ports::Three)
    }

    /// The same for a process that has its relay inside: nothing listens on the port for relays.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read_for_one_process(process: &ProcessOptions, control: &ControlOptions) -> Result<Self, Problems> {
        reader::read(process, control, Ports::WithoutRelays)
    }
}

#[cfg(test)]
mod tests;
