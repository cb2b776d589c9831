//! Claims about the machine's chain.

use std::sync::Arc;

use domain::cell::Cell;
use domain::cell::checkpoint::Digest;
use domain::cell::command::{Actor, Command, Entry, Open, Send};
use domain::cell::event::Event;
use domain::cell::version::{BUCKETS_SINCE, CHAIN_SINCE};
use domain::ids::{Body, CellId, CellTime, ConversationId, LogIndex, PlanVersion, RequestId};
use domain::plan::VersionedPlan;

use super::chain::Applier;

struct Chained {
    cell: Cell,
    applier: Applier,
    index: u64,
}

impl Chained {
    fn new() -> Self {
        Self {
            cell: Cell::new(CellId(1)),
            applier: Applier::default(),
            index: 0,
        }
    }

    /// A cell with a plan in which the chain goes on.
    fn begun() -> Self {
        let mut chained = Self::new();
        let plan = crate::floor::parse(crate::floor::SAMPLE).expect("the sample has no fault");
        chained.apply(Command::AdoptPlan(VersionedPlan {
            version: PlanVersion(1),
            plan: Arc::new(plan),
        }));
        chained.apply(Command::RaiseVersion(CHAIN_SINCE));
        chained
    }

    fn apply(&mut self, command: Command) -> Vec<Event> {
        self.index += 1;
        let entry = Entry {
            at: CellTime(self.index),
            wall_ms: 1_700_000_000_000,
            command,
        };
        let index = LogIndex(self.index);
        self.applier.apply(&mut self.cell, index, &entry).events
    }

    fn chain(&self) -> Digest {
        self.cell.state().meta().chain
    }
}

fn open(customer: &str) -> Command {
    Command::Open(Open {
        request_id: RequestId::new(customer).expect("well formed"),
        account: "web-cn".parse().expect("well formed"),
        customer: customer.parse().expect("well formed"),
        display_name: String::new(),
        site: "sha".parse().expect("well formed"),
        queue: None,
        language: None,
        topics: Vec::new(),
        boost_ms: 0,
        bot_first: false,
        body: Some(Body::clear("hello")),
        sent_ms: 0,
        instance: None,
        previous: None,
    })
}

fn send(index: u64, text: &str) -> Command {
    Command::Send(Send {
        conversation: ConversationId {
            cell: CellId(1),
            index: LogIndex(index),
        },
        request_id: RequestId::new("r-1").expect("well formed"),
        author: Actor::Customer,
        body: Body::clear(text),
        sent_ms: 0,
        instance: None,
    })
}

#[test]
fn the_chain_begins_with_the_entry_that_brings_its_version_into_force() {
    let mut early = Chained::new();
    early.apply(Command::RaiseVersion(BUCKETS_SINCE));
    early.apply(open("ann"));
    assert_eq!(early.chain(), Digest::default());
    early.apply(Command::RaiseVersion(CHAIN_SINCE));
    assert_ne!(early.chain(), Digest::default());
}

#[test]
fn every_entry_moves_the_chain_refusals_and_idle_ones_too() {
    let mut chained = Chained::begun();
    let mut seen = vec![chained.chain()];
    // A message to nobody is refused, and nothing is due.
    for command in [
        open("ann"),
        send(99, "hi"),
        Command::tick(),
        Command::MatchMore,
    ] {
        chained.apply(command);
        assert!(!seen.contains(&chained.chain()));
        seen.push(chained.chain());
    }
}

#[test]
fn machines_that_did_the_same_agree_and_one_other_byte_parts_them_for_good() {
    let (mut one, mut same, mut other) = (Chained::begun(), Chained::begun(), Chained::begun());
    for (chained, text) in [(&mut one, "hi"), (&mut same, "hi"), (&mut other, "ho")] {
        chained.apply(open("ann"));
        chained.apply(send(3, text));
        for _ in 0..3 {
            chained.apply(Command::tick());
        }
    }
    assert_eq!(one.chain(), same.chain());
    assert_ne!(one.chain(), other.chain());
}

/// Unless the sample plan has changed, a change of these bytes stops replicas of two releases in one cluster: it needs a machine version.
#[test]
fn the_chain_of_a_known_log_is_what_it_was() {
    let mut chained = Chained::begun();
    chained.apply(open("ann"));
    chained.apply(send(3, "hi"));
    chained.apply(send(99, "nobody hears this"));
    assert_eq!(
        chained.chain().to_string(),
        "c0feccab7bfe3acb3270f20264fed780"
    );
}
