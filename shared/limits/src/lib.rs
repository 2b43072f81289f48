//! Rate limits by GCRA: so much per time, spread evenly, with a burst.
//!
//! Two kinds. [`KeyedLimiter`] counts one thing within one process. [`Limiter`] keeps the limits of users, tokens, groups, models and
//! channels over a fleet of relays: in Redis while it answers, by each relay's share while it does not. What must not live here: who is
//! limited and what a refusal looks like. [`Notes`] are what the same Redis carries beside counters. Time comes in as [`sluice_domain::Clock`]; the rule itself is in [`gcra`] and has none.

pub mod ask;
mod bounded;
pub mod client_address;
pub mod gcra;
mod held;
pub mod keyed;
pub mod limiter;
mod local;
pub mod notes;
pub mod rate;
pub mod redis;
pub mod shared;
mod upkeep;

pub use ask::{Ask, Key, Standing, Subject};
pub use client_address::client_address;
pub use held::Held;
pub use keyed::{KeyedLimiter, RetryAfter};
pub use limiter::{Event, Limiter, Mode, Refused, Setup};
pub use notes::Notes;
pub use rate::{Rate, RateError};
pub use redis::{Redis, RedisAddress, RedisSettings};
pub use shared::{Away, Shared};
pub use upkeep::Upkeep;
