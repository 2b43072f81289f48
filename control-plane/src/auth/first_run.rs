//! What every start looks after: a way in for the first user (PROMISE-16).

use secrecy::ExposeSecret;
use sluice_domain::{Role, UnixMillis};

use super::passwords::check_password;
use super::{management, set_up};
use crate::app::App;
use crate::config::FirstRunSettings;
use crate::db::Tx;
use crate::http::ApiError;
use crate::publish::log::{self, Changed};
use crate::tokens;
use crate::users::{self, NewAccount};

/// The name of the root user of headless installs.
const ROOT: &str = "root";

/// What the start has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstRun {
    /// Path and query of the set-up page, to print after the address; `None` when the site is set up. It opens once.
    pub setup_link_path: Option<String>,
}

/// Why a start cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FirstRunError {
    /// A setting breaks its rule.
    #[error("{setting} {rule}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The rule.
        rule: String,
    },
    /// The work could not be done.
    #[error("cannot prepare the database for its first use")]
    Work(#[source] ApiError),
}

impl<E: Into<ApiError>> From<E> for FirstRunError {
    fn from(error: E) -> Self {
        Self::Work(error.into())
    }
}

/// Makes the headless root user when the settings say so, and a new set-up link while nobody has set the site up.
///
/// # Errors
/// When a setting breaks its rule or the database is away.
pub async fn first_run(app: &App, settings: &FirstRunSettings) -> Result<FirstRun, FirstRunError> {
    let now = app.clock.wall();
    if set_up::is_set_up(app).await? {
        return Ok(FirstRun { setup_link_path: None });
    }
    if let Some((setting, rule)) = first_run_problems(settings).into_iter().next() {
        return Err(FirstRunError::Setting { setting, rule });
    }
    let digest = match &settings.root_password {
        Some(password) => Some(app.passwords.digest(password.clone()).await?),
        None => None,
    };
    let tx = app.db.begin().await?;
    if set_up::lock(&tx).await? {
        return Ok(FirstRun { setup_link_path: None });
    }
    let can_sign_in = make_root(app, &tx, settings, digest, now).await?;
    let setup_link_path = if can_sign_in {
        set_up::close(&tx, now).await?;
        None
    } else {
        Some(set_up::make_link(app, &tx, now).await?)
    };
    tx.commit().await?;
    app.poke.look();
    Ok(FirstRun { setup_link_path })
}

/// Which of these settings break their rules, with the rule. Processes ask before anything is opened.
pub(crate) fn first_run_problems(settings: &FirstRunSettings) -> Vec<(&'static str, String)> {
    let password = settings.root_password.as_ref().map(|password| check_password(password, ROOT, Role::Root));
    let token = settings.root_token.as_ref().map(|key| tokens::check_given_key(key.expose_secret()));
    let management = settings.root_access_token.as_ref().map(|secret| management::check_given_secret(secret.expose_secret()));
    let broken = [
        ("INITIAL_ROOT_PASSWORD", password.and_then(Result::err).map(|rule| rule.to_string())),
        ("INITIAL_ROOT_TOKEN", token.and_then(Result::err).map(ToOwned::to_owned)),
        ("INITIAL_ROOT_ACCESS_TOKEN", management.and_then(Result::err).map(ToOwned::to_owned)),
    ];
    broken.into_iter().filter_map(|(setting, rule)| Some((setting, rule?))).collect()
}

/// Makes root as the settings say, or gives what they say to the root there is. Answers whether somebody can sign in by it.
async fn make_root(
    app: &App,
    tx: &Tx,
    settings: &FirstRunSettings,
    password_hash: Option<String>,
    now: UnixMillis,
) -> Result<bool, ApiError> {
    let FirstRunSettings { root_token, root_access_token, root_password: _ } = settings;
    let can_sign_in = password_hash.is_some() || root_access_token.is_some();
    if !can_sign_in && root_token.is_none() {
        return Ok(false);
    }
    let found = users::first_root(tx).await?;
    let is_new = found.is_none();
    let root = match (found, password_hash) {
        // a start before this one made root by a key alone
        (Some(root), Some(hash)) => {
            let account = NewAccount { password_hash: Some(hash), ..NewAccount::new(&root.username, Role::Root) };
            users::take_over(tx, root, account, now).await?
        }
        (Some(root), None) => root,
        (None, password_hash) => users::open(tx, NewAccount { password_hash, ..NewAccount::new(ROOT, Role::Root) }, now).await?,
    };
    let mut changes = vec![Changed::User(root.id)];
    if let Some(key) = root_token.as_ref().filter(|_| is_new) {
        let token = tokens::open_given(app, tx, root.id, key, now).await?;
        changes.push(Changed::Token(token));
    }
    if let Some(secret) = root_access_token {
        management::open_given(app, tx, root.id, secret, now).await?;
    }
    log::record(tx, now, &changes).await?;
    Ok(can_sign_in)
}
