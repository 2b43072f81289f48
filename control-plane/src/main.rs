//! `sluice-control`: the control plane as a process of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_control_plane::start::{ControlPlane, Host, StartError};
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_telemetry::{build, clock, health, logs, panics, ports, settings, signals};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// The exit status for bad settings (`EX_USAGE`).
const EXIT_USAGE: u8 = 64;
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
    /// Asks the control plane on this machine whether it is ready; for probes.
    Healthcheck,
    /// Looks at settings.
    #[command(subcommand)]
    Config(ConfigCommand),
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
    let parsed = command_line().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => {
            complain(&settings::refusal(&command_line(), &error));
            return ExitCode::from(EXIT_USAGE);
        }
        Err(answer) => {
            // nothing is left to tell when standard output is gone
            let _ = answer.print();
            return ExitCode::SUCCESS;
        }
    };
    if cli.version {
        say(&format!("sluice-control {}", build::version_line()));
        return ExitCode::SUCCESS;
    }
    if let Some(Command::Migrate { plan: Some(engine) }) = cli.command {
        return print_plan(engine);
    }
    let is_check = matches!(cli.command, Some(Command::Config(ConfigCommand::Check)));
    if is_check {
        tell_settings(&matches);
    }
    let settings = match Settings::read(&cli.process, &cli.control) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems.0 {
                complain(&format!("{} {}", problem.setting, problem.rule));
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

fn tell_settings(matches: &ArgMatches) {
    for setting in settings::list(&command_line(), matches) {
        say(&setting.to_string());
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "sluice-control: {line}");
}

fn print_plan(engine: Engine) -> ExitCode {
    let engine = match engine {
        Engine::Sqlite => sea_orm::DatabaseBackend::Sqlite,
        Engine::Mysql => sea_orm::DatabaseBackend::MySql,
        Engine::Postgres => sea_orm::DatabaseBackend::Postgres,
    };
    for (name, statements) in sluice_migrations::plan(engine) {
        say(&format!("-- {name}"));
        for statement in statements {
            say(&format!("{statement};"));
        }
    }
    ExitCode::SUCCESS
}

fn run(settings: Settings, command: &Command) -> ExitCode {
    // fails only when there is a provider already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let logs = match logs::init(&settings.log) {
        Ok(logs) => logs,
        Err(error) => {
            complain(&error.told());
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
            Command::Serve => serve(settings, &logs).await,
            Command::Migrate { .. } => migrate(settings).await,
            Command::Healthcheck => Ok(health_of(settings.ops).await),
            // answered before anything was started
            Command::Config(ConfigCommand::Check) => Ok(ExitCode::SUCCESS),
        }
    }));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let is_port = error.is::<ports::CannotListen>();
            let code = error.downcast_ref::<StartError>().map_or(1, StartError::exit_code);
            let code = if is_port { EXIT_USAGE } else { code };
            complain(&format!("{error:#}"));
            ExitCode::from(code)
        }
    }
}

fn host() -> Host {
    let clock = Clock::new(|| Now { wall: UnixMillis(clock::wall_millis()), boot_millis: clock::boot_millis() });
    Host { clock, registry: Registry::new(), tasks: Tasks::new() }
}

async fn migrate(settings: Settings) -> anyhow::Result<ExitCode> {
    let plane = ControlPlane::build(settings, host()).await?;
    plane.close(LAST_MOMENTS).await;
    say("the database has this build's schema");
    Ok(ExitCode::SUCCESS)
}

async fn health_of(ops: SocketAddr) -> ExitCode {
    let address = health::asked_at(ops);
    match health::probe(address, "/readyz").await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("cannot ask {address}: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: Settings, logs: &logs::Logs) -> anyhow::Result<ExitCode> {
    let host = host();
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
    let serving = tasks.spawn("public port", serve_people(http, plane.router(), tasks.drain().closing()));

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

async fn serve_people(
    listener: TcpListener,
    router: Router,
    end: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(end).await
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
