//! Where the database is: `SQL_DSN` in every form the family writes it.
//!
//! A text is read once into a [`Dsn`]. No refusal ever repeats the text: it may hold a password.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

/// The name of our SQLite file in the data folder.
pub const SQLITE_FILE: &str = "sluice.db";
/// How long a statement waits for SQLite's write lock unless the text says otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Dsn {
    /// A file of ours.
    Sqlite(SqliteFile),
    /// A MySQL or MariaDB server.
    MySql(Server),
    /// A PostgreSQL server.
    Postgres(Server),
}

/// A SQLite database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteFile {
    /// Where the file is.
    pub path: PathBuf,
    /// How long a statement waits for the write lock.
    pub busy_timeout: Duration,
}

/// A database on a server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The socket to use instead of host and port.
    pub socket: Option<PathBuf>,
    /// Who connects.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<SecretString>,
    /// The database on that server.
    pub database: String,
    /// Whether the connection is encrypted.
    pub tls: Tls,
    /// Certificates that are trusted, beside those of the system.
    pub tls_ca: Option<PathBuf>,
}

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Off,
    /// If the server can.
    #[default]
    Preferred,
    /// Always, whoever the server is.
    Required,
    /// Always, with a certificate that is trusted.
    VerifyCa,
    /// Always, with a trusted certificate of that host.
    VerifyHost,
}

/// Why a text is not a place of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// It has none of the known forms.
    #[error(
        "must be empty or `local` (SQLite), sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE, mysql://USER:PASSWORD@HOST/DATABASE, \
         or USER:PASSWORD@tcp(HOST:PORT)/DATABASE"
    )]
    Form,
    /// The database is not named.
    #[error("must name the database after the host: …@HOST/DATABASE")]
    NoDatabase,
    /// The port is not one.
    #[error("must have a port from 1 to 65535")]
    Port,
    /// A word after `sslmode`, `ssl-mode` or `tls` is unknown.
    #[error("has an unknown word for sslmode or tls")]
    Tls,
    /// SQLite without a file.
    #[error("must name a file for SQLite: a database in memory would be lost")]
    InMemory,
}

impl Default for SqliteFile {
    fn default() -> Self {
        Self { path: SQLITE_FILE.into(), busy_timeout: BUSY_TIMEOUT }
    }
}

impl Dsn {
    /// Reads `SQL_DSN`. Empty, or beginning with `local`: the SQLite file, which is `SQLITE_PATH` or `sluice.db` in the data folder.
    ///
    /// # Errors
    /// When it has none of the known forms.
    pub fn parse(text: &str, sqlite_path: Option<&str>, data_dir: &Path) -> Result<Self, DsnError> {
        let text = text.trim();
        if text.is_empty() || text.starts_with("local") {
            return sqlite(sqlite_path, data_dir);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(Some(path.strip_prefix("//").unwrap_or(path)), data_dir);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return server(text, 5432, &["sslmode", "ssl-mode"]).map(Self::Postgres);
        }
        let bare = text.strip_prefix("mysql://").unwrap_or(text);
        if bare.contains("@tcp(") || bare.contains("@unix(") || bare.starts_with("tcp(") || bare.starts_with("unix(") {
            return go_mysql(bare).map(Self::MySql);
        }
        if text.starts_with("mysql://") || text.starts_with("mariadb://") {
            return server(text, 3306, &["ssl-mode", "sslmode", "tls"]).map(Self::MySql);
        }
        Err(DsnError::Form)
    }

    /// The engine, for people.
    #[must_use]
    pub const fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::MySql(_) => "MySQL",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(file) => file.path.display().to_string(),
            Self::MySql(server) | Self::Postgres(server) => server.place(),
        }
    }
}

impl Server {
    fn place(&self) -> String {
        match &self.socket {
            Some(socket) => format!("{}/{}", socket.display(), self.database),
            None => format!("{}:{}/{}", self.host, self.port, self.database),
        }
    }
}

fn sqlite(path: Option<&str>, data_dir: &Path) -> Result<Dsn, DsnError> {
    let path = path.map(str::trim).filter(|path| !path.is_empty());
    let Some(path) = path else {
        return Ok(Dsn::Sqlite(SqliteFile { path: data_dir.join(SQLITE_FILE), busy_timeout: BUSY_TIMEOUT }));
    };
    let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
    if path.is_empty() || path.contains(":memory:") || parameters.contains("mode=memory") {
        return Err(DsnError::InMemory);
    }
    let busy_millis = parameters
        .split('&')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| *name == "_busy_timeout")
        .and_then(|(_, value)| value.parse().ok());
    Ok(Dsn::Sqlite(SqliteFile { path: path.into(), busy_timeout: busy_millis.map_or(BUSY_TIMEOUT, Duration::from_millis) }))
}

/// A URL. Parameters that do not say how to encrypt belong to other drivers and are ignored.
fn server(text: &str, default_port: u16, tls_names: &[&str]) -> Result<Server, DsnError> {
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::InvalidPort => DsnError::Port,
        _ => DsnError::Form,
    })?;
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().map(Cow::into_owned).map_err(|_| DsnError::Form);
    let database = decoded(url.path().trim_start_matches('/'))?;
    if database.is_empty() {
        return Err(DsnError::NoDatabase);
    }
    let mut server = Server {
        host: url.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(default_port),
        socket: None,
        user: Some(decoded(url.username())?).filter(|user| !user.is_empty()),
        password: url.password().map(decoded).transpose()?.map(SecretString::from),
        database,
        tls: Tls::default(),
        tls_ca: None,
    };
    for (name, value) in url.query_pairs() {
        match &*name {
            "sslrootcert" | "ssl-ca" => server.tls_ca = Some(PathBuf::from(value.as_ref())),
            "host" | "socket" if value.starts_with('/') => server.socket = Some(PathBuf::from(value.as_ref())),
            name if tls_names.contains(&name) => server.tls = tls(&value)?,
            _ => {}
        }
    }
    if server.port == 0 { Err(DsnError::Port) } else { Ok(server) }
}

/// `[user[:password]@][tcp(host[:port])|unix(path)]/database[?parameters]`, cut from the right because passwords may hold anything.
fn go_mysql(text: &str) -> Result<Server, DsnError> {
    let (left, right) = text.rsplit_once('/').ok_or(DsnError::NoDatabase)?;
    let (database, parameters) = right.split_once('?').unwrap_or((right, ""));
    if database.is_empty() {
        return Err(DsnError::NoDatabase);
    }
    let (credentials, address) = left.rsplit_once('@').unwrap_or(("", left));
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(SecretString::from(password))),
        None => (credentials, None),
    };
    let (net, inside) = address.strip_suffix(')').and_then(|open| open.split_once('(')).ok_or(DsnError::Form)?;
    let (host, port) = match net {
        "unix" => ("localhost", 3306),
        "tcp" => host_and_port(inside)?,
        _ => return Err(DsnError::Form),
    };
    let tls_word = parameters.split('&').filter_map(|parameter| parameter.split_once('=')).find(|(name, _)| *name == "tls");
    Ok(Server {
        host: host.to_owned(),
        port,
        socket: (net == "unix").then(|| PathBuf::from(inside)),
        user: (!user.is_empty()).then(|| user.to_owned()),
        password,
        database: database.to_owned(),
        tls: tls_word.map(|(_, word)| tls(word)).transpose()?.unwrap_or_default(),
        tls_ca: None,
    })
}

fn host_and_port(text: &str) -> Result<(&str, u16), DsnError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(DsnError::Port)?)
        }
        _ => (text, 3306),
    };
    let host = host.trim_matches(['[', ']']);
    Ok((if host.is_empty() { "localhost" } else { host }, port))
}

/// The words of PostgreSQL, of MySQL's own clients, and of the driver written in Go.
fn tls(word: &str) -> Result<Tls, DsnError> {
    match word.to_ascii_lowercase().replace('-', "_").as_str() {
        "disable" | "disabled" | "false" | "0" => Ok(Tls::Off),
        "allow" | "prefer" | "preferred" => Ok(Tls::Preferred),
        "require" | "required" | "skip_verify" => Ok(Tls::Required),
        "verify_ca" => Ok(Tls::VerifyCa),
        "verify_full" | "verify_identity" | "true" | "1" => Ok(Tls::VerifyHost),
        _ => Err(DsnError::Tls),
    }
}

#[cfg(test)]
#[path = "dsn_tests.rs"]
mod tests;
