//! The provider simulator and throw-away servers: tests only.
//!
//! * [`simulator`]: a real HTTP server that speaks as the providers do, misbehaves on request, and keeps its own log: the oracle of every
//!   story about money.
//! * [`spark`]: the one provider that is asked by WebSocket.
//! * [`services`] and [`database`]: throw-away PostgreSQL, MariaDB and Redis, and one fresh database per test.
//! * [`process`] and [`ports`]: real binaries, started, watched, killed.
//! * [`proxy`]: a TCP proxy that cuts, delays, refuses and swallows.
//! * [`client`]: a small HTTP and SSE client.
//!
//! It must not know Sluice: no crate of ours but pure ones may ever be a dependency, or the oracle would share our mistakes.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "this crate is linked into tests only, where a broken assumption must end the test at once"
)]

pub mod client;
pub mod database;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod services;
pub mod simulator;
pub mod spark;

/// Makes ring the TLS provider of this process. Idempotent; every HTTP client of the tests needs one, even for plain HTTP.
pub fn install_tls_provider() {
    drop(rustls::crypto::ring::default_provider().install_default());
}
