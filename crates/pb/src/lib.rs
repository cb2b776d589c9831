//! Messages generated from `proto/`.
//! Promise: the types are exactly the schema; the descriptor bytes are those that were compiled.
//! Not here: services (`rpc`), meaning (`domain`), conversion (`wire`, `api`).
#![allow(
    missing_docs,
    reason = "generated from schemas that carry the comments"
)]
#![allow(clippy::all, reason = "generated code")]

/// The encoded `FileDescriptorSet` of every schema, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/antiphon.bin"));

/// The public API.
pub mod api {
    /// Version 1 of the public API.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/antiphon.api.v1.rs"));
    }
}

/// What nodes say to each other.
pub mod raft {
    /// Version 1 of the peer protocol.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/antiphon.raft.v1.rs"));
    }
}

/// What is stored: log entries and snapshots.
pub mod store {
    /// Version 1 of the stored form.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/antiphon.store.v1.rs"));
    }
}
