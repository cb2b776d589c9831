//! Usage: processor time and memory of processes, as the kernel counts them.
//! Promise: a process that has ended counts as zero.
//! Not here: whose processes they are (`cluster`).

use std::path::Path;

/// The kernel counts processor time in hundredths of a second on every platform that it has.
const TICKS_PER_S: f64 = 100.0;
/// Fields of `/proc/PID/stat` after the name: utime and stime.
const UTIME_AT: usize = 11;

/// Processor seconds that a process has used, in user and kernel mode.
pub fn cpu_s(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&text).map_or(0.0, |ticks| (ticks as f64) / TICKS_PER_S)
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

fn ticks(stat: &str) -> Option<u64> {
    // The name may hold spaces and brackets: fields are counted from the last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(UTIME_AT);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some(utime + stime)
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
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 10 0 0 0 120 30 0 0 20 0 9 0 55";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks(""), None);
    }

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
