//! HTTP to providers.
//!
//! [`Client::send`] is the one way out: it takes a [`sluice_providers::Target`], a body and time limits, and gives an [`Answer`] whose
//! bytes are those of the wire. Redirects are not followed, nothing is decompressed, and no error tells an address or a key.
//!
//! [`MediaFetcher`] is the way to what callers name by address, and reaches only what everybody reaches.
//!
//! A target whose address begins with `ws` is asked by WebSocket; whoever reads its answer sees lines.
//!
//! Requests that need no proxy go through hyper's client, others through reqwest; neither shows in any signature but the private
//! ones. The process must have installed a rustls crypto provider before the first client is made.

mod answer;
mod client;
mod direct;
mod error;
mod media;
mod route;
mod socket;

pub use answer::{Answer, Body, ReadError};
pub use client::{Client, ClientSettings, Timeouts};
pub use error::{Failure, SendError};
pub use media::{MediaError, MediaFetcher, Medium, Reach};
pub use route::{ProxyError, ProxyUrl, Route, ServerCheck};
