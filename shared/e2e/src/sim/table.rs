//! Runs over many seeds, and the table of mutants.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::{Counts, Failure, Mutant, Property, run};

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Many {
    /// Sums.
    pub counts: Counts,
    /// The failures, by seed.
    pub failures: Vec<(u64, Failure)>,
}

/// Runs seeds on every core.
#[must_use]
pub fn run_many(from: u64, seeds: u64, most_failures: usize) -> Many {
    let (next, many) = (AtomicU64::new(from), Mutex::new(Many::default()));
    each_core(|| {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds || many.lock().failures.len() >= most_failures {
                return;
            }
            match run(seed, None) {
                Ok(counts) => {
                    let mut many = many.lock();
                    many.counts = many.counts.plus(counts);
                }
                Err(failure) => many.lock().failures.push((seed, failure)),
            }
        }
    });
    let mut many = many.into_inner();
    many.failures.sort_by_key(|(seed, _)| *seed);
    many
}

/// Which checker caught a mutant, and at which seed.
#[derive(Debug, Clone)]
pub struct Caught {
    /// The mutant.
    pub mutant: Mutant,
    /// The checker and the first seed; `None`: nobody caught it.
    pub by: Option<(Property, u64)>,
    /// What it said.
    pub what: String,
}

/// Looks for a mutant.
#[must_use]
pub fn hunt(mutant: Mutant, from: u64, seeds: u64) -> Caught {
    for seed in from..from + seeds {
        if let Err(failure) = run(seed, Some(mutant)) {
            return Caught { mutant, by: Some((failure.property, seed)), what: failure.what };
        }
    }
    Caught { mutant, by: None, what: String::new() }
}

/// Looks for all of these, on every core.
#[must_use]
pub fn hunt_all(mutants: &[Mutant], from: u64, seeds: u64) -> Vec<Caught> {
    let (next, caught) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    each_core(|| {
        while let Some(mutant) = mutants.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX)) {
            let found = hunt(*mutant, from, seeds);
            caught.lock().push(found);
        }
    });
    let mut caught = caught.into_inner();
    caught.sort_by_key(|found| found.mutant);
    caught
}

fn each_core(work: impl Fn() + Sync) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(&work);
        }
    });
}
