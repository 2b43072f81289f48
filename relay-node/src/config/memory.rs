//! How much memory this process may use.

use std::fs;

/// Assumed where the system does not say: 1 GiB.
const UNKNOWN_BYTES: usize = 1 << 30;

/// The smaller of the control group's limit and the machine's memory, in bytes.
pub(super) fn limit_bytes() -> usize {
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    group.into_iter().chain(machine).min().unwrap_or(UNKNOWN_BYTES)
}

fn total_of(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read_in_bytes() {
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert_eq!(total_of("MemTotal:       24117504 kB\nMemFree: 1 kB\n"), Some(24_117_504 * 1024));
    }
}
