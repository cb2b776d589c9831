//! What the system says of this process.
//! Promise: what the system does not say is left out; names and units are those that every Prometheus
//! client uses.
//! Not here: several nodes in one process share these numbers.

use runtime::measure::{Kind, Series};

use super::page::Page;

/// Bytes of a page of memory where Linux says nothing else; every supported machine has it.
const PAGE_BYTES: u64 = 4_096;
/// Ticks of a second in which Linux counts the time of a process, whatever the kernel's own are.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/self/stat` after the name, which ends with the last bracket: user and system time are the
/// 14th and 15th of all, of which two stand before.
const USER_TICKS_AT: usize = 11;

const CPU: Series = Series {
    name: "process_cpu_seconds_total",
    kind: Kind::Counter,
    help: "User and system time of the process.",
    labels: &[],
};
const RESIDENT: Series = Series {
    name: "process_resident_memory_bytes",
    kind: Kind::Gauge,
    help: "Resident memory of the process.",
    labels: &[],
};
const OPEN_FDS: Series = Series {
    name: "process_open_fds",
    kind: Kind::Gauge,
    help: "Open file descriptors of the process.",
    labels: &[],
};

/// All of them, in the order of the page.
pub(super) const SERIES: &[Series] = &[CPU, RESIDENT, OPEN_FDS];

/// Writes what the system says.
pub(super) fn write(page: &mut Page) {
    if let Some(seconds) = read("stat").as_deref().and_then(cpu_seconds) {
        page.one(&CPU, seconds);
    }
    if let Some(bytes) = resident_bytes() {
        page.one(&RESIDENT, bytes);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.one(&OPEN_FDS, open.count());
    }
}

/// Resident memory in bytes; `None` where the system does not say.
pub(crate) fn resident_bytes() -> Option<u64> {
    let pages = read("statm")?
        .split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()?;
    Some(pages * PAGE_BYTES)
}

fn read(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/{name}")).ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name.split_whitespace().skip(USER_TICKS_AT);
    let user: u64 = ticks.next()?.parse().ok()?;
    let system: u64 = ticks.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_behind_any_name() {
        let stat = "7 (an odd) name) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 4 0 33 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (short) S"), None);
    }
}
