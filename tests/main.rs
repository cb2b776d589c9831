//! Black-box tests: three real processes of `antiphon` on loopback, asked through the public API alone.
//! Promise: no test waits for time to pass; each waits for a condition, with a deadline that says what
//! the nodes printed; every process is reaped.
//! Not here: rules of the domain (`domain`), faults of one part (its crate).

#[allow(
    dead_code,
    reason = "shared with the benchmark, which uses another part of it"
)]
#[path = "../crates/cli/src/bench/cluster.rs"]
mod cluster;
mod drain;
mod frozen;
mod hands;
mod metrics;
mod offers;
mod operate;
mod refusals;
mod replay;
mod storage;
mod streams;
mod supervisors;
mod support;
