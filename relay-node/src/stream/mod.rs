//! Answers on their way to the caller: whole ones as they are, streams frame by frame.
//!
//! [`Reader`] turns an upstream's bytes into frames and figures; [`Pump`] hands them to the caller, with pings where nothing comes, and
//! settles the bill before the last byte. There is no task behind an answer: whoever drops it ends the upstream request, unless its
//! channel has it read on ([`Drains`]).

mod delivery;
mod drains;
mod pump;
mod reader;
mod whole;

pub use delivery::Delivery;
pub use drains::{Drains, Forwarding};
pub use pump::Pump;
pub use reader::{Reader, Step};
pub use whole::WholeBody;
