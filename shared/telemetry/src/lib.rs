//! Logs, metrics, health, tasks and drain: what every process needs besides its work.
//!
//! What lives here: the only code that reads the clocks, touches the `metrics` crate, spawns tasks or listens to signals. What must
//! not: anything about what Sluice does; this crate knows no other of ours. A binary uses it in this order: [`process::Program`],
//! [`metrics::Registry::new`], [`panics::install`], [`ports::bind`], [`tasks::Tasks::new`], work, [`tasks::Tasks::shutdown`].

pub mod build;
pub mod chain;
pub mod clock;
pub mod drain;
pub mod health;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod panics;
pub mod ports;
pub mod process;
pub mod settings;
pub mod signals;
pub mod tasks;
