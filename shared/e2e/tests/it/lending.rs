//! Twenty relays and one balance: exactly as much is lent as there is, and what nobody uses is never out of reach.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sluice_domain::Quota;
use sluice_e2e::fleet::{Fleet, wait_for};
use sluice_e2e::inside::{Inside, Payer};
use sluice_relay_node::quota::{Reservation, ReserveError};
use sluice_testkit::database::engines;
use tokio::task::JoinSet;
use tokio::time::sleep;

const PRICE: i64 = 1_000;
const RELAYS: usize = 20;
/// Between two questions of somebody who was told that nobody knows.
const A_MOMENT: Duration = Duration::from_millis(500);

/// How often somebody asks again who is told that nobody knows: minutes of asking, far beyond what the slowest machine takes.
const MOST_TURNS: usize = 100;

/// Sets money aside. Who is told that nobody knows asks again, as SDKs do: on a slow machine that may happen.
async fn ask(relay: &Inside, payer: Payer, units: i64) -> Result<Reservation, ReserveError> {
    for _ in 1..MOST_TURNS {
        let outcome = relay.reserve(payer, units).await;
        if !matches!(outcome, Err(ReserveError::Unavailable)) {
            return outcome;
        }
        sleep(A_MOMENT).await;
    }
    relay.reserve(payer, units).await
}

/// So many requests at once, spread over the relays. Answers the admitted ones and the refusals.
async fn crowd(relays: &Arc<Vec<Inside>>, payer: Payer, requests: usize) -> (Vec<Reservation>, Vec<ReserveError>) {
    let mut asking = JoinSet::new();
    for place in 0..requests {
        let relays = Arc::clone(relays);
        asking.spawn(async move { ask(&relays[place % relays.len()], payer, PRICE).await });
    }
    let (mut admitted, mut refused) = (Vec::new(), Vec::new());
    for outcome in asking.join_all().await {
        match outcome {
            Ok(reservation) => admitted.push(reservation),
            Err(refusal) => refused.push(refusal),
        }
    }
    (admitted, refused)
}

async fn inside(fleet: &Fleet, relays: usize) -> Arc<Vec<Inside>> {
    let mut started = Vec::new();
    for place in 0..relays {
        started.push(Inside::start(fleet, place).await);
    }
    Arc::new(started)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_on_a_balance_of_ten_prices_admit_exactly_ten_on_twenty_relays() {
    for engine in engines() {
        let fleet = Fleet::start(engine, 0).await;
        let user = fleet.api.user("ana", 10 * PRICE).await;
        let token = fleet.api.token(user, "all").await;
        let relays = inside(&fleet, RELAYS).await;
        let payer = relays[0].payer(&token.key).await;

        let (mut admitted, refused) = crowd(&relays, payer, 1_000).await;
        assert_eq!((admitted.len(), refused.len()), (10, 990), "{engine:?}: {:?}", refused.first());
        let exhausted = |refusal: &ReserveError| matches!(refusal, ReserveError::Exhausted { .. });
        assert!(refused.iter().all(exhausted), "{engine:?}: {refused:?}");

        // five of them end without having cost anything: their money is within everybody's reach again
        admitted.truncate(5);
        wait_for("five prices are back", async || {
            fleet.api.get(&format!("/api/users/{user}")).await["quota_available"].as_i64() == Some(5 * PRICE)
        })
        .await;
        while admitted.len() < 10 {
            let (more, _) = crowd(&relays, payer, 40).await;
            admitted.extend(more);
            tokio::task::yield_now().await;
        }
        assert_eq!(admitted.len(), 10, "{engine:?}");
        let (more, _) = crowd(&relays, payer, 100).await;
        assert!(more.is_empty(), "{engine:?}: {} beyond the balance", more.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_relay_holds_and_does_not_use_is_paid_out_at_another_to_the_last_unit() {
    for engine in engines() {
        let fleet = Fleet::start(engine, 0).await;
        let user = fleet.api.user("ana", 1_000_000).await;
        let token = fleet.api.token(user, "all").await;
        let relays = inside(&fleet, 3).await;
        let payer = relays[0].payer(&token.key).await;
        for relay in relays.iter().take(2) {
            relay.quotas().wish(payer.user, payer.chain, Quota::clamped(300_000));
            wait_for("it is lent", async || relay.quotas().available(payer.user, payer.chain).get() == 300_000).await;
        }
        let running = ask(&relays[0], payer, 5_000).await.unwrap();
        let unused = 1_000_000 - 5_000;

        let beyond = ask(&relays[2], payer, unused + 1).await.map(drop);
        assert!(matches!(beyond, Err(ReserveError::Exhausted { .. })), "{engine:?}: {beyond:?}");
        let all = ask(&relays[2], payer, unused).await.expect("nobody uses it");
        let none = ask(&relays[1], payer, 1).await.map(drop);
        assert!(matches!(none, Err(ReserveError::Exhausted { .. })), "{engine:?}: {none:?}");
        drop((all, running));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_that_need_the_same_two_accounts_never_starve_each_other() {
    for engine in engines() {
        let fleet = Fleet::start(engine, 0).await;
        let relays = inside(&fleet, 4).await;
        for round in 0..8 {
            let user = fleet.api.user(&format!("user-{round}"), PRICE).await;
            let body = json!({"user_id": user, "name": "tight", "quota": PRICE, "request_limit": 1});
            let token = fleet.api.token_with(body).await;
            let payer = relays[0].payer(&token.key).await;
            let (admitted, refused) = crowd(&relays, payer, 8).await;
            assert_eq!((admitted.len(), refused.len()), (1, 7), "{engine:?}, round {round}: {refused:?}");
        }
    }
}
