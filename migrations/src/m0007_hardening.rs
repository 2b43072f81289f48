//! What keeps the money adding up and the fleet in step when something is lost: since when a lease is in doubt, which connection of a
//! relay is in force, how far the ledger was checked, and what became of records that were set aside. And how much may be used in a
//! time.

use crate::change::{Change, column, index, table};
use crate::columns::{counter, long, text_null, time, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        // null on a lease that was doubted by an earlier release: then its end counts
        column("leases", time_null("doubted_at")),
        index("leases", &["closed_at"]),
        // counts the registrations of a relay: streams of earlier ones end, on every replica
        column("nodes", counter("session")),
        // settled or discarded; null while nobody has decided
        column("quarantine", text_null("resolution", 16)),
        // the sum of an account's ledger up to a row, so that checking it again adds up only what came since
        table("ledger_checks", |t| {
            t.col(long("account_id").primary_key()).col(long("ledger_id")).col(long("total")).col(time("at"));
        }),
        // limits in a time, as a JSON list; null: none
        column("users", text_null("limits", 1_000)),
        column("tokens", text_null("limits", 1_000)),
        column("user_groups", text_null("limits", 1_000)),
        column("channels", text_null("limits", 1_000)),
        column("prices", text_null("limits", 1_000)),
    ]
}
