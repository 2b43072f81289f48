//! `--demo`: the provider simulator as a process beside this one, and a channel to it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use sluice_control_plane::app::App;
use sluice_control_plane::channels::offer_demo;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long the simulator may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(10);
/// What stands before the address in the simulator's first line.
const LISTENING: &str = "simulator listening on ";

/// The running simulator. It ends with this value, and also when this process ends in any other way: it then reads the end of its
/// standard input.
pub(crate) struct Demo {
    _simulator: Child,
}

/// Starts the simulator and sees to the channel.
pub(crate) async fn start(app: &App) -> anyhow::Result<Demo> {
    let mut path = std::env::current_exe().context("cannot tell where this program is")?;
    path.set_file_name("sluice-simulator");
    if !path.is_file() {
        bail!("--demo needs the program sluice-simulator beside this one: build it with `cargo build --workspace --bins`");
    }
    let mut simulator = Command::new(&path)
        .args(["--listen", "127.0.0.1:0", "--pace-ms", "25", "--exit-with-parent"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start sluice-simulator")?;
    let output = simulator.stdout.take().context("sluice-simulator has no output")?;
    let mut lines = BufReader::new(output).lines();
    let first = tokio::time::timeout(START_LIMIT, lines.next_line())
        .await
        .context("sluice-simulator does not say where it listens")??;
    let address = first.as_deref().and_then(|line| line.split_once(LISTENING)).map(|(_, address)| address.trim());
    let address = address.context("sluice-simulator does not say where it listens")?;
    offer_demo(app, address).await.map_err(|error| anyhow::anyhow!("cannot make the demo channel: {error:?}"))?;
    Ok(Demo { _simulator: simulator })
}
