//! Prints the manual of series, to be kept in `deploy/metrics.md`.
//! Promise: what it prints is what the test of that file compares it with.
//! Not here: the table (`node::metrics`).

#[allow(clippy::print_stdout, reason = "it prints")]
fn main() {
    print!("{}", node::metrics_manual());
}
