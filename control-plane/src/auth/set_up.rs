//! Setting the site up: whoever has the one-time link becomes root.

use secrecy::{ExposeSecret, SecretString};
use sluice_domain::{Role, UnixMillis};
use sluice_sealed::random;

use super::passwords::check_password;
use super::site_store;
use crate::app::App;
use crate::db::Tx;
use crate::http::{ApiError, Caller, Code, Rules};
use crate::publish::log::{self, Changed};
use crate::users::{self, NewAccount, User};
use crate::{audit, auth::Actor};

/// The page that takes the secret: `/setup?secret=…`.
pub const SETUP_PATH: &str = "/setup?secret=";
/// Starts within this time of one another are one start of a fleet.
const SAME_START_MILLIS: i64 = 60_000;

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
    Ok(site_store::get(app.db.read(), site_store::SET_UP_AT).await?.is_some())
}

/// Waits until no other process sets the site up or starts. Answers whether it is set up then.
pub(super) async fn lock(tx: &Tx) -> Result<bool, sea_orm::DbErr> {
    site_store::lock(tx).await?;
    Ok(site_store::get(tx, site_store::SET_UP_AT).await?.is_some())
}

/// Makes a link, and the one made before useless; replicas that start together print the same one. Answers the path with the secret.
/// The caller has the lock.
pub(super) async fn make_link(app: &App, tx: &Tx, now: UnixMillis) -> Result<String, sea_orm::DbErr> {
    let last = site_store::get(tx, site_store::SETUP_SECRET).await?.as_deref().and_then(Seed::parse);
    if let Some(seed) = last.filter(|seed| now.millis_since(seed.made_at).abs() < SAME_START_MILLIS) {
        return Ok(format!("{SETUP_PATH}{}", seed.secret(app).expose_secret()));
    }
    let seed = Seed { nonce: hex::encode(random::bytes::<24>()), made_at: now };
    site_store::remove(tx, site_store::SETUP_SECRET).await?;
    site_store::insert(tx, site_store::SETUP_SECRET, &seed.to_text()).await?;
    Ok(format!("{SETUP_PATH}{}", seed.secret(app).expose_secret()))
}

/// Uses the link up, if this is its secret. The caller has the lock.
async fn use_link(app: &App, tx: &Tx, secret: &SecretString) -> Result<bool, sea_orm::DbErr> {
    let last = site_store::get(tx, site_store::SETUP_SECRET).await?.as_deref().and_then(Seed::parse);
    // of two digests it tells nothing how far they are the same
    let is_it = last.is_some_and(|seed| digest(app, &seed.secret(app)) == digest(app, secret));
    if is_it {
        site_store::remove(tx, site_store::SETUP_SECRET).await?;
    }
    Ok(is_it)
}

/// What is stored of a link: whoever has the master key can print it again, and whoever has the database alone cannot.
struct Seed {
    nonce: String,
    made_at: UnixMillis,
}

impl Seed {
    fn parse(text: &str) -> Option<Self> {
        let (nonce, made_at) = text.split_once(' ')?;
        Some(Self { nonce: nonce.to_owned(), made_at: UnixMillis(made_at.parse().ok()?) })
    }

    fn to_text(&self) -> String {
        format!("{} {}", self.nonce, self.made_at)
    }

    fn secret(&self, app: &App) -> SecretString {
        digest(app, &SecretString::from(self.to_text())).into()
    }
}

/// Marks the site as set up, for good.
pub(super) async fn close(tx: &Tx, now: UnixMillis) -> Result<(), sea_orm::DbErr> {
    site_store::remove(tx, site_store::SETUP_SECRET).await?;
    site_store::insert(tx, site_store::SET_UP_AT, &now.to_string()).await
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
    if lock(&tx).await? {
        return Err(ApiError::new(Code::AlreadySetUp, "sign in instead"));
    }
    if !use_link(app, &tx, &new.secret).await? {
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

fn digest(app: &App, secret: &SecretString) -> String {
    hex::encode(app.keyring.current().digest_key().digest(&format!("set-up\n{}", secret.expose_secret())).0)
}
