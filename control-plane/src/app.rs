//! What every operation has at hand.

use std::sync::Arc;

use sluice_billing::lease::Terms;
use sluice_domain::{Clock, UnixMillis};
use sluice_providers::Catalog;
use sluice_sealed::Keyring;
use sluice_telemetry::drain::Drain;

use crate::auth::Passwords;
use crate::db::Db;
use crate::http::Gate;
use crate::metrics::Metrics;
use crate::notifications::Courier;
use crate::publish::Poke;
use crate::settlement::rates::Rates;

/// The control plane's parts, built once and passed down. Cloning shares them.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub db: Db,
    /// The clocks.
    pub clock: Clock,
    /// How long leases live, and what else takes its time between relays and ledger.
    pub terms: Terms,
    /// Keys for secrets at rest and for digests.
    pub keyring: Arc<Keyring>,
    /// Providers there are.
    pub catalog: Arc<Catalog>,
    /// Says to the tail that there is something to see.
    pub poke: Poke,
    /// What prices were at each config version.
    pub rates: Rates,
    /// Who may come in over HTTP, and how often.
    pub gate: Arc<Gate>,
    /// Makes and checks digests of passwords, a few at a time.
    pub passwords: Passwords,
    /// What is counted.
    pub metrics: Metrics,
    /// How far the process is on its way down.
    pub drain: Drain,
    /// Carries notifications to the webhook; `None`: there is no webhook.
    pub courier: Option<Courier>,
    /// Where programs reach the relays; empty: at the site's own address.
    pub relay_address: Arc<str>,
    /// When this process started.
    pub started_at: UnixMillis,
}
