//! Supervisors: work taken back, assigned and passed on, queues paused, agents set, all of it explained.
//! Promise: one cluster; each act is done through the public API or the command line and seen at the desk.
//! Not here: the rules themselves (`domain`), sentences one by one (`cli`).

use std::process::Stdio;

use anyhow::Context as _;
use client::api::floor_service_transfer_conversation_request::Target;
use client::api::{self, ErrorReason};
use client::{AgentDesk, Client, DeskEvent};
use serde_json::Value;
use tokio::process::Command;

use crate::cluster::Setup;
use crate::support::people::{self, opening, reason, refusal};
use crate::support::{TestCluster, binary, data, until, within};

#[tokio::test(flavor = "multi_thread")]
async fn supervisors_act_from_any_node_and_agents_learn_it_at_once() -> anyhow::Result<()> {
    let setup = Setup {
        floor: Some(data("floor.toml")),
        ..Default::default()
    };
    let cluster = TestCluster::start_with(setup).await?;
    let client = cluster.client_at(0)?;
    let floor = Floor {
        client: cluster.client_at(2)?,
        addresses: cluster.addresses().join(","),
    };
    let (mut ana, _) = people::seat(&cluster.client_at(1)?, "ana").await?;
    let (mut ben, _) = people::seat(&cluster.client_at(1)?, "ben").await?;
    let id =
        taken_work_goes_to_another_and_comes_back_by_name(&client, &floor, (&mut ana, &mut ben))
            .await?;
    an_act_without_a_reason_or_on_the_wrong_state_is_refused(&floor, &id).await?;
    a_paused_queue_offers_nothing_until_it_goes_on(&client, &floor, &mut ana).await?;
    an_agent_who_is_set_not_ready_sees_who_did_it(&floor, &mut ana).await?;
    the_command_line_explains_and_asks_for_yes(&client, &floor).await?;
    Ok(())
}

/// A supervisor at one node, and the command line of another.
struct Floor {
    client: Client,
    addresses: String,
}

/// What a command printed and how it ended.
struct Said {
    out: String,
    talk: String,
    code: Option<i32>,
}

impl Floor {
    async fn run(&self, line: &str) -> anyhow::Result<Said> {
        let (command, quoted) = line.split_once(" --reason ").unwrap_or((line, ""));
        let mut run = Command::new(binary());
        run.args(command.split_whitespace());
        if !quoted.is_empty() {
            run.args(["--reason", quoted]);
        }
        run.args(["--addr", &self.addresses]).stdin(Stdio::null());
        let ended = within("the end of a command", run.output()).await??;
        Ok(Said {
            out: String::from_utf8(ended.stdout)?,
            talk: String::from_utf8(ended.stderr)?,
            code: ended.status.code(),
        })
    }

    async fn json(&self, line: &str) -> anyhow::Result<Value> {
        let said = self.run(&format!("{line} --output json")).await?;
        anyhow::ensure!(said.code == Some(0), "{line}: {}", said.talk);
        serde_json::from_str(&said.out).with_context(|| said.out.clone())
    }

    fn requeue(&self, id: &str) -> api::RequeueConversationRequest {
        api::RequeueConversationRequest {
            conversation_id: id.to_owned(),
            staff: "mia".to_owned(),
            reason: "zu langsam".to_owned(),
            ..Default::default()
        }
    }

    fn assign(&self, id: &str, agent: &str) -> api::AssignConversationRequest {
        api::AssignConversationRequest {
            conversation_id: id.to_owned(),
            staff: "mia".to_owned(),
            agent: agent.to_owned(),
            reason: "kennt den Fall".to_owned(),
            ..Default::default()
        }
    }

    fn set(&self, ready: bool) -> api::SetAgentIntentRequest {
        api::SetAgentIntentRequest {
            agent: "ana".to_owned(),
            staff: "mia".to_owned(),
            intent: Some(api::Intent {
                ready,
                reason: if ready { "" } else { "Schulung" }.to_owned(),
            }),
            reason: "neues Produkt".to_owned(),
            ..Default::default()
        }
    }
}

/// Waits for what a desk says of one kind.
macro_rules! hears {
    ($desk:expr, $pattern:pat => $value:expr) => {
        loop {
            if let $pattern = people::event($desk).await? {
                break $value;
            }
        }
    };
}

async fn taken_work_goes_to_another_and_comes_back_by_name(
    client: &Client,
    floor: &Floor,
    (ana, ben): (&mut AgentDesk, &mut AgentDesk),
) -> anyhow::Result<String> {
    let supervisor = floor.client.supervisor();
    let (id, epoch) = people::taken(client, ana, "taken").await?;
    supervisor.requeue_conversation(floor.requeue(&id)).await?;
    let gone = hears!(ana, DeskEvent::Gone(gone) => gone);
    assert_eq!(gone.conversation_id, id);
    assert!(gone.reason.contains("mia, zu langsam"), "{gone:?}");
    let failed = ana.reply(&id, epoch, "Einen Moment").await;
    let failed = failed.expect_err("ana speaks for us no more");
    assert_eq!(failed.error.reason, ErrorReason::StaleOwnerEpoch);
    assert_eq!(failed.draft.as_deref(), Some("Einen Moment"));
    let offered = people::offer(ben).await?;
    let done = ben.accept(&offered).await?;
    assert_eq!(done.conversation_id, id, "ana is not asked again");

    let to_ana = api::FloorServiceTransferConversationRequest {
        conversation_id: id.clone(),
        staff: "mia".to_owned(),
        target: Some(Target::ToAgent("ana".to_owned())),
        reason: "sie kennt den Kunden".to_owned(),
        ..Default::default()
    };
    supervisor.transfer_conversation(to_ana).await?;
    drop(hears!(ben, DeskEvent::Gone(gone) => gone));
    let offered = people::offer(ana).await?;
    let done = ana.accept(&offered).await?;
    assert_eq!(done.conversation_id, id);
    let held = hears!(ana, DeskEvent::Held(held) => held);
    let notes: Vec<&str> = held.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes, ["zu langsam", "sie kennt den Kunden"]);
    let owned = supervisor
        .assign_conversation(floor.assign(&id, "ben"))
        .await;
    assert_eq!(reason(owned), ErrorReason::WrongState, "it is ana's");
    Ok(id)
}

async fn an_act_without_a_reason_or_on_the_wrong_state_is_refused(
    floor: &Floor,
    id: &str,
) -> anyhow::Result<()> {
    let supervisor = floor.client.supervisor();
    let wordless = api::RequeueConversationRequest {
        reason: String::new(),
        ..floor.requeue(id)
    };
    let refused = refusal(supervisor.requeue_conversation(wordless).await);
    assert_eq!(refused.reason, ErrorReason::FieldInvalid);
    let field = refused.metadata.get("field").map(String::as_str);
    assert_eq!(field, Some("reason"), "{refused:?}");
    let release = api::ReleaseConversationRequest {
        conversation_id: id.to_owned(),
        staff: "mia".to_owned(),
        reason: "noch ein Versuch".to_owned(),
        ..Default::default()
    };
    let released = supervisor.release_conversation(release).await;
    assert_eq!(reason(released), ErrorReason::WrongState, "it is sound");
    let first = api::RequeueConversationRequest {
        request_id: floor.client.request_id(),
        ..floor.requeue("c1-999999999")
    };
    let unknown = supervisor.requeue_conversation(first).await;
    assert_eq!(reason(unknown), ErrorReason::ConversationNotFound);
    Ok(())
}

async fn a_paused_queue_offers_nothing_until_it_goes_on(
    client: &Client,
    floor: &Floor,
    ana: &mut AgentDesk,
) -> anyhow::Result<()> {
    let supervisor = floor.client.supervisor();
    let not_paused = floor
        .run("queue resume quick --yes --reason Wartung vorbei")
        .await?;
    assert_eq!(not_paused.code, Some(5), "{}", not_paused.talk);
    assert!(not_paused.talk.contains("reason: QUEUE_NOT_PAUSED"));
    let waiting = api::OpenRequest {
        queue: "quick".to_owned(),
        ..opening("waits", "Guten Tag")
    };
    // Whoever is asked lets the offer lapse, so that it waits again.
    let id = client.customer().open(waiting).await?.conversation_id;
    people::offer(ana).await?;
    let said = floor
        .run("queue pause quick --yes --reason Wartung bis 12 Uhr")
        .await?;
    assert_eq!(said.code, Some(0), "{}", said.talk);
    assert!(said.talk.contains("Wartung bis 12 Uhr"), "{}", said.talk);
    until("an offer that lapses into a paused queue", || async {
        let shown = floor.json("queue list").await.unwrap_or_default();
        let queues = shown["queues"].as_array().cloned().unwrap_or_default();
        let quick = queues.into_iter().find(|queue| queue["queue"] == "quick");
        quick.is_some_and(|quick| quick["waiting"] == 1 && quick["paused"] == true)
    })
    .await?;
    let again = floor
        .run("queue pause quick --yes --reason noch einmal")
        .await?;
    assert_eq!(again.code, Some(5));
    assert!(again.talk.contains("Wartung bis 12 Uhr"), "{}", again.talk);
    assert!(
        again.talk.contains("try: antiphon queue resume quick"),
        "{}",
        again.talk
    );
    let new = api::OpenRequest {
        queue: "quick".to_owned(),
        ..opening("comes", "Guten Tag")
    };
    let refused = refusal(client.customer().open(new).await);
    assert_eq!(refused.reason, ErrorReason::QueuePaused);
    let assigned = supervisor
        .assign_conversation(floor.assign(&id, "ana"))
        .await;
    assert_eq!(reason(assigned), ErrorReason::QueuePaused);
    let explained = floor.json(&format!("conversation explain {id}")).await?;
    assert_eq!(explained["causes"][0]["kind"], "KIND_PAUSED_BY_SUPERVISOR");
    assert_eq!(explained["causes"][0]["reason"], "Wartung bis 12 Uhr");
    let resumed = floor
        .run("queue resume quick --yes --reason Wartung vorbei")
        .await?;
    assert_eq!(resumed.code, Some(0), "{}", resumed.talk);
    let end = format!("conversation end {id} --yes --reason Test vorbei");
    let ended = floor.run(&end).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.talk);
    Ok(())
}

async fn an_agent_who_is_set_not_ready_sees_who_did_it(
    floor: &Floor,
    ana: &mut AgentDesk,
) -> anyhow::Result<()> {
    let supervisor = floor.client.supervisor();
    supervisor.set_agent_intent(floor.set(false)).await?;
    let own = loop {
        let own = hears!(ana, DeskEvent::Agent(own) => own);
        if !own.set_by.is_empty() {
            break own;
        }
    };
    assert_eq!(
        (own.set_by.as_str(), own.set_why.as_str()),
        ("mia", "neues Produkt")
    );
    let explained = floor.run("agent explain ana").await?;
    let sentence = "mia set ana not ready";
    assert!(explained.out.contains(sentence), "{}", explained.out);
    assert!(
        explained
            .out
            .contains("try: antiphon agent set ana --ready")
    );
    let said = floor
        .run("agent set ana --ready --yes --reason Schulung vorbei")
        .await?;
    assert_eq!(said.code, Some(0), "{}", said.talk);
    let intent = api::Intent {
        ready: false,
        reason: "Mittag".to_owned(),
    };
    ana.set_intent(intent).await?;
    let refused = supervisor.set_agent_intent(floor.set(true)).await;
    assert_eq!(reason(refused), ErrorReason::NotAllowed, "her own choice");
    let shown = floor.json("agent show ana").await?;
    assert_eq!(shown["agent"]["intent"]["reason"], "Mittag");
    assert_eq!(shown["agent"]["setBy"], "");
    Ok(())
}

async fn the_command_line_explains_and_asks_for_yes(
    client: &Client,
    floor: &Floor,
) -> anyhow::Result<()> {
    let supervisor = floor.client.supervisor();
    let ben = api::SetAgentIntentRequest {
        agent: "ben".to_owned(),
        ..floor.set(false)
    };
    supervisor.set_agent_intent(ben).await?;
    let id = people::open(client, "explained", "Guten Tag").await?;
    let explained = floor.run(&format!("conversation explain {id}")).await?;
    for sentence in [
        "It waits in queue desk at place 1 of 1",
        "Nobody who may serve it is free for it.",
        "It needs skill help 1, language de 3; 2 agents of the plan may serve it, 2 of them are logged in.",
        "not ready: Mittag",
        "not ready: Schulung, set by mia",
        "try: antiphon agent list",
    ] {
        assert!(
            explained.out.contains(sentence),
            "{sentence}:\n{}",
            explained.out
        );
    }
    let act = format!("conversation assign {id} --agent ben --reason jetzt");
    let unasked = floor.run(&act).await?;
    assert_eq!(unasked.code, Some(2), "nobody is there to ask");
    assert!(unasked.talk.contains("try: the same command with --yes"));
    let act = format!("conversation assign {id} --agent ben --yes --reason jetzt");
    let busy = floor.run(&act).await?;
    assert_eq!(busy.code, Some(5));
    assert!(
        busy.talk.contains("reason: AGENT_NOT_READY"),
        "{}",
        busy.talk
    );
    assert!(
        busy.talk.contains("try: antiphon agent explain ben"),
        "{}",
        busy.talk
    );
    let act = format!("conversation assign {id} --agent ben --wait --yes --reason er weiss mehr");
    let kept = floor.run(&act).await?;
    assert_eq!(kept.code, Some(0), "{}", kept.talk);
    let explained = floor.run(&format!("conversation explain {id}")).await?;
    let sentence = "It waits for ben alone, as somebody asked.";
    assert!(explained.out.contains(sentence), "{}", explained.out);
    let receipt = "waits for ben alone";
    assert!(explained.out.contains(receipt), "{}", explained.out);
    assert!(explained.out.contains("er weiss mehr"), "{}", explained.out);
    let act = format!("conversation requeue {id} --yes --reason doch nicht");
    let requeued = floor.run(&act).await?;
    assert_eq!(requeued.code, Some(0), "{}", requeued.talk);
    let act = format!("conversation transfer {id} --to-queue quick --yes --reason schneller");
    let passed_on = floor.run(&act).await?;
    assert_eq!(passed_on.code, Some(0), "{}", passed_on.talk);
    let shown = floor.json(&format!("conversation show {id}")).await?;
    assert_eq!(shown["conversation"]["queue"], "quick");
    Ok(())
}
