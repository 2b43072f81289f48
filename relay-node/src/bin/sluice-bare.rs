//! The relay's bare forwarding as a process of its own, so that a bench can tell its CPU time and memory apart.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use sluice_relay_node::bare_router;
use sluice_telemetry::listen::{self, ListenSettings};
use sluice_telemetry::tasks::Tasks;
use sluice_upstream::{Client, ClientSettings};
use tokio::net::TcpListener;
use url::Url;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Sends every request on to one server: no token, no price, no record.
#[derive(Debug, Parser)]
struct Flags {
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server's base URL, without a path.
    #[arg(long)]
    provider: Url,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    // fails only when there is a provider already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(flags))
}

async fn serve(flags: Flags) -> anyhow::Result<()> {
    let listener = TcpListener::bind(flags.listen).await.with_context(|| format!("cannot listen on {}", flags.listen))?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let router = bare_router(Client::new(ClientSettings::default())?, flags.provider);
    let (settings, end) = (ListenSettings::default(), std::future::pending());
    listen::serve(listener, listen::routed(router), settings, Tasks::new(), end).await;
    Ok(())
}
