//! The pure rules and state machines in one place, for the simulation. Nothing in production looks here.

pub use crate::leases::desk::{Desk, Reply, Told};
pub use crate::leases::jobs::transition;
pub use crate::leases::rules::{Size, decide, decide_or_wait};
pub use crate::leases::store::{Lease, OpenLease};
pub use crate::settlement::judge::{Chain, Received, Verdict, is_billable, judge};
pub use crate::settlement::store::Cursor;
pub use crate::settlement::take::{Orphan, Taken, TakenRecord, take};
pub use crate::settlement::tally::{Sums, Tally};
