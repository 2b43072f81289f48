//! One relay node as a process of its own: its command line, from the first argument to the exit status.
//!
//! `sluice-relay` is this and nothing else; `sluice` becomes it with `NODE_TYPE=slave`.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches};
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_telemetry::{build, clock, health, logs, panics, ports, settings, signals};
use tracing::{error, info, warn};

use crate::app::{Relay, StartError, Surroundings};
use crate::chance::Chance;
use crate::config::{Command, ConfigCommand, EXIT_USAGE, Options, Settings, VOCABULARIES_ARE_INSIDE};
use crate::ingress::listen;
use crate::link::ControlEndpoint;

/// How long tasks may take to end after everything is reported.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// Runs a relay node under a program's name, by the arguments after that name. Returns when it has ended.
pub fn main(program: &'static str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line = settings::anywhere(Options::command().name(program));
    let parsed = command_line.clone().try_get_matches_from(std::iter::once(program.into()).chain(arguments));
    let parsed = parsed.and_then(|matches| Ok((Options::from_arg_matches(&matches)?, matches)));
    let (options, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => {
            complain(program, &settings::refusal(&command_line, &error));
            return ExitCode::from(EXIT_USAGE);
        }
        Err(answer) => {
            // nothing is left to tell when standard output is gone
            let _ = answer.print();
            return ExitCode::SUCCESS;
        }
    };
    if options.version {
        say(&format!("{program} {}", build::version_line()));
        return ExitCode::SUCCESS;
    }
    let command = options.command.unwrap_or(Command::Serve);
    let is_check = command == Command::Config(ConfigCommand::Check);
    if is_check {
        for setting in settings::list(&command_line, &matches) {
            say(&setting.to_string());
        }
    }
    match options.read() {
        Ok(_) if is_check => ExitCode::SUCCESS,
        Ok(settings) => run(program, settings, command),
        Err(problems) => {
            for line in problems.lines() {
                complain(program, line);
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn complain(program: &str, line: &str) {
    let _ = writeln!(std::io::stderr(), "{program}: {line}");
}

fn run(program: &'static str, settings: Settings, command: Command) -> ExitCode {
    // fails only when there is a provider already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let log_settings = logs::LogSettings {
        format: settings.log_format,
        filter: settings.log_filter.clone(),
        log_dir: settings.log_dir.clone(),
        file_prefix: program,
    };
    let logs = match logs::init(&log_settings) {
        Ok(logs) => logs,
        Err(error) => {
            complain(program, &error.told());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(Box::pin(async {
        match command {
            Command::Serve => serve(program, settings, &logs).await,
            Command::Healthcheck => Ok(health_of(program, settings.ops_listen).await),
            // answered before anything was started
            Command::Config(ConfigCommand::Check) => Ok(ExitCode::SUCCESS),
        }
    }));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let is_port = error.is::<ports::CannotListen>();
            let is_setting = is_port || error.downcast_ref::<StartError>().is_some_and(StartError::is_setting);
            complain(program, &format!("{error:#}"));
            ExitCode::from(if is_setting { EXIT_USAGE } else { 1 })
        }
    }
}

async fn health_of(program: &str, ops: SocketAddr) -> ExitCode {
    let address = health::asked_at(ops);
    match health::probe(address, "/readyz").await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(program, &format!("cannot ask {address}: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(program: &str, settings: Settings, logs: &logs::Logs) -> anyhow::Result<ExitCode> {
    let registry = Registry::new();
    logs.observe(&registry);
    panics::install(&registry);
    tell(&settings);
    let tasks = Tasks::new();
    let clock = Clock::new(|| Now { wall: UnixMillis(clock::wall_millis()), boot_millis: clock::boot_millis() });
    let surroundings = Surroundings { clock, chance: Chance::from_entropy(), registry: registry.clone(), tasks: tasks.clone() };
    let endpoint = ControlEndpoint::Urls { urls: settings.control.clone(), authority: settings.control_ca.clone() };
    let mut signals = signals::Signals::listen().context("cannot listen to signals")?;
    let ops = ports::bind(settings.ops_listen, "SLUICE_OPS_PORT").await?;
    let public = ports::bind(settings.listen, "PORT").await?;
    let relay = Relay::build(settings.clone(), endpoint, surroundings).await?;
    info!(node.id = %relay.app().node, node.epoch = relay.app().epoch.0, "{program} {} listens on {}", build::version_line(), settings.listen);
    info!("probes and metrics are on {}", settings.ops_listen);
    relay.start();
    tasks.spawn("metrics upkeep", registry.upkeep(tasks.drain()));
    let ops_end = tokio_util::sync::CancellationToken::new();
    tasks.spawn("operations port", health::serve(ops, relay.ops_router(), ops_end.clone().cancelled_owned()));
    let limits = listen::ListenSettings::default();
    let public_port = listen::serve(public, relay.router(), limits, tasks.clone(), tasks.drain().closing());
    let serving = tasks.spawn("public port", public_port);

    let drain = tasks.drain();
    tokio::select! {
        name = signals.next() => {
            info!("{name}: leaving, then finishing what is in flight");
            tokio::select! {
                () = drain.leave_then_close(settings.leave_notice) => {}
                name = signals.next() => {
                    info!("{name} again: closing at once");
                    drain.close();
                }
            }
        }
        () = drain.closing() => {}
    }
    if tokio::time::timeout(settings.drain_timeout, serving).await.is_err() {
        warn!("requests were still in flight after {} s", settings.drain_timeout.as_secs());
    }
    relay.finish().await;
    ops_end.cancel();
    tasks.shutdown(LAST_MOMENTS).await;
    match tasks.lost() {
        Some(task) => {
            error!("ended because {task} was lost");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

fn tell(settings: &Settings) {
    if settings.terms != sluice_billing::lease::Terms::default() {
        warn!("SLUICE_TEST_LEASE_TIME_SCALE: leases live and end faster than usual, for tests only");
    }
    if !settings.notices.ignored.is_empty() {
        warn!("{} ignored: relays never open the database", settings.notices.ignored.join(", "));
    }
    if settings.notices.vocabularies_are_inside {
        info!("{VOCABULARIES_ARE_INSIDE}");
    }
}
