//! The control machine: sites, nodes, cells, buckets, floor plan versions.
//! Promise: one version of the truth about placement and plan, changed by compare-and-set.
//! Not here: deciding work (`cell`).

pub mod buckets;
pub mod check;
pub mod command;
mod decide;
pub mod home;
pub mod placement;
pub mod reply;
pub mod requests;
pub mod state;
pub mod suggest;

pub use buckets::{BUCKETS, Bucket, BucketMap};
pub use check::{PathStep, PlanFault, PlanPath, PlanProblem, check};
pub use command::{ControlCommand, ControlEntry};
pub use reply::{ControlApplied, ControlDone, ControlEvent, ControlRefusal};
pub use state::{Control, ControlParts};

#[cfg(test)]
mod check_test;
#[cfg(test)]
mod home_test;
#[cfg(test)]
mod state_test;
