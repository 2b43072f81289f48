//! The ledger: accounts, what was lent to relays, and why totals changed.
//!
//! At every committed state, per account: Σ ledger.amount = balance + leased + in_doubt, where `leased` and `in_doubt` are the sums of
//! granted − settled − returned over its open and in-doubt leases. `spent` is what charges took.

use crate::change::{Change, index, table, unique};
use crate::columns::{counter, flag, id, long, long_null, text, time, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        table("accounts", |t| {
            t.col(id())
                // wallet (owner: user), cap (owner: token)
                .col(text("kind", 16))
                .col(long("owner_id"))
                .col(long("user_id"))
                .col(counter("balance"))
                .col(counter("credit_limit"))
                .col(counter("leased"))
                .col(counter("in_doubt"))
                .col(counter("spent"))
                .col(flag("frozen"))
                .col(counter("rev"))
                .col(time("created_at"));
        }),
        unique("accounts", &["kind", "owner_id"]),
        index("accounts", &["user_id"]),
        table("leases", |t| {
            t.col(id())
                .col(long("account_id"))
                .col(text("node_id", 63))
                .col(long("epoch"))
                .col(long("grant_seq"))
                .col(long("granted"))
                .col(counter("settled"))
                .col(counter("returned"))
                // open, in_doubt, closed
                .col(text("state", 16))
                .col(time("created_at"))
                .col(time("expires_at"))
                .col(time_null("closed_at"));
        }),
        unique("leases", &["node_id", "epoch", "grant_seq"]),
        index("leases", &["account_id", "state"]),
        index("leases", &["state", "expires_at"]),
        table("ledger", |t| {
            t.col(id())
                .col(long("account_id"))
                .col(long("user_id"))
                .col(text("kind", 24))
                .col(long("amount"))
                // balance + leased + in_doubt after this row
                .col(long("balance_after"))
                .col(text("reference", 191))
                .col(long_null("actor_id"))
                .col(text("reason", 255))
                .col(time("at"));
        }),
        unique("ledger", &["reference"]),
        index("ledger", &["account_id", "id"]),
        index("ledger", &["user_id", "id"]),
    ]
}
