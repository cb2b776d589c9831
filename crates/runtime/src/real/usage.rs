//! What Linux says of a process.
//! Promise: each question reads one small file of `/proc`; of a process that has ended nothing is said.
//! Not here: what is shown of it (`node`).

use std::path::PathBuf;

use crate::Usage;

/// Bytes of a page of memory where Linux says nothing else; every supported machine has it.
const PAGE_BYTES: u64 = 4_096;
/// Ticks of a second in which Linux counts the time of a process, whatever the kernel's own are.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/self/stat` after the name, which ends with the last bracket: user and system time are the
/// 14th and 15th of all, of which two stand before.
const USER_TICKS_AT: usize = 11;

/// One process.
#[derive(Clone, Debug)]
pub struct ProcessUsage {
    dir: PathBuf,
}

impl ProcessUsage {
    /// The process that asks.
    #[must_use]
    pub fn own() -> Self {
        Self {
            dir: PathBuf::from("/proc/self"),
        }
    }

    /// Another one, by its number.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self {
            dir: PathBuf::from(format!("/proc/{pid}")),
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.join(name)).ok()
    }
}

impl Usage for ProcessUsage {
    fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds(&self.read("stat")?)
    }

    fn resident_bytes(&self) -> Option<u64> {
        let pages = self
            .read("statm")?
            .split_whitespace()
            .nth(1)?
            .parse::<u64>()
            .ok()?;
        Some(pages * PAGE_BYTES)
    }

    fn open_files(&self) -> Option<u64> {
        let open = std::fs::read_dir(self.dir.join("fd")).ok()?;
        u64::try_from(open.count()).ok()
    }
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
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 10 0 0 0 120 30 0 0 20 0 9 0 55";
        assert_eq!(cpu_seconds(stat), Some(1.5));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        assert!(ProcessUsage::own().resident_bytes().unwrap() > PAGE_BYTES);
        assert!(ProcessUsage::own().open_files().unwrap() > 0);
    }
}
