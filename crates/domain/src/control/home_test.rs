//! Claims about the cell in which a customer's conversations are born.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::buckets::{BUCKETS, Bucket, BucketMap};
use super::check_test::small_plan;
use super::home::NoHome;
use super::state::{Cell, ControlParts, StoredPlan};
use crate::ids::{AccountId, CellId, CustomerKey, PlanVersion, SiteId, StaffId};

const ONE: CellId = CellId(1);
const TWO: CellId = CellId(2);

fn fra() -> SiteId {
    SiteId::new("fra").expect("well formed")
}

fn web() -> AccountId {
    AccountId::new("web-de").expect("well formed")
}

fn customer(name: &str) -> CustomerKey {
    CustomerKey::new(name).expect("well formed")
}

fn cell(name: &str) -> Cell {
    Cell {
        name: name.to_owned(),
        home: fra(),
        members: BTreeMap::new(),
        running: true,
    }
}

/// Two cells: the lower half of the buckets of fra is in the first, the upper half in the second.
fn two_cells() -> ControlParts {
    let half = usize::from(BUCKETS / 2);
    let stored = StoredPlan {
        version: PlanVersion(1),
        wall_ms: 0,
        by: StaffId::new("op").expect("well formed"),
        plan: Arc::new(small_plan()),
    };
    ControlParts {
        cells: BTreeMap::from([(ONE, cell("main")), (TWO, cell("fra-c1"))]),
        buckets: BucketMap {
            first: Some(ONE),
            regions: BTreeMap::from([(fra(), [vec![ONE; half], vec![TWO; half]].concat())]),
        },
        plans: vec![Arc::new(stored)],
        ..ControlParts::default()
    }
}

/// A customer of each half.
fn one_of_each() -> (CustomerKey, CustomerKey) {
    let bucket = |name: &CustomerKey| Bucket::of(&small_plan().tenant, &web(), name).number();
    let find = |upper: bool| {
        let mut names = (0..100).map(|n| customer(&format!("c{n}")));
        names
            .find(|name| (bucket(name) >= BUCKETS / 2) == upper)
            .expect("a hundred customers fall on both halves")
    };
    (find(false), find(true))
}

#[test]
fn two_customers_of_one_account_are_born_in_the_cells_of_their_buckets() {
    let parts = two_cells();
    let (lower, upper) = one_of_each();
    assert_eq!(parts.home_of(&web(), &lower), Ok(ONE));
    assert_eq!(parts.home_of(&web(), &upper), Ok(TWO));
}

#[test]
fn what_the_cells_are_told_to_hold_is_what_the_map_says() {
    let parts = two_cells();
    let (one, two) = (parts.buckets.held_by(ONE), parts.buckets.held_by(TWO));
    let holders = |number| {
        let bucket = Bucket::numbered(number).expect("below the bound");
        (one.holds(&fra(), bucket), two.holds(&fra(), bucket))
    };
    let seen: BTreeSet<_> = (0..BUCKETS / 2).map(holders).collect();
    assert_eq!(seen, BTreeSet::from([(true, false)]));
    let seen: BTreeSet<_> = (BUCKETS / 2..BUCKETS).map(holders).collect();
    assert_eq!(seen, BTreeSet::from([(false, true)]));
    let elsewhere = SiteId::new("unheard-of").expect("well formed");
    let any = Bucket::numbered(7).expect("below the bound");
    assert!(one.holds(&elsewhere, any), "the first cell holds the rest");
    assert!(!two.holds(&elsewhere, any));
}

#[test]
fn a_cell_that_this_node_does_not_know_is_nobodys_home_yet() {
    let mut parts = two_cells();
    parts.cells.remove(&TWO);
    let (lower, upper) = one_of_each();
    assert_eq!(parts.home_of(&web(), &lower), Ok(ONE));
    assert_eq!(
        parts.home_of(&web(), &upper),
        Err(NoHome::UnknownCell { cell: TWO })
    );
}

#[test]
fn before_the_first_cell_and_the_first_plan_nobody_is_at_home() {
    let (anybody, _) = one_of_each();
    let forming = Err(NoHome::Forming);
    assert_eq!(ControlParts::default().home_of(&web(), &anybody), forming);
    let mut parts = two_cells();
    parts.buckets = BucketMap::default();
    assert_eq!(parts.home_of(&web(), &anybody), forming);
}

#[test]
fn an_account_that_the_plan_lacks_is_asked_of_the_first_cell_which_says_so() {
    let other = AccountId::new("web-xx").expect("well formed");
    assert_eq!(two_cells().home_of(&other, &customer("ming")), Ok(ONE));
}
