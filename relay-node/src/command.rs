//! One relay node as a process of its own: its command line, from the first argument to the exit status.
//!
//! `sluice-relay` is this and nothing else; `sluice` becomes it with `NODE_TYPE=slave`.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::CommandFactory;
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::process::{EXIT_USAGE, Failure, Program};
use sluice_telemetry::tasks::Tasks;
use sluice_telemetry::{build, clock, health, listen, logs, panics, ports, settings, signals};
use tracing::{error, info, warn};

use crate::app::{Relay, StartError, Surroundings};
use crate::chance::Chance;
use crate::config::{Command, ConfigCommand, Options, Settings, VOCABULARIES_ARE_INSIDE};
use crate::ingress;
use crate::link::ControlEndpoint;

/// How long tasks may take to end after everything is reported.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// Runs a relay node under a program's name, by the arguments after that name. Returns when it has ended.
pub fn main(name: &'static str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let program = Program { name };
    let command_line = settings::anywhere(Options::command().name(name));
    let (options, matches) = match program.parse::<Options>(&command_line, std::iter::once(name.into()).chain(arguments)) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if options.version {
        program.say(&format!("{name} {}", build::version_line()));
        return ExitCode::SUCCESS;
    }
    let command = options.command.unwrap_or(Command::Serve);
    let is_check = command == Command::Config(ConfigCommand::Check);
    if is_check {
        for setting in settings::list(&command_line, &matches) {
            program.say(&setting.to_string());
        }
    }
    match options.read() {
        Ok(_) if is_check => ExitCode::SUCCESS,
        Ok(settings) => run(program, settings, command),
        Err(problems) => {
            for line in problems.lines() {
                program.complain(line);
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn run(program: Program, settings: Settings, command: Command) -> ExitCode {
    // fails only when there is a provider already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let log = logs::LogSettings {
        format: settings.log_format,
        filter: settings.log_filter.clone(),
        log_dir: settings.log_dir.clone(),
        file_prefix: program.name,
    };
    program.run(&log, async |logs| match command {
        Command::Serve => serve(program.name, settings, logs).await.map_err(|error| failure(&error)),
        Command::Healthcheck => Ok(program.healthcheck(settings.ops_listen, "/readyz").await),
        // answered before anything was started
        Command::Config(ConfigCommand::Check) => Ok(ExitCode::SUCCESS),
    })
}

fn failure(error: &anyhow::Error) -> Failure {
    let is_setting = error.is::<ports::CannotListen>() || error.downcast_ref::<StartError>().is_some_and(StartError::is_setting);
    Failure { told: format!("{error:#}"), status: if is_setting { EXIT_USAGE } else { 1 } }
}

async fn serve(program: &str, settings: Settings, logs: &logs::Logs) -> anyhow::Result<ExitCode> {
    let registry = Registry::new();
    logs.observe(&registry);
    panics::install(&registry);
    tell(&settings);
    let tasks = Tasks::new();
    let step = settings.wall_step;
    let clock = Clock::new(move || Now { wall: UnixMillis(clock::wall_millis_with(step)), boot_millis: clock::boot_millis() });
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
    let (app, limits) = (relay.app().clone(), listen::ListenSettings::default());
    let answer = move |request| ingress::receive(app.clone(), request);
    let public_port = listen::serve(public, answer, limits, tasks.clone(), tasks.drain().closing());
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
