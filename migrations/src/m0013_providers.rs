//! Providers that administrators described.

use crate::change::{Change, table};
use crate::columns::{long, long_text, text, time};

pub(crate) fn changes() -> Vec<Change> {
    vec![table("providers", |t| {
        t.col(text("slug", 64).primary_key())
            // the content of a catalogue file, as JSON
            .col(long_text("definition"))
            .col(long("rev"))
            .col(time("created_at"))
            .col(time("updated_at"));
    })]
}
