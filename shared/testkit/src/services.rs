//! Throw-away database servers: `services.sh` from Rust, and the addresses `make test` hands to tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which addresses the environment gives: `SLUICE_TEST_{POSTGRES,MYSQL,REDIS}_URL`, as `services.sh` writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// PostgreSQL: `postgres://…`, a user that may create databases.
    pub postgres: Option<String>,
    /// MySQL or MariaDB: `mysql://…`, a user that may create databases.
    pub mysql: Option<String>,
    /// Redis: `redis://…`. Its content belongs to nobody.
    pub redis: Option<String>,
    /// `SLUICE_TEST_ENGINES=all`: a missing address fails the run instead of shortening it.
    pub all_required: bool,
}

impl Addresses {
    /// Reads the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::read(|name| {
            #[expect(clippy::disallowed_methods, reason = "tests have no command line: make hands them the servers this way")]
            std::env::var(name).ok()
        })
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            postgres: given("SLUICE_TEST_POSTGRES_URL"),
            mysql: given("SLUICE_TEST_MYSQL_URL"),
            redis: given("SLUICE_TEST_REDIS_URL"),
            all_required: given("SLUICE_TEST_ENGINES").as_deref() == Some("all"),
        }
    }

    /// The Redis of this run, or `None` when the run goes without.
    ///
    /// Panics when the run requires all servers and there is none.
    #[must_use]
    pub fn redis(&self) -> Option<&str> {
        self.checked("SLUICE_TEST_REDIS_URL", self.redis.as_deref())
    }

    /// An address, or `None` when the run goes without; a run that requires all fails.
    pub(crate) fn checked<'a>(&self, name: &str, address: Option<&'a str>) -> Option<&'a str> {
        assert!(
            address.is_some() || !self.all_required,
            "SLUICE_TEST_ENGINES=all, but {name} is not set: start the servers with `shared/testkit/services.sh up DIR` and read DIR/env"
        );
        address
    }
}

/// Servers of one test's own, for tests that stop them. Dropping it stops them and forgets their data.
pub struct Services {
    folder: PathBuf,
    /// Where they are.
    pub addresses: Addresses,
}

/// One of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// PostgreSQL.
    Postgres,
    /// MariaDB, which stands in for MySQL.
    Mariadb,
    /// Redis.
    Redis,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Redis => "redis",
        }
    }
}

impl Services {
    /// Starts servers with their data under `folder`. Blocks for about two seconds; panics when one cannot be started.
    #[must_use]
    pub fn up(folder: &Path, services: &[Service]) -> Self {
        run("up", folder, &names(services));
        Self::started(folder)
    }

    /// The same, with databases that write to the disk what they acknowledge, as in production: for benches.
    #[must_use]
    pub fn up_durable(folder: &Path, services: &[Service]) -> Self {
        succeed("up", script("up", folder, &names(services)).env("SLUICE_SERVICES_DURABLE", "1"));
        Self::started(folder)
    }

    fn started(folder: &Path) -> Self {
        let env = std::fs::read_to_string(folder.join("env")).expect("services.sh writes the env file");
        let variables: BTreeMap<&str, &str> =
            env.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
        let addresses = Addresses::read(|name| variables.get(name).map(|value| (*value).to_owned()));
        Self { folder: folder.to_owned(), addresses }
    }

    /// Stops one server; its port and data stay reserved for [`Services::start`].
    pub fn stop(&self, service: Service) {
        run("down", &self.folder, &[service.name()]);
    }

    /// Writes a database as it is at this moment into a file, while it is in use. Panics when it cannot.
    pub fn save(&self, service: Service, database: &str, file: &Path) {
        run("save", &self.folder, &[service.name(), database, &file.to_string_lossy()]);
    }

    /// Makes a database what it was when the file was saved: everything since is lost, and so is every connection to it.
    pub fn load(&self, service: Service, database: &str, file: &Path) {
        run("load", &self.folder, &[service.name(), database, &file.to_string_lossy()]);
    }

    /// Starts a stopped server again, at the same address with the same data (Redis keeps none).
    pub fn start(&self, service: Service) {
        run("up", &self.folder, &[service.name()]);
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        script("down", &self.folder, &[]).status().ok();
    }
}

fn script(action: &str, folder: &Path, names: &[&str]) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/services.sh"));
    command.arg(action).arg(folder).args(names);
    command
}

fn names(services: &[Service]) -> Vec<&'static str> {
    services.iter().map(|service| service.name()).collect()
}

fn run(action: &str, folder: &Path, names: &[&str]) {
    succeed(action, &mut script(action, folder, names));
}

fn succeed(action: &str, command: &mut Command) {
    // Not `output()`: the servers would inherit the pipes and hold them open.
    let status = command.status().expect("bash can run services.sh");
    assert!(status.success(), "services.sh {action} failed; its reason is above");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_requires_all_servers_does_not_skip_one() {
        let env = |all: Option<&str>| {
            let all = all.map(str::to_owned);
            Addresses::read(move |name| if name == "SLUICE_TEST_ENGINES" { all.clone() } else { None })
        };
        assert_eq!(env(None).redis(), None);
        let failed = std::panic::catch_unwind(|| env(Some("all")).redis().map(str::to_owned));
        assert!(failed.is_err());
    }

    #[test]
    fn an_empty_variable_is_no_address() {
        assert_eq!(Addresses::read(|_| Some(String::new())), Addresses::default());
    }
}
