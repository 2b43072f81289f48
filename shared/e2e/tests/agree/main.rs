//! The reference ledger and the SQL store agree (ruling R18): the same random operations on both, compared after each, on every engine.
//!
//! What the simulation proves, it proves of the reference ledger. This test is what makes that a statement about the product.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod operations;
mod store;

use sluice_e2e::sim::chance::Dice;
use sluice_testkit::database::engines;

use self::operations::Pair;

const STEPS: usize = 90;

#[tokio::test]
async fn the_reference_ledger_and_the_sql_store_agree_after_every_operation() {
    for engine in engines() {
        for seed in 0..3 {
            let mut pair = Pair::on(engine, seed).await;
            let mut dice = Dice::new(seed, 7);
            for step in 0..STEPS {
                let what = pair.step(&mut dice).await;
                pair.compare(&format!("{engine}, seed {seed}, step {step}: {what}")).await;
            }
            assert!(pair.settled() > 10, "{engine}, seed {seed}: only {} requests were settled", pair.settled());
        }
    }
}
