//! The fleet's counters in Redis: one script per call, by Redis' own clock.
//!
//! Whatever goes wrong is [`Away`] within a bounded time, and never says an address or a password. This file is the only one that
//! knows the client.

mod address;
mod notes;
mod script;

use std::fmt;
use std::time::Duration;

use fred::clients::{Pool, WithOptions};
use fred::error::Error;
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::FromValue;
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, ConnectionConfig, Options, PerformanceConfig, ReconnectPolicy, Server, ServerConfig,
    TlsConnector, UnresponsiveConfig,
};
use fred::util::sha1_hash;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;

pub use self::address::{RedisAddress, RedisAddressError, Servers};
use self::script::{CHANGE, Call, TAKE};
use crate::local::Answers;
use crate::shared::{Away, Change, Shared, Take};

/// The longest attempt to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// The pause between two attempts to connect.
const RECONNECT_MILLIS: u32 = 500;
/// The longest silence on a connection that waits for an answer: then it is made anew.
const SILENCE_LIMIT: Duration = Duration::from_secs(3);
/// The longest a command may wait unless requests may wait longer for it.
const COMMAND_LIMIT: Duration = Duration::from_millis(500);
/// Commands that wait for one connection.
const COMMANDS_WAITING: usize = 20_000;

/// Which Redis to use, and how.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Where it is.
    pub address: RedisAddress,
    /// Connections to each server.
    pub connections: usize,
    /// The longest a request waits for an answer.
    pub patience: Duration,
}

impl RedisSettings {
    /// Connections unless told otherwise.
    pub const CONNECTIONS: usize = 10;
    /// The most connections.
    pub const MOST_CONNECTIONS: usize = 1_000;
    /// The longest a request waits unless told otherwise.
    pub const PATIENCE: Duration = crate::limiter::PATIENCE;
    /// The longest a request may wait.
    pub const MOST_PATIENCE: Duration = Duration::from_secs(10);
}

/// Counters in Redis.
pub struct Redis {
    pool: Pool,
    client: WithOptions<Pool>,
    take: Script,
    change: Script,
}

struct Script {
    text: &'static str,
    sha: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, sha: sha1_hash(text) }
    }
}

impl Redis {
    /// Counters in a Redis. Connections are made and kept beside: call it within a runtime.
    ///
    /// # Errors
    /// When connections to such an address cannot be made at all: no certificates to check it by, for instance.
    pub fn connect(settings: &RedisSettings) -> Result<Self, Away> {
        let config = config(&settings.address)?;
        let command_limit = COMMAND_LIMIT.max(settings.patience);
        let performance = PerformanceConfig { default_command_timeout: command_limit, ..PerformanceConfig::default() };
        let connection = ConnectionConfig {
            connection_timeout: CONNECT_LIMIT,
            internal_command_timeout: CONNECT_LIMIT,
            max_command_attempts: 1,
            max_command_buffer_len: COMMANDS_WAITING,
            unresponsive: UnresponsiveConfig { max_timeout: Some(SILENCE_LIMIT), interval: SILENCE_LIMIT / 3 },
            reconnect_on_auth_error: true,
            ..ConnectionConfig::default()
        };
        let policy = ReconnectPolicy::new_constant(0, RECONNECT_MILLIS);
        let pool = Pool::new(config, Some(performance), Some(connection), Some(policy), settings.connections.max(1))
            .map_err(|_| Away("the connections cannot be made"))?;
        let options = Options { fail_fast: true, max_attempts: Some(1), timeout: Some(command_limit), ..Options::default() };
        let client = pool.with_options(&options);
        drop(pool.connect());
        Ok(Self { pool, client, take: Script::new(TAKE), change: Script::new(CHANGE) })
    }

    /// Runs a script by its name, and by its text where its name is not known.
    async fn run<R: FromValue>(&self, script: &Script, call: Call) -> Result<R, Error> {
        let Call { keys, arguments } = call;
        let known = self.client.evalsha(script.sha.as_str(), keys.clone(), arguments.clone()).await;
        match known {
            Err(error) if error.details().starts_with("NOSCRIPT") => self.client.eval(script.text, keys, arguments).await,
            known => known,
        }
    }
}

impl Shared for Redis {
    fn take<'a>(&'a self, take: Take<'a>) -> BoxFuture<'a, Result<(bool, Answers), Away>> {
        Box::pin(async move {
            let answer: Vec<i64> = self.run(&self.take, Call::take(&take)).await.map_err(|error| away(&error))?;
            script::read(&answer, take.asks.len())
        })
    }

    fn change<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(async move {
            if changes.is_empty() {
                return Ok(());
            }
            self.run::<i64>(&self.change, Call::change(changes)).await.map(drop).map_err(|error| away(&error))
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            // a counter nobody has: a server that answers pings and runs no scripts is of no use
            let call = Call { keys: vec!["sluice:limit:{site}:probe".to_owned()], arguments: Vec::new() };
            let call = Call { arguments: ["ends", "0", "0"].map(str::to_owned).to_vec(), ..call };
            self.run::<i64>(&self.change, call).await.map(drop).map_err(|error| away(&error))
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // a connection that cannot be ended in order is closed all the same
            let _ = self.pool.quit().await;
        })
    }
}

/// What went wrong, in a word that holds no address.
fn away(error: &Error) -> Away {
    Away(error.kind().to_str())
}

fn config(address: &RedisAddress) -> Result<Config, Away> {
    let server = |(host, port): &(String, u16)| Server::new_with_tls(host.as_str(), *port, address.is_tls.then(|| host.clone()));
    let password = address.password.as_ref().map(|password| password.expose_secret().to_owned());
    let server = match &address.servers {
        Servers::One(place) => ServerConfig::Centralized { server: server(place) },
        Servers::Cluster(places) => {
            ServerConfig::Clustered { hosts: places.iter().map(server).collect(), policy: ClusterDiscoveryPolicy::UseCache }
        }
        Servers::Sentinels { places, master } => ServerConfig::Sentinel {
            hosts: places.iter().map(server).collect(),
            service_name: master.clone(),
            username: None,
            password: address.sentinel_password.as_ref().map(|password| password.expose_secret().to_owned()),
        },
    };
    let tls = if address.is_tls {
        let connector = TlsConnector::default_rustls().map_err(|_| Away("there are no certificates to check it by"))?;
        Some(connector.into())
    } else {
        None
    };
    Ok(Config {
        fail_fast: false,
        username: address.username.clone(),
        password,
        server,
        database: address.database,
        tls,
        ..Config::default()
    })
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

#[cfg(test)]
mod tests;
