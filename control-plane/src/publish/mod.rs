//! From the database to the relays: what changed, in which order, and who has it.
//!
//! A transaction that changes anything relays know calls [`log::record`] as its last write, and [`Poke::look`] after its commit. A
//! poke carries no data: it only says look at once; the tail looks by itself every 200 ms anyway.

pub mod log;

use std::sync::Arc;

use tokio::sync::Notify;

/// Says to the tail: there is something to see.
#[derive(Debug, Clone, Default)]
pub struct Poke(Arc<Notify>);

impl Poke {
    /// Call after a commit. Costs nothing, may be called too often, and may be lost without harm.
    pub fn look(&self) {
        self.0.notify_one();
    }

    /// Waits for the next poke.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}
