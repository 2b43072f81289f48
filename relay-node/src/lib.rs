//! The relay node: authenticate, reserve, route, forward, stream, meter, report.
//!
//! Two halves. The request half reads top down from [`pipeline`]: `ingress` → `auth` → `admit` → `plan` → `hold` → `forward` →
//! `stream` and `meter`. The fleet half keeps what requests need close at hand: [`link`] talks to the control plane, [`view`] is what
//! it said, [`quota`] the money it handed out, [`spool`] what is owed to it. No database is known here, and the wire's types stay in
//! [`link`].
//!
//! Start reading at [`pipeline`] for a request's life, at [`app`] for how a process is put together.

pub mod admin;
pub mod app;
pub mod budget;
pub mod chance;
pub mod command;
pub mod config;
pub mod errands;
pub mod health;
pub mod link;
pub mod metrics;
pub mod quota;
pub mod spool;
pub mod view;

pub mod admit;
pub mod auth;
mod counting;
pub mod error;
pub mod forward;
pub mod hold;
pub mod ingress;
pub mod meter;
pub mod observed;
pub mod pipeline;
pub mod plan;
pub mod responses;
pub mod stream;

#[cfg(feature = "bench")]
mod bare;

#[cfg(feature = "bench")]
pub use bare::bare_router;

pub use app::{Relay, RelayApp, StartError};
