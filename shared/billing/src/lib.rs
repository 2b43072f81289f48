//! What a request costs, what is held for it, and the lease book: pure.
//!
//! Prices are decimals read from text ([`Ratio`]), multiplied exactly and rounded once ([`price()`], [`hold`], [`explain`]: one
//! computation). [`HoldRules`] say how much output a request is held for. [`PriceBook`] finds the price of a model, [`shipped_prices`]
//! are the defaults. [`Estimator`] and [`Tokenizer`] count tokens where no usage is reported. [`LeaseBook`] is the relay's side of the
//! money protocol.
//! No I/O, clock, randomness or environment. Start reading at `price.rs`, then `lease.rs`.

pub mod estimate;
pub mod lease;
pub mod media;
pub mod tokenizer;

mod book;
mod completion;
mod cover;
mod exact;
mod formula;
mod lengths;
mod naming;
mod price;
mod ratio;
mod seed;
mod standing;

pub use book::{PriceBook, Unpriced};
pub use completion::default_completion_ratio;
pub use cover::{Beyond, Cover, HoldCost, HoldPolicy, HoldRules, Wanted, Window};
pub use estimate::Estimator;
pub use formula::{Basis, ClassLine, Formula, SurchargeLine, explain};
pub use lease::{LeaseBook, Reservation};
pub use lengths::Lengths;
pub use naming::normalise;
pub use price::{Class, Factor, LEAST_HELD_PROMPT, ModelPrice, Multiplier, PriceError, Rate, Surcharge, Surcharged, hold, price};
pub use ratio::{Ratio, RatioError};
pub use seed::{SeedError, ShippedPrice, shipped_prices};
pub use standing::standing_surcharge;
pub use tokenizer::Tokenizer;
