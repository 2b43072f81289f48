//! The processes of a run: the simulator, and what stands between it and the callers.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde::Serialize;
use sluice_testkit::client::{Caller, send};
use sluice_testkit::process::{Launch, Process, binary};
use sluice_testkit::simulator::Stats;

use super::cost::Watched;
use super::install::Install;
use super::nginx::Nginx;
use crate::fleet::PROVIDER_KEY;

/// How long the simulator may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long answers may take to end after their callers have what they wanted.
const QUIET_LIMIT: Duration = Duration::from_secs(10);

/// A way from the callers to the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Nothing in between.
    Direct,
    /// nginx.
    Nginx,
    /// The relay's HTTP server and client, and nothing of what it is there for.
    Bare,
    /// A relay of a control plane.
    Full,
}

impl Way {
    /// All, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Nginx, Self::Bare, Self::Full];

    /// Its heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Bare => "bare",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A server that callers may ask.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) way: Way,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    /// What stands in between; none for the direct way.
    pub(crate) process: Option<Watched>,
}

/// Everything that runs. Dropping it ends it.
pub(crate) struct Stage {
    pub(crate) targets: Vec<Target>,
    pub(crate) simulator: Provider,
    pub(crate) install: Option<Install>,
    nginx: Option<Nginx>,
    bare: Option<Process>,
}

/// The simulator as a process of its own.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) watched: Watched,
    control: Caller,
    _process: Process,
}

impl Stage {
    /// Starts what the chosen ways need.
    pub(crate) async fn set(ways: &[Way], folder: &Path, install: Option<Install>, simulator: Provider) -> Result<Self> {
        let server = simulator.address;
        let mut stage = Self { targets: Vec::new(), simulator, install, nginx: None, bare: None };
        for &way in ways {
            let target = match way {
                Way::Direct => Target { way, address: server, key: PROVIDER_KEY.to_owned(), process: None },
                Way::Nginx => {
                    let nginx = Nginx::start(&folder.join("nginx"), server).await?;
                    let process = Watched::new(nginx.process.pid());
                    let address = nginx.address;
                    stage.nginx = Some(nginx);
                    Target { way, address, key: PROVIDER_KEY.to_owned(), process: Some(process) }
                }
                Way::Bare => {
                    let (process, address) = start_bare(server).await?;
                    let watched = Watched::new(process.pid());
                    stage.bare = Some(process);
                    Target { way, address, key: PROVIDER_KEY.to_owned(), process: Some(watched) }
                }
                Way::Full => stage.install.as_mut().context("the full way needs an installation")?.target()?,
            };
            stage.targets.push(target);
        }
        Ok(stage)
    }

    /// Ends everything else.
    pub(crate) fn leave_only_the_provider(&mut self) {
        self.targets.clear();
        (self.install, self.nginx, self.bare) = (None, None, None);
    }

    /// The target of a way, if the run has it.
    pub(crate) fn target(&self, way: Way) -> Option<&Target> {
        self.targets.iter().find(|target| target.way == way)
    }
}

/// Whether the relay's bare forwarding was built: it is behind a cargo feature.
pub(crate) fn has_bare() -> bool {
    let here = std::env::current_exe().ok();
    here.and_then(|here| here.parent().map(|folder| folder.join("sluice-bare").is_file())).unwrap_or(false)
}

async fn start_bare(server: SocketAddr) -> Result<(Process, SocketAddr)> {
    let launch = Launch::of("sluice-bare").env("TOKIO_WORKER_THREADS", "1");
    let process = launch.args(["--listen", "127.0.0.1:0", "--provider", &format!("http://{server}")]).start();
    let address = address_in(&process.wait_for_line("listening on http://", START_LIMIT).await)?;
    Ok((process, address))
}

fn address_in(line: &str) -> Result<SocketAddr> {
    let (_, address) = line.rsplit_once("http://").context("the line has no address")?;
    address.trim_end_matches('/').parse().with_context(|| format!("no address in: {line}"))
}

impl Provider {
    /// Starts it on a free port. It serves everybody, whatever the key.
    pub(crate) async fn start() -> Result<Self> {
        ensure!(binary("sluice-simulator").is_file(), "the simulator is not built");
        let process = Launch::of("sluice-simulator").args(["--exit-with-parent"]).start();
        let line = process.wait_for_line("listening on http://", START_LIMIT).await;
        let address = address_in(&line)?;
        let control = Caller::new(format!("http://{address}"));
        Ok(Self { address, watched: Watched::new(process.pid()), control, _process: process })
    }

    /// Its sums since the last clearing.
    pub(crate) async fn stats(&self) -> Result<Stats> {
        let answer = send(self.control.request(Method::GET, "/__sim/stats")).await.context("the simulator does not answer")?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Forgets its log and sums.
    pub(crate) async fn clear(&self) -> Result<()> {
        send(self.control.request(Method::DELETE, "/__sim/log")).await.context("the simulator does not answer")?;
        Ok(())
    }

    /// Waits until no answer is on its way, and returns the sums.
    pub(crate) async fn settled(&self) -> Result<Stats> {
        let deadline = tokio::time::Instant::now() + QUIET_LIMIT;
        loop {
            let stats = self.stats().await?;
            if stats.in_flight == 0 || tokio::time::Instant::now() > deadline {
                return Ok(stats);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
