//! What the relay costs, beside nginx and beside nothing, in one run.
//!
//! [`run`] starts the provider simulator, nginx as a plain reverse proxy, the relay's bare forwarding, and a control plane with a relay,
//! each a process of its own, and asks all of them the same questions. Ways are alternated in slices of a second or two, so that
//! whatever else the machine does hits all alike; figures are ratios of two things measured in the same run. The simulator's own
//! count must equal what was sent, and answers must be the provider's byte for byte.
//!
//! `question` is what is asked, `crew` asks it, `slice` measures one way under one load, `plan` lists the loads; `memory`,
//! `settlement` and `live` measure what is not a slice; `verdict` holds the figures against the goals, `report` writes the tables.

mod answer;
pub(crate) mod cost;
mod crew;
mod crowd;
mod database;
mod dialects;
mod flaky;
mod insert;
mod install;
mod lag;
mod live;
mod machine;
mod memory;
mod nginx;
mod plan;
mod question;
mod report;
mod settlement;
mod slice;
mod stage;
mod tally;
mod verdict;

pub use plan::{Options, Part, run};
pub use report::Report;
pub use stage::Way;
