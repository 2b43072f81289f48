//! Starts that are refused, and starts that are not: bad settings, bad surroundings and damaged files, on the real binaries.
//!
//! Here is what both tables need; `startup/settings.rs` holds what is wrong in itself, `startup/surroundings.rs` what only turns out on
//! the machine, `startup/damage.rs` the files a relay starts with all the same.

mod damage;
mod settings;
mod surroundings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sluice_testkit::ports;
use sluice_testkit::process::binary;
use tokio::process::Command;

/// The exit code for what a person has to change.
const USAGE: i32 = 64;
/// How long a process may take to refuse, on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);
/// Stands in every bad value, as a secret would. It must not come back in any output.
const CANARY: &str = "hunter2";

/// A start to try.
#[derive(Debug, Clone)]
struct Start {
    program: &'static str,
    words: Vec<&'static str>,
    settings: BTreeMap<String, String>,
}

/// How it ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Start {
    /// With ports of its own and its data in `folder`.
    fn of(program: &'static str, folder: &Path) -> Self {
        let mut start = Self { program, words: Vec::new(), settings: BTreeMap::new() }
            .with("PORT", ports::free().to_string())
            .with("SLUICE_OPS_PORT", ports::free().to_string())
            .with("SLUICE_DATA_DIR", folder.display().to_string());
        if program == "sluice-control" {
            start = start.with("SLUICE_GRPC_PORT", ports::free().to_string());
        }
        if program == "sluice-relay" {
            start = start.with("SLUICE_CONTROL_URL", format!("http://127.0.0.1:{}", ports::free()));
        }
        start
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    fn words(mut self, words: &[&'static str]) -> Self {
        self.words = words.to_vec();
        self
    }

    async fn end(&self) -> Ended {
        let mut command = Command::new(binary(self.program));
        command.args(&self.words).env_clear().envs(&self.settings).kill_on_drop(true);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{self:?} did not end")).expect("a child can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
        Ended { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
    }

    /// Starts it and expects a refusal: exit code 64, one line that names the setting, nothing secret, nothing that looks like a bug.
    /// Returns the line.
    async fn refused_for(&self, setting: &str) -> String {
        let ended = self.end().await;
        let told = format!("{self:?}: {ended:?}");
        assert_eq!(ended.code, Some(USAGE), "{told}");
        let lines: Vec<&str> = ended.errors.lines().collect();
        assert_eq!(lines.len(), 1, "{told}");
        let line = lines[0].strip_prefix(&format!("{}: ", self.program)).unwrap_or_else(|| panic!("{told}"));
        let named = line.split([' ', ':']).next().unwrap_or_default();
        assert_eq!(named, setting, "{told}");
        for log in ended.output.lines() {
            let log: serde_json::Value = serde_json::from_str(log).unwrap_or_else(|_| panic!("no log line: {told}"));
            assert_ne!(log["level"], "ERROR", "told twice: {told}");
        }
        for word in [CANARY, "panicked", "backtrace", "Error {"] {
            assert!(!ended.errors.contains(word) && !ended.output.contains(word), "{word} in {told}");
        }
        line.to_owned()
    }
}

/// Every file below a folder with its bytes; `None` for a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            found.extend(contents(&path));
            found.insert(path, None);
        } else {
            let bytes = std::fs::read(&path).expect("a file can be read");
            found.insert(path, Some(bytes));
        }
    }
    found
}

fn assert_unchanged(folder: &Path, before: &BTreeMap<PathBuf, Option<Vec<u8>>>, why: &str) {
    let after = contents(folder);
    let names = |all: &BTreeMap<PathBuf, Option<Vec<u8>>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(before), "{why}");
    let changed: Vec<&PathBuf> =
        after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)).map(|(path, _)| path).collect();
    assert!(changed.is_empty(), "{why}: {changed:?} changed");
}
