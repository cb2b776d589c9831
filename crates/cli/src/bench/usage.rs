//! Usage: processor time and memory of processes, as the kernel counts them.
//! Promise: a process that has ended counts as zero.
//! Not here: whose processes they are (`cluster`).

use std::path::Path;

use runtime::Usage as _;
use runtime::real::ProcessUsage;

/// Processor seconds that a process has used, in user and kernel mode.
pub fn cpu_s(pid: u32) -> f64 {
    ProcessUsage::of(pid).cpu_seconds().unwrap_or(0.0)
}

/// The most memory that a process has had resident, in MiB.
pub fn peak_rss_mib(pid: u32) -> f64 {
    status_mib(pid, "VmHWM:")
}

/// The memory that a process has resident now, in MiB.
pub fn rss_mib(pid: u32) -> f64 {
    status_mib(pid, "VmRSS:")
}

fn status_mib(pid: u32, key: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kib(&text, key).map_or(0.0, |kib| (kib as f64) / 1_024.0)
}

/// Whether files in `dir` reach a disk: a file system in memory would measure nothing.
pub fn is_on_disk(dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else {
        return false;
    };
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    !matches!(file_system(&mounts, &dir), Some("tmpfs" | "ramfs"))
}

fn kib(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn file_system<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let parsed = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = parsed.filter(|(point, _)| dir.starts_with(point));
    above
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_in_kib() {
        assert_eq!(
            kib("VmPeak:\t1 kB\nVmHWM:\t  2048 kB\n", "VmHWM:"),
            Some(2_048)
        );
    }

    #[test]
    fn the_deepest_mount_decides() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/var")), Some("ext4"));
    }

    #[test]
    fn this_process_has_used_memory() {
        let now = rss_mib(std::process::id());
        assert!(now > 1.0 && now <= peak_rss_mib(std::process::id()));
        assert_eq!(cpu_s(0), 0.0);
    }
}
