//! `sluice-control`: the control plane as a process of its own.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_control_plane::leases::begin_history;
use sluice_control_plane::start::{ControlPlane, Host, StartError, Time};
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_telemetry::listen::{self, ListenSettings};
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::process::{EXIT_USAGE, Failure, Program};
use sluice_telemetry::tasks::Tasks;
use sluice_telemetry::{build, clock, health, logs, panics, ports, settings, signals};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

const PROGRAM: Program = Program { name: "sluice-control" };
/// How long tasks may take to end after the last request.
const LAST_MOMENTS: Duration = Duration::from_secs(5);
/// How long load balancers get to notice that the process leaves.
const LEAVE_NOTICE: Duration = Duration::from_secs(5);
/// How often a relay's connection is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The control plane of Sluice: users, tokens, channels, prices, the ledger and the console.
#[derive(Debug, Parser)]
#[command(name = "sluice-control", disable_version_flag = true, args_conflicts_with_subcommands = false)]
struct Cli {
    /// Prints the version.
    #[arg(long, short = 'V')]
    version: bool,
    #[command(flatten)]
    process: ProcessOptions,
    #[command(flatten)]
    control: ControlOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Runs the control plane; what happens without a subcommand.
    Serve,
    /// Brings the database to this build's schema, or shows what that takes.
    Migrate {
        /// Prints the statements for one engine and changes nothing.
        #[arg(long, value_name = "ENGINE")]
        plan: Option<Engine>,
    },
    /// Looks after the database.
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Asks the control plane on this machine whether it is ready; for probes.
    Healthcheck,
    /// Looks at settings.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum DatabaseCommand {
    /// Says that the database was restored from a backup; run it before the control plane is started again. Every lease is void, and what
    /// relays used since the backup is charged when they report it again.
    Restored,
}

#[derive(Debug, Clone, Subcommand)]
enum ConfigCommand {
    /// Prints every setting with where it came from, secrets masked, and whatever is wrong with them.
    Check,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engine {
    Sqlite,
    Mysql,
    Postgres,
}

fn main() -> ExitCode {
    let (cli, matches) = match PROGRAM.parse::<Cli>(&command_line(), std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if cli.version {
        PROGRAM.say(&format!("sluice-control {}", build::version_line()));
        return ExitCode::SUCCESS;
    }
    if let Some(Command::Migrate { plan: Some(engine) }) = cli.command {
        return print_plan(engine);
    }
    let is_check = matches!(cli.command, Some(Command::Config(ConfigCommand::Check)));
    if is_check {
        for setting in settings::list(&command_line(), &matches) {
            PROGRAM.say(&setting.to_string());
        }
    }
    let settings = match Settings::read(&cli.process, &cli.control) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems.0 {
                PROGRAM.complain(&format!("{} {}", problem.setting, problem.rule));
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if is_check {
        return ExitCode::SUCCESS;
    }
    run(settings, &cli.command.unwrap_or(Command::Serve))
}

/// The command line; settings may stand before and after a subcommand.
fn command_line() -> clap::Command {
    settings::anywhere(Cli::command())
}

fn print_plan(engine: Engine) -> ExitCode {
    let engine = match engine {
        Engine::Sqlite => sea_orm::DatabaseBackend::Sqlite,
        Engine::Mysql => sea_orm::DatabaseBackend::MySql,
        Engine::Postgres => sea_orm::DatabaseBackend::Postgres,
    };
    for (name, statements) in sluice_migrations::plan(engine) {
        PROGRAM.say(&format!("-- {name}"));
        for statement in statements {
            PROGRAM.say(&format!("{statement};"));
        }
    }
    ExitCode::SUCCESS
}

fn run(settings: Settings, command: &Command) -> ExitCode {
    // fails only when there is a provider already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let log = settings.log.clone();
    PROGRAM.run(&log, async |logs| match command {
        Command::Serve => serve(settings, logs).await.map_err(|error| failure(&error)),
        Command::Migrate { .. } => migrate(settings).await.map_err(|error| failure(&error)),
        Command::Database(DatabaseCommand::Restored) => restored(settings).await.map_err(|error| failure(&error)),
        Command::Healthcheck => Ok(PROGRAM.healthcheck(settings.ops, "/readyz").await),
        // answered before anything was started
        Command::Config(ConfigCommand::Check) => Ok(ExitCode::SUCCESS),
    })
}

fn failure(error: &anyhow::Error) -> Failure {
    let status = error.downcast_ref::<StartError>().map_or(1, StartError::exit_code);
    let status = if error.is::<ports::CannotListen>() { EXIT_USAGE } else { status };
    Failure { told: format!("{error:#}"), status }
}

fn host(step: Option<clock::Step>) -> Host {
    let clock = Clock::new(move || Now { wall: UnixMillis(clock::wall_millis_with(step)), boot_millis: clock::boot_millis() });
    Host { clock, time: Time::OfTheDatabase, registry: Registry::new(), tasks: Tasks::new() }
}

async fn migrate(settings: Settings) -> anyhow::Result<ExitCode> {
    let host = host(settings.wall_step);
    let plane = ControlPlane::build(settings, host).await?;
    plane.close(LAST_MOMENTS).await;
    PROGRAM.say("the database has this build's schema");
    Ok(ExitCode::SUCCESS)
}

async fn restored(settings: Settings) -> anyhow::Result<ExitCode> {
    let host = host(settings.wall_step);
    let plane = ControlPlane::build(settings, host).await?;
    let begun = begin_history(&plane.app().db, None, plane.app().clock.wall()).await.context("cannot begin another history")?;
    plane.close(LAST_MOMENTS).await;
    if let Some(begun) = begun {
        PROGRAM.say(&format!(
            "another history of the database begins; {} leases with {} quota units went back to their accounts",
            begun.leases, begun.quota
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: Settings, logs: &logs::Logs) -> anyhow::Result<ExitCode> {
    let host = host(settings.wall_step);
    logs.observe(&host.registry);
    panics::install(&host.registry);
    for notice in &settings.notices {
        info!("{notice}");
    }
    let mut signals = signals::Signals::listen().context("cannot listen to signals")?;
    let (addresses, drain_timeout) = ((settings.http, settings.grpc, settings.ops), settings.drain_timeout);
    // before the database is touched: whoever cannot serve must not migrate either
    let http = ports::bind(addresses.0, "PORT").await?;
    let grpc = ports::bind(addresses.1, "SLUICE_GRPC_PORT").await?;
    let ops = ports::bind(addresses.2, "SLUICE_OPS_PORT").await?;
    let plane = ControlPlane::build(settings, host.clone()).await?;
    plane.start();
    info!(
        "sluice-control {}: console and API on {}, relays on {}, probes on {}",
        build::version_line(),
        addresses.0,
        addresses.1,
        addresses.2
    );
    if let Some(path) = plane.setup_path() {
        info!("set up Sluice here, once: http://localhost:{}{path}", addresses.0.port());
    }
    let (tasks, ops_end) = (host.tasks, CancellationToken::new());
    tasks.spawn("metrics upkeep", host.registry.upkeep(tasks.drain()));
    tasks.spawn("operations port", health::serve(ops, plane.ops_router(), ops_end.clone().cancelled_owned()));
    tasks.spawn_essential("relay port", serve_relays(grpc, plane.relay_routes(), tasks.drain().closing()));
    let people = listen::routed(plane.router());
    let public_port = listen::serve(http, people, ListenSettings::default(), tasks.clone(), tasks.drain().closing());
    let serving = tasks.spawn("public port", public_port);

    let drain = tasks.drain();
    tokio::select! {
        name = signals.next() => {
            info!("{name}: leaving, then finishing what is in flight");
            tokio::select! {
                () = drain.leave_then_close(LEAVE_NOTICE) => {}
                _ = signals.next() => drain.close(),
            }
        }
        () = drain.closing() => {}
    }
    if tokio::time::timeout(drain_timeout, serving).await.is_err() {
        warn!("requests were still in flight after {} s", drain_timeout.as_secs());
    }
    ops_end.cancel();
    tasks.shutdown(LAST_MOMENTS).await;
    plane.close(LAST_MOMENTS).await;
    Ok(tasks.lost().map_or(ExitCode::SUCCESS, |task| {
        error!("ended because {task} was lost");
        ExitCode::FAILURE
    }))
}

async fn serve_relays(
    listener: TcpListener,
    routes: tonic::service::Routes,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<(), tonic::transport::Error> {
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), end)
        .await
}
