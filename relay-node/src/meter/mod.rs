//! What a request consumed and what it costs: estimates before, figures while it runs, one settlement however it ends.
//!
//! Start reading at [`Bill`]. Prices are computed by `sluice_billing` alone.

mod bill;
mod intent;
mod lengths;
mod prompt;
mod tally;

pub use bill::{Bill, Counted, Ending, Opening};
pub use intent::intent;
pub use lengths::RecentLengths;
pub use prompt::{Counter, Counting, estimate};
pub use tally::{Measured, Tally};
