//! Real binaries, started, watched and killed.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

/// Lines of output kept per process; older ones are forgotten.
pub const MAX_LINES: usize = 10_000;
/// Longer lines are cut, in bytes.
pub const MAX_LINE_BYTES: u64 = 16 << 10;

/// Where `cargo` put the binary of this name: beside the running test.
///
/// Panics when it is not there. `cargo test -p` of one crate does not build another crate's binaries.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    let folder = test.ancestors().nth(1).expect("a binary lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder") } else { folder };
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not there: build it with `cargo build --workspace --bins`", path.display());
    path
}

/// A command to start.
pub struct Launch {
    command: Command,
    name: String,
}

impl Launch {
    /// The workspace's binary of this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::program(&binary(name))
    }

    /// Any program. Of the test's own environment it sees only `PATH`, `HOME`, `TMPDIR`, `LANG` and `RUST_BACKTRACE`.
    #[must_use]
    pub fn program(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(path);
        // Settings reach a process under test only from its test.
        for (variable, _) in std::env::vars_os() {
            if !["PATH", "HOME", "TMPDIR", "LANG", "RUST_BACKTRACE"].iter().any(|kept| variable == *kept) {
                command.env_remove(variable);
            }
        }
        Self { command, name }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it. Panics when it cannot be started.
    #[must_use]
    pub fn start(mut self) -> Process {
        let piped = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        let output = Arc::new(Output::default());
        output.read_from(child.stdout.take().expect("standard output is piped"));
        output.read_from(child.stderr.take().expect("standard error is piped"));
        Process { stdin: child.stdin.take(), child, name: self.name, output }
    }
}

/// A running process. Dropping it kills it.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    name: String,
    output: Arc<Output>,
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last [`MAX_LINES`] lines it wrote, standard output and error together.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.output.kept.lock().lines.iter().cloned().collect()
    }

    /// Waits for a line that contains a text, looking also at those already there, and returns it.
    /// Panics with the output when the process ends before, or after `limit`.
    pub async fn wait_for_line(&self, text: &str, limit: Duration) -> String {
        let mut change = self.output.change.subscribe();
        let found = async {
            loop {
                change.borrow_and_update();
                // Read in this order: what was written before the end is there when the end is seen.
                let ended = self.output.has_ended();
                if let Some(line) = self.output.find(text) {
                    return Some(line);
                }
                if ended || change.changed().await.is_err() {
                    return None;
                }
            }
        };
        let found = tokio::time::timeout(limit, found).await;
        let missing = if found.is_ok() { "ended without" } else { "ran out of time without" };
        found
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("{} {missing} a line with {text:?}:\n{}", self.name, self.lines().join("\n")))
    }

    /// Waits for its end. Panics with the output after `limit`.
    pub async fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(limit, ended).await.ok();
        ended.unwrap_or_else(|| panic!("{} did not end within {limit:?}:\n{}", self.name, self.lines().join("\n")))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill_9(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end (SIGTERM) and returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // A child that was not waited for keeps its id, so the signal cannot reach a stranger.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        rustix::process::kill_process(pid, signal).ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
    }
}

struct Output {
    kept: Mutex<Kept>,
    change: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<String>,
    open_pipes: usize,
}

impl Default for Output {
    fn default() -> Self {
        Self { kept: Mutex::default(), change: watch::Sender::new(0) }
    }
}

impl Output {
    fn read_from(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        self.kept.lock().open_pipes += 1;
        let output = Arc::clone(self);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            while let Some(line) = read_line(&mut reader) {
                output.push(line);
            }
            output.kept.lock().open_pipes -= 1;
            output.change.send_modify(|count| *count += 1);
        });
    }

    fn push(&self, line: String) {
        let mut kept = self.kept.lock();
        if kept.lines.len() == MAX_LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
        drop(kept);
        self.change.send_modify(|count| *count += 1);
    }

    fn find(&self, text: &str) -> Option<String> {
        self.kept.lock().lines.iter().find(|line| line.contains(text)).cloned()
    }

    fn has_ended(&self) -> bool {
        self.kept.lock().open_pipes == 0
    }
}

/// One line, or the next [`MAX_LINE_BYTES`] of an endless one.
fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    (read > 0).then(|| text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        Launch::program(Path::new("/bin/sh")).args(["-c", script]).env("GREETING", "hello").start()
    }

    #[tokio::test]
    async fn lines_of_both_outputs_are_seen_with_the_given_environment() {
        let process = shell("echo $GREETING out; echo err >&2; exec sleep 60");
        assert_eq!(process.wait_for_line("out", SOON).await, "hello out");
        assert_eq!(process.wait_for_line("err", SOON).await, "err");
    }

    #[tokio::test]
    #[should_panic(expected = "ended without a line")]
    async fn a_process_that_ends_without_the_line_fails_the_test_at_once() {
        shell("echo something else").wait_for_line("never", SOON).await;
    }

    #[tokio::test]
    async fn terminate_asks_and_kill_9_does_not() {
        let mut polite = shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
        polite.wait_for_line("ready", SOON).await;
        polite.terminate();
        assert_eq!(polite.wait_exit(SOON).await.code(), Some(3));
        polite.wait_for_line("bye", SOON).await;

        let mut stubborn = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
        stubborn.wait_for_line("ready", SOON).await;
        stubborn.terminate();
        assert!(stubborn.is_running());
        stubborn.kill_9();
        assert!(!stubborn.is_running());
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone() {
        let process = shell("echo ready; exec sleep 60");
        process.wait_for_line("ready", SOON).await;
        let folder = PathBuf::from(format!("/proc/{}", process.pid()));
        drop(process);
        assert!(!folder.exists());
    }
}
