//! Resident memory of this process.
//! Promise: 0 where the system does not say.
//! Not here: limits of memory.

/// Bytes of a page where Linux says nothing else; every supported machine has it.
const PAGE_BYTES: u64 = 4_096;

/// Resident memory in MiB.
pub(super) fn mib() -> u32 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    u32::try_from(pages * PAGE_BYTES / (1024 * 1024)).unwrap_or(u32::MAX)
}
