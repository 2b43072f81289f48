//! `sluice-relay`: one relay node as a process of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_relay_node::app::Surroundings;
use sluice_relay_node::chance::Chance;
use sluice_relay_node::config::{EXIT_USAGE, Options, Settings};
use sluice_relay_node::ingress::listen;
use sluice_relay_node::link::ControlEndpoint;
use sluice_relay_node::{Relay, StartError};
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_telemetry::{build, chain, clock, health, logs, panics, signals};
use tokio::net::TcpListener;
use tracing::{error, info, warn};

/// How long tasks may take to end after everything is reported.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let is_question = !error.use_stderr();
            // nothing is left to tell when standard output is gone
            let _ = error.print();
            return if is_question { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
        }
    };
    if options.version {
        let _ = writeln!(std::io::stdout(), "sluice-relay {}", build::version_line());
        return ExitCode::SUCCESS;
    }
    match options.read() {
        Ok(settings) => run(settings),
        Err(problems) => {
            for line in problems.lines() {
                complain(line);
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "sluice-relay: {line}");
}

fn run(settings: Settings) -> ExitCode {
    // fails only when there is a provider already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let log_settings = logs::LogSettings {
        format: settings.log_format,
        filter: settings.log_filter.clone(),
        log_dir: settings.log_dir.clone(),
        file_prefix: "sluice-relay",
    };
    let logs = match logs::init(&log_settings) {
        Ok(logs) => logs,
        Err(error) => {
            complain(&chain::Chain(&error).to_string());
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
    let outcome = runtime.block_on(Box::pin(serve(settings, &logs)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let is_setting = error.is::<PortTaken>() || error.downcast_ref::<StartError>().is_some_and(StartError::is_setting);
            error!("{error:#}");
            ExitCode::from(if is_setting { EXIT_USAGE } else { 1 })
        }
    }
}

async fn serve(settings: Settings, logs: &logs::Logs) -> anyhow::Result<ExitCode> {
    let registry = Registry::new();
    logs.observe(&registry);
    panics::install(registry.counter("sluice_relay_panics_total", "Panics that were caught."));
    tell(&settings);
    let tasks = Tasks::new();
    let clock = Clock::new(|| Now { wall: UnixMillis(clock::wall_millis()), boot_millis: clock::boot_millis() });
    let surroundings = Surroundings { clock, chance: Chance::from_entropy(), registry: registry.clone(), tasks: tasks.clone() };
    let endpoint = ControlEndpoint::Urls { urls: settings.control.clone(), authority: settings.control_ca.clone() };
    let mut signals = signals::Signals::listen().context("cannot listen to signals")?;
    let ops = bind(settings.ops_listen, "SLUICE_OPS_PORT").await?;
    let public = bind(settings.listen, "PORT").await?;
    let relay = Relay::build(settings.clone(), endpoint, surroundings).await?;
    info!(node.id = %relay.app().node, node.epoch = relay.app().epoch.0, "sluice-relay {} listens on {}", build::version_line(), settings.listen);
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
    if !settings.notices.ignored.is_empty() {
        warn!("{} ignored: relays never open the database", settings.notices.ignored.join(", "));
    }
    if settings.notices.vocabularies_are_inside {
        info!("TIKTOKEN_CACHE_DIR has no effect: vocabularies are inside the binary, nothing is downloaded");
    }
}

/// A port that cannot be listened on: for a person to change.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: cannot listen on {address}")]
struct PortTaken {
    setting: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, PortTaken> {
    TcpListener::bind(address).await.map_err(|source| PortTaken { setting, address, source })
}
