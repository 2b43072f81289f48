//! The settings of a relay: read once, checked together, then trusted.
//!
//! Everything is taken as text first, so that one start shows every problem. [`RequestOptions`] are the ones that `sluice` offers too;
//! [`NodeOptions`] only make sense for a relay of its own.

mod memory;
mod problems;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use http::Uri;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use sluice_billing::lease::Terms;
use sluice_domain::NodeId;
use sluice_limits::{RedisAddress, RedisSettings};
use sluice_telemetry::clock::Step;
use sluice_telemetry::logs::LogFormat;
use sluice_upstream::ProxyUrl;
use url::Url;

pub use self::problems::Problems;
use crate::spool::CrashBilling;

/// What is told when a folder for vocabularies is given, as the family's images do.
pub const VOCABULARIES_ARE_INSIDE: &str =
    "TIKTOKEN_CACHE_DIR has no effect: vocabularies are inside the binary, nothing is downloaded";

/// The command line of `sluice-relay`.
#[derive(Debug, Parser)]
#[command(name = "sluice-relay", about = "Serves the model APIs for a Sluice control plane", disable_version_flag = true)]
pub struct Options {
    /// Prints the version.
    #[arg(long, short = 'V')]
    pub version: bool,
    /// What only a relay of its own is told.
    #[command(flatten)]
    pub node: NodeOptions,
    /// How requests are served.
    #[command(flatten)]
    pub requests: RequestOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What `sluice-relay` is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Runs the relay; what happens without a subcommand.
    Serve,
    /// Asks the relay on this machine whether it is ready; for probes.
    Healthcheck,
    /// Looks at settings.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What can be done with settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Prints every setting with where it came from, secrets masked, and whatever is wrong with them.
    Check,
}

/// Settings of a relay that is a process of its own.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Relay node")]
pub struct NodeOptions {
    /// Port for clients. Default 3000
    #[arg(long, env = "PORT", value_name = "PORT")]
    pub port: Option<String>,
    /// Port for /livez, /readyz and /metrics. Default 9090
    #[arg(long, env = "SLUICE_OPS_PORT", value_name = "PORT")]
    pub ops_port: Option<String>,
    /// Addresses of the control plane's gRPC port, separated by commas: http://control:3001
    #[arg(long, env = "SLUICE_CONTROL_URL", value_name = "URLS")]
    pub control_url: Option<String>,
    /// true allows http addresses beyond this machine: provider keys then travel in clear text, so only on a private network.
    /// Default false
    #[arg(long, env = "SLUICE_CONTROL_PLAINTEXT", value_name = "BOOL")]
    pub control_plaintext: Option<String>,
    /// The PEM file with the authority that signed the control plane's certificate, for https addresses
    #[arg(long, env = "SLUICE_CONTROL_CA_FILE", value_name = "FILE")]
    pub control_ca_file: Option<PathBuf>,
    /// The secret that relays join the fleet with. Without it only a control plane on this machine can be joined
    #[arg(long, env = "SLUICE_JOIN_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub join_secret: Option<SecretString>,
    /// The file that holds the join secret
    #[arg(long, env = "SLUICE_JOIN_SECRET_FILE", value_name = "FILE")]
    pub join_secret_file: Option<PathBuf>,
    /// The folder for the spool and the last good configuration. Default ./data/relay
    #[arg(long, env = "SLUICE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The name of this node. Default: a generated one, kept in the data folder
    #[arg(long, env = "SLUICE_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Proxies whose X-Forwarded-For is believed: addresses and CIDR blocks, separated by commas. Default 127.0.0.0/8,::1/128
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "CIDRS")]
    pub trusted_proxies: Option<String>,
    /// Where browsers are sent that ask a relay for a page
    #[arg(long, env = "FRONTEND_BASE_URL", value_name = "URL")]
    pub frontend_base_url: Option<String>,
    /// The folder for log files. Default: standard output only
    #[arg(long, env = "SLUICE_LOG_DIR", value_name = "FOLDER")]
    pub log_dir: Option<PathBuf>,
    /// How log lines look: auto, json or pretty. Default auto
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged, for example info,sluice_relay_node=debug. Default info
    #[arg(long, env = "SLUICE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// The time zone, an IANA name. Relays report in UTC; the control plane's decides about billing days
    #[arg(long, env = "TZ", value_name = "ZONE")]
    pub tz: Option<String>,
    /// How long requests in flight may take to end after SIGTERM, in seconds. Default 600
    #[arg(long, env = "DRAIN_TIMEOUT", value_name = "SECONDS")]
    pub drain_timeout: Option<String>,
    /// The Redis to keep the limits of the whole fleet in: redis://default:password@redis:6379/0, or host:port of several, separated by
    /// commas, which are a cluster. Default: none, and every relay keeps its share of each limit
    #[arg(long, env = "REDIS_CONN_STRING", value_name = "URL", hide_env_values = true)]
    pub redis_conn_string: Option<SecretString>,
    /// The password of that Redis, where its address has none or names sentinels
    #[arg(long, env = "REDIS_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub redis_password: Option<SecretString>,
    /// The master that REDIS_CONN_STRING names the sentinels of
    #[arg(long, env = "REDIS_MASTER_NAME", value_name = "MASTER")]
    pub redis_master_name: Option<String>,
    /// Connections to each Redis. Default 10
    #[arg(long, env = "REDIS_CONN_POOL_SIZE", value_name = "COUNT")]
    pub redis_conn_pool_size: Option<String>,
    /// The same; the other one wins
    #[arg(long, env = "REDIS_POOL_SIZE", value_name = "COUNT")]
    pub redis_pool_size: Option<String>,
    /// The longest a request waits for Redis. After it this relay judges alone. Default 25
    #[arg(long, env = "REDIS_TIMEOUT_MS", value_name = "MILLISECONDS")]
    pub redis_timeout_ms: Option<String>,
    /// How many times faster leases live and end, for tests; the same for every process of an installation. Default 1
    #[arg(long, env = "SLUICE_TEST_LEASE_TIME_SCALE", value_name = "DIVISOR", hide = true)]
    pub lease_time_scale: Option<String>,
    /// A step of the wall clock, for tests: BY@AT in milliseconds, the latter since the machine started. Default: none
    #[arg(long, env = "SLUICE_TEST_WALL_STEP", value_name = "STEP", hide = true, allow_hyphen_values = true)]
    pub wall_step: Option<String>,
    /// Ignored by relays
    #[arg(long, env = "SQL_DSN", hide = true, hide_env_values = true)]
    pub sql_dsn: Option<SecretString>,
    /// Ignored by relays
    #[arg(long, env = "SESSION_SECRET", hide = true, hide_env_values = true)]
    pub session_secret: Option<SecretString>,
    /// Ignored by relays
    #[arg(long, env = "SYNC_FREQUENCY", hide = true)]
    pub sync_frequency: Option<String>,
}

/// Settings of how requests are served, offered by `sluice-relay` and `sluice` alike.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Requests")]
pub struct RequestOptions {
    /// The largest request body, in MB, after decompression. Default 32
    #[arg(long, env = "MAX_REQUEST_BODY_MB", value_name = "MB")]
    pub max_request_body_mb: Option<String>,
    /// The longest silence of an upstream within a stream, in seconds. Default 300
    #[arg(long, env = "STREAMING_TIMEOUT", value_name = "SECONDS")]
    pub streaming_timeout: Option<String>,
    /// The longest time for an answer that is not streamed, in seconds; 0: no limit. Default 600
    #[arg(long, env = "RELAY_TIMEOUT", value_name = "SECONDS")]
    pub relay_timeout: Option<String>,
    /// The longest line of a stream, in MB. Default 64
    #[arg(long, env = "STREAM_SCANNER_MAX_BUFFER_MB", value_name = "MB")]
    pub stream_scanner_max_buffer_mb: Option<String>,
    /// Memory for bodies, lines and buffers of all requests together, in MB. Default a quarter of the memory limit
    #[arg(long, env = "SLUICE_BYTE_BUDGET_MB", value_name = "MB")]
    pub byte_budget_mb: Option<String>,
    /// How long a token is served that the control plane could not have revoked here, in seconds. Default 600
    #[arg(long, env = "SLUICE_IDENTITY_MAX_STALE", value_name = "SECONDS")]
    pub identity_max_stale: Option<String>,
    /// The most disk the spool takes, in MB. Room for the end of every request under way is kept in it: 16,384 at once by default, 4,096 at
    /// 256. Default 1024
    #[arg(long, env = "SLUICE_SPOOL_MAX_MB", value_name = "MB")]
    pub spool_max_mb: Option<String>,
    /// Size of a segment of the spool in KB, for tests with a small disk. Default: a sixteenth of the most it takes, at most 64 MB
    #[arg(long, env = "SLUICE_TEST_SPOOL_SEGMENT_KB", value_name = "KB", hide = true)]
    pub spool_segment_kb: Option<String>,
    /// What a request costs that was cut off by the death of its relay: progress (what it had produced by then), free or reserve (what was
    /// held for it). Default progress
    #[arg(long, env = "SLUICE_CRASH_BILLING", value_name = "RULE")]
    pub crash_billing: Option<String>,
    /// true lets images and other media that requests name by address be fetched from private networks and from this machine. Default
    /// false
    #[arg(long, env = "SLUICE_MEDIA_FROM_PRIVATE", value_name = "BOOL")]
    pub media_from_private: Option<String>,
    /// The proxy that images and other media are fetched through which requests name by address: http, https, socks5 or socks5h. A channel's
    /// own comes first. Default: none
    #[arg(long, env = "USER_CONTENT_REQUEST_PROXY", value_name = "URL", hide_env_values = true)]
    pub user_content_request_proxy: Option<SecretString>,
    /// Accepted, without effect: vocabularies are inside the binary
    #[arg(long, env = "TIKTOKEN_CACHE_DIR", value_name = "FOLDER", hide = true)]
    pub tiktoken_cache_dir: Option<String>,
    /// Accepted, without effect: vocabularies are inside the binary
    #[arg(long, env = "DATA_GYM_CACHE_DIR", value_name = "FOLDER", hide = true)]
    pub data_gym_cache_dir: Option<String>,
}

/// The settings of a relay, all of them good.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where probes and Prometheus connect.
    pub ops_listen: SocketAddr,
    /// The control plane's addresses. Empty when it is in the same process.
    pub control: Vec<Uri>,
    /// The authority of the control plane's certificate, in PEM form.
    pub control_ca: Option<Vec<u8>>,
    /// The secret to join with.
    pub join_secret: Option<SecretString>,
    /// Where spool and last-good file are.
    pub data_dir: PathBuf,
    /// The node's name, when it was chosen.
    pub node_name: Option<NodeId>,
    /// Proxies whose headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where browsers are sent that ask a relay for a page.
    pub frontend_base_url: Option<Url>,
    /// The folder for log files.
    pub log_dir: Option<PathBuf>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// How long load balancers get to notice that the node leaves.
    pub leave_notice: Duration,
    /// How long requests in flight may take to end on the way down.
    pub drain_timeout: Duration,
    /// How requests are served.
    pub requests: RequestSettings,
    /// How long leases live, and what else takes its time between relays and ledger.
    pub terms: Terms,
    /// Where the limits of the whole fleet are kept. `None`: every relay keeps its share.
    pub redis: Option<RedisSettings>,
    /// A step of the wall clock that a test asks for.
    pub wall_step: Option<Step>,
    /// What to tell people once logging has begun.
    pub notices: Notices,
}

/// How requests are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSettings {
    /// The largest request body, after decompression.
    pub max_body_bytes: usize,
    /// The longest silence of an upstream within a stream.
    pub stream_idle: Duration,
    /// The longest time for an answer that is not streamed.
    pub answer_timeout: Option<Duration>,
    /// The longest line of a stream.
    pub max_line_bytes: usize,
    /// Memory for bodies, lines and buffers of all requests together.
    pub byte_budget: usize,
    /// How long a token is served that the control plane could not have revoked here.
    pub identity_max_stale: Duration,
    /// The most disk the spool takes.
    pub spool_max_bytes: u64,
    /// The size of a segment of the spool. `None`: by its bound.
    pub spool_segment_bytes: Option<u64>,
    /// What a request costs that was cut off by the death of its relay.
    pub crash_billing: CrashBilling,
    /// Media may be fetched from private networks.
    pub media_from_private: bool,
    /// What media are fetched through, unless a channel says it.
    pub media_proxy: Option<ProxyUrl>,
}

/// Settings that were given and do nothing here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    /// Names of settings that relays ignore, because only the control plane opens the database.
    pub ignored: Vec<&'static str>,
    /// Whether a folder for vocabularies was given: they are inside the binary.
    pub vocabularies_are_inside: bool,
}

const MB: usize = 1024 * 1024;

impl Options {
    /// Checks everything.
    ///
    /// # Errors
    /// When something is wrong: every problem at once.
    pub fn read(self) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        let requests = self.requests.check(&mut problems);
        let mut settings = self.node.check(requests, &mut problems);
        settings.notices.vocabularies_are_inside = self.requests.names_vocabularies();
        problems.into_result(settings)
    }
}

impl RequestOptions {
    /// Checks everything.
    ///
    /// # Errors
    /// When something is wrong: every problem at once.
    pub fn read(&self) -> Result<RequestSettings, Problems> {
        let mut problems = Problems::default();
        let settings = self.check(&mut problems);
        problems.into_result(settings)
    }

    /// Whether a folder for vocabularies was given. It has no effect: they are inside the binary.
    #[must_use]
    pub const fn names_vocabularies(&self) -> bool {
        self.tiktoken_cache_dir.is_some() || self.data_gym_cache_dir.is_some()
    }

    fn check(&self, problems: &mut Problems) -> RequestSettings {
        let default_budget_mb = (memory::limit_bytes() / 4 / MB).clamp(64, 1 << 20);
        let mut megabytes = |name, text: &Option<String>, default, least, most| -> usize {
            let count: usize = problems.number(name, text.as_deref(), default, least, most);
            count.saturating_mul(MB)
        };
        let max_body_bytes = megabytes("MAX_REQUEST_BODY_MB", &self.max_request_body_mb, 32, 1, 4096);
        let max_line_bytes = megabytes("STREAM_SCANNER_MAX_BUFFER_MB", &self.stream_scanner_max_buffer_mb, 64, 1, 1024);
        let byte_budget = megabytes("SLUICE_BYTE_BUDGET_MB", &self.byte_budget_mb, default_budget_mb, 8, 1 << 20);
        let spool_max = megabytes("SLUICE_SPOOL_MAX_MB", &self.spool_max_mb, 1024, 256, 1 << 20);
        let mut seconds = |name, text: &Option<String>, default, least| {
            Duration::from_secs(problems.number(name, text.as_deref(), default, least, 86_400))
        };
        let stream_idle = seconds("STREAMING_TIMEOUT", &self.streaming_timeout, 300, 1);
        let answer_timeout = seconds("RELAY_TIMEOUT", &self.relay_timeout, 600, 0);
        let identity_max_stale = seconds("SLUICE_IDENTITY_MAX_STALE", &self.identity_max_stale, 600, 5);
        RequestSettings {
            max_body_bytes,
            stream_idle,
            answer_timeout: (!answer_timeout.is_zero()).then_some(answer_timeout),
            max_line_bytes,
            byte_budget,
            identity_max_stale,
            spool_max_bytes: u64::try_from(spool_max).unwrap_or(u64::MAX),
            spool_segment_bytes: problems
                .parsed("SLUICE_TEST_SPOOL_SEGMENT_KB", self.spool_segment_kb.as_deref(), str::parse::<u64>)
                .map(|kilobytes| kilobytes.clamp(64, 65_536) * 1_024),
            crash_billing: problems.parsed("SLUICE_CRASH_BILLING", self.crash_billing.as_deref(), str::parse).unwrap_or_default(),
            media_from_private: problems.flag("SLUICE_MEDIA_FROM_PRIVATE", self.media_from_private.as_deref()),
            media_proxy: problems
                .secret("USER_CONTENT_REQUEST_PROXY", self.user_content_request_proxy.as_ref(), None)
                .and_then(|url| problems.parsed("USER_CONTENT_REQUEST_PROXY", Some(url.expose_secret()), media_proxy)),
        }
    }
}

impl Default for RequestSettings {
    /// The documented defaults on a machine of this size.
    fn default() -> Self {
        RequestOptions::default().check(&mut Problems::default())
    }
}

impl NodeOptions {
    fn check(&self, requests: RequestSettings, problems: &mut Problems) -> Settings {
        let port = |problems: &mut Problems, name, text: &Option<String>, default: u16| {
            SocketAddr::from(([0, 0, 0, 0], problems.number(name, text.as_deref(), default, 1, u16::MAX)))
        };
        Settings {
            listen: port(problems, "PORT", &self.port, 3000),
            ops_listen: port(problems, "SLUICE_OPS_PORT", &self.ops_port, 9090),
            control: problems.control_urls(self.control_url.as_deref(), self.control_plaintext.as_deref()),
            control_ca: filled(self.control_ca_file.as_ref())
                .and_then(|path| problems.certificates("SLUICE_CONTROL_CA_FILE", path)),
            join_secret: problems.secret("SLUICE_JOIN_SECRET", self.join_secret.as_ref(), filled(self.join_secret_file.as_ref())),
            data_dir: filled(self.data_dir.as_ref()).unwrap_or(Path::new("./data/relay")).to_owned(),
            node_name: problems.parsed("SLUICE_NODE_NAME", self.node_name.as_deref(), NodeId::parse),
            trusted_proxies: problems.nets("TRUSTED_PROXIES", self.trusted_proxies.as_deref()),
            frontend_base_url: problems.parsed("FRONTEND_BASE_URL", self.frontend_base_url.as_deref(), page_url),
            log_dir: filled(self.log_dir.as_ref()).map(Path::to_owned),
            log_format: problems.parsed("SLUICE_LOG_FORMAT", self.log_format.as_deref(), str::parse).unwrap_or_default(),
            log_filter: self.log.clone().filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "info".into()),
            leave_notice: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(problems.number("DRAIN_TIMEOUT", self.drain_timeout.as_deref(), 600, 0, 86_400)),
            requests,
            terms: Terms::default().scaled(problems.number(
                "SLUICE_TEST_LEASE_TIME_SCALE",
                self.lease_time_scale.as_deref(),
                1,
                1,
                1_000,
            )),
            redis: self.redis(problems),
            wall_step: problems.parsed("SLUICE_TEST_WALL_STEP", self.wall_step.as_deref(), str::parse),
            notices: Notices { ignored: self.ignored(), vocabularies_are_inside: false },
        }
    }

    fn redis(&self, problems: &mut Problems) -> Option<RedisSettings> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let (setting, size) = match filled(&self.redis_conn_pool_size) {
            None => ("REDIS_POOL_SIZE", filled(&self.redis_pool_size)),
            given => ("REDIS_CONN_POOL_SIZE", given),
        };
        let (default, most) = (RedisSettings::CONNECTIONS, RedisSettings::MOST_CONNECTIONS);
        let connections = problems.number(setting, size.as_deref(), default, 1, most);
        let patience = {
            let millis = |duration: Duration| usize::try_from(duration.as_millis()).unwrap_or(usize::MAX);
            let (default, most) = (millis(RedisSettings::PATIENCE), millis(RedisSettings::MOST_PATIENCE));
            problems.number("REDIS_TIMEOUT_MS", filled(&self.redis_timeout_ms).as_deref(), default, 1, most)
        };
        let password = problems.secret("REDIS_PASSWORD", self.redis_password.as_ref(), None);
        let address = problems.secret("REDIS_CONN_STRING", self.redis_conn_string.as_ref(), None)?;
        let (address, master) = (address.expose_secret(), filled(&self.redis_master_name));
        let address = problems.parsed("REDIS_CONN_STRING", Some(address), |text| {
            RedisAddress::parse(text, password, master.as_deref().map(str::trim))
        })?;
        Some(RedisSettings { address, connections, patience: Duration::from_millis(patience as u64) })
    }

    fn ignored(&self) -> Vec<&'static str> {
        let given = [
            ("SQL_DSN", self.sql_dsn.is_some()),
            ("SESSION_SECRET", self.session_secret.is_some()),
            ("SYNC_FREQUENCY", self.sync_frequency.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }
}

/// A path that is set to nothing is not set: compose files write them so.
fn filled(path: Option<&PathBuf>) -> Option<&Path> {
    path.map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
}

fn media_proxy(text: &str) -> Result<ProxyUrl, String> {
    ProxyUrl::parse(text).map_err(|error| error.to_string().trim_start_matches("the proxy ").to_owned())
}

fn page_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| "must be a URL such as https://gateway.example.com")?;
    let is_page = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none();
    if is_page { Ok(url) } else { Err("must be an http or https URL without query") }
}

#[cfg(test)]
mod tests;
