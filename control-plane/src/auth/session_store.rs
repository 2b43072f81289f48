//! Sessions as rows of the database: valid on every replica and across restarts, gone when they are deleted (PROMISE-28).
//!
//! The cookie holds 128 random bits and nothing else; the row is found by a keyed digest of them.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, header};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::{Clock, UserId};
use sluice_sealed::Keyring;
use tonic::async_trait;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::{Duration, OffsetDateTime};
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use tower_sessions::{Expiry, SessionManagerLayer, SessionStore};

use super::sign_in::SignedIn;
use crate::app::App;
use crate::db::{Db, Tx};

/// Name of the session cookie.
pub const COOKIE: &str = "sluice_session";
/// How long a session lasts, in milliseconds: 30 days from the sign-in.
pub const SESSION_MILLIS: i64 = 30 * 24 * 3_600 * 1_000;
/// The one value a session holds.
pub(super) const SIGNED_IN: &str = "signed_in";

/// Keeps sessions in the database.
#[derive(Clone)]
pub struct SessionRows {
    db: Db,
    clock: Clock,
    keyring: Arc<Keyring>,
}

impl fmt::Debug for SessionRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionRows")
    }
}

/// Reads and writes the session cookie. `Secure` is added where the caller's connection is encrypted.
pub fn session_layer(app: &App) -> SessionManagerLayer<SessionRows> {
    let rows = SessionRows { db: app.db.clone(), clock: app.clock.clone(), keyring: Arc::clone(&app.keyring) };
    SessionManagerLayer::new(rows)
        .with_name(COOKIE)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::milliseconds(SESSION_MILLIS)))
}

/// The session cookie of a request.
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// Ends every session of a user but one: they were disabled, deleted, or changed their password.
///
/// # Errors
/// When the database is away.
pub async fn end_sessions(tx: &Tx, user: UserId) -> std::result::Result<(), DbErr> {
    let delete = Query::delete().from_table("sessions").and_where(Expr::col("user_id").eq(user.get())).to_owned();
    tx.execute(&delete).await.map(drop)
}

impl SessionRows {
    fn row_id(&self, id: &Id) -> String {
        hex::encode(self.keyring.current().digest_key().digest(&format!("session\n{id}")).0)
    }

    async fn write(&self, statement: &impl sea_orm::StatementBuilder) -> std::result::Result<u64, DbErr> {
        let tx = self.db.begin().await?;
        let changed = tx.execute(statement).await?.rows_affected();
        tx.commit().await?;
        Ok(changed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` asks for")]
fn backend(error: DbErr) -> Error {
    Error::Backend(error.to_string())
}

fn encoded(record: &Record) -> Result<(Option<i64>, String)> {
    let signed_in = record.data.get(SIGNED_IN).and_then(|value| serde_json::from_value::<SignedIn>(value.clone()).ok());
    let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
    Ok((signed_in.map(|signed_in| signed_in.user_id.get()), data))
}

#[async_trait]
impl SessionStore for SessionRows {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let (user_id, data) = encoded(record)?;
        let now = self.clock.wall();
        let mut insert =
            Query::insert().into_table("sessions").columns(["id", "user_id", "data", "created_at", "expires_at"]).to_owned();
        let expires_at = now.plus_millis(SESSION_MILLIS);
        insert.values_panic([self.row_id(&record.id).into(), user_id.into(), data.into(), now.0.into(), expires_at.0.into()]);
        self.write(&insert).await.map(drop).map_err(backend)
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (user_id, data) = encoded(record)?;
        // never an insert: a session that was ended meanwhile must not come back
        let update = Query::update()
            .table("sessions")
            .value("user_id", user_id)
            .value("data", data)
            .and_where(Expr::col("id").eq(self.row_id(&record.id)))
            .to_owned();
        self.write(&update).await.map(drop).map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let select = Query::select()
            .columns(["data", "expires_at"])
            .from("sessions")
            .and_where(Expr::col("id").eq(self.row_id(id)))
            .and_where(Expr::col("expires_at").gt(self.clock.wall().0))
            .to_owned();
        let Some(row) = self.db.read().query_one(&select).await.map_err(backend)? else { return Ok(None) };
        let data: String = row.try_get("", "data").map_err(backend)?;
        let expires_at: i64 = row.try_get("", "expires_at").map_err(backend)?;
        let expiry_date =
            OffsetDateTime::from_unix_timestamp(expires_at / 1_000).map_err(|error| Error::Decode(error.to_string()))?;
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let delete = Query::delete().from_table("sessions").and_where(Expr::col("id").eq(self.row_id(id))).to_owned();
        self.write(&delete).await.map(drop).map_err(backend)
    }
}
