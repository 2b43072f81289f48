//! Tells two transactions apart that were given the same config sequence number, one of them in a state of the database that is gone.

use crate::change::{Change, column};
use crate::columns::counter;

pub(crate) fn changes() -> Vec<Change> {
    vec![
        // drawn by chance for each number; 0: written by an earlier release, so it is not known
        column("config_head", counter("stamp")),
        column("config_log", counter("stamp")),
    ]
}
