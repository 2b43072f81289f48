//! The machine a run was on, and how busy it was.

use std::io;

use rustix::process::{Pid, setpriority_process};
use serde::Serialize;

/// The scheduler's last choice.
const LEAST_PRIORITY: i32 = 19;

/// What a figure depends on besides the code.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Cores this process may use.
    pub(crate) cores: usize,
    /// The processor's name.
    pub(crate) processor: String,
    /// The kernel.
    pub(crate) kernel: String,
    /// Processes that ran or waited in the last minute before the start, on average.
    pub(crate) load_before: f64,
}

impl Machine {
    /// Looks at it.
    pub(crate) fn look() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: load_average(),
        }
    }
}

/// Processes that ran or waited in the last minute, on average.
pub(crate) fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|figure| figure.parse().ok()).unwrap_or(0.0)
}

/// CPU time of the whole machine since it started, in ticks: all of it, and the part that was idle.
pub(crate) fn cpu_ticks() -> (u64, u64) {
    let stat = read("/proc/stat");
    let fields: Vec<u64> =
        stat.lines().next().into_iter().flat_map(str::split_whitespace).filter_map(|field| field.parse().ok()).take(8).collect();
    (fields.iter().sum(), fields.iter().skip(3).take(2).sum())
}

/// Lets a process give way to all others: its threads run when nobody else wants the core.
pub(crate) fn give_way(pid: u32) -> io::Result<()> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let id = thread?.file_name().to_str().and_then(|id| Pid::from_raw(id.parse().ok()?));
        setpriority_process(id, LEAST_PRIORITY)?;
    }
    Ok(())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
