//! Notes of ledgers say how much of them was spent, too. They are made anew: `ledger_checks` is not read any more.

use crate::change::{Change, table};
use crate::columns::{long, time};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        // the sums of an account's ledger up to a row, so that checking it again adds up only what came since
        table("ledger_notes", |t| {
            t.col(long("account_id").primary_key()).col(long("ledger_id")).col(long("total")).col(long("spent")).col(time("at"));
        }),
    ]
}
