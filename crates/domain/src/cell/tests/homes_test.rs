//! A cell that knows its buckets opens nothing for a customer of another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::support::*;
use crate::cell::command::*;
use crate::cell::homes::{BucketSet, HeldBuckets};
use crate::cell::refusal::Refusal;
use crate::control::buckets::Bucket;
use crate::ids::*;

/// The buckets of these customers of the account `web`, of the region `fra`.
fn buckets_of(customers: &[&str]) -> Command {
    let mut set = BucketSet::default();
    for name in customers {
        let customer = CustomerKey::new(name).unwrap();
        let web = AccountId::new("web").unwrap();
        set.add(Bucket::of(&plan().tenant, &web, &customer));
    }
    Command::HoldBuckets(Arc::new(HeldBuckets {
        regions: BTreeMap::from([(site("fra"), set)]),
        others: false,
    }))
}

fn elsewhere(floor: &mut Floor, customer: &str) -> bool {
    let open = floor.open_command(customer);
    let refused = floor.ask(Command::Open(open));
    matches!(refused, Err(Refusal::BucketElsewhere { retry_after_ms }) if retry_after_ms > 0)
}

#[test]
fn an_open_for_a_bucket_of_another_cell_is_refused_with_a_retry_hint() {
    let mut floor = Floor::new();
    floor.apply(Command::RaiseVersion(MachineVersion(2)));
    floor.apply(buckets_of(&["zoe"]));
    floor.open("zoe");
    assert!(elsewhere(&mut floor, "yan"));
    floor.apply(buckets_of(&["yan"]));
    floor.open("yan");
    let again = floor.open_command("zoe");
    assert!(floor.opened(again).existing, "what it held it still holds");
}

#[test]
fn a_cell_that_was_told_nothing_holds_everybody() {
    let mut floor = Floor::new();
    assert!(!elsewhere(&mut floor, "zoe"));
}

#[test]
fn buckets_that_the_cell_holds_already_change_nothing() {
    let mut floor = Floor::new();
    floor.apply(Command::RaiseVersion(MachineVersion(2)));
    floor.apply(buckets_of(&["zoe", "yan"]));
    let before = floor.state().meta().buckets.clone();
    assert!(floor.apply(buckets_of(&["zoe"])).events.is_empty());
    assert_eq!(floor.state().meta().buckets, before);
}
