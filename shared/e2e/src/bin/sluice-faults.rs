//! Breaks an installation in every way the protocol lists and shows what came of it. `make faults` runs it; `docs/RELIABILITY.md`
//! explains the figures.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table on standard output is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use sluice_e2e::faults::figure::{RowReport, Standing, table};
use sluice_e2e::faults::{Options, ROWS, Row, Stage, Totals, play, write};
use sluice_testkit::database::Engine;

/// Requests a second unless another rate is asked for: what two cores serve beside the databases and this program.
const RATE: u32 = if cfg!(debug_assertions) { 60 } else { 300 };

/// Starts three relays, two control planes, a database and Redis, loads them, and breaks them row by row.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Seconds that the load of a row lasts.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=3_600))]
    seconds: u64,
    /// Rows to play, by number or name: 1,3,kills. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<String>,
    /// Databases: postgres, mysql, sqlite. Default: all three, SQLite as the single process.
    #[arg(long, value_delimiter = ',', value_name = "ENGINES", value_parser = engine)]
    engine: Vec<Engine>,
    /// Requests a second.
    #[arg(long, default_value_t = RATE, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Kills of the row that only kills.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// The folder for `faults.md` and `faults.json`. Default: `faults` beside the folder of this program.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the matrix cannot be played: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(flags: &Flags) -> Result<bool> {
    for name in &flags.only {
        ensure!(ROWS.iter().any(|row| row.name == name), "there is no row {name}");
    }
    let folder = if let Some(folder) = &flags.output {
        folder.clone()
    } else {
        let program = std::env::current_exe()?;
        program.ancestors().nth(2).context("this program lies in no build folder")?.join("faults")
    };
    let all = [Engine::Postgres, Engine::Mysql, Engine::Sqlite];
    let engines = if flags.engine.is_empty() { all.as_slice() } else { &flags.engine };
    let (mut reports, mut totals) = (Vec::new(), Totals::default());
    for engine in engines {
        let lasting = Duration::from_secs(flags.seconds);
        let stage = Stage::set(Options { engine: *engine, lasting, rate: flags.rate, kills: flags.kills, patience: 1 })?;
        let stage = Arc::new(stage);
        let rows: Vec<&Row> =
            stage.rows().filter(|row| flags.only.is_empty() || flags.only.iter().any(|name| name == row.name)).collect();
        let (about, most) = stage.durations(&rows);
        eprintln!(
            "{engine}: {} rows, {} requests/s, {} s of load each; about {} min, at most {} min",
            rows.len(),
            flags.rate,
            flags.seconds,
            about.as_secs().div_ceil(60),
            most.as_secs().div_ceil(60),
        );
        for row in rows {
            let report = play(&stage, row);
            tell(&report);
            reports.push(report);
            write(&folder, &reports)?;
        }
        totals = totals.plus(stage.totals());
    }
    println!("{}", table(&reports));
    println!(
        "\nThe money over all rows: {} audits of {} accounts, {} answers compared with the provider's log × price: {} differences.",
        totals.audits, totals.accounts, totals.compared, totals.wrong
    );
    let count = |standing| reports.iter().filter(|report| report.standing() == standing).count();
    let (passed, failed, absent) = (count(Standing::Pass), count(Standing::Fail), count(Standing::NotApplicable));
    println!("{passed} rows passed, {failed} failed, {absent} do not apply. Written to {}", folder.display());
    Ok(failed == 0 && totals.wrong == 0)
}

fn tell(report: &RowReport) {
    eprintln!("{} {} on {}, {:.0} s: {}", report.standing().word(), report.row, report.engine, report.lasted_secs, report.fault);
    for figure in &report.figures {
        eprintln!("     {} · {} · {} {}", figure.what, figure.expected, figure.measured, figure.standing.word());
    }
}

fn engine(word: &str) -> Result<Engine, String> {
    match word {
        "sqlite" => Ok(Engine::Sqlite),
        "postgres" => Ok(Engine::Postgres),
        "mysql" => Ok(Engine::Mysql),
        _ => Err("sqlite, postgres or mysql".to_owned()),
    }
}
