//! Setting the site up: whoever has the one-time link becomes root.

use secrecy::{ExposeSecret, SecretString};
use sluice_domain::{Role, UnixMillis};
use sluice_sealed::random;

use super::passwords::check_password;
use super::site;
use crate::app::App;
use crate::db::Tx;
use crate::http::{ApiError, Caller, Code, Rules};
use crate::publish::log::{self, Changed};
use crate::users::{self, NewAccount, User};
use crate::{audit, auth::Actor};

/// The page that takes the secret: `/setup?secret=…`.
pub const SETUP_PATH: &str = "/setup?secret=";

/// What the first user chooses.
#[derive(Debug)]
pub struct NewRoot {
    /// The secret of the set-up link.
    pub secret: SecretString,
    /// Their username.
    pub username: String,
    /// Their password.
    pub password: SecretString,
}

/// Whether the site has a root user who can sign in.
///
/// # Errors
/// When the database is away.
pub async fn is_set_up(app: &App) -> Result<bool, ApiError> {
    Ok(site::get(app.db.read(), site::SET_UP_AT).await?.is_some())
}

/// Makes a link, and the one made before useless. Answers the path with the secret.
pub(super) async fn make_link(app: &App, tx: &Tx) -> Result<String, sea_orm::DbErr> {
    let secret = hex::encode(random::bytes::<24>());
    site::remove(tx, site::SETUP_SECRET).await?;
    site::insert(tx, site::SETUP_SECRET, &digest(app, &secret)).await?;
    Ok(format!("{SETUP_PATH}{secret}"))
}

/// Marks the site as set up, for good.
pub(super) async fn close(tx: &Tx, now: UnixMillis) -> Result<(), sea_orm::DbErr> {
    site::remove(tx, site::SETUP_SECRET).await?;
    site::insert(tx, site::SET_UP_AT, &now.to_string()).await
}

/// Makes the first user, who is root. A root user without password, made by `INITIAL_ROOT_TOKEN`, becomes theirs.
///
/// # Errors
/// 410 when the site is set up, 401 when the secret is not the one printed last, 422 when username or password break a rule.
pub async fn set_up(app: &App, caller: &Caller, new: NewRoot) -> Result<User, ApiError> {
    app.gate.critical(caller.address)?;
    if is_set_up(app).await? {
        return Err(ApiError::new(Code::AlreadySetUp, "sign in instead"));
    }
    let mut rules = Rules::new();
    users::check_username(&mut rules, "username", &new.username);
    rules.read("password", "password", check_password(&new.password, &new.username, Role::Root));
    rules.done()?;
    let digest_of_password = app.passwords.digest(new.password).await?;

    let now = app.clock.wall();
    let tx = app.db.begin().await?;
    if !site::take(&tx, site::SETUP_SECRET, &digest(app, new.secret.expose_secret())).await? {
        return Err(ApiError::new(Code::BadSetupSecret, "use the link printed at the last start"));
    }
    close(&tx, now).await?;
    let account = NewAccount { password_hash: Some(digest_of_password), ..NewAccount::new(&new.username, Role::Root) };
    let user = match users::first_root(&tx).await? {
        Some(root) => users::take_over(&tx, root, account, now).await?,
        None => users::open(&tx, account, now).await?,
    };
    let actor = Actor { user_id: user.id, role: user.role, scopes: None };
    audit::write_as(&tx, &actor, caller.address, now, "site.set_up", &format!("user:{}", user.id), &()).await?;
    log::record(&tx, now, &[Changed::User(user.id)]).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(user)
}

fn digest(app: &App, secret: &str) -> String {
    hex::encode(app.keyring.current().digest_key().digest(&format!("set-up\n{secret}")).0)
}
