//! `antiphon verify`: a proof of what is stored and of what is served.
//! Promise: exit 0 only when every rule held on all that was read; 1 names the first thing that did
//! not, 3 the replicas that could not be asked.
//! Not here: the proof itself (`node`).

mod journal;

use std::path::Path;
use std::time::Duration;

use client::Operator;
use client::api::{self, replica_proof::State};
use node::{GroupProof, VerifyError, verify_directory};
use runtime::real::{SystemClock, Threads};
use runtime::{Env, Random, WallClock};

use crate::args::{Output, VerifyArgs};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{columns, grouped, indented, or_dash, span};
use crate::terminal::Terminal;

/// Pause between two questions about proofs that run.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// A node that makes another proof is waited for so many questions: ten minutes.
const BUSY_ASKS_MAX: u32 = 2_000;
/// The group that the API does not prove.
const CONTROL: &str = "control";
/// Characters of a hash that are shown.
const HASH_CHARS: usize = 12;

/// Proves a data directory on this machine.
pub fn directory(args: &VerifyArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let dir = args.data.as_deref().unwrap_or_else(|| Path::new("."));
    let production = Env::production(Threads::default())?;
    let proving = verify_directory(production.env().disk, dir);
    let proof = production
        .block_on(proving)
        .map_err(|error| unreadable(&error))?;
    let proofs = &proof.groups;
    match args.reach.output {
        Output::Json => outln!(
            "{:#}",
            serde_json::json!({
                "groups": serde_json::Value::from_iter(proofs.iter().map(as_json)),
                "journal": journal::as_json(&proof.journal),
            })
        ),
        Output::Table => {
            out!("{}", directory_rows(proofs, terminal));
            out!(
                "{}",
                journal::rows(&proof.journal, SystemClock.now_ms(), terminal)
            );
        }
    }
    let broken = proofs.iter().find_map(|proof| {
        let breach = proof.breach.as_ref()?;
        let before = breach.before().iter().map(|line| format!("\n    {line}"));
        let before: String = before.collect();
        Some(format!("{}, {breach}{before}", name_of(proof.group)))
    });
    match broken {
        None if proofs.is_empty() => Err(Failure::plain("the log is empty: there is nothing to prove")),
        None => journal::failure(&proof.journal).map_or(Ok(Exit::Ok), Err),
        Some(sentence) => Err(Failure::plain(sentence).with_reason("VERIFY_FAILED").with_next(
            "keep this directory aside; a healthy replica has the cell: antiphon verify --addr HOST:PORT",
        )),
    }
}

fn unreadable(error: &VerifyError) -> Failure {
    let failure = Failure::plain(error.to_string());
    match error {
        VerifyError::InUse { .. } => failure
            .with_exit(Exit::Refused)
            .with_next("antiphon verify --addr HOST:PORT"),
        VerifyError::NotThere { .. } => Failure::usage(failure.sentence),
        VerifyError::Log(_) | VerifyError::Snapshot(_) => failure.with_reason("VERIFY_FAILED"),
        VerifyError::Io(_) => failure,
    }
}

fn name_of(group: u32) -> String {
    match group {
        0 => "control group".to_owned(),
        cell => format!("cell c{cell}"),
    }
}

fn per_second(entries: u64, took_ms: u64) -> u64 {
    entries.saturating_mul(1_000) / took_ms.max(1)
}

fn as_json(proof: &GroupProof) -> serde_json::Value {
    let breach = proof.breach.as_ref().map(|breach| {
        serde_json::json!({
            "index": breach.index,
            "rule": breach.rule,
            "seen": breach.seen,
            "place": breach.place,
            "about": breach.about.as_ref().map(|about| &about.who),
            "before": breach.before(),
        })
    });
    serde_json::json!({
        "group": proof.group,
        "name": name_of(proof.group),
        "fromSnapshot": proof.from_snapshot,
        "first": proof.first,
        "last": proof.last,
        "entries": proof.entries,
        "uncommitted": proof.uncommitted,
        "skipped": proof.skipped,
        "checkpoints": proof.checkpoints,
        "conversations": proof.conversations,
        "messages": proof.messages,
        "firstWallMs": proof.first_wall_ms,
        "lastWallMs": proof.last_wall_ms,
        "logChain": proof.log_chain,
        "machineChain": proof.machine_chain,
        "stateHash": proof.state_hash,
        "tookMs": proof.took_ms,
        "entriesPerSecond": per_second(proof.entries, proof.took_ms),
        "breach": breach,
    })
}

fn directory_rows(proofs: &[GroupProof], terminal: Terminal) -> String {
    let mut table = columns(&[
        "GROUP",
        "ENTRIES>",
        "FROM>",
        "TO>",
        "CONVERSATIONS>",
        "MESSAGES>",
        "SPAN>",
        "CHECKPOINTS>",
        "PER S>",
        "LOG c",
        "MACHINE h",
        "RESULT",
    ]);
    let mut notes = String::new();
    for proof in proofs {
        let result = match &proof.breach {
            None => terminal.good("o holds"),
            Some(breach) => terminal.bad(&format!("x at {}", grouped(breach.index))),
        };
        table.add_row([
            name_of(proof.group),
            grouped(proof.entries),
            grouped(proof.first),
            grouped(proof.last),
            grouped(proof.conversations),
            grouped(proof.messages),
            span(proof.last_wall_ms.saturating_sub(proof.first_wall_ms)),
            grouped(proof.checkpoints),
            grouped(per_second(proof.entries, proof.took_ms)),
            short(&proof.log_chain),
            short(&proof.machine_chain),
            result,
        ]);
        if !proof.skipped.is_empty() {
            let skipped: Vec<String> = proof.skipped.iter().copied().map(grouped).collect();
            let name = name_of(proof.group);
            notes.push_str(&format!(
                "{name}: passed over as operators said: {}\n",
                skipped.join(", ")
            ));
        }
        if proof.uncommitted > 0 {
            let name = name_of(proof.group);
            let count = grouped(proof.uncommitted);
            notes.push_str(&format!(
                "{name}: the last {count} entries are not known to be committed\n"
            ));
        }
    }
    format!("{}{notes}", indented(&table))
}

fn short(hash: &str) -> String {
    or_dash(hash.get(..HASH_CHARS).unwrap_or(hash))
}

/// Has every replica of the cells proven by its own node.
pub async fn run(args: &VerifyArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let operator = reach.client.operator();
    let cells = match &args.cell {
        Some(cell) => vec![cell.clone()],
        None => cells_of(&operator.get_status(api::GetStatusRequest {}).await?),
    };
    let mut proofs = Vec::new();
    for cell in cells {
        let proven = prove(&operator, &cell).await?;
        if reach.output == Output::Table {
            out!("{}", cell_rows(&cell, &proven, terminal));
            eprintln!("{cell}: compared at log index {}", proven.index);
        }
        proofs.push((cell, proven));
    }
    if reach.output == Output::Json {
        match (&args.cell, proofs.first()) {
            (Some(_), Some((_, proven))) => json::print("VerifyCellResponse", proven)?,
            _ => outln!("{:#}", cells_json(&proofs)?),
        }
    }
    all_judged(&proofs)
}

/// The cells that a status names.
fn cells_of(status: &api::GetStatusResponse) -> Vec<String> {
    let cells = status.groups.iter().map(|group| &group.group);
    cells.filter(|name| *name != CONTROL).cloned().collect()
}

/// Asks until no replica's proof runs any more.
async fn prove(operator: &Operator, cell: &str) -> Result<api::VerifyCellResponse, Failure> {
    let mut request = api::VerifyCellRequest {
        cell: cell.to_owned(),
        proof: Random::from_os().uuid(),
        index: 0,
    };
    let mut asks = 0;
    loop {
        let answer = operator.verify_cell(request.clone()).await?;
        request.index = answer.index;
        let waits = answer
            .replicas
            .iter()
            .any(|replica| matches!(replica.state(), State::Running | State::Busy));
        asks += 1;
        if !waits || asks == BUSY_ASKS_MAX {
            return Ok(answer);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The proofs of all cells by their names.
fn cells_json(proofs: &[(String, api::VerifyCellResponse)]) -> Result<serde_json::Value, Failure> {
    let mut cells = serde_json::Map::new();
    for (cell, proven) in proofs {
        cells.insert(cell.clone(), json::of("VerifyCellResponse", proven)?);
    }
    Ok(serde_json::json!({ "cells": cells }))
}

/// What the proofs of all cells say: what does not hold comes before what was not proven.
fn all_judged(proofs: &[(String, api::VerifyCellResponse)]) -> Result<Exit, Failure> {
    if proofs.is_empty() {
        let failure = Failure::plain("no cell is known: nothing was proven");
        return Err(failure
            .with_exit(Exit::Degraded)
            .with_next("antiphon status"));
    }
    let failures = proofs.iter().filter_map(|(cell, proven)| {
        let mut failure = judged(proven).err()?;
        failure.sentence = format!("{cell}: {}", failure.sentence);
        Some(failure)
    });
    let worst = failures.min_by_key(|failure| failure.exit != Exit::Error);
    worst.map_or(Ok(Exit::Ok), Err)
}

fn cell_rows(cell: &str, proven: &api::VerifyCellResponse, terminal: Terminal) -> String {
    let heading = terminal.heading("CELL");
    format!("{heading}  {cell}\n{}", replica_rows(proven, terminal))
}

fn replica_rows(proven: &api::VerifyCellResponse, terminal: Terminal) -> String {
    let mut table = columns(&[
        "NODE",
        "ENTRIES>",
        "CONVERSATIONS>",
        "MESSAGES>",
        "CHECKPOINTS>",
        "PER S>",
        "LOG c",
        "MACHINE h",
        "STATE",
        "RESULT",
    ]);
    let mut problems = String::new();
    for replica in &proven.replicas {
        let result = match replica.state() {
            State::Done => terminal.good("o holds"),
            State::Broken => terminal.bad(&format!("x at {}", grouped(replica.breach_index))),
            State::Failed => terminal.warn("! not proven"),
            State::Unreachable | State::Unspecified => terminal.warn("? no answer"),
            State::Busy | State::Running => terminal.warn("? not done"),
        };
        table.add_row([
            replica.node.clone(),
            grouped(replica.entries),
            grouped(replica.conversations),
            grouped(replica.messages),
            grouped(replica.checkpoints),
            grouped(per_second(replica.entries, replica.took_ms)),
            short(&replica.log_chain),
            short(&replica.machine_chain),
            short(&replica.state_hash),
            result,
        ]);
        if !replica.problem.is_empty() {
            problems.push_str(&format!("{}: {}\n", replica.node, replica.problem));
        }
    }
    format!("{}{problems}", indented(&table))
}

/// What the proofs together say.
fn judged(proven: &api::VerifyCellResponse) -> Result<Exit, Failure> {
    let failed = |sentence: String| Failure::plain(sentence).with_reason("VERIFY_FAILED");
    let broken = proven
        .replicas
        .iter()
        .find(|one| one.state() == State::Broken);
    if let Some(broken) = broken {
        let sentence = format!("the replica on {}: {}", broken.node, broken.problem);
        return Err(failed(sentence).with_next("antiphon cell show"));
    }
    let mut said = proven
        .replicas
        .iter()
        .filter(|one| one.state() == State::Done);
    let first = said.next();
    let key = |one: &api::ReplicaProof| {
        (
            one.log_chain.clone(),
            one.machine_chain.clone(),
            one.state_hash.clone(),
        )
    };
    if let Some(first) = first
        && let Some(other) = said.find(|other| key(other) != key(first))
    {
        let sentence = format!(
            "{} and {} differ at log index {}",
            first.node, other.node, proven.index
        );
        return Err(failed(sentence).with_next("antiphon cell show"));
    }
    let silent: Vec<&str> = proven
        .replicas
        .iter()
        .filter(|one| one.state() != State::Done)
        .map(|one| one.node.as_str())
        .collect();
    if silent.is_empty() && first.is_some() {
        return Ok(Exit::Ok);
    }
    let sentence = format!("not proven: {}", silent.join(", "));
    Err(Failure::plain(sentence)
        .with_exit(Exit::Degraded)
        .with_next("antiphon status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(node: &str, state: State, hash: &str) -> api::ReplicaProof {
        api::ReplicaProof {
            node: node.into(),
            state: state.into(),
            state_hash: hash.into(),
            ..Default::default()
        }
    }

    fn exit(replicas: Vec<api::ReplicaProof>) -> Exit {
        let proven = api::VerifyCellResponse { index: 9, replicas };
        judged(&proven).unwrap_or_else(|failure| failure.exit)
    }

    #[test]
    fn replicas_that_agree_are_proven_and_one_that_differs_or_is_silent_is_not() {
        let done = |node: &str| replica(node, State::Done, "aa");
        assert_eq!(exit(vec![done("a"), done("b"), done("c")]), Exit::Ok);
        let other = replica("c", State::Done, "bb");
        assert_eq!(exit(vec![done("a"), done("b"), other]), Exit::Error);
        let broken = replica("c", State::Broken, "");
        assert_eq!(exit(vec![done("a"), broken]), Exit::Error);
        for state in [State::Unreachable, State::Busy, State::Failed] {
            assert_eq!(
                exit(vec![done("a"), replica("c", state, "")]),
                Exit::Degraded
            );
        }
        assert_eq!(exit(Vec::new()), Exit::Degraded);
    }
    #[test]
    fn every_cell_is_proven_and_what_does_not_hold_comes_first() {
        let group = |name: &str| api::GroupView {
            group: name.into(),
            ..Default::default()
        };
        let status = api::GetStatusResponse {
            groups: vec![group("control"), group("main"), group("west")],
            ..Default::default()
        };
        assert_eq!(cells_of(&status), ["main", "west"]);
        let of = |cell: &str, state| {
            let replicas = vec![replica("a", State::Done, "aa"), replica("b", state, "aa")];
            (
                cell.to_owned(),
                api::VerifyCellResponse { index: 9, replicas },
            )
        };
        let judged = |proofs: &[_]| match all_judged(proofs) {
            Ok(exit) => (exit, String::new()),
            Err(failure) => (failure.exit, failure.sentence),
        };
        let (main, west) = (of("main", State::Done), of("west", State::Done));
        assert_eq!(judged(&[main.clone(), west.clone()]).0, Exit::Ok);
        let silent = of("main", State::Unreachable);
        let (exit, sentence) = judged(&[silent.clone(), west]);
        assert_eq!(
            (exit, &sentence[..]),
            (Exit::Degraded, "main: not proven: b")
        );
        let (exit, sentence) = judged(&[silent, of("west", State::Broken)]);
        assert_eq!(exit, Exit::Error);
        assert!(sentence.starts_with("west: the replica on b"), "{sentence}");
        assert_eq!(judged(&[]).0, Exit::Degraded);
        let json = cells_json(&[main]).unwrap();
        assert_eq!(json["cells"]["main"]["index"], "9");
    }
}
