//! From texts to settings.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use sluice_billing::lease::Terms;
use sluice_limits::{RedisAddress, RedisSettings};
use sluice_sealed::Keyring;
use sluice_telemetry::clock::Step;
use sluice_telemetry::logs::{LogFormat, LogSettings};

use super::{ControlOptions, FirstRunSettings, MigrateMode, Ports, Problem, Problems, ProcessOptions, Secrets, Settings};
use crate::auth::first_run_problems;
use crate::channels::SuccessRate;
use crate::db::{Dsn, PoolSettings};
use crate::settings::read_address;

/// Bytes beyond which a file holds no secret.
const MAX_SECRET_BYTES: u64 = 4096;
/// How long to wait at start for a database server that is not there yet.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);
/// The value of the family's examples, which everybody knows.
const EXAMPLE: &str = "random_string";

/// Collects problems while reading, so that each can be told.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    notices: Vec<String>,
}

pub(super) fn read(process: &ProcessOptions, control: &ControlOptions, ports: Ports) -> Result<Settings, Problems> {
    let mut reader = Reader::default();
    let bind = reader.parse("SLUICE_BIND", process.bind.as_ref(), "must be an IP address", IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let http = SocketAddr::new(bind, reader.port("PORT", process.port.as_ref(), 3000));
    let ops = SocketAddr::new(bind, reader.port("SLUICE_OPS_PORT", process.ops_port.as_ref(), 9090));
    let grpc_port = reader.port("SLUICE_GRPC_PORT", control.grpc_port.as_ref(), 3001);
    match ports {
        Ports::Three => reader.check_ports(http.port(), grpc_port, ops.port()),
        Ports::WithoutRelays if ops.port() == http.port() => reader.refuse("SLUICE_OPS_PORT", "must differ from PORT"),
        Ports::WithoutRelays => {}
    }
    let secrets = reader.secrets(control);
    // without a secret anybody who reaches the port would be given provider keys
    let grpc_host = if secrets.join.is_some() { bind } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let data_dir = PathBuf::from(filled(process.data_dir.as_ref()).unwrap_or("./data"));
    let database = reader.database(control, &data_dir);
    let pool = reader.pool(control);
    let wait = reader.number("SLUICE_DATABASE_WAIT", control.database_wait.as_ref(), 0, 3_600, DATABASE_PATIENCE.as_secs());
    let database_patience = Duration::from_secs(wait);
    let migrate = reader.migrate(control.migrate.as_ref());
    let first_run = reader.first_run(control);
    let settings = Settings {
        http,
        grpc: SocketAddr::new(grpc_host, grpc_port),
        ops,
        relay_address: reader.relay_address(control.relay_address.as_ref()),
        data_dir,
        database: database.unwrap_or_else(|| Dsn::Sqlite(crate::db::dsn::SqliteFile::default())),
        database_setting: database_setting(control),
        pool,
        database_patience,
        migrate,
        secrets,
        first_run,
        limits: control.limits.read(&mut reader),
        trusted_proxies: reader.proxies(process.trusted_proxies.as_ref()),
        time_zone: reader.time_zone(process.tz.as_ref()),
        log: reader.log(process),
        drain_timeout: Duration::from_secs(reader.number("DRAIN_TIMEOUT", process.drain_timeout.as_ref(), 0, 86_400, 600)),
        report_interval: reader.report_interval(control.batch_update_interval.as_ref()),
        terms: reader.terms(control),
        wall_step: reader.wall_step(control.wall_step.as_ref()),
        success_rate: reader.success_rate(control),
        channel_test_minutes: reader.channel_test_minutes(control),
        webhook: control.webhook.read(&mut reader),
        redis: reader.redis(control, ports),
        notices: Vec::new(),
    };
    reader.tell_without_effect(control);
    if reader.problems.is_empty() {
        return Ok(Settings { notices: reader.notices, ..settings });
    }
    Err(Problems(reader.problems))
}

/// The value, unless it is empty: compose files pass empty variables for unset ones.
pub(super) fn filled(value: Option<&String>) -> Option<&str> {
    value.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// The setting that says where the database is.
fn database_setting(control: &ControlOptions) -> &'static str {
    let is_elsewhere = filled(control.sql_dsn.as_ref()).is_some_and(|text| !text.starts_with("local"));
    match filled(control.sqlite_path.as_ref()) {
        _ if is_elsewhere => "SQL_DSN",
        Some(_) => "SQLITE_PATH",
        None => "SLUICE_DATA_DIR",
    }
}

impl Reader {
    pub(super) fn refuse(&mut self, setting: &'static str, rule: impl Into<String>) {
        self.problems.push(Problem { setting, rule: rule.into() });
    }

    pub(super) fn parse<T: FromStr>(&mut self, setting: &'static str, value: Option<&String>, rule: &str, default: T) -> T {
        let Some(text) = self.not_a_service_link(setting, filled(value)) else { return default };
        text.parse().unwrap_or_else(|_| {
            self.refuse(setting, rule);
            default
        })
    }

    /// Kubernetes injects `NAME_PORT=tcp://…` for every service, and some of those names are ours.
    fn not_a_service_link<'a>(&mut self, setting: &'static str, value: Option<&'a str>) -> Option<&'a str> {
        if value.is_some_and(|text| text.starts_with("tcp://")) {
            self.notices.push(format!("{setting} is a service link of Kubernetes and is ignored: set enableServiceLinks: false"));
            return None;
        }
        value
    }

    fn port(&mut self, setting: &'static str, value: Option<&String>, default: u16) -> u16 {
        let port = self.parse(setting, value, "must be a port from 1 to 65535", default);
        if port == 0 {
            self.refuse(setting, "must be a port from 1 to 65535");
        }
        port
    }

    fn check_ports(&mut self, http: u16, grpc: u16, ops: u16) {
        if grpc == http {
            self.refuse("SLUICE_GRPC_PORT", "must differ from PORT");
        }
        if ops == http || ops == grpc {
            self.refuse("SLUICE_OPS_PORT", "must differ from PORT and SLUICE_GRPC_PORT");
        }
    }

    pub(super) fn number(&mut self, setting: &'static str, value: Option<&String>, least: u64, most: u64, default: u64) -> u64 {
        let rule = format!("must be a whole number from {least} to {most}");
        let number = self.parse(setting, value, &rule, default);
        if (least..=most).contains(&number) {
            return number;
        }
        self.refuse(setting, rule);
        default
    }

    fn secrets(&mut self, control: &ControlOptions) -> Secrets {
        let crypto = self.secret(
            "CRYPTO_SECRET",
            control.crypto_secret.as_ref(),
            "CRYPTO_SECRET_FILE",
            control.crypto_secret_file.as_ref(),
        );
        if let Some(secret) = &crypto {
            match Keyring::from_secret(secret) {
                Err(error) => self.refuse("CRYPTO_SECRET", error.to_string()),
                Ok(keyring) if keyring.is_guessable() => {
                    self.notices.push("CRYPTO_SECRET is short: whoever steals the database can guess it".to_owned());
                }
                Ok(_) => {}
            }
        }
        let session = self.secret(
            "SESSION_SECRET",
            control.session_secret.as_ref(),
            "SESSION_SECRET_FILE",
            control.session_secret_file.as_ref(),
        );
        if session.as_ref().is_some_and(|secret| secret.expose_secret() == EXAMPLE) {
            self.refuse("SESSION_SECRET", "must not be the example value random_string: remove it or set one of your own");
        }
        let join = self.secret(
            "SLUICE_JOIN_SECRET",
            control.join_secret.as_ref(),
            "SLUICE_JOIN_SECRET_FILE",
            control.join_secret_file.as_ref(),
        );
        if join.as_ref().is_some_and(|secret| secret.expose_secret().len() < 16) {
            self.refuse("SLUICE_JOIN_SECRET", "must have at least 16 characters: it guards the keys of your providers");
        }
        Secrets { crypto, session, join }
    }

    /// A secret given as text or in a file, not both.
    pub(super) fn secret(
        &mut self,
        setting: &'static str,
        value: Option<&String>,
        file_setting: &'static str,
        file: Option<&String>,
    ) -> Option<SecretString> {
        match (filled(value), filled(file)) {
            (Some(_), Some(_)) => {
                self.refuse(file_setting, format!("must not be set beside {setting}"));
                None
            }
            (Some(text), None) => Some(text.into()),
            (None, Some(path)) => match read_secret_file(path) {
                Ok(secret) => Some(secret),
                Err(rule) => {
                    self.refuse(file_setting, rule);
                    None
                }
            },
            (None, None) => None,
        }
    }

    fn database(&mut self, control: &ControlOptions, data_dir: &std::path::Path) -> Option<Dsn> {
        let text = filled(control.sql_dsn.as_ref()).unwrap_or_default();
        let millis = self.number("SQLITE_BUSY_TIMEOUT", control.sqlite_busy_timeout.as_ref(), 0, 600_000, 5_000);
        match Dsn::parse(text, filled(control.sqlite_path.as_ref()), data_dir) {
            Ok(Dsn::Sqlite(mut file)) => {
                if filled(control.sqlite_busy_timeout.as_ref()).is_some() {
                    file.busy_timeout = Duration::from_millis(millis);
                }
                Some(Dsn::Sqlite(file))
            }
            Ok(dsn) => Some(dsn),
            Err(error) => {
                self.refuse(database_setting(control), error.to_string());
                None
            }
        }
    }

    fn pool(&mut self, control: &ControlOptions) -> PoolSettings {
        let defaults = PoolSettings::default();
        let default_open = u64::from(defaults.max_open);
        let max_open = self.number("SQL_MAX_OPEN_CONNS", control.sql_max_open_conns.as_ref(), 2, 10_000, default_open);
        let seconds = self.number("SQL_MAX_LIFETIME", control.sql_max_lifetime.as_ref(), 1, 86_400 * 7, 3_600);
        let minutes = self.number("SQL_CONN_MAX_LIFETIME", control.sql_conn_max_lifetime.as_ref(), 1, 60 * 24 * 7, 60);
        let in_minutes = filled(control.sql_conn_max_lifetime.as_ref()).is_some();
        PoolSettings {
            max_open: u32::try_from(max_open).unwrap_or(defaults.max_open),
            max_lifetime: Duration::from_secs(if in_minutes { minutes * 60 } else { seconds }),
            ..defaults
        }
    }

    fn migrate(&mut self, value: Option<&String>) -> MigrateMode {
        match filled(value) {
            None | Some("auto") => MigrateMode::Auto,
            Some("check") => MigrateMode::Check,
            Some("off") => MigrateMode::Off,
            Some(_) => {
                self.refuse("SLUICE_MIGRATE", "must be auto, check or off");
                MigrateMode::Auto
            }
        }
    }

    fn first_run(&mut self, control: &ControlOptions) -> FirstRunSettings {
        let root_password = self.secret(
            "INITIAL_ROOT_PASSWORD",
            control.initial_root_password.as_ref(),
            "INITIAL_ROOT_PASSWORD_FILE",
            control.initial_root_password_file.as_ref(),
        );
        let secret = |value: Option<&String>| filled(value).map(SecretString::from);
        let settings = FirstRunSettings {
            root_token: secret(control.initial_root_token.as_ref()),
            root_access_token: secret(control.initial_root_access_token.as_ref()),
            root_password,
        };
        for (setting, rule) in first_run_problems(&settings) {
            self.refuse(setting, rule);
        }
        settings
    }

    fn proxies(&mut self, value: Option<&String>) -> Vec<IpNet> {
        let text = filled(value).unwrap_or("127.0.0.0/8,::1/128");
        let net = |part: &str| part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
        let nets: Option<Vec<IpNet>> = text.split(',').map(|part| net(part.trim())).collect();
        nets.unwrap_or_else(|| {
            self.refuse("TRUSTED_PROXIES", "must be addresses or CIDR blocks after commas, for example 10.0.0.0/8,192.0.2.7");
            Vec::new()
        })
    }

    fn time_zone(&mut self, value: Option<&String>) -> TimeZone {
        let Some(name) = filled(value) else { return TimeZone::UTC };
        // POSIX writes ":Europe/Paris" for a zone in the system's files
        TimeZone::get(name.trim_start_matches(':')).unwrap_or_else(|_| {
            self.refuse("TZ", "must be the IANA name of a time zone, for example Asia/Shanghai");
            TimeZone::UTC
        })
    }

    fn log(&mut self, process: &ProcessOptions) -> LogSettings {
        let debug = self.parse("DEBUG", process.debug.as_ref(), "must be true or false", false);
        let format =
            self.parse("SLUICE_LOG_FORMAT", process.log_format.as_ref(), "must be auto, json or pretty", LogFormat::Auto);
        let default = if debug { "debug" } else { "info" };
        LogSettings {
            format,
            filter: filled(process.log.as_ref()).unwrap_or(default).to_owned(),
            log_dir: filled(process.log_dir.as_ref()).map(PathBuf::from),
            file_prefix: "sluice-control",
        }
    }

    fn success_rate(&mut self, control: &ControlOptions) -> Option<SuccessRate> {
        let is_on = self.parse("ENABLE_METRIC", control.enable_metric.as_ref(), "must be true or false", false);
        let window = self.number("METRIC_QUEUE_SIZE", control.metric_queue_size.as_ref(), 1, 10_000, 10);
        let text = filled(control.metric_success_rate_threshold.as_ref()).unwrap_or("0.8");
        let threshold = text.parse::<f64>().ok().filter(|rate| (0.0..=1.0).contains(rate)).unwrap_or_else(|| {
            self.refuse("METRIC_SUCCESS_RATE_THRESHOLD", "must be a number from 0 to 1");
            0.8
        });
        is_on.then_some(SuccessRate { window: usize::try_from(window).unwrap_or(10), threshold })
    }

    fn channel_test_minutes(&mut self, control: &ControlOptions) -> u32 {
        let minutes = self.number("CHANNEL_TEST_FREQUENCY", control.channel_test_frequency.as_ref(), 0, 44_640, 0);
        u32::try_from(minutes).unwrap_or(0)
    }

    /// Seconds, possibly with a fraction, as milliseconds.
    fn terms(&mut self, control: &ControlOptions) -> Terms {
        let in_doubt_hold_millis = match filled(control.in_doubt_hold.as_ref()) {
            Some("never") => None,
            _ => Some(self.number("SLUICE_IN_DOUBT_HOLD", control.in_doubt_hold.as_ref(), 60, 31_536_000, 3_600) * 1_000),
        };
        let scale = self.number("SLUICE_TEST_LEASE_TIME_SCALE", control.lease_time_scale.as_ref(), 1, 1_000, 1);
        if scale > 1 {
            self.notices.push(format!("SLUICE_TEST_LEASE_TIME_SCALE: leases live and end {scale} times faster, for tests only"));
        }
        Terms { in_doubt_hold_millis, ..Terms::default() }.scaled(u32::try_from(scale).unwrap_or(1))
    }

    fn wall_step(&mut self, value: Option<&String>) -> Option<Step> {
        let step: Result<Step, &str> = filled(value)?.parse();
        step.map_err(|rule| self.refuse("SLUICE_TEST_WALL_STEP", rule)).ok()
    }

    fn relay_address(&mut self, value: Option<&String>) -> String {
        let Some(text) = filled(value) else { return String::new() };
        read_address(text).unwrap_or_else(|rule| {
            self.refuse("SLUICE_RELAY_ADDRESS", rule);
            String::new()
        })
    }

    fn report_interval(&mut self, value: Option<&String>) -> Option<Duration> {
        let text = filled(value)?;
        let seconds = text.parse::<f64>().ok().filter(|seconds| (0.05..=60.0).contains(seconds));
        if seconds.is_none() {
            self.refuse("BATCH_UPDATE_INTERVAL", "must be seconds from 0.05 to 60");
        }
        seconds.map(Duration::from_secs_f64)
    }

    /// The Redis of the relays. `ports` tells whether there is a relay in this process.
    fn redis(&mut self, control: &ControlOptions, ports: Ports) -> Option<RedisSettings> {
        let (setting, size) = match filled(control.redis_conn_pool_size.as_ref()) {
            None => ("REDIS_POOL_SIZE", control.redis_pool_size.as_ref()),
            Some(_) => ("REDIS_CONN_POOL_SIZE", control.redis_conn_pool_size.as_ref()),
        };
        let most = RedisSettings::MOST_CONNECTIONS as u64;
        let connections = self.number(setting, size, 1, most, RedisSettings::CONNECTIONS as u64);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (default, longest) = (millis(RedisSettings::PATIENCE), millis(RedisSettings::MOST_PATIENCE));
        let patience = self.number("REDIS_TIMEOUT_MS", control.redis_timeout_ms.as_ref(), 1, longest, default);
        let text = filled(control.redis_conn_string.as_ref())?;
        let password = filled(control.redis_password.as_ref()).map(SecretString::from);
        let address = match RedisAddress::parse(text, password, filled(control.redis_master_name.as_ref())) {
            Ok(address) => address,
            Err(rule) => {
                self.refuse("REDIS_CONN_STRING", rule.to_string());
                return None;
            }
        };
        if matches!(ports, Ports::Three) {
            self.notices.push("REDIS_CONN_STRING has no effect on the control plane: it is the relays that need it".to_owned());
        }
        let connections = usize::try_from(connections).unwrap_or(RedisSettings::CONNECTIONS);
        Some(RedisSettings { address, connections, patience: Duration::from_millis(patience) })
    }

    fn tell_without_effect(&mut self, control: &ControlOptions) {
        let mut tell = |is_set: bool, line: &str| {
            if is_set {
                self.notices.push(line.to_owned());
            }
        };
        let is_false = |value: Option<&String>| filled(value).is_some_and(|text| text == "false" || text == "0");
        tell(
            is_false(control.batch_update_enabled.as_ref()),
            "BATCH_UPDATE_ENABLED=false has no effect: usage is always reported in batches, and never lost",
        );
        tell(
            is_false(control.memory_cache_enabled.as_ref()),
            "MEMORY_CACHE_ENABLED=false has no effect: relays hold everything they need in memory",
        );
        tell(filled(control.sync_frequency.as_ref()).is_some(), "SYNC_FREQUENCY has no effect: changes are pushed at once");
        tell(
            filled(control.sql_max_idle_conns.as_ref()).is_some(),
            "SQL_MAX_IDLE_CONNS has no effect: connections that idle for 5 minutes are closed",
        );
    }
}

/// The text of a secret file, without the line end editors leave.
fn read_secret_file(path: &str) -> Result<SecretString, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("names a file that cannot be read: {}", error.kind()))?;
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("names a file that cannot be read: {}", error.kind()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || text.len() > usize::try_from(MAX_SECRET_BYTES).unwrap_or(usize::MAX) {
        return Err("names a file that is empty or too large".to_owned());
    }
    Ok(secret.into())
}
