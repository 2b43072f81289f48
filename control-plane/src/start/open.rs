//! The database, opened, judged and brought to this build's schema; and the keys that open what is stored in it.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use sluice_domain::Clock;
use sluice_sealed::{KeyMatch, Keyring, SecretFile, SecretFileError};
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
    let db = reach(settings).await?;
    check_version(&db, settings).await?;
    let schema = ours(db::look(&db).await?, settings)?;
    // before anything is touched: with the wrong secret, or when it must not be migrated, nothing is written
    may_migrate(&schema, settings.migrate)?;
    let stored = stored_check(db.read(), &schema).await?;
    let keyring = keyring(settings, stored.is_some())?;
    if let Some(stored) = stored {
        check_key(&keyring, &stored)?;
    }
    if let Some(path) = &keyring.readable_by_others {
        warn!("{} can be read by other accounts of this machine: chmod 600 it", path.display());
    }
    bring_up_to_date(&db, &schema, settings.migrate).await?;
    let check_value = keyring.keyring.current().check_value();
    db::retried(|| first_rows::write(&db, &check_value, clock.wall())).await?;
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
    judge_file(settings, file).await?;
    let setting = settings.database_setting;
    data_dir::prepare(folder, setting)?;
    let lock = FileLock::take(&file.path);
    Ok(Some(lock.map_err(|error| StartError::FileLock { setting, reason: Chain(&error).to_string() })?))
}

/// Refuses a file as [`open`] would, without opening it for writing: a start that is refused leaves every byte as it is.
async fn judge_file(settings: &Settings, file: &SqliteFile) -> Result<(), StartError> {
    let unreachable = |error: DbErr| unreachable(settings, &error);
    let schema = ours(db::look_at_file(file).await.map_err(unreachable)?, settings)?;
    may_migrate(&schema, settings.migrate)?;
    if !file.path.exists() {
        return Ok(());
    }
    let reading = db::read_only(file).await.map_err(unreachable)?;
    let stored = stored_check(&reading, &schema).await;
    reading.close().await?;
    match stored? {
        Some(stored) => check_key(&keyring(settings, true)?, &stored),
        None => Ok(()),
    }
}

/// Connects, again and again: in a fresh deployment the server often comes up after us.
async fn reach(settings: &Settings) -> Result<Db, StartError> {
    let dsn = &settings.database;
    let deadline = Instant::now() + settings.database_patience;
    let mut wait = FIRST_WAIT;
    loop {
        let error = match db::connect(dsn, settings.pool).await {
            Ok(db) => return Ok(db),
            Err(error) => error,
        };
        // neither a file nor a password becomes right by waiting
        let is_final = matches!(dsn, Dsn::Sqlite(_)) || db::is_refusal(&error);
        if is_final || Instant::now() + wait > deadline {
            return Err(unreachable(settings, &error));
        }
        warn!("cannot reach the database {} yet: {}", dsn.place(), told(&error));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn unreachable(settings: &Settings, error: &DbErr) -> StartError {
    StartError::Unreachable { setting: settings.database_setting, place: settings.database.place(), reason: told(error) }
}

/// What a driver said, on one line. Drivers name users and hosts, never passwords.
fn told(error: &DbErr) -> String {
    Chain(error).to_string().replace('\n', " ")
}

async fn check_version(db: &Db, settings: &Settings) -> Result<(), StartError> {
    let dsn = &settings.database;
    let version = db::server_version(db.read()).await?;
    let engine = if version.is_mariadb { "MariaDB" } else { dsn.engine() };
    if !version.is_supported(db.engine()) {
        let (major, minor, patch) = ServerVersion::oldest(db.engine(), version.is_mariadb);
        let needed = if db.engine() == DatabaseBackend::Postgres {
            format!("{major}.{minor}")
        } else {
            format!("{major}.{minor}.{patch}")
        };
        return Err(StartError::TooOld { setting: settings.database_setting, engine, found: version.text, needed });
    }
    info!("database: {engine} {} at {}", version.text, dsn.place());
    Ok(())
}

fn ours(found: Found, settings: &Settings) -> Result<Schema, StartError> {
    let (setting, place) = (settings.database_setting, || settings.database.place());
    match found {
        Found::Empty => {
            let pending = sluice_migrations::plan(DatabaseBackend::Sqlite).into_iter().map(|(name, _)| name.to_owned());
            Ok(Schema { pending: pending.collect(), unknown: Vec::new() })
        }
        Found::Ours(schema) => Ok(schema),
        Found::Ancestor => Err(StartError::Ancestor { setting, place: place() }),
        Found::Foreign(table) => Err(StartError::Foreign { setting, place: place(), table }),
    }
}

async fn bring_up_to_date(db: &Db, schema: &Schema, mode: MigrateMode) -> Result<(), StartError> {
    if !schema.unknown.is_empty() {
        warn!("the database was migrated by a later release ({}); going on with what this one knows", schema.unknown.join(", "));
    }
    if schema.pending.is_empty() || mode != MigrateMode::Auto {
        return Ok(());
    }
    info!("migrating the database: {}", schema.pending.join(", "));
    Ok(db::migrate(db).await?)
}

/// Whether what is pending may be applied, or looked away from.
fn may_migrate(schema: &Schema, mode: MigrateMode) -> Result<(), StartError> {
    let all = sluice_migrations::plan(DatabaseBackend::Sqlite).len();
    match mode {
        MigrateMode::Auto => Ok(()),
        _ if schema.pending.is_empty() => Ok(()),
        // a database without any schema cannot be looked away from
        MigrateMode::Off if schema.pending.len() < all => Ok(()),
        MigrateMode::Check | MigrateMode::Off => Err(StartError::Pending(schema.pending.clone())),
    }
}

/// The value by which the database knows its secret; `None` on a database that was never sealed.
async fn stored_check(db: &impl ConnectionTrait, schema: &Schema) -> Result<Option<String>, StartError> {
    match first_rows::master_key_check(db).await {
        Ok(stored) => Ok(stored),
        // the table is not there yet
        Err(_) if !schema.pending.is_empty() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The keys, from the setting or from the file. A file is only made for a database that was never sealed.
fn keyring(settings: &Settings, is_sealed: bool) -> Result<FoundKeyring, StartError> {
    if let Some(secret) = &settings.secrets.crypto {
        let keyring = Keyring::from_secret(secret)?;
        return Ok(FoundKeyring { keyring, from: "CRYPTO_SECRET".to_owned(), readable_by_others: None });
    }
    let unusable = |error: SecretFileError| StartError::SecretFile { reason: Chain(&error).to_string() };
    let path = settings.data_dir.join(SECRET_FILE);
    let file = if is_sealed {
        SecretFile::load(&path).map_err(unusable)?.ok_or_else(|| StartError::SecretMissing { path: path.clone() })?
    } else {
        if !matches!(settings.database, Dsn::Sqlite(_)) && !path.exists() && data_dir::is_fleeting(&settings.data_dir) {
            return Err(StartError::SecretRequired { path: settings.data_dir.clone() });
        }
        data_dir::prepare(&settings.data_dir, "SLUICE_DATA_DIR")?;
        SecretFile::load_or_create(&path).map_err(unusable)?
    };
    let keyring = Keyring::from_secret(&file.secret)
        .map_err(|error| StartError::SecretFile { reason: format!("the secret in {} {error}", path.display()) })?;
    let from = format!("SLUICE_DATA_DIR: {}", path.display());
    Ok(FoundKeyring { keyring, from, readable_by_others: file.is_readable_by_others.then_some(path) })
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
