//! How many requests a second are settled, exactly once and durably, on each engine of this run (PERF-11), beside a bare insert of
//! the same rows. Relays, customers and records are like those of a busy site: many customers, few models.
//!
//! `cargo bench -p sluice-control-plane --bench settlement`, with the servers' addresses in `SLUICE_TEST_POSTGRES_URL` and
//! `SLUICE_TEST_MYSQL_URL`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench ends at the first thing that goes wrong")]

#[path = "../tests/store/ground.rs"]
#[expect(dead_code, reason = "shared with the store suite, which uses all of it")]
mod ground;

use std::io::Write;
use std::time::{Duration, Instant};

use sluice_control_plane::leases::{Answer, Granted, Life};
use sluice_control_plane::settlement::{Batch, MAX_RECORDS};
use sluice_domain::{LeaseCharge, Record};

use crate::ground::{Customer, Ground, START, batch, grounds, pays};

/// Customers whose requests are mixed.
const CUSTOMERS: usize = 200;
/// Measured for at least so long on each engine.
const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for ground in grounds().await {
            let (requests, transactions, statements, took) = measure(&ground).await;
            let seconds = took.as_secs_f64();
            let per_thousand = |count: u64| f64_of(count) * 1_000.0 / f64_of(requests);
            let line = format!(
                "{:?}: {:.0} requests/s settled, {:.1} write statements and {:.2} commits per 1,000 requests\n",
                ground.db.engine(),
                f64_of(requests) / seconds,
                per_thousand(statements),
                per_thousand(transactions),
            );
            std::io::stdout().write_all(line.as_bytes()).unwrap();
            ground.assert_conservation().await;
        }
    });
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
fn f64_of(count: u64) -> f64 {
    count as f64
}

/// Requests, transactions, write statements, time.
async fn measure(ground: &Ground) -> (u64, u64, u64, Duration) {
    let relay = ground.relay("relay-1", 1).await;
    let mut payers = Vec::new();
    for number in 0..CUSTOMERS {
        let customer = ground.customer(1_000_000_000_000, 0).await;
        let grant_seq = i64::try_from(number).unwrap() + 1;
        payers.push((customer, lease(ground, &relay, grant_seq, customer).await));
    }
    let (mut first, mut statements, mut transactions) = (1, 0, 0);
    let mut took = Duration::ZERO;
    // the first transactions fill caches and are not counted
    for round in 0.. {
        let batches = batches(ground, &payers, first);
        let begun = Instant::now();
        let settled = ground.settler.settle(&relay, &batches, START).await.unwrap();
        if round >= 2 {
            took += begun.elapsed();
            statements += settled.counts.statements;
            transactions += 1;
        }
        first = settled.next_seq;
        if took >= MEASURED {
            break;
        }
    }
    (transactions * u64::try_from(MAX_RECORDS).unwrap(), transactions, statements, took)
}

async fn lease(ground: &Ground, relay: &Life, grant_seq: i64, customer: Customer) -> Granted {
    match ground.ask(relay, grant_seq, customer.wallet, 1_000_000_000, 1_000_000_000).await {
        Some(Answer::Granted(granted)) => granted,
        other => panic!("{other:?}"),
    }
}

/// As many records as fit in one transaction, in batches as relays send them.
fn batches(ground: &Ground, payers: &[(Customer, Granted)], first_seq: i64) -> Vec<Batch> {
    let per_batch = 500;
    let record = |seq: i64| -> Record {
        let (customer, granted) = payers[usize::try_from(seq).unwrap() % payers.len()];
        let charges: Vec<LeaseCharge> = vec![pays(granted, 3_750)];
        ground.request(&format!("{seq:032x}"), customer, charges)
    };
    (0..i64::try_from(MAX_RECORDS).unwrap() / per_batch)
        .map(|number| {
            let first = first_seq + number * per_batch;
            batch(first, (first..first + per_batch).map(record).collect(), false)
        })
        .collect()
}
