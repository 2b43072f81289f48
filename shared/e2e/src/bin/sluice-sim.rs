//! Runs the simulation: many seeds, one seed again, or the table of mutants.

#![expect(clippy::print_stdout, reason = "a command line tool prints")]

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use sluice_e2e::sim::table::{hunt_all, run_many};
use sluice_e2e::sim::{Failure, Mutant, Plan, run};

/// Simulates a fleet under faults, with virtual time.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs many seeds and stops after a few failures.
    Run {
        /// How many.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Stops after this many failures.
        #[arg(long, default_value_t = 1)]
        failures: usize,
    },
    /// Runs one seed again and prints its plan, and its trace when it fails.
    Replay {
        /// The seed.
        seed: u64,
        /// Lines of the trace.
        #[arg(long, default_value_t = 60)]
        lines: usize,
        /// With this bug.
        #[arg(long)]
        mutant: Option<Mutant>,
    },
    /// Prints which checker catches each seeded bug, and at which seed.
    Mutants {
        /// Seeds to try for each.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// Only these.
        mutants: Vec<Mutant>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { seeds, from, failures } => run_seeds(from, seeds, failures),
        Command::Replay { seed, lines, mutant } => replay(seed, lines, mutant),
        Command::Mutants { seeds, mutants } => {
            let all = Mutant::value_variants();
            catch(if mutants.is_empty() { all } else { &mutants }, seeds)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn run_seeds(from: u64, seeds: u64, failures: usize) -> ExitCode {
    let begun = Instant::now();
    let many = run_many(from, seeds, failures);
    let seconds = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds from {from} in {seconds:.1} s: {:.0} seeds/s", seeds as f64 / seconds);
    println!("{:?}", many.counts);
    for (seed, failure) in &many.failures {
        print(*seed, failure, 30);
    }
    if many.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(seed: u64, lines: usize, mutant: Option<Mutant>) -> ExitCode {
    println!("{:#?}", Plan::of(seed));
    match run(seed, mutant) {
        Ok(counts) => {
            println!("{counts:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            print(seed, &failure, lines);
            ExitCode::FAILURE
        }
    }
}

fn catch(mutants: &[Mutant], seeds: u64) -> ExitCode {
    let caught = hunt_all(mutants, 0, seeds);
    println!("{:<26} {:<24} {:>5}  what it said", "mutant", "caught by", "seed");
    for found in &caught {
        let name = found.mutant.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        match found.by {
            Some((property, seed)) => println!("{name:<26} {:<24} {seed:>5}  {}", property.to_string(), found.what),
            None => println!("{name:<26} NOT CAUGHT in {seeds} seeds"),
        }
    }
    if caught.iter().all(|found| found.by.is_some()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(seed: u64, failure: &Failure, lines: usize) {
    for line in failure.trace.iter().skip(failure.trace.len().saturating_sub(lines)) {
        println!("{line}");
    }
    println!("seed {seed}, {} ms: {}: {}", failure.at, failure.property, failure.what);
    println!("again: sluice-sim replay {seed}");
}
