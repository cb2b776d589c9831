//! Supervisors and operators: they look at the floor, intervene, and change the floor plan.
//! Not here: what their acts mean (`domain`).

use client::api::{
    ApplyFloorPlanRequest, AssignConversationRequest, ConversationState, EndConversationRequest,
    ListAgentsRequest, ListConversationsRequest, ListQueuesRequest, PauseQueueRequest,
    RequeueConversationRequest, ResumeQueueRequest,
};
use client::{CallError, Supervisor};
use serde_json::{Value, json};

use super::customers::why;
use super::{Ctx, QUEUES, SITES, floor_of, outcome_of};
use crate::invariants::floor_as_stored::Floor;
use crate::judge::history::Outcome;

/// Conversations that a supervisor looks at.
const PAGE: u32 = 50;
/// Seconds that an offer may last in a plan of the run.
const OFFERS_S: [u64; 3] = [10, 20, 30];

/// Intervenes now and then.
pub(super) async fn run(ctx: Ctx, sites: usize) {
    let floor = ctx.client.supervisor();
    loop {
        for _ in 0..20 {
            ctx.pause().await;
        }
        if ctx.closing() {
            for queue in QUEUES {
                resume(&ctx, &floor, queue).await;
            }
            continue;
        }
        look(&ctx, &floor).await;
        match ctx.random.below(6) {
            0 => pause_for_a_while(&ctx, &floor).await,
            1 => new_plan(&ctx, sites).await,
            _ => intervene(&ctx, &floor, sites).await,
        }
    }
}

/// Looks at all queues and all agents, which must be shown as they are stored.
async fn look(ctx: &Ctx, floor: &Supervisor) {
    if let Ok(listed) = floor.list_queues(ListQueuesRequest {}).await {
        let queues = listed.queues.iter().map(|queue| {
            let numbers = [
                queue.waiting,
                queue.offered,
                queue.active,
                queue.on_hold,
                queue.wrap_up,
            ];
            (queue.queue.clone(), numbers.map(u64::from))
        });
        let shown = Floor {
            queues: queues.collect(),
            ..Floor::default()
        };
        judged(ctx, listed.applied_index, shown);
    }
    if let Ok(listed) = floor.list_agents(ListAgentsRequest::default()).await {
        let agents = listed.agents.iter().map(|agent| {
            let units = (u64::from(agent.used), u64::from(agent.capacity));
            (agent.agent.clone(), units)
        });
        let shown = Floor {
            agents: agents.collect(),
            ..Floor::default()
        };
        judged(ctx, listed.applied_index, shown);
    }
}

fn judged(ctx: &Ctx, index: u64, shown: Floor) {
    let found = ctx.judge().groups(|groups| groups.shown(index, shown));
    ctx.judge().check(found);
}

async fn pause_for_a_while(ctx: &Ctx, floor: &Supervisor) {
    let queue = QUEUES[ctx.random.below(QUEUES.len() as u64) as usize];
    let called_us = ctx.now_us();
    let request = PauseQueueRequest {
        queue: queue.to_owned(),
        request_id: ctx.client.request_id(),
        staff: ctx.name.clone(),
        reason: "too much".to_owned(),
    };
    let paused = floor.pause_queue(request).await.map(drop);
    told(ctx, "pause", "", called_us, paused);
    for _ in 0..5 {
        ctx.pause().await;
    }
    resume(ctx, floor, queue).await;
}

async fn resume(ctx: &Ctx, floor: &Supervisor, queue: &str) {
    let called_us = ctx.now_us();
    let request = ResumeQueueRequest {
        queue: queue.to_owned(),
        request_id: ctx.client.request_id(),
        staff: ctx.name.clone(),
        reason: "better".to_owned(),
    };
    let resumed = floor.resume_queue(request).await.map(drop);
    told(ctx, "resume queue", "", called_us, resumed);
}

async fn new_plan(ctx: &Ctx, sites: usize) {
    let offer_s = OFFERS_S[ctx.random.below(OFFERS_S.len() as u64) as usize];
    let called_us = ctx.now_us();
    let request = ApplyFloorPlanRequest {
        request_id: ctx.client.request_id(),
        toml: floor_of(sites, offer_s),
        staff: ctx.name.clone(),
        ..ApplyFloorPlanRequest::default()
    };
    let applied = ctx.client.operator().apply_floor_plan(request).await;
    told(ctx, "plan", "", called_us, applied.map(drop));
}

async fn intervene(ctx: &Ctx, floor: &Supervisor, sites: usize) {
    let called_us = ctx.now_us();
    let list = ListConversationsRequest {
        page_size: PAGE,
        ..ListConversationsRequest::default()
    };
    let listed = match floor.list_conversations(list).await {
        Ok(listed) => listed.conversations,
        Err(error) => return told(ctx, "list", "", called_us, Err(error)),
    };
    let open = listed
        .iter()
        .filter(|one| one.state() != ConversationState::Closed);
    let open: Vec<_> = open.collect();
    let choice = ctx.random.below(open.len().max(1) as u64) as usize;
    let Some(found) = open.get(choice) else {
        return;
    };
    let id = found.conversation_id.clone();
    let (request_id, staff) = (ctx.client.request_id(), ctx.name.clone());
    let reason = "to try it".to_owned();
    let called_us = ctx.now_us();
    match ctx.random.below(5) {
        0 => {
            let conversation_id = id.clone();
            let end = EndConversationRequest {
                conversation_id,
                request_id,
                staff,
                reason,
            };
            let ended = floor.end_conversation(end).await.map(drop);
            told(ctx, "end", &id, called_us, ended);
        }
        1 | 2 => {
            let conversation_id = id.clone();
            let requeue = RequeueConversationRequest {
                conversation_id,
                request_id,
                staff,
                reason,
            };
            let requeued = floor.requeue_conversation(requeue).await.map(drop);
            told(ctx, "requeue", &id, called_us, requeued);
        }
        _ => {
            let site = SITES[ctx.random.below(sites as u64) as usize];
            let assign = AssignConversationRequest {
                conversation_id: id.clone(),
                request_id,
                staff,
                agent: format!("{site}-{}", ctx.random.below(2)),
                wait: ctx.once_in(2),
                reason,
            };
            let assigned = floor.assign_conversation(assign).await.map(drop);
            told(ctx, "assign", &id, called_us, assigned);
        }
    }
}

fn told(ctx: &Ctx, op: &'static str, id: &str, called_us: u64, done: Result<(), CallError>) {
    let end = match &done {
        Ok(()) => (Outcome::Ok, Value::Null),
        Err(error) => (outcome_of(error), why(error)),
    };
    ctx.ended(op, id, json!({}), called_us, end);
}
