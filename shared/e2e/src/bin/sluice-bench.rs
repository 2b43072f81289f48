//! Measures what the relay costs, beside nginx and beside nothing. `make bench` runs it; `docs/PERFORMANCE.md` explains the figures.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table on standard output is what it is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use sluice_e2e::bench::{Options, Part, Report, Way, run};
use sluice_testkit::database::Engine;
use sluice_testkit::services::{Addresses, Service, Services};
use tempfile::TempDir;

/// Starts the simulator, nginx, the relay bare and whole, and asks all of them the same questions.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Fewer and shorter slices: about one minute instead of six.
    #[arg(long)]
    quick: bool,
    /// The ways to measure.
    #[arg(long, value_delimiter = ',', default_values_t = Way::ALL)]
    ways: Vec<Way>,
    /// The parts to run. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// The database of the control plane whose relay is measured: sqlite, postgres or mysql.
    #[arg(long, default_value = "sqlite", value_parser = engine)]
    engine: Engine,
    /// The databases whose settlement is measured. Default: all three; in a quick run the one of --engine. Servers are those at
    /// SLUICE_TEST_POSTGRES_URL and SLUICE_TEST_MYSQL_URL, or throw-away ones are started.
    #[arg(long, value_delimiter = ',', value_name = "ENGINES", value_parser = engine)]
    settlement: Vec<Engine>,
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
    let settlement = match (flags.settlement.is_empty(), flags.quick) {
        (false, _) => flags.settlement,
        (true, true) => vec![flags.engine],
        (true, false) => vec![Engine::Sqlite, Engine::Postgres, Engine::Mysql],
    };
    let servers = Servers::of(settlement.iter().copied().chain([flags.engine]))?;
    let options = Options {
        settlement,
        ways: flags.ways,
        parts: flags.only,
        engine: flags.engine,
        addresses: servers.addresses.clone(),
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

/// The database servers of a run: those of the environment, and throw-away ones for the rest.
struct Servers {
    addresses: Addresses,
    _started: Option<(Services, TempDir)>,
}

impl Servers {
    fn of(engines: impl Iterator<Item = Engine>) -> Result<Self> {
        let mut addresses = Addresses::from_env();
        let mut missing = Vec::new();
        for engine in engines {
            let service = match engine {
                Engine::Postgres if addresses.postgres.is_none() => Service::Postgres,
                Engine::Mysql if addresses.mysql.is_none() => Service::Mariadb,
                _ => continue,
            };
            if !missing.contains(&service) {
                missing.push(service);
            }
        }
        if missing.is_empty() {
            return Ok(Self { addresses, _started: None });
        }
        let folder = tempfile::tempdir()?;
        let services = Services::up_durable(&folder.path().join("databases"), &missing);
        addresses.postgres = addresses.postgres.or_else(|| services.addresses.postgres.clone());
        addresses.mysql = addresses.mysql.or_else(|| services.addresses.mysql.clone());
        Ok(Self { addresses, _started: Some((services, folder)) })
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

fn default_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).context("this program lies in no build folder")?.join("bench"))
}
