//! What every operation has at hand.

use std::sync::Arc;

use sluice_domain::{Clock, UnixMillis};
use sluice_providers::Catalog;
use sluice_sealed::Keyring;

use crate::db::Db;
use crate::publish::Poke;

/// The control plane's parts, built once and passed down. Cloning shares them.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub db: Db,
    /// The clocks.
    pub clock: Clock,
    /// Keys for secrets at rest and for digests.
    pub keyring: Arc<Keyring>,
    /// Providers there are.
    pub catalog: Arc<Catalog>,
    /// Says to the tail that there is something to see.
    pub poke: Poke,
    /// When this process started.
    pub started_at: UnixMillis,
}
