//! What the system says of this process.
//! Promise: what the system does not say is left out; names and units are those that every Prometheus
//! client uses.
//! Not here: several nodes in one process share these numbers.

use runtime::Usage;
use runtime::measure::{Kind, Series};

use super::page::Page;

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
pub(super) fn write(page: &mut Page, usage: &dyn Usage) {
    if let Some(seconds) = usage.cpu_seconds() {
        page.one(&CPU, seconds);
    }
    if let Some(bytes) = usage.resident_bytes() {
        page.one(&RESIDENT, bytes);
    }
    if let Some(open) = usage.open_files() {
        page.one(&OPEN_FDS, open);
    }
}
