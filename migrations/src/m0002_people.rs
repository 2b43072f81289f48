//! Users, how they sign in, and the keys their programs use.

use sea_orm_migration::sea_query::Index;

use crate::change::{Change, index, table, unique};
use crate::columns::{flag, id, int, long, long_text, long_text_null, text, text_null, time, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        table("users", |t| {
            t.col(id())
                .col(text("username", 64))
                // the username in lower case: two users may not differ by case only
                .col(text("username_key", 64))
                .col(text("display_name", 64))
                .col(text_null("email", 191))
                .col(long_text_null("password_hash"))
                .col(int("role"))
                .col(int("status"))
                .col(text("group_name", 64))
                .col(long("rev"))
                .col(time("created_at"))
                .col(time("updated_at"))
                .col(time_null("deleted_at"));
        }),
        unique("users", &["username_key"]),
        unique("users", &["email"]),
        table("sessions", |t| {
            // a digest of the id in the cookie
            t.col(text("id", 64).primary_key())
                .col(crate::columns::long_null("user_id"))
                .col(long_text("data"))
                .col(time("created_at"))
                .col(time("expires_at"));
        }),
        index("sessions", &["user_id"]),
        index("sessions", &["expires_at"]),
        // for scripts that manage Sluice
        table("management_tokens", |t| {
            t.col(id())
                .col(long("user_id"))
                .col(text("name", 64))
                .col(text("digest", 64))
                .col(text("hint", 16))
                .col(text("scopes", 191))
                .col(time("created_at"))
                .col(time_null("expires_at"))
                .col(time_null("last_used_at"));
        }),
        unique("management_tokens", &["digest"]),
        index("management_tokens", &["user_id"]),
        // for programs that call models
        table("tokens", |t| {
            t.col(id())
                .col(text("public_id", 40))
                .col(long("user_id"))
                .col(long("account_id"))
                .col(text("name", 64))
                .col(text("digest", 64))
                .col(long_text("sealed_key"))
                .col(text("hint", 16))
                .col(int("status"))
                .col(text_null("group_name", 64))
                .col(flag("capped"))
                .col(time_null("expires_at"))
                .col(flag("models_limited"))
                .col(long_text("models"))
                .col(long_text("ip_allow"))
                .col(long("rev"))
                .col(time("created_at"))
                .col(time("updated_at"))
                .col(time_null("last_used_at"))
                .col(time_null("deleted_at"));
        }),
        unique("tokens", &["public_id"]),
        unique("tokens", &["digest"]),
        index("tokens", &["user_id", "id"]),
        index("tokens", &["last_used_at"]),
        // answers to requests that move money or create, kept so that saying it twice does it once
        table("idempotency", |t| {
            t.col(long("user_id"))
                .col(text("idem_key", 191))
                .col(text("request_hash", 64))
                .col(int("status"))
                .col(long_text("response"))
                .col(time("created_at"))
                .primary_key(Index::create().col("user_id").col("idem_key"));
        }),
        index("idempotency", &["created_at"]),
    ]
}
