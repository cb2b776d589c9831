//! Replay: plays recorded dialogues through the public API and reads every transcript back.
//! Promise: customers' clients are at the first node, agents' at the second, transcripts are read at
//! the third; the machine alone chooses the agent; author, text and order are compared exactly; a node
//! that is killed delays the replay and does not end it.
//! Not here: one dialogue (`play`), the agents (`desks`), comparing (`verify`), figures (`figures`).

mod accounts;
mod ask;
mod crew;
mod desks;
pub mod dialogue;
pub mod figures;
mod play;
mod stage;
mod switchboard;
mod verify;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use client::{CallError, api};
use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use runtime::Lane;
use tokio::time::Instant;

use accounts::Accounts;
use crew::Queues;
use desks::Desks;
use dialogue::Dialogue;
use figures::{Figures, Summary};
use play::Played;
use stage::{Clients, Stage};
use switchboard::Switchboard;

use crate::args::{Output, ReplayArgs};
use crate::failure::{Exit, Failure};
use crate::terminal::Terminal;

/// Differences that are printed; all are counted.
const DIFFERENCES_SHOWN: usize = 20;
/// Transcripts that are read at once.
const READS_AT_ONCE: usize = 16;
/// Plays the dialogues of the files; exit code 1 on any mismatch. One replay at a time on a cluster:
/// what another one left behind is closed.
pub async fn run(args: ReplayArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let output = args.reach.output;
    let dialogues = dialogue::read(&args.files)?;
    let played = replay(args, &dialogues, terminal).await;
    let summary = played.map_err(|error| match error.downcast::<CallError>() {
        Ok(refused) => Failure::from(refused),
        Err(error) => Failure::from(error),
    })?;
    match output {
        Output::Json => outln!("{}", summary.json()),
        Output::Table => summary.lines().iter().for_each(|line| outln!("{line}")),
    }
    Ok(match summary.mismatches {
        0 => Exit::Ok,
        _ => Exit::Error,
    })
}

async fn replay(
    args: ReplayArgs,
    dialogues: &[Arc<Dialogue>],
    terminal: Terminal,
) -> anyhow::Result<Summary> {
    let lane = Lane::new("replay", tokio::runtime::Handle::current());
    let stage = Arc::new(set_up(&args, terminal, &lane, dialogues).await?);
    let began = Instant::now();
    let played = perform(&stage, &lane, dialogues, usize::try_from(args.concurrency)?).await;
    let took = began.elapsed();
    stage.messages_done.finish_and_clear();
    let mismatches = compare(&stage, dialogues, &played).await;
    let summary = {
        let figures = stage.figures.lock().unwrap_or_else(PoisonError::into_inner);
        Summary::new(u64::try_from(played.len())?, &figures, took, mismatches)
    };
    if let Some(stage) = Arc::into_inner(stage) {
        stage.desks.close().await;
    }
    Ok(summary)
}

async fn set_up(
    args: &ReplayArgs,
    terminal: Terminal,
    lane: &Lane,
    dialogues: &[Arc<Dialogue>],
) -> anyhow::Result<Stage> {
    let clients = Clients::connect(&args.reach.addr).await?;
    let request = api::GetFloorPlanRequest { version: 0 };
    let plan = clients.reader.operator().get_floor_plan(request).await?;
    let accounts = Accounts::of_plan(&plan.toml)?;
    let all = clients.reader.supervisor().agents("").await?;
    let queues = Queues::of_plan(&plan.toml)?;
    let agents = queues.crew(all, args.agents);
    if agents.is_empty() {
        anyhow::bail!("the floor plan has no agents: nobody could answer");
    }
    for queue in queues.unserved(&agents) {
        eprintln!(
            "nobody of these {} agents can serve the queue {queue}",
            agents.len()
        );
    }
    let switchboard = Arc::new(Switchboard::default());
    let desks = Desks::open(&clients.agents, lane, &agents, &switchboard);
    let run = clients.customers.request_id();
    Ok(Stage {
        accounts,
        desks,
        switchboard,
        speed: args.speed,
        run: run.chars().take(8).collect(),
        messages_done: bar(dialogues, terminal)?,
        figures: std::sync::Mutex::new(Figures::default()),
        customers: clients.customers,
        agents: clients.agents,
        reader: clients.reader,
    })
}

async fn perform(
    stage: &Arc<Stage>,
    lane: &Lane,
    dialogues: &[Arc<Dialogue>],
    concurrency: usize,
) -> Vec<Played> {
    let plays = dialogues.iter().enumerate().map(|(number, dialogue)| {
        let play = play::play(stage.clone(), dialogue.clone(), number);
        let task = lane.spawn("play", play);
        async move {
            let played = task.await.unwrap_or_else(|end| Played {
                failure: Some(end.to_string()),
                ..Default::default()
            });
            (number, played)
        }
    });
    // `map` is lazy: a play is spawned when there is room for it.
    let plays = futures::stream::iter(plays).buffer_unordered(concurrency);
    let by_number: BTreeMap<usize, Played> = plays.collect().await;
    by_number.into_values().collect()
}

/// Reads every transcript at the third node; the number of differences.
async fn compare(stage: &Stage, dialogues: &[Arc<Dialogue>], played: &[Played]) -> u64 {
    let checks = dialogues
        .iter()
        .zip(played)
        .map(|(dialogue, played)| async move {
            let mut found: Vec<String> = played.failure.iter().cloned().collect();
            if !played.conversation_id.is_empty() {
                match stage.read_back(&played.conversation_id).await {
                    Ok(read) => {
                        found.extend(verify::differences(&played.said, &read.items));
                        found.extend(rating(played, &read.conversation));
                    }
                    Err(error) => found.push(format!("{error:#}")),
                }
            }
            (dialogue, played, found)
        });
    let mut checks = futures::stream::iter(checks).buffer_unordered(READS_AT_ONCE);
    let mut count = 0;
    while let Some((dialogue, played, found)) = checks.next().await {
        for difference in found {
            if count < DIFFERENCES_SHOWN {
                eprintln!("{} ({}): {difference}", dialogue.id, played.conversation_id);
            }
            count += 1;
        }
    }
    if count > DIFFERENCES_SHOWN {
        eprintln!("and {} more", count - DIFFERENCES_SHOWN);
    }
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn rating(played: &Played, read: &api::ConversationSummary) -> Option<String> {
    let lost = played.score != 0 && read.score != played.score;
    lost.then(|| format!("it was rated {}, and reads {}", played.score, read.score))
}

fn bar(dialogues: &[Arc<Dialogue>], terminal: Terminal) -> anyhow::Result<ProgressBar> {
    if !terminal.interactive {
        return Ok(ProgressBar::hidden());
    }
    let messages: usize = dialogues.iter().map(|dialogue| dialogue.turns.len()).sum();
    let style = "{bar:40} {pos}/{len} messages  {per_sec}  {elapsed}  {msg}";
    let bar = ProgressBar::new(u64::try_from(messages)?);
    bar.set_style(ProgressStyle::with_template(style)?);
    Ok(bar)
}
