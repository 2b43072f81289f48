//! The provider simulator as a program: for `sluice --demo`, benches, and trying things by hand.
#![expect(clippy::print_stdout, reason = "its address on standard output is how others find it")]

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluice_testkit::simulator::{Simulator, SimulatorConfig};

/// Speaks as OpenAI, Anthropic and Google do without being a model; misbehaves on request. See the documentation of `sluice_testkit::simulator`.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A provider key to accept; may be repeated. Without any, no key is asked for.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// A model to serve beside the public ones and `sim-…`; may be repeated.
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// A file to which each request and its answer is appended as a line of JSON.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Milliseconds between the events of a stream, unless a request says otherwise.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pace_ms: u64,
    /// Threads that serve.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// End when standard input ends, so that a parent that dies takes the simulator with it.
    #[arg(long)]
    exit_with_parent: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    raise_file_limit();
    let exit_with_parent = flags.exit_with_parent;
    let config = SimulatorConfig {
        listen: flags.listen,
        keys: flags.keys,
        models: flags.models,
        log_file: flags.log,
        pace_ms: flags.pace_ms,
        threads: flags.threads,
        ..SimulatorConfig::default()
    };
    let simulator = match Simulator::try_start(config) {
        Ok(simulator) => simulator,
        Err(error) => {
            println!("the simulator cannot start on {}: {error}", flags.listen);
            return ExitCode::from(64);
        }
    };
    println!("simulator listening on {}", simulator.base_url());
    if exit_with_parent {
        wait_for_end_of_input();
        simulator.stop();
    } else {
        simulator.run_to_end();
    }
    ExitCode::SUCCESS
}

/// A connection is a file: 5,000 slow streams do not fit the usual soft limit.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

fn wait_for_end_of_input() {
    let mut buffer = [0; 1024];
    while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
}
