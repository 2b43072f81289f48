//! What a process has used of the machine, as the kernel counts it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel's unit of `utime` and `stime`: `USER_HZ` is 100 on every platform this runs on.
const TICK: Duration = Duration::from_millis(10);

/// A process whose use of the machine is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    folder: PathBuf,
}

/// CPU time of a process up to one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuReading {
    /// Per thread, to the nanosecond; a thread that ended is missing.
    threads: BTreeMap<u64, u64>,
    /// Of all threads, ended ones too, to the tick.
    ticks: u64,
}

impl Watched {
    /// The process of this id.
    pub(crate) fn new(pid: u32) -> Self {
        Self { folder: PathBuf::from(format!("/proc/{pid}")) }
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Result<CpuReading> {
        let mut threads = BTreeMap::new();
        for entry in std::fs::read_dir(self.folder.join("task")).context("the process is gone")? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            let Ok(text) = std::fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let thread = entry.file_name().to_string_lossy().parse()?;
            threads.insert(thread, first_number(&text).unwrap_or(0));
        }
        let stat = std::fs::read_to_string(self.folder.join("stat"))?;
        Ok(CpuReading { threads, ticks: ticks_of(&stat).context("/proc/<pid>/stat is not as proc(5) says")? })
    }

    /// Memory in RAM, in bytes.
    pub(crate) fn rss_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(self.folder.join("status")).context("the process is gone")?;
        let kibibytes = status.lines().find_map(|line| first_number(line.strip_prefix("VmRSS:")?));
        Ok(kibibytes.context("/proc/<pid>/status has no VmRSS")? * 1024)
    }
}

impl CpuReading {
    /// CPU time used since an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let of_thread = |(thread, nanos): (&u64, &u64)| nanos.saturating_sub(earlier.threads.get(thread).copied().unwrap_or(0));
        let fine = Duration::from_nanos(self.threads.iter().map(of_thread).sum());
        let ticks = u32::try_from(self.ticks.saturating_sub(earlier.ticks)).unwrap_or(u32::MAX);
        let coarse = TICK * ticks;
        // Beyond what rounding explains, threads have ended, and only the coarse figure has their time.
        if coarse > fine + 2 * TICK { coarse } else { fine }
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// `utime + stime`: the 14th and 15th field. The second is the name in brackets, which may hold anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(threads: &[(u64, u64)], ticks: u64) -> CpuReading {
        CpuReading { threads: threads.iter().copied().collect(), ticks }
    }

    #[test]
    fn ticks_are_found_behind_a_name_that_looks_like_fields() {
        let stat = "77 (a) b 1 2) S 1 77 77 0 -1 4194304 99 0 0 0 250 31 0 0 20 0 1 0 455895 3133440 382";
        assert_eq!(ticks_of(stat), Some(281));
        assert_eq!(ticks_of("nothing"), None);
    }

    #[test]
    fn a_thread_that_started_meanwhile_counts_from_zero() {
        let earlier = reading(&[(1, 5_000_000)], 0);
        let later = reading(&[(1, 7_000_000), (2, 1_000_000)], 0);
        assert_eq!(later.since(&earlier), Duration::from_millis(3));
    }

    #[test]
    fn time_of_ended_threads_is_not_lost() {
        let earlier = reading(&[(1, 0), (2, 0)], 10);
        let later = reading(&[(1, 1_000_000)], 60);
        assert_eq!(later.since(&earlier), Duration::from_millis(500));
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let here = Watched::new(std::process::id());
        let before = here.cpu().unwrap();
        let mut sum = 0_u64;
        loop {
            sum = sum.wrapping_add(std::hint::black_box(1));
            if !here.cpu().unwrap().since(&before).is_zero() {
                break;
            }
        }
        assert!(sum > 0);
        assert!(here.rss_bytes().unwrap() > 1 << 20);
    }
}
