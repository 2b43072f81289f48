//! `sluice`: both halves in one process, on one port. The same code as the fleet, over an in-memory transport.

mod demo;
mod ports;
#[cfg(test)]
mod reference;
mod role;
mod welcome;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_control_plane::start::{ControlPlane, Host, StartError, Time};
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_relay_node::Relay;
use sluice_relay_node::app::Surroundings;
use sluice_relay_node::chance::Chance;
use sluice_relay_node::config::{RequestOptions, RequestSettings, Settings as RelaySettings, VOCABULARIES_ARE_INSIDE};
use sluice_relay_node::link::ControlEndpoint;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::ports as sockets;
use sluice_telemetry::process::{EXIT_USAGE, Failure, Program};
use sluice_telemetry::tasks::Tasks;
use sluice_telemetry::{build, clock, health, listen, logs, panics, settings as told, signals};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

const PROGRAM: Program = Program { name: "sluice" };
/// How long tasks may take to end after everything is settled.
const LAST_MOMENTS: Duration = Duration::from_secs(5);
/// Connections between the halves waiting to be accepted.
const CONNECTIONS_WAITING: usize = 8;

/// One key, one URL, every model: the whole of Sluice in one process.
#[derive(Debug, Parser)]
#[command(name = "sluice", disable_version_flag = true)]
struct Cli {
    /// Prints the version.
    #[arg(long, short = 'V')]
    version: bool,
    /// Adds a demo channel with the model `demo`, served by the provider simulator beside this program
    #[arg(long)]
    demo: bool,
    /// What this process is: master is both halves; slave is a relay node of another control plane, which needs SLUICE_CONTROL_URL
    /// and takes the settings of sluice-relay. Default master
    #[arg(long, env = "NODE_TYPE", value_name = "master|slave", help_heading = "Process")]
    node_type: Option<String>,
    #[command(flatten)]
    process: ProcessOptions,
    #[command(flatten)]
    control: ControlOptions,
    #[command(flatten)]
    requests: RequestOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum Command {
    /// Runs Sluice; what happens without a subcommand.
    Serve,
    /// Asks the Sluice on this machine whether it is ready; for probes.
    Healthcheck,
    /// Looks at settings.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum ConfigCommand {
    /// Prints every setting with where it came from, secrets masked, and whatever is wrong with them.
    Check,
}

fn main() -> ExitCode {
    if let Some(arguments) = role::arguments_of_a_relay(std::env::args_os().skip(1), std::env::var_os(role::SETTING).as_deref()) {
        return role::relay(arguments);
    }
    let (cli, matches) = match PROGRAM.parse::<Cli>(&command_line(), std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if cli.version {
        PROGRAM.say(&format!("sluice {}", build::version_line()));
        return ExitCode::SUCCESS;
    }
    let is_check = cli.command == Some(Command::Config(ConfigCommand::Check));
    if is_check {
        for setting in told::list(&command_line(), &matches) {
            PROGRAM.say(&setting.to_string());
        }
    }
    match read(&cli) {
        Ok(_) if is_check => ExitCode::SUCCESS,
        Ok((settings, requests)) => run(settings, requests, cli.demo, cli.command.unwrap_or(Command::Serve)),
        Err(lines) => {
            for line in lines {
                PROGRAM.complain(&line);
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The command line; settings may stand before and after a subcommand.
fn command_line() -> clap::Command {
    told::anywhere(Cli::command())
}

/// The settings of both halves, or everything that is wrong with them.
fn read(cli: &Cli) -> Result<(Settings, RequestSettings), Vec<String>> {
    let (control, requests) = (Settings::read_for_one_process(&cli.process, &cli.control), cli.requests.read());
    let role = role::problem(cli.node_type.as_deref());
    match (control, requests) {
        (Ok(mut control), Ok(requests)) if role.is_none() => {
            if cli.requests.names_vocabularies() {
                control.notices.push(VOCABULARIES_ARE_INSIDE.to_owned());
            }
            Ok((control, requests))
        }
        (control, requests) => {
            let control = control.err().into_iter().flat_map(|problems| problems.0);
            let mut lines: Vec<String> = control.map(|problem| format!("{} {}", problem.setting, problem.rule)).collect();
            lines.extend(requests.err().into_iter().flat_map(|problems| problems.lines().to_vec()));
            lines.extend(role);
            Err(lines)
        }
    }
}

fn run(mut settings: Settings, requests: RequestSettings, demo: bool, command: Command) -> ExitCode {
    // fails only when there is a provider already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    settings.log.file_prefix = PROGRAM.name;
    let log = settings.log.clone();
    PROGRAM.run(&log, async |logs| match command {
        Command::Serve => Box::pin(serve(settings, requests, demo, logs)).await.map_err(|error| failure(&error)),
        Command::Healthcheck => Ok(PROGRAM.healthcheck(settings.http, "/api/status").await),
        // answered before anything was started
        Command::Config(ConfigCommand::Check) => Ok(ExitCode::SUCCESS),
    })
}

fn failure(error: &anyhow::Error) -> Failure {
    let control = error.downcast_ref::<StartError>().map(StartError::exit_code);
    let is_relay_setting =
        error.downcast_ref::<sluice_relay_node::StartError>().is_some_and(sluice_relay_node::StartError::is_setting);
    let is_setting = is_relay_setting || error.is::<sockets::CannotListen>();
    Failure { told: format!("{error:#}"), status: control.unwrap_or(if is_setting { EXIT_USAGE } else { 1 }) }
}

async fn serve(settings: Settings, requests: RequestSettings, demo: bool, logs: &logs::Logs) -> anyhow::Result<ExitCode> {
    let step = settings.wall_step;
    let clock = Clock::new(move || Now { wall: UnixMillis(clock::wall_millis_with(step)), boot_millis: clock::boot_millis() });
    let (registry, control_tasks, relay_tasks) = (Registry::new(), Tasks::new(), Tasks::new());
    logs.observe(&registry);
    panics::install(&registry);
    for notice in &settings.notices {
        info!("{notice}");
    }
    let mut signals = signals::Signals::listen().context("cannot listen to signals")?;
    let (address, ops_address) = (settings.http, SocketAddr::from((Ipv4Addr::LOCALHOST, settings.ops.port())));
    let (database, drain_timeout) = (settings.database.place(), settings.drain_timeout);
    let relay_settings = relay_settings(&settings, requests);

    let host = Host { clock: clock.clone(), time: Time::OfTheDatabase, registry: registry.clone(), tasks: control_tasks.clone() };
    // before the database is touched: whoever cannot serve must not migrate either
    let public = sockets::bind(address, "PORT").await?;
    let ops = sockets::bind(ops_address, "SLUICE_OPS_PORT").await?;
    Relay::try_folder(&relay_settings)?;
    let plane = ControlPlane::build(settings, host).await?;
    let (dial, accept) = tokio::sync::mpsc::channel(CONNECTIONS_WAITING);
    let around = Surroundings { clock, chance: Chance::from_entropy(), registry: registry.clone(), tasks: relay_tasks.clone() };
    let relay = Relay::build(relay_settings, ControlEndpoint::InMemory(dial), around).await?;

    plane.start();
    control_tasks
        .spawn_essential("relay transport", ports::serve_in_process(accept, plane.in_process_routes(), control_tasks.drain()));
    relay.start();
    let ops_end = CancellationToken::new();
    control_tasks.spawn("metrics upkeep", registry.upkeep(control_tasks.drain()));
    control_tasks.spawn("operations port", health::serve(ops, relay.ops_router(), ops_end.clone().cancelled_owned()));
    let router = ports::by_path(plane.router(), relay.router());
    let limits = listen::ListenSettings::default();
    let public_port = listen::serve(public, listen::routed(router), limits, relay_tasks.clone(), relay_tasks.drain().closing());
    let serving = relay_tasks.spawn("public port", public_port);
    let demo = if demo { Some(demo::start(plane.app()).await?) } else { None };
    welcome::tell(address.port(), plane.setup_path(), &database, demo.is_some());

    let drain = relay_tasks.drain();
    tokio::select! {
        name = signals.next() => {
            info!("{name}: finishing what is in flight");
            drain.close();
        }
        () = drain.closing() => {}
        () = control_tasks.drain().closing() => drain.close(),
    }
    if tokio::time::timeout(drain_timeout, serving).await.is_err() {
        warn!("requests were still in flight after {} s", drain_timeout.as_secs());
    }
    // the control half ends after the relay half has flushed: everything is settled by then
    relay.finish().await;
    relay_tasks.shutdown(LAST_MOMENTS).await;
    ops_end.cancel();
    control_tasks.shutdown(LAST_MOMENTS).await;
    plane.close(LAST_MOMENTS).await;
    Ok(relay_tasks.lost().or_else(|| control_tasks.lost()).map_or(ExitCode::SUCCESS, |task| {
        error!("ended because {task} was lost");
        ExitCode::FAILURE
    }))
}

fn relay_settings(settings: &Settings, requests: RequestSettings) -> RelaySettings {
    RelaySettings {
        listen: settings.http,
        ops_listen: settings.ops,
        control: Vec::new(),
        control_ca: None,
        join_secret: None,
        data_dir: settings.data_dir.join("relay"),
        node_name: None,
        trusted_proxies: settings.trusted_proxies.clone(),
        frontend_base_url: None,
        log_dir: settings.log.log_dir.clone(),
        log_format: settings.log.format,
        log_filter: settings.log.filter.clone(),
        leave_notice: Duration::ZERO,
        drain_timeout: settings.drain_timeout,
        requests,
        redis: settings.redis.clone(),
        terms: settings.terms,
        wall_step: settings.wall_step,
        notices: sluice_relay_node::config::Notices::default(),
    }
}
