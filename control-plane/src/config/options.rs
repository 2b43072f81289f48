//! What may be given, as text: on the command line or in the environment. Nothing is judged here.

use clap::Args;

use super::{LimitOptions, WebhookOptions};

/// What every process may be told.
///
/// Each doc comment is the reference text of its setting. Values stay text until [`super::Settings::read`], so that all mistakes can
/// be told at once.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessOptions {
    /// Address to listen on for HTTP and gRPC. Default 0.0.0.0
    #[arg(long, env = "SLUICE_BIND", value_name = "ADDRESS")]
    pub bind: Option<String>,
    /// Port of the console and the API. Default 3000
    #[arg(long, env = "PORT", value_name = "PORT")]
    pub port: Option<String>,
    /// Port of /livez, /readyz and /metrics. Default 9090
    #[arg(long, env = "SLUICE_OPS_PORT", value_name = "PORT")]
    pub ops_port: Option<String>,
    /// Folder for everything that must survive a restart. Default ./data
    #[arg(long, env = "SLUICE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// Levels of what is logged, for example info,sluice_control_plane=debug. Default info
    #[arg(long, env = "SLUICE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// true logs at level debug unless SLUICE_LOG says otherwise. Default false
    #[arg(long, env = "DEBUG", value_name = "BOOL")]
    pub debug: Option<String>,
    /// How log lines look: auto, json or pretty. Default auto: pretty on a terminal
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Folder for daily log files beside standard output. Default: none
    #[arg(long, env = "SLUICE_LOG_DIR", value_name = "FOLDER")]
    pub log_dir: Option<String>,
    /// Proxies whose X-Forwarded-For and Forwarded headers are believed, as addresses or CIDR blocks after commas. Default: loopback
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "LIST")]
    pub trusted_proxies: Option<String>,
    /// Time zone of days, resets and charts, as IANA name. Default UTC
    #[arg(long, env = "TZ", value_name = "ZONE")]
    pub tz: Option<String>,
    /// Seconds that running work may take after SIGTERM. Default 600
    #[arg(long, env = "DRAIN_TIMEOUT", value_name = "SECONDS")]
    pub drain_timeout: Option<String>,
}

/// What only the control plane is told.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Control plane")]
pub struct ControlOptions {
    /// Where the database is: empty or local (SQLite in the data folder), sqlite:PATH, postgres://…, mysql://… or
    /// USER:PASSWORD@tcp(HOST:PORT)/DATABASE
    #[arg(long, env = "SQL_DSN", value_name = "DSN", hide_env_values = true)]
    pub sql_dsn: Option<String>,
    /// Path of the SQLite file. Default sluice.db in the data folder
    #[arg(long, env = "SQLITE_PATH", value_name = "FILE")]
    pub sqlite_path: Option<String>,
    /// Milliseconds a statement waits for SQLite's write lock. Default 5000
    #[arg(long, env = "SQLITE_BUSY_TIMEOUT", value_name = "MILLIS")]
    pub sqlite_busy_timeout: Option<String>,
    /// Most connections to the database server. Default 50
    #[arg(long, env = "SQL_MAX_OPEN_CONNS", value_name = "COUNT")]
    pub sql_max_open_conns: Option<String>,
    /// Accepted, no effect: connections that idle for 5 minutes are closed
    #[arg(long, env = "SQL_MAX_IDLE_CONNS", value_name = "COUNT")]
    pub sql_max_idle_conns: Option<String>,
    /// Minutes after which a connection is replaced. Default 60
    #[arg(long, env = "SQL_CONN_MAX_LIFETIME", value_name = "MINUTES")]
    pub sql_conn_max_lifetime: Option<String>,
    /// The same in seconds; the other one wins
    #[arg(long, env = "SQL_MAX_LIFETIME", value_name = "SECONDS")]
    pub sql_max_lifetime: Option<String>,
    /// Seconds to wait at start for a database server that does not answer yet. Default 30
    #[arg(long, env = "SLUICE_DATABASE_WAIT", value_name = "SECONDS")]
    pub database_wait: Option<String>,
    /// What to do about migrations at start: auto applies them, check refuses to start while some are pending, off looks away.
    /// Default auto
    #[arg(long, env = "SLUICE_MIGRATE", value_name = "auto|check|off")]
    pub migrate: Option<String>,
    /// Secret that seals stored secrets; older ones follow after commas during a rotation. Default: made once, in secret.key in the
    /// data folder
    #[arg(long, env = "CRYPTO_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub crypto_secret: Option<String>,
    /// File that holds CRYPTO_SECRET
    #[arg(long, env = "CRYPTO_SECRET_FILE", value_name = "FILE")]
    pub crypto_secret_file: Option<String>,
    /// Secret that signs links in mails and OAuth state. Default: derived from CRYPTO_SECRET
    #[arg(long, env = "SESSION_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub session_secret: Option<String>,
    /// File that holds SESSION_SECRET
    #[arg(long, env = "SESSION_SECRET_FILE", value_name = "FILE")]
    pub session_secret_file: Option<String>,
    /// Secret by which relays prove that they belong. Without it the gRPC port listens on loopback only
    #[arg(long, env = "SLUICE_JOIN_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub join_secret: Option<String>,
    /// File that holds SLUICE_JOIN_SECRET
    #[arg(long, env = "SLUICE_JOIN_SECRET_FILE", value_name = "FILE")]
    pub join_secret_file: Option<String>,
    /// Where programs reach the relays, such as https://api.example.com: the console's examples begin with it. Default: the site's own
    /// address
    #[arg(long, env = "SLUICE_RELAY_ADDRESS", value_name = "URL")]
    pub relay_address: Option<String>,
    /// Port for relays (gRPC). Default 3001
    #[arg(long, env = "SLUICE_GRPC_PORT", value_name = "PORT")]
    pub grpc_port: Option<String>,
    /// Token for the relay API that root has from the first start
    #[arg(long, env = "INITIAL_ROOT_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub initial_root_token: Option<String>,
    /// Management token that root has from the first start
    #[arg(long, env = "INITIAL_ROOT_ACCESS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub initial_root_access_token: Option<String>,
    /// Password of the user root, made at the first start; at least 12 characters
    #[arg(long, env = "INITIAL_ROOT_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub initial_root_password: Option<String>,
    /// File that holds INITIAL_ROOT_PASSWORD
    #[arg(long, env = "INITIAL_ROOT_PASSWORD_FILE", value_name = "FILE")]
    pub initial_root_password_file: Option<String>,
    /// Seconds relays wait between two reports of usage. Default: 0.2
    #[arg(long, env = "BATCH_UPDATE_INTERVAL", value_name = "SECONDS")]
    pub batch_update_interval: Option<String>,
    /// Accepted, no effect when false: usage is always reported in batches, and never lost
    #[arg(long, env = "BATCH_UPDATE_ENABLED", value_name = "BOOL")]
    pub batch_update_enabled: Option<String>,
    /// Whether channels whose success rate is too low are switched off. Default false
    #[arg(long, env = "ENABLE_METRIC", value_name = "BOOL")]
    pub enable_metric: Option<String>,
    /// Results of a channel that its success rate is made of. Default 10
    #[arg(long, env = "METRIC_QUEUE_SIZE", value_name = "COUNT")]
    pub metric_queue_size: Option<String>,
    /// The least success rate, 0 to 1. Default 0.8
    #[arg(long, env = "METRIC_SUCCESS_RATE_THRESHOLD", value_name = "RATE")]
    pub metric_success_rate_threshold: Option<String>,
    /// Minutes between two tests of each channel, where the site's setting channel_test_minutes is 0. Default: they are not tested
    #[arg(long, env = "CHANNEL_TEST_FREQUENCY", value_name = "MINUTES")]
    pub channel_test_frequency: Option<String>,
    /// Seconds until money of a lost relay that is in doubt goes back by itself, 60 or more, longer than the longest stream; or never: then an
    /// administrator decides. Default 3600
    #[arg(long, env = "SLUICE_IN_DOUBT_HOLD", value_name = "SECONDS")]
    pub in_doubt_hold: Option<String>,
    /// How many times faster leases live and end, for tests; the same for every process of an installation. Default 1
    #[arg(long, env = "SLUICE_TEST_LEASE_TIME_SCALE", value_name = "DIVISOR", hide = true)]
    pub lease_time_scale: Option<String>,
    /// A step of the wall clock, for tests: BY@AT in milliseconds, the latter since the machine started. Default: none
    #[arg(long, env = "SLUICE_TEST_WALL_STEP", value_name = "STEP", hide = true, allow_hyphen_values = true)]
    pub wall_step: Option<String>,
    /// The Redis that relays keep the limits of the whole fleet in: redis://default:password@redis:6379/0, or host:port of several,
    /// separated by commas, which are a cluster. sluice-control itself keeps nothing there. Default: none
    #[arg(long, env = "REDIS_CONN_STRING", value_name = "URL", hide_env_values = true)]
    pub redis_conn_string: Option<String>,
    /// The password of that Redis, where its address has none or names sentinels
    #[arg(long, env = "REDIS_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub redis_password: Option<String>,
    /// The master that REDIS_CONN_STRING names the sentinels of
    #[arg(long, env = "REDIS_MASTER_NAME", value_name = "MASTER")]
    pub redis_master_name: Option<String>,
    /// Connections to each Redis. Default 10
    #[arg(long, env = "REDIS_CONN_POOL_SIZE", value_name = "COUNT")]
    pub redis_conn_pool_size: Option<String>,
    /// The same; the other one wins
    #[arg(long, env = "REDIS_POOL_SIZE", value_name = "COUNT")]
    pub redis_pool_size: Option<String>,
    /// The longest a request waits for Redis. After it its relay judges alone. Default 25
    #[arg(long, env = "REDIS_TIMEOUT_MS", value_name = "MILLISECONDS")]
    pub redis_timeout_ms: Option<String>,
    /// Accepted, no effect: relays hold everything they need in memory
    #[arg(long, env = "MEMORY_CACHE_ENABLED", value_name = "BOOL")]
    pub memory_cache_enabled: Option<String>,
    /// Accepted, no effect: changes are pushed at once
    #[arg(long, env = "SYNC_FREQUENCY", value_name = "SECONDS")]
    pub sync_frequency: Option<String>,
    /// How often one address may come.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// Where notifications are sent.
    #[command(flatten)]
    pub webhook: WebhookOptions,
}
