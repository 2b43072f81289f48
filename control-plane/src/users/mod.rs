//! People: who they are, what they may do, and their group. Their money is in `wallet`.

mod api;
mod change;
mod rules;
mod store;

use sea_orm::{ConnectionTrait, DbErr};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sluice_domain::{GroupName, Limits, Quota, Role, Status, UnixMillis, UserId};

use crate::app::App;
use crate::auth::{Actor, Scope};
use crate::db::Tx;
use crate::http::{ApiError, Asking, Between, LimitBody, Listing, Page};
use crate::wallet::{self, AccountKind, Entry, EntryKind, Standing};

pub use api::{UserRef, UserView, routes};
pub(crate) use change::unique_reference;
pub use change::{create, delete, patch};
pub use rules::{MAX_USERNAME, check_username, may_manage, username_key};
pub use store::{count_in_group, find, find_by_username, first_root};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// The name they sign in with.
    pub username: String,
    /// The name shown.
    pub display_name: String,
    /// Their e-mail address, in lower case.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether they may do it.
    pub status: Status,
    /// Their group.
    pub group: GroupName,
    /// How much may be used with all their tokens together.
    #[serde(default)]
    pub limits: Limits,
    /// Grows with every change.
    pub rev: i64,
    /// When they were made.
    pub created_at: UnixMillis,
    /// When they were changed.
    pub updated_at: UnixMillis,
}

impl User {
    /// Whether they may sign in and use their management tokens.
    #[must_use]
    pub fn may_sign_in(&self) -> bool {
        self.status.is_enabled()
    }
}

/// A person with the digest of their password.
#[derive(Clone)]
pub struct Found {
    /// The person.
    pub user: User,
    /// The digest; `None`: they cannot sign in by password.
    pub password_hash: Option<String>,
}

/// A person with what their wallet holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The person.
    pub user: User,
    /// Their wallet.
    pub wallet: Standing,
}

/// What is stored of a new person.
#[derive(Clone)]
pub struct NewAccount {
    /// The name they sign in with.
    pub username: String,
    /// The name shown.
    pub display_name: String,
    /// Their e-mail address, in lower case.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Their group; it exists.
    pub group: Option<GroupName>,
    /// How much may be used with all their tokens together.
    pub limits: Limits,
    /// The digest of their password.
    pub password_hash: Option<String>,
}

impl NewAccount {
    /// Somebody of this name, in the default group and without password.
    #[must_use]
    pub fn new(username: &str, role: Role) -> Self {
        let username = username.to_owned();
        let limits = Limits::default();
        Self { display_name: username.clone(), username, email: None, role, group: None, limits, password_hash: None }
    }
}

/// What an administrator asks for when making a person.
#[derive(Debug)]
pub struct NewUser {
    /// The name they sign in with.
    pub username: String,
    /// The name shown; `None`: the username.
    pub display_name: Option<String>,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their password; `None`: they cannot sign in by password.
    pub password: Option<SecretString>,
    /// What they may do.
    pub role: Role,
    /// Their group; `None`: the default one.
    pub group: Option<String>,
    /// How much may be used with all their tokens together.
    pub limits: Option<Vec<LimitBody>>,
}

/// What is to change of a person.
#[derive(Debug, Default)]
pub struct UserPatch {
    /// The name they sign in with.
    pub username: Option<String>,
    /// The name shown.
    pub display_name: Option<String>,
    /// Their e-mail address.
    pub email: crate::http::Patch<String>,
    /// What they may do.
    pub role: Option<Role>,
    /// Whether they may do it.
    pub status: Option<Status>,
    /// Their group.
    pub group: Option<String>,
    /// How much may be used with all their tokens together.
    pub limits: Option<Vec<LimitBody>>,
    /// A new password.
    pub password: Option<SecretString>,
    /// The password so far, when they change their own.
    pub current_password: Option<SecretString>,
}

/// Which people are asked for.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Part of the username, display name or e-mail address.
    pub text: Option<String>,
    /// Only of this status.
    pub status: Option<Status>,
    /// Only of this role.
    pub role: Option<Role>,
    /// Only of this group.
    pub group: Option<String>,
    /// Only those made in this span.
    pub made: Between,
}

/// A page of people with their wallets.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking, filter: &UserFilter, listing: &Listing) -> Result<Page<Person>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let page = store::list(app.db.read(), filter, listing).await?;
    let Page { items, next_cursor, total } = page;
    Ok(Page { items: with_wallets(app.db.read(), items).await?, next_cursor, total })
}

/// One person: oneself, or anybody for administrators.
///
/// # Errors
/// 404 when there is nobody of this id for the caller.
pub async fn get(app: &App, asking: &Asking, id: UserId) -> Result<Person, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let user = visible(app.db.read(), &asking.actor, id).await?;
    Ok(with_wallet(app.db.read(), user).await?)
}

/// A person the actor may see.
///
/// # Errors
/// 404 when there is nobody of this id for the actor.
pub async fn visible(db: &impl ConnectionTrait, actor: &Actor, id: UserId) -> Result<User, ApiError> {
    if !actor.sees(id) {
        return Err(ApiError::not_found("user"));
    }
    find(db, id).await?.ok_or_else(|| ApiError::not_found("user"))
}

/// A person with their wallet.
///
/// # Errors
/// When the database is away.
pub async fn with_wallet(db: &impl ConnectionTrait, user: User) -> Result<Person, DbErr> {
    let mut people = with_wallets(db, vec![user]).await?;
    people.pop().ok_or_else(|| DbErr::Custom("a list of one has no last".to_owned()))
}

async fn with_wallets(db: &impl ConnectionTrait, users: Vec<User>) -> Result<Vec<Person>, DbErr> {
    let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    let accounts = store::wallets_of(db, &ids).await?;
    let account_ids: Vec<_> = accounts.values().copied().collect();
    let standings = wallet::standings(db, &account_ids).await?;
    let person = |user: User| {
        let account = accounts.get(&user.id).copied();
        let wallet = standings.iter().find(|standing| Some(standing.account) == account).copied();
        let missing = || DbErr::RecordNotFound(format!("user {} has no wallet", user.id));
        Ok(Person { wallet: wallet.ok_or_else(missing)?, user })
    };
    users.into_iter().map(person).collect()
}

/// What root's wallet begins with, as in New API: 200 USD.
pub const ROOT_GIFT: Quota = Quota::clamped(100_000_000);

/// Stores a new person and opens their wallet; root's is not empty. The caller records the change.
///
/// # Errors
/// 409 when the username or e-mail address is taken.
pub async fn open(tx: &Tx, new: NewAccount, now: UnixMillis) -> Result<User, ApiError> {
    let user = store::insert(tx, new, now).await?;
    let account = wallet::open(tx, AccountKind::Wallet(user.id), user.id, now).await?;
    if user.role == Role::Root {
        let reference = format!("root_gift:{}", user.id);
        let reason = "so that the first request can be paid for".to_owned();
        let gift = Entry { account, kind: EntryKind::SignupGift, amount: ROOT_GIFT, reference, actor: None, reason };
        wallet::post(tx, gift, now).await?;
    }
    Ok(user)
}

/// Gives a person who was made without password another name and a password. The caller records the change.
///
/// # Errors
/// 409 when the username is taken.
pub async fn take_over(tx: &Tx, user: User, new: NewAccount, now: UnixMillis) -> Result<User, ApiError> {
    let user = User { username: new.username, display_name: new.display_name, ..user };
    store::update(tx, &user, now).await?;
    store::set_password(tx, user.id, new.password_hash.as_deref()).await?;
    Ok(User { rev: user.rev + 1, updated_at: now, ..user })
}
