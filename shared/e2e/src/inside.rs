//! Relays inside the test's process: the whole relay, connected to a real control plane, for stories that need many of them or look at what
//! one holds.

use clap::Parser;
use sluice_domain::{Clock, Now, Quota, UnixMillis, UserId};
use sluice_relay_node::Relay;
use sluice_relay_node::app::Surroundings;
use sluice_relay_node::auth;
use sluice_relay_node::chance::Chance;
use sluice_relay_node::config::Options;
use sluice_relay_node::link::ControlEndpoint;
use sluice_relay_node::quota::{Chain, Quotas, Reservation, ReserveError};
use sluice_telemetry::clock;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;

use crate::fleet::{Fleet, wait_for};

/// A relay. Dropping it ends it without a farewell.
pub struct Inside {
    relay: Relay,
}

/// Who pays for requests that come with one key.
#[derive(Debug, Clone, Copy)]
pub struct Payer {
    /// The user.
    pub user: UserId,
    /// The accounts.
    pub chain: Chain,
}

impl Inside {
    /// Starts a relay of a fleet and returns when it is connected.
    ///
    /// # Panics
    /// When it cannot be built, or does not connect in time.
    pub async fn start(fleet: &Fleet, place: usize) -> Self {
        Self::with_arguments(fleet.arguments_of_a_relay(place)).await
    }

    /// Starts a relay by the command line of `sluice-relay` and returns when it is connected.
    ///
    /// # Panics
    /// When it cannot be built, or does not connect in time.
    pub async fn with_arguments(arguments: Vec<String>) -> Self {
        sluice_testkit::install_tls_provider();
        let settings = Options::parse_from(arguments).read().expect("the settings are good");
        let endpoint = ControlEndpoint::Urls { urls: settings.control.clone(), authority: None };
        let clock = Clock::new(|| Now { wall: UnixMillis(clock::wall_millis()), boot_millis: clock::boot_millis() });
        let chance = Chance::from_entropy();
        let around = Surroundings { clock, chance, registry: Registry::new(), tasks: Tasks::new() };
        let relay = Relay::build(settings, endpoint, around).await.expect("the relay can be built");
        relay.start();
        wait_for("a relay inside the test is connected", async || relay.standing().is_connected()).await;
        Self { relay }
    }

    /// Who pays for requests with a key.
    ///
    /// # Panics
    /// When the relay does not get to know the key in time.
    pub async fn payer(&self, key: &str) -> Payer {
        let app = self.relay.app();
        wait_for("the key is known", async || auth::identify(&app.view, Some(key)).await.is_ok()).await;
        let caller = auth::identify(&app.view, Some(key)).await.expect("it was just known");
        let chain = Chain {
            wallet: Some(caller.user.account_id),
            cap: caller.token.capped.then_some(caller.token.account_id),
            uses: caller.token.uses_account_id,
        };
        Payer { user: caller.user.id, chain }
    }

    /// Sets money aside, as a request would.
    ///
    /// # Errors
    /// As a request would be refused.
    pub async fn reserve(&self, payer: Payer, units: i64) -> Result<Reservation, ReserveError> {
        self.quotas().reserve(payer.user, payer.chain, Quota::clamped(units)).await
    }

    /// Its leases.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.relay.app().quotas
    }
}
