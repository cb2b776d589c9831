//! Requests to commands of the cell.
//! Promise: the same request gives the same command, so that a repeat is recognised.
//! Not here: acts without a log entry: heartbeats and markers (`owner`).

use std::str::FromStr;

use domain::cell::command::{
    Accept, Actor, Close, Command, Decline, Instance, Intent, LogIn, LogOut, Note, OfferRef, Open,
    OwnerAct, Rate, Send, SetIntent, Target, Transfer,
};
use domain::ids::{
    AgentId, Body, ConversationId, DeviceId, IdError, OwnerEpoch, Session, SiteId, StaffId,
};
use pb::api::v1::work_request::Request;
use pb::api::v1::{
    CloseRequest, EndConversationRequest, LogInRequest, OpenRequest, RateRequest, Refusal,
    SendRequest, TransferConversationRequest, transfer_conversation_request,
};

use crate::check;
use crate::errors::field_invalid;

/// Reads a name.
pub(super) fn parsed<T: FromStr<Err = IdError>>(
    field: &'static str,
    text: &str,
) -> Result<T, Refusal> {
    text.parse().map_err(|wrong| field_invalid(field, wrong))
}

/// Reads a name that may be left out.
fn optional<T: FromStr<Err = IdError>>(
    field: &'static str,
    text: &str,
) -> Result<Option<T>, Refusal> {
    if text.is_empty() {
        Ok(None)
    } else {
        parsed(field, text).map(Some)
    }
}

/// Reads an agent's name.
pub fn agent_name(text: &str) -> Result<AgentId, Refusal> {
    parsed("agent", text)
}

fn instance(device_id: &str, counter: u64) -> Result<Option<Instance>, Refusal> {
    let device: Option<DeviceId> = optional("device_id", device_id)?;
    Ok(device.map(|device| Instance { device, counter }))
}

/// Opens a conversation at the edge of `site`.
pub fn open(request: OpenRequest, site: &str) -> Result<Command, Refusal> {
    check::open(&request)?;
    Ok(Command::Open(Open {
        request_id: check::parsed_request_id(&request.request_id)?,
        account: parsed("account", &request.account)?,
        customer: parsed("customer", &request.customer)?,
        display_name: request.display_name,
        site: parsed::<SiteId>("site", site)?,
        queue: optional("queue", &request.queue)?,
        language: optional("language", &request.language)?,
        topics: request.topics,
        boost_ms: 0,
        bot_first: false,
        body: if request.text.is_empty() {
            None
        } else {
            Some(Body::clear(&request.text))
        },
        sent_ms: request.sent_ms,
        instance: instance(&request.device_id, request.device_counter)?,
        previous: None,
    }))
}

/// Stores a message of the customer in `conversation`.
pub fn send(request: &SendRequest, conversation: ConversationId) -> Result<Command, Refusal> {
    check::text(&request.text)?;
    Ok(Command::Send(Send {
        conversation,
        request_id: check::parsed_request_id(&request.request_id)?,
        author: Actor::Customer,
        body: Body::clear(&request.text),
        sent_ms: request.sent_ms,
        instance: instance(&request.device_id, request.device_counter)?,
    }))
}

/// The customer ends.
pub fn close(request: CloseRequest) -> Result<Command, Refusal> {
    check::close(&request)?;
    Ok(Command::Close(Close {
        conversation: check::conversation(&request.conversation_id)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        by: Actor::Customer,
        reason: request.reason,
        wrap_up: false,
    }))
}

/// A supervisor ends.
pub fn end(request: EndConversationRequest) -> Result<Command, Refusal> {
    Ok(Command::Close(Close {
        conversation: check::conversation(&request.conversation_id)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        by: Actor::Staff {
            staff: parsed::<StaffId>("staff", &request.staff)?,
        },
        reason: request.reason,
        wrap_up: false,
    }))
}

/// The customer rates.
pub fn rate(request: RateRequest) -> Result<Command, Refusal> {
    check::rate(&request)?;
    Ok(Command::Rate(Rate {
        conversation: check::conversation(&request.conversation_id)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        score: request.score,
        comment: request.comment,
    }))
}

/// An agent's device asks for a session at the edge of `site`.
pub fn log_in(request: &LogInRequest, site: &str) -> Result<LogIn, Refusal> {
    Ok(LogIn {
        agent: agent_name(&request.agent)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        device: parsed("device_id", &request.device_id)?,
        session: if request.session == 0 {
            None
        } else {
            Some(Session(request.session))
        },
        intent: intent(request.intent.as_ref()),
        site: parsed("site", site)?,
    })
}

/// Whose act it is: the stream's own agent and session, or what a unary act says.
#[derive(Debug, Clone)]
pub struct Whose {
    /// Who.
    pub agent: AgentId,
    /// The login that is taken where an act names none.
    pub session: Session,
}

impl Whose {
    fn session(&self, said: u64) -> Session {
        if said == 0 {
            self.session
        } else {
            Session(said)
        }
    }

    fn actor(&self, session: u64, owner_epoch: u64) -> Actor {
        Actor::Agent {
            agent: self.agent.clone(),
            session: self.session(session),
            owner_epoch: OwnerEpoch(owner_epoch),
        }
    }

    fn offer(&self, session: u64, offer_id: &str) -> Result<OfferRef, Refusal> {
        Ok(OfferRef {
            offer: check::offer(offer_id)?,
            agent: self.agent.clone(),
            session: self.session(session),
        })
    }
}

/// An act as a command; `None` for acts that are no entries: heartbeats, markers. `present` is the
/// agent's intent, which takes an earlier next status back.
pub fn act(
    request: &Request,
    whose: &Whose,
    present: impl FnOnce() -> Intent,
) -> Result<Option<Command>, Refusal> {
    check::act(request)?;
    let command = match request {
        Request::Hello(_) => {
            return Err(field_invalid(
                "request",
                "is a login where an act was expected",
            ));
        }
        Request::Heartbeat(_) | Request::Mark(_) => return Ok(None),
        Request::OfferShown(_) | Request::Accept(_) | Request::Decline(_) => {
            offer_act(request, whose)?
        }
        Request::SetIntent(act) => {
            let choice = intent(act.intent.as_ref());
            Command::SetIntent(chosen(whose, &act.request_id, act.session, choice)?)
        }
        Request::SetNextStatus(act) => {
            let choice = act
                .intent
                .as_ref()
                .map_or_else(present, |choice| intent(Some(choice)));
            Command::SetNextStatus(chosen(whose, &act.request_id, act.session, choice)?)
        }
        Request::LogOut(act) => Command::LogOut(LogOut {
            agent: whose.agent.clone(),
            request_id: check::parsed_request_id(&act.request_id)?,
            session: whose.session(act.session),
            device: optional("device_id", &act.device_id)?,
        }),
        _ => conversation_act(request, whose)?,
    };
    Ok(Some(command))
}

/// An answer to an offer.
fn offer_act(request: &Request, whose: &Whose) -> Result<Command, Refusal> {
    let command = match request {
        Request::Accept(act) => Command::Accept(Accept {
            request_id: check::parsed_request_id(&act.request_id)?,
            offer: whose.offer(act.session, &act.offer_id)?,
            owner_epoch: OwnerEpoch(act.owner_epoch),
        }),
        Request::Decline(act) => Command::Decline(Decline {
            request_id: check::parsed_request_id(&act.request_id)?,
            offer: whose.offer(act.session, &act.offer_id)?,
            reason: act.reason.clone(),
        }),
        Request::OfferShown(act) => Command::OfferShown(whose.offer(act.session, &act.offer_id)?),
        _ => return Err(field_invalid("request", "is no answer to an offer")),
    };
    Ok(command)
}

/// An act of the owner in a conversation.
fn conversation_act(request: &Request, whose: &Whose) -> Result<Command, Refusal> {
    macro_rules! owner_act {
        ($kind:ident, $act:expr) => {
            Command::$kind(OwnerAct {
                conversation: check::conversation(&$act.conversation_id)?,
                request_id: check::parsed_request_id(&$act.request_id)?,
                by: whose.actor($act.session, $act.owner_epoch),
            })
        };
    }
    let command = match request {
        Request::Reply(act) => Command::Send(Send {
            conversation: check::conversation(&act.conversation_id)?,
            request_id: check::parsed_request_id(&act.request_id)?,
            author: whose.actor(act.session, act.owner_epoch),
            body: Body::clear(&act.text),
            sent_ms: act.sent_ms,
            instance: None,
        }),
        Request::Note(act) => Command::Note(Note {
            conversation: check::conversation(&act.conversation_id)?,
            request_id: check::parsed_request_id(&act.request_id)?,
            author: whose.actor(act.session, act.owner_epoch),
            body: Body::clear(&act.text),
        }),
        Request::Hold(act) => owner_act!(Hold, act),
        Request::Resume(act) => owner_act!(Resume, act),
        Request::FinishWrapUp(act) => owner_act!(FinishWrapUp, act),
        Request::Transfer(act) => transfer(act, whose)?,
        Request::Close(act) => Command::Close(Close {
            conversation: check::conversation(&act.conversation_id)?,
            request_id: check::parsed_request_id(&act.request_id)?,
            by: whose.actor(act.session, act.owner_epoch),
            reason: act.reason.clone(),
            wrap_up: act.wrap_up,
        }),
        _ => return Err(field_invalid("request", "is no act in a conversation")),
    };
    Ok(command)
}

fn transfer(act: &TransferConversationRequest, whose: &Whose) -> Result<Command, Refusal> {
    let target = match &act.target {
        Some(transfer_conversation_request::Target::ToAgent(agent)) => Target::Agent {
            agent: parsed("to_agent", agent)?,
            wait: act.wait,
        },
        Some(transfer_conversation_request::Target::ToQueue(queue)) => {
            Target::Queue(parsed("to_queue", queue)?)
        }
        None => return Err(field_invalid("target", IdError::Empty)),
    };
    Ok(Command::Transfer(Transfer {
        conversation: check::conversation(&act.conversation_id)?,
        request_id: check::parsed_request_id(&act.request_id)?,
        by: whose.actor(act.session, act.owner_epoch),
        target,
        note: if act.note.is_empty() {
            None
        } else {
            Some(Body::clear(&act.note))
        },
    }))
}

fn chosen(
    whose: &Whose,
    request_id: &str,
    session: u64,
    intent: Intent,
) -> Result<SetIntent, Refusal> {
    Ok(SetIntent {
        agent: whose.agent.clone(),
        request_id: check::parsed_request_id(request_id)?,
        session: Some(whose.session(session)),
        staff: None,
        intent,
        why: String::new(),
    })
}

/// What an agent chose; nothing said is not ready.
pub(super) fn intent(intent: Option<&pb::api::v1::Intent>) -> Intent {
    match intent {
        Some(intent) if intent.ready => Intent::Ready,
        Some(intent) => Intent::NotReady {
            reason: intent.reason.clone(),
        },
        None => Intent::NotReady {
            reason: String::new(),
        },
    }
}
