//! The business of a contact center as pure state machines.
//! Promise: no async, clock, randomness, IO, hash-map iteration or floats; the same log gives
//! the same state and the same replies on every replica.
//! Not here: stored forms (`wire`), agreement (`raft`), streams (`conversation`).

pub mod ids;
pub mod plan;

pub mod cell;
pub mod control;
