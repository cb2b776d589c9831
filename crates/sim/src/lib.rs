//! The production cluster in one thread, from one seed.
//! Promise: what runs is `node::run` and the SDK, over the seams of `runtime::Env` and `client::Seams` alone; the same
//! seed gives the same run in every process of one build.
//! Not here: faults of real machines (`chaos`).

pub mod cluster;
pub mod faults;
pub mod invariants;
pub mod judge;
pub mod load;
pub mod params;
pub mod run;
pub mod shrink;
pub mod trace;
pub mod world;
