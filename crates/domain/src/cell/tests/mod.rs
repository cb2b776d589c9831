//! Tests of the cell machine, one file for each part of the domain's rules.
//! Promise: each test is named as the claim that it shows; no clock, no randomness.
//! Not here: replication and streams.

mod copies;
mod fired;
mod hands;
mod overtakes;
mod plans;
pub(crate) mod support;

mod agent_test;
mod archive_test;
mod bounds_test;
mod capacity_test;
mod conversation_test;
mod counters_test;
mod dedup_test;
mod defect_test;
mod explain_test;
mod homes_test;
mod leader_test;
mod lease_test;
mod matching_test;
mod next_status_test;
mod offer_test;
mod pause_test;
mod plan_test;
mod property_test;
mod snapshot_test;
mod staff_test;
mod timers_test;
mod transfer_test;
mod version_test;
