//! The public gRPC API: the edge that takes calls, the owner that answers them, one mapping of errors.
//! Promise: API messages become domain values here and nowhere else; every refusal has a stable reason.
//! Not here: who leads (`node`), consensus (`raft`), storage (`store`), decisions (`domain`).

pub mod check;
pub mod convert;
pub mod edge;
pub mod errors;
pub mod limits;
pub mod metrics;
pub mod owner;
pub mod plan_changes;
pub mod server;

pub use edge::{Edge, EdgeParts, Floor, Homes, LocalFloor, OneCell, Streams};
pub use owner::{CellOwner, Place, archive_query};
pub use server::{Health, RoutesError, routes};
