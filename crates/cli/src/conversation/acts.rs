//! What a supervisor does with a conversation: passes it on, takes it back, names an agent, ends it.
//! Promise: asks first; says who did it and why to the cluster, and to the screen what was done.
//! Not here: looking at conversations (`conversation`, `explain`).

use client::api;
use client::api::floor_service_transfer_conversation_request::Target;

use crate::args::{ActArgs, AssignArgs, ConversationCommand, Output, PassOnArgs};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::prefix::{self, Wanted};
use crate::reach::Reach;
use crate::terminal::{Terminal, staff};

pub async fn run(command: ConversationCommand, terminal: Terminal) -> Result<Exit, Failure> {
    match command {
        ConversationCommand::Transfer(args) => transfer(args, terminal).await,
        ConversationCommand::Requeue(args) => requeue(args, terminal).await,
        ConversationCommand::Assign(args) => assign(args, terminal).await,
        ConversationCommand::Release(args) => release(args, terminal).await,
        ConversationCommand::Close(args) => close(args, terminal).await,
        _ => Err(Failure::usage("this command changes nothing")),
    }
}

/// Prints what came of an act.
fn done<M: prost::Message>(
    reach: &Reach,
    name: &str,
    answer: &M,
    said: &str,
) -> Result<Exit, Failure> {
    match reach.output {
        Output::Json => json::print(name, answer)?,
        Output::Table => eprintln!("{said}"),
    }
    Ok(Exit::Ok)
}

async fn transfer(args: PassOnArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let ActArgs {
        id,
        reason,
        yes,
        once,
        reach,
    } = args.act;
    let reach = Reach::of(&reach)?;
    let id = prefix::conversation(&reach, id, Wanted::to_act(yes)).await?;
    let (target, to) = match (args.to_queue, args.to_agent) {
        (Some(queue), _) => {
            let queue = prefix::queue(&reach, queue).await?;
            let to = format!("queue {queue}");
            (Target::ToQueue(queue), to)
        }
        (None, agent) => {
            let agent = prefix::agent(&reach, agent.unwrap_or_default()).await?;
            let to = format!("agent {agent}");
            (Target::ToAgent(agent), to)
        }
    };
    terminal.confirm(&format!("Pass conversation {id} on to {to}?"), yes)?;
    let request = api::FloorServiceTransferConversationRequest {
        conversation_id: id.clone(),
        staff: staff(),
        reason,
        wait: args.wait,
        target: Some(target),
        request_id: once.request_id,
    };
    let supervisor = reach.client.supervisor();
    let answer = supervisor.transfer_conversation(request).await?;
    let name = "FloorServiceTransferConversationResponse";
    done(&reach, name, &answer, &format!("{id} passed on to {to}"))
}

async fn requeue(args: ActArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let id = prefix::conversation(&reach, args.id, Wanted::to_act(args.yes)).await?;
    let question = format!("Take conversation {id} from its agent, back to its line?");
    terminal.confirm(&question, args.yes)?;
    let request = api::RequeueConversationRequest {
        conversation_id: id.clone(),
        staff: staff(),
        reason: args.reason,
        request_id: args.once.request_id,
    };
    let supervisor = reach.client.supervisor();
    let answer = supervisor.requeue_conversation(request).await?;
    let said = format!("{id} is back at its old place");
    done(&reach, "RequeueConversationResponse", &answer, &said)
}

async fn assign(args: AssignArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let ActArgs {
        id,
        reason,
        yes,
        once,
        reach,
    } = args.act;
    let reach = Reach::of(&reach)?;
    let id = prefix::conversation(&reach, id, Wanted::to_act(yes)).await?;
    let agent = prefix::agent(&reach, args.agent).await?;
    let question = format!("Offer conversation {id} to agent {agent}, ahead of the line?");
    terminal.confirm(&question, yes)?;
    let request = api::AssignConversationRequest {
        conversation_id: id.clone(),
        staff: staff(),
        agent: agent.clone(),
        wait: args.wait,
        reason,
        request_id: once.request_id,
    };
    let supervisor = reach.client.supervisor();
    let answer = supervisor.assign_conversation(request).await?;
    let said = format!("{id} is assigned to {agent}");
    done(&reach, "AssignConversationResponse", &answer, &said)
}

async fn release(args: ActArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let id = prefix::conversation(&reach, args.id, Wanted::to_act(args.yes)).await?;
    let question = format!("Put conversation {id} back in its line? What broke may break again.");
    terminal.confirm(&question, args.yes)?;
    let request = api::ReleaseConversationRequest {
        conversation_id: id.clone(),
        staff: staff(),
        reason: args.reason,
        request_id: args.once.request_id,
    };
    let supervisor = reach.client.supervisor();
    let answer = supervisor.release_conversation(request).await?;
    let said = format!("{id} is back at its old place");
    done(&reach, "ReleaseConversationResponse", &answer, &said)
}

async fn close(args: ActArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let id = prefix::conversation(&reach, args.id, Wanted::to_act(args.yes)).await?;
    terminal.confirm(&format!("End conversation {id}?"), args.yes)?;
    let request = api::EndConversationRequest {
        conversation_id: id,
        staff: staff(),
        reason: args.reason,
        request_id: args.once.request_id,
    };
    let ended = reach.client.supervisor().end_conversation(request).await?;
    done(&reach, "EndConversationResponse", &ended, "ended")
}
