//! gRPC clients and servers generated from `proto/`, over the messages of `pb`.
//! Promise: generated code, and how much a stream buffers.
//! Not here: limits, retries and checks (`client`, `api`, `node`).
#![allow(
    missing_docs,
    reason = "generated from schemas that carry the comments"
)]
#![allow(clippy::all, reason = "generated code")]

pub mod codec;

/// Services of the public API.
pub mod api {
    /// Version 1 of the public API.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/antiphon.api.v1.rs"));
    }
}

/// Services between nodes.
pub mod raft {
    /// Version 1 of the peer protocol.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/antiphon.raft.v1.rs"));
    }
}
