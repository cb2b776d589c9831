//! One machine under proof, entry by entry.

use std::sync::Arc;

use bytes::Bytes;
use domain::cell::Cell;
use domain::cell::checkpoint::{Digest, Mark};
use domain::cell::command::{Command, Entry, LeaderStarted};
use domain::cell::version::CHAIN_SINCE;
use domain::ids::{CellId, CellTime, LogIndex};
use store::{Chain, Record};
use wire::cell::Applier;

use super::prover::{Prover, TAG_COMMAND};
use super::rules;

const LOG: Chain = Chain([7; 16]);

fn entry(at: u64, command: Command) -> Entry {
    Entry {
        at: CellTime(at),
        wall_ms: at,
        command,
    }
}

fn record(index: u64, command: Command) -> Record {
    let encoded = wire::cell::encode_entry(&entry(index, command));
    let mut payload = vec![TAG_COMMAND];
    prost::encoding::encode_varint(encoded.len() as u64, &mut payload);
    payload.extend(encoded);
    Record {
        term: 1,
        leader_node: 1,
        index,
        payload: Bytes::from(payload),
    }
}

/// A snapshot that ends with entry 1, and what its machine had there.
fn snapshot() -> (Cell, Digest) {
    let mut cell = Cell::new(CellId(1));
    let raise = entry(1, Command::RaiseVersion(CHAIN_SINCE));
    Applier::default().apply(&mut cell, LogIndex(1), &raise);
    let machine = cell.state().meta().chain;
    (cell, machine)
}

fn word(machine: Digest) -> Record {
    let mark = Mark {
        index: LogIndex(1),
        log: Digest(LOG.0),
        machine,
    };
    record(2, Command::Checkpoint(mark))
}

#[test]
fn a_word_about_the_entry_that_a_snapshot_ends_with_is_compared_with_the_snapshot() {
    let (cell, machine) = snapshot();
    let mut prover = Prover::cell(
        CellId(1),
        Some((cell.clone(), 1, Some(LOG))),
        Arc::default(),
    );
    prover.take(&word(machine), LOG).unwrap();
    assert_eq!(prover.tally.checkpoints, 1);
    let mut prover = Prover::cell(CellId(1), Some((cell, 1, Some(LOG))), Arc::default());
    let breach = prover.take(&word(Digest([9; 16])), LOG).unwrap_err();
    assert_eq!(breach.index, 2);
    assert_eq!(breach.rule, rules::MACHINE_CHAIN);
}

#[test]
fn a_word_about_what_this_replay_does_not_know_counts_as_no_proof() {
    let (cell, _) = snapshot();
    let mut prover = Prover::cell(CellId(1), Some((cell, 1, None)), Arc::default());
    prover.take(&word(Digest([9; 16])), LOG).unwrap();
    assert_eq!(prover.tally.checkpoints, 0);
}

#[test]
fn a_term_that_does_not_begin_with_its_leaders_start_is_found() {
    let of_term = |index, term, command| Record {
        term,
        ..record(index, command)
    };
    let start = |wall_ms| {
        Command::LeaderStarted(LeaderStarted {
            wall_ms,
            without_leader_ms: 0,
            after_restart_of_all: false,
        })
    };
    let mut prover = Prover::cell(CellId(1), None, Arc::default());
    prover.take(&of_term(0, 1, start(1)), LOG).unwrap();
    prover
        .take(&of_term(1, 1, Command::MatchMore), LOG)
        .unwrap();
    prover.take(&of_term(2, 2, start(2)), LOG).unwrap();
    prover
        .take(&of_term(3, 2, Command::MatchMore), LOG)
        .unwrap();
    let breach = prover.take(&of_term(4, 3, Command::MatchMore), LOG);
    assert_eq!(breach.unwrap_err().rule, rules::BARRIER);
}
