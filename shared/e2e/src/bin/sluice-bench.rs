//! Measures what the relay costs, beside nginx and beside nothing. `make bench` runs it; `docs/PERFORMANCE.md` explains the figures.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table on standard output is what it is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use sluice_e2e::bench::{Options, Part, Report, Way, run};
use sluice_testkit::database::Engine;
use sluice_testkit::services::Addresses;

/// Starts the simulator, nginx, the relay bare and whole, and asks all of them the same questions.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Fewer and shorter slices: under 40 seconds instead of four minutes.
    #[arg(long)]
    quick: bool,
    /// The ways to measure.
    #[arg(long, value_delimiter = ',', default_values_t = Way::ALL)]
    ways: Vec<Way>,
    /// The parts to run. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// The database of the control plane whose relay is measured: sqlite, postgres or mysql. The servers' addresses come from
    /// `SLUICE_TEST_POSTGRES_URL` and `SLUICE_TEST_MYSQL_URL`.
    #[arg(long, default_value = "sqlite", value_parser = engine)]
    engine: Engine,
    /// Requests a second of the open loop.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Tokens the relay knows.
    #[arg(long, default_value_t = 10_000)]
    tokens: usize,
    /// The folder for `bench.md` and `bench.json`. Default: `bench` beside the folder of this program.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match measure(Flags::parse()) {
        Ok(report) if report.faults.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bench cannot go on: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(flags: Flags) -> Result<Report> {
    sluice_testkit::install_tls_provider();
    let folder = match &flags.output {
        Some(folder) => folder.clone(),
        None => default_folder()?,
    };
    std::fs::create_dir_all(&folder)?;
    let tokens = if flags.quick { flags.tokens.min(200) } else { flags.tokens };
    let options = Options {
        settlement: settlement_engines(&flags),
        ways: flags.ways,
        parts: flags.only,
        engine: flags.engine,
        rate: flags.rate,
        tokens,
        quick: flags.quick,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(options, &mut |what| eprintln!("· {what}")))?;
    write(&folder, &report)?;
    println!("{}", report.markdown);
    eprintln!("written to {}/bench.md and bench.json", folder.display());
    Ok(report)
}

fn write(folder: &Path, report: &Report) -> Result<()> {
    std::fs::write(folder.join("bench.md"), &report.markdown)?;
    std::fs::write(folder.join("bench.json"), serde_json::to_string_pretty(&report.raw)?)?;
    Ok(())
}

/// Every engine there is an address of; a quick run takes the one it was told.
fn settlement_engines(flags: &Flags) -> Vec<Engine> {
    if flags.quick {
        return vec![flags.engine];
    }
    let addresses = Addresses::from_env();
    let servers = [(Engine::Postgres, addresses.postgres), (Engine::Mysql, addresses.mysql)];
    let with_address = servers.into_iter().filter(|(_, address)| address.is_some()).map(|(engine, _)| engine);
    std::iter::once(Engine::Sqlite).chain(with_address).collect()
}

fn engine(word: &str) -> Result<Engine, String> {
    match word {
        "sqlite" => Ok(Engine::Sqlite),
        "postgres" => Ok(Engine::Postgres),
        "mysql" => Ok(Engine::Mysql),
        _ => Err("sqlite, postgres or mysql".to_owned()),
    }
}

fn default_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).context("this program lies in no build folder")?.join("bench"))
}
