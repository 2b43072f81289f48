use clap::ValueEnum;

use super::table::{hunt_all, run_many};
use super::*;

#[test]
fn two_hundred_seeds_hold_every_property() {
    let many = run_many(0, 200, 3);
    let told: Vec<String> =
        many.failures.iter().map(|(seed, failure)| format!("seed {seed}: {}: {}", failure.property, failure.what)).collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(many.counts.settled > 1_000, "{:?}", many.counts);
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..5 {
        let (one, two) = (run(seed, None).unwrap(), run(seed, None).unwrap());
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
    }
}

#[test]
fn a_tenth_of_the_mutants_is_caught_quickly() {
    let quick = [
        Mutant::SkipCursorCheck,
        Mutant::AckBeforeCommit,
        Mutant::GrantWithoutDedupe,
        Mutant::ForgetRemainder,
        Mutant::DoubleFinal,
        Mutant::NoIntent,
        Mutant::OrphanChargedTwice,
        Mutant::ApplyDeltaWithGap,
    ];
    for caught in hunt_all(&quick, 0, 200) {
        assert!(caught.by.is_some(), "{:?} is not caught", caught.mutant);
    }
    assert!(Mutant::value_variants().len() >= 25);
}
