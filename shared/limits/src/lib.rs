//! Rate limits by GCRA: so many cells per period, spread evenly, with a burst.
//!
//! What lives here: limits enforced within one process. What must not: who is limited and what a refusal looks like. Time comes in
//! as [`sluice_domain::Clock`]. Start reading at [`KeyedLimiter`].

mod bounded;
pub mod client_address;
pub mod keyed;
pub mod rate;

pub use client_address::client_address;
pub use keyed::{KeyedLimiter, RetryAfter};
pub use rate::{Rate, RateError};
