//! The database, opened, judged and brought to this build's schema; and the keys that open what is stored in it.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::{DatabaseBackend, DbErr};
use sluice_domain::Clock;
use sluice_sealed::{KeyMatch, Keyring, SecretFile};
use sluice_telemetry::chain::Chain;
use tracing::{info, warn};

use super::{FoundKeyring, StartError, data_dir};
use crate::config::{MigrateMode, Settings};
use crate::db::dsn::SqliteFile;
use crate::db::{self, Db, Dsn, FileLock, Found, Schema, ServerVersion, first_rows};

/// The name of the generated secret in the data folder.
const SECRET_FILE: &str = "secret.key";
/// The name of the ancestors' SQLite file.
const ANCESTOR_FILE: &str = "one-api.db";
/// The wait between the first two attempts to reach the database; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) keyring: Keyring,
    pub(super) file_lock: Option<FileLock>,
}

pub(super) async fn open(settings: &Settings, clock: &Clock) -> Result<Opened, StartError> {
    let file_lock = prepare_file(settings).await?;
    let db = reach(&settings.database, settings).await?;
    check_version(&db, &settings.database).await?;
    let found = db::look(&db).await?;
    let schema = ours(found, &settings.database)?;
    // before the schema is touched: with the wrong secret nothing must be written
    let stored = stored_check(&db, &schema).await?;
    let keyring = keyring(settings, stored.is_some())?;
    if let Some(stored) = stored {
        check_key(&keyring, &stored)?;
    }
    bring_up_to_date(&db, &schema, settings.migrate).await?;
    first_rows::write(&db, &keyring.keyring.current().check_value(), clock.wall()).await?;
    // another process may have written the first rows, with a secret of its own
    let stored = first_rows::master_key_check(db.read()).await?.unwrap_or_default();
    check_key(&keyring, &stored)?;
    Ok(Opened { db, keyring: keyring.keyring, file_lock })
}

/// The folder of a SQLite file, and the right to use the file alone. A file that is not ours is left as it is.
async fn prepare_file(settings: &Settings) -> Result<Option<FileLock>, StartError> {
    let Dsn::Sqlite(file) = &settings.database else { return Ok(None) };
    let folder = file.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let ancestor = SqliteFile { path: folder.join(ANCESTOR_FILE), ..file.clone() };
    if !file.path.exists() && db::look_at_file(&ancestor).await.is_ok_and(|found| found == Found::Ancestor) {
        return Err(StartError::AncestorFile { path: ancestor.path });
    }
    let place = || settings.database.place();
    let found = db::look_at_file(file).await;
    let found = found.map_err(|error| StartError::Unreachable { place: place(), reason: told(&error) })?;
    ours(found, &settings.database)?;
    data_dir::prepare(folder)?;
    Ok(Some(FileLock::take(&file.path)?))
}

/// Connects, again and again: in a fresh deployment the server often comes up after us.
async fn reach(dsn: &Dsn, settings: &Settings) -> Result<Db, StartError> {
    let deadline = Instant::now() + settings.database_patience;
    let mut wait = FIRST_WAIT;
    loop {
        let reason = match db::connect(dsn, settings.pool).await {
            Ok(db) => return Ok(db),
            Err(error) => told(&error),
        };
        // a file does not come up later
        if matches!(dsn, Dsn::Sqlite(_)) || Instant::now() + wait > deadline {
            return Err(StartError::Unreachable { place: dsn.place(), reason });
        }
        warn!("cannot reach the database {} yet: {reason}", dsn.place());
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// What a driver said, on one line. Drivers name users and hosts, never passwords.
fn told(error: &DbErr) -> String {
    Chain(error).to_string().replace('\n', " ")
}

async fn check_version(db: &Db, dsn: &Dsn) -> Result<(), StartError> {
    let version = db::server_version(db.read()).await?;
    let engine = if version.is_mariadb { "MariaDB" } else { dsn.engine() };
    if !version.is_supported(db.engine()) {
        let (major, minor, patch) = ServerVersion::oldest(db.engine(), version.is_mariadb);
        let needed = if db.engine() == DatabaseBackend::Postgres {
            format!("{major}.{minor}")
        } else {
            format!("{major}.{minor}.{patch}")
        };
        return Err(StartError::TooOld { engine, found: version.text, needed });
    }
    info!("database: {engine} {} at {}", version.text, dsn.place());
    Ok(())
}

fn ours(found: Found, dsn: &Dsn) -> Result<Schema, StartError> {
    match found {
        Found::Empty => {
            let pending = sluice_migrations::plan(DatabaseBackend::Sqlite).into_iter().map(|(name, _)| name.to_owned());
            Ok(Schema { pending: pending.collect(), unknown: Vec::new() })
        }
        Found::Ours(schema) => Ok(schema),
        Found::Ancestor => Err(StartError::Ancestor { place: dsn.place() }),
        Found::Foreign(table) => Err(StartError::Foreign { place: dsn.place(), table }),
    }
}

async fn bring_up_to_date(db: &Db, schema: &Schema, mode: MigrateMode) -> Result<(), StartError> {
    if !schema.unknown.is_empty() {
        warn!("the database was migrated by a later release ({}); going on with what this one knows", schema.unknown.join(", "));
    }
    if schema.pending.is_empty() {
        return Ok(());
    }
    match mode {
        MigrateMode::Auto => {
            info!("migrating the database: {}", schema.pending.join(", "));
            Ok(db::migrate(db).await?)
        }
        // a database without any schema cannot be looked away from
        MigrateMode::Off if schema.pending.len() < sluice_migrations::plan(db.engine()).len() => Ok(()),
        MigrateMode::Check | MigrateMode::Off => Err(StartError::Pending(schema.pending.clone())),
    }
}

/// The value by which the database knows its secret; `None` on a database that was never sealed.
async fn stored_check(db: &Db, schema: &Schema) -> Result<Option<String>, StartError> {
    match first_rows::master_key_check(db.read()).await {
        Ok(stored) => Ok(stored),
        // the table is not there yet
        Err(_) if !schema.pending.is_empty() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The keys, from the setting or from the file. A file is only made for a database that was never sealed.
fn keyring(settings: &Settings, is_sealed: bool) -> Result<FoundKeyring, StartError> {
    if let Some(secret) = &settings.secrets.crypto {
        return Ok(FoundKeyring { keyring: Keyring::from_secret(secret)?, from: "CRYPTO_SECRET".to_owned() });
    }
    let path = settings.data_dir.join(SECRET_FILE);
    let file = if is_sealed {
        SecretFile::load(&path)?.ok_or_else(|| StartError::SecretMissing { path: path.clone() })?
    } else {
        if !matches!(settings.database, Dsn::Sqlite(_)) && !path.exists() && data_dir::is_fleeting(&settings.data_dir) {
            return Err(StartError::SecretRequired { path: settings.data_dir.clone() });
        }
        data_dir::prepare(&settings.data_dir)?;
        SecretFile::load_or_create(&path)?
    };
    if file.is_readable_by_others {
        warn!("{} can be read by other accounts of this machine: chmod 600 it", path.display());
    }
    Ok(FoundKeyring { keyring: Keyring::from_secret(&file.secret)?, from: path.display().to_string() })
}

fn check_key(found: &FoundKeyring, stored: &str) -> Result<(), StartError> {
    match found.keyring.check(stored) {
        Some(KeyMatch::Current) => Ok(()),
        Some(KeyMatch::Older) => {
            info!("stored secrets are sealed with an older CRYPTO_SECRET; keep it after the comma until all are sealed anew");
            Ok(())
        }
        None => Err(StartError::WrongSecret { setting: found.from.clone() }),
    }
}
