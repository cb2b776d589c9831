//! Passing over an entry that stops every replica of a cell: whether it may be, and who writes it.
//! Promise: an entry that any replica gets past is never passed over, nor one that does not exist. To ask
//! again is answered as the first time.
//! Not here: what a replica does about it (`raft`).

use std::time::Duration;

use domain::cell::version::CHAIN_SINCE;
use domain::control::state::Cell;
use domain::ids::CellId;
use pb::api::v1::{ErrorReason, GroupView, HaltView, Refusal, SkipEntryRequest, SkipEntryResponse};
use pb::raft::v1::{NodeStatusResponse, SkipWordRequest, SkipWordResponse, forward_answer};
use ports::{Cure, Group, ProposeError};
use raft::SkipWord;
use tokio::time::{Instant, sleep};

use crate::cells::LocalCell;
use crate::refuse;
use crate::status::{Gatherer, OwnAccount};

/// Whoever leads the log is looked for so long: some elections of the slowest profile.
const LEADER_WITHIN: Duration = Duration::from_secs(6);
/// Replicas are waited for so long to go on. One that needs longer is named.
const GO_ON_WITHIN: Duration = Duration::from_secs(3);
/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(200);
/// One question to one node.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// Writes into the log that this node's replica leads.
pub(crate) async fn write(
    cell: &LocalCell,
    word: SkipWordRequest,
    wall_ms: u64,
) -> Result<SkipWordResponse, Refusal> {
    let index = word.index;
    if let Some(logged) = cell.group.passed_over(index) {
        return Ok(SkipWordResponse { logged });
    }
    // Judged here as well: between the accounts and this moment another replica may have come to lead,
    // which has applied the entry and answered for it.
    match cell.group.halted().borrow().as_deref() {
        Some(halt) if halt.index == index && halt.cure == Cure::Skip => {}
        None if *cell.group.applied().borrow() < index => return Err(refuse::not_leader(None)),
        _ => {
            return Err(refused(format!(
                "the replica that leads did not stop at entry {index}: nothing is to be passed over"
            )));
        }
    }
    let said = SkipWord {
        index,
        by: word.by,
        reason: word.reason,
        wall_ms,
    };
    match cell.group.skip(said).await {
        Ok(logged) => Ok(SkipWordResponse { logged }),
        Err(ProposeError::NotLeader { leader }) => Err(refuse::not_leader(leader)),
        Err(ProposeError::Busy) => Err(refuse::not_leader(None)),
        Err(ProposeError::Stopped { reason }) => Err(refused(reason)),
        Err(ProposeError::TooLarge { .. } | ProposeError::OutcomeUnknown) => {
            Err(refuse::outcome_unknown())
        }
    }
}

fn refused(message: impl Into<String>) -> Refusal {
    api::errors::refusal(ErrorReason::WrongState, message)
}

/// What a node says of its own replica.
struct Account<'a> {
    node: &'a str,
    view: &'a GroupView,
    halted: Option<&'a HaltView>,
}

/// The accounts of those that hold a replica of the cell.
fn accounts<'a>(cell: &str, all: &'a [NodeStatusResponse]) -> Vec<Account<'a>> {
    let of = |said: &'a NodeStatusResponse| {
        let node = said.node.as_ref()?.node.as_str();
        let view = said.groups.iter().find(|view| view.group == cell)?;
        let own = view.members.iter().find(|member| member.node == node)?;
        Some(Account {
            node,
            view,
            halted: own.halted.as_ref(),
        })
    };
    all.iter().filter_map(of).collect()
}

/// What is to be done for an entry that may be passed over.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    /// The word is to be written.
    Write,
    /// It was, at this index.
    Written(u64),
}

/// Whether an entry may be passed over, or why not.
fn judge(index: u64, voters: usize, said: &[Account<'_>]) -> Result<Judged, String> {
    let words = said.iter().flat_map(|one| &one.view.passed_over);
    if let Some(word) = words.into_iter().find(|word| word.index == index) {
        return Ok(Judged::Written(word.logged));
    }
    let committed = said.iter().map(|one| one.view.committed).max();
    let Some(committed) = committed else {
        return Err("no node that holds a replica of the cell answers".to_owned());
    };
    if index > committed {
        return Err(format!(
            "entry {index} does not exist: the log is committed up to {committed}"
        ));
    }
    let mut stopped = 0;
    for one in said {
        match one.halted {
            None if one.view.applied >= index => return Err(gets_past(index, one)),
            None => {}
            Some(halt) if halt.index == index && halt.skippable => stopped += 1,
            Some(halt) if halt.index == index => {
                return Err(format!(
                    "what stopped the replica on {} is not cured by passing over an entry: {}",
                    one.node, halt.reason
                ));
            }
            // One that must be replaced says nothing about this entry.
            Some(halt) if !halt.skippable => {}
            Some(halt) => {
                return Err(format!(
                    "the replica on {} stopped at entry {}, not at {index}",
                    one.node, halt.index
                ));
            }
        }
    }
    if stopped * 2 > voters {
        return Ok(Judged::Write);
    }
    Err(format!(
        "{stopped} of {voters} replicas are known to have stopped at entry {index}, and a majority must have"
    ))
}

fn gets_past(index: u64, one: &Account<'_>) -> String {
    let covered = match one.view.snapshot >= index {
        true => ", and its snapshot holds the effect of it",
        false => "",
    };
    format!(
        "the replica on {} has applied entry {index}{covered}: nothing is to be passed over. A replica \
         that stopped alone is replaced, not helped",
        one.node
    )
}

/// Judges, writes and waits until the replicas go on.
pub(crate) async fn skip(
    gatherer: &Gatherer,
    request: SkipEntryRequest,
) -> Result<SkipEntryResponse, Refusal> {
    let (id, cell) = find(gatherer, &request.cell)?;
    check_programs(gatherer, &cell)?;
    let all = gatherer.accounts().await;
    let said = accounts(&request.cell, &all);
    let judged = judge(request.index, cell.members.len(), &said).map_err(refused)?;
    let logged = match judged {
        Judged::Written(logged) => logged,
        Judged::Write => {
            let word = SkipWordRequest {
                index: request.index,
                by: request.staff,
                reason: request.reason,
            };
            write_at_leader(gatherer, (id, &request.cell), word).await?
        }
    };
    let (going_on, behind) = wait(gatherer, &request.cell, &cell, logged).await;
    Ok(SkipEntryResponse {
        logged,
        going_on,
        behind,
    })
}

fn find(gatherer: &Gatherer, name: &str) -> Result<(CellId, Cell), Refusal> {
    let control = gatherer.account.control.borrow();
    let mut cells = control.cells.iter();
    let found = cells.find(|(_, cell)| cell.name == name);
    found
        .map(|(id, cell)| (*id, cell.clone()))
        .ok_or_else(|| refuse::field_invalid("cell", format!("there is no cell {name}")))
}

/// A program of an earlier release cannot read such an entry and would stop for good.
fn check_programs(gatherer: &Gatherer, cell: &Cell) -> Result<(), Refusal> {
    let control = gatherer.account.control.borrow();
    let old = cell.members.values().find_map(|member| {
        let node = control.nodes.get(member)?;
        (node.machine < CHAIN_SINCE).then(|| node.name.to_string())
    });
    match old {
        None => Ok(()),
        Some(node) => Err(refused(format!(
            "the program on {node} is too old to pass over an entry: upgrade it first"
        ))),
    }
}

/// Finds whoever leads the log, though no replica serves, and has it write.
async fn write_at_leader(
    gatherer: &Gatherer,
    (id, name): (CellId, &str),
    word: SkipWordRequest,
) -> Result<u64, Refusal> {
    let until = Instant::now() + LEADER_WITHIN;
    loop {
        let answer = match leader(gatherer, name).await {
            Some(node) => write_at(gatherer, node, id, word.clone()).await,
            None => Err(refuse::not_leader(None)),
        };
        match answer {
            Err(refusal)
                if refusal.reason() == ErrorReason::NotLeader && Instant::now() + AGAIN < until => {
            }
            answer => return answer,
        }
        sleep(AGAIN).await;
    }
}

/// The node that the newest term names.
async fn leader(gatherer: &Gatherer, name: &str) -> Option<u64> {
    let all = gatherer.accounts().await;
    let said = accounts(name, &all);
    let named = said.iter().filter(|one| !one.view.leader.is_empty());
    let newest = named.max_by_key(|one| one.view.term)?;
    let control = gatherer.account.control.borrow();
    let mut nodes = control.living_nodes();
    let found = nodes.find(|(_, node)| node.name.as_str() == newest.view.leader);
    found.map(|(id, _)| id.0)
}

async fn write_at(
    gatherer: &Gatherer,
    node: u64,
    cell: CellId,
    word: SkipWordRequest,
) -> Result<u64, Refusal> {
    if node == gatherer.account.node {
        let written = gatherer.account.skip(cell.0, word).await?;
        return Ok(written.logged);
    }
    let doors = &gatherer.doors;
    match doors.skip_word(node, cell.0, word, ASK_WAIT).await? {
        forward_answer::Response::SkipWord(written) => Ok(written.logged),
        _ => Err(refuse::internal("a node answered something else")),
    }
}

/// Waits until the replicas have gone on behind the word; those that have, and those that have not.
async fn wait(
    gatherer: &Gatherer,
    name: &str,
    cell: &Cell,
    logged: u64,
) -> (Vec<String>, Vec<String>) {
    let until = Instant::now() + GO_ON_WITHIN;
    loop {
        let all = gatherer.accounts().await;
        let on = accounts(name, &all);
        let on = on
            .iter()
            .filter(|one| one.halted.is_none() && one.view.applied >= logged);
        let going_on: Vec<String> = on.map(|one| one.node.to_owned()).collect();
        if going_on.len() == cell.members.len() || Instant::now() >= until {
            let control = gatherer.account.control.borrow();
            let names = cell.members.values().map(|member| {
                let node = control.nodes.get(member);
                node.map_or_else(
                    || format!("node {}", member.0),
                    |node| node.name.to_string(),
                )
            });
            let behind = names.filter(|name| !going_on.contains(name)).collect();
            return (going_on, behind);
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use pb::api::v1::{MemberView, PassedOver};

    use super::*;

    /// A replica that has applied so far, and where it stopped, if it did.
    fn replica(applied: u64, halted: Option<(u64, bool)>) -> GroupView {
        GroupView {
            committed: 100,
            applied,
            members: vec![MemberView {
                halted: halted.map(|(index, skippable)| HaltView {
                    index,
                    skippable,
                    reason: "it broke".to_owned(),
                }),
                ..MemberView::default()
            }],
            ..GroupView::default()
        }
    }

    fn judged(index: u64, views: &[GroupView]) -> Result<Judged, String> {
        let of = |view| Account {
            node: "sha-n1",
            view,
            halted: view.members[0].halted.as_ref(),
        };
        let said: Vec<_> = views.iter().map(of).collect();
        judge(index, 3, &said)
    }

    #[test]
    fn an_entry_is_passed_over_when_a_majority_stopped_at_it_and_nobody_got_past() {
        let at_40 = || replica(39, Some((40, true)));
        assert_eq!(judged(40, &[at_40(), at_40(), at_40()]), Ok(Judged::Write));
        assert_eq!(
            judged(40, &[at_40(), at_40()]),
            Ok(Judged::Write),
            "one is away"
        );
        assert_eq!(
            judged(40, &[at_40(), at_40(), replica(20, None)]),
            Ok(Judged::Write),
            "one is behind"
        );
        let differs = replica(30, Some((31, false)));
        assert_eq!(judged(40, &[at_40(), at_40(), differs]), Ok(Judged::Write));
    }

    #[test]
    fn an_entry_that_was_passed_over_is_answered_by_its_first_word_and_no_other_entry_is() {
        let mut went_on = replica(100, None);
        went_on.passed_over.push(PassedOver {
            index: 40,
            logged: 57,
        });
        let views = [went_on, replica(100, None)];
        assert_eq!(judged(40, &views), Ok(Judged::Written(57)));
        assert!(judged(41, &views).is_err());
    }

    #[test]
    fn a_slip_of_the_finger_passes_over_nothing() {
        let at_40 = || replica(39, Some((40, true)));
        let says = |judged: Result<Judged, String>, text: &str| {
            let said = judged.expect_err("it is refused");
            assert!(said.contains(text), "{said}");
        };
        let well = || replica(100, None);
        says(
            judged(40, &[well(), well(), well()]),
            "has applied entry 40",
        );
        says(judged(101, &[at_40(), at_40()]), "committed up to 100");
        says(
            judged(41, &[at_40(), at_40()]),
            "stopped at entry 40, not at 41",
        );
        says(
            judged(40, &[at_40(), at_40(), well()]),
            "replaced, not helped",
        );
        says(judged(40, &[at_40()]), "1 of 3 replicas");
        says(judged(40, &[]), "no node");
        let newer = replica(39, Some((40, false)));
        says(judged(40, &[newer]), "not cured");
        let mut snapped = well();
        snapped.snapshot = 60;
        says(
            judged(40, &[at_40(), at_40(), snapped]),
            "its snapshot holds",
        );
    }
}
