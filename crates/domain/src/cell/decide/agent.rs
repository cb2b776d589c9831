//! Agents' logins and what they choose.
//! Promise: a reconnect never turns a chosen not-ready into ready; a device with an older login is refused.
//! Not here: leases (`lease`).

use super::lease::{come_back, leave, let_go, rescind_offers};
use super::{check_length, check_session, heal};
use crate::cell::agent::{DEVICES_MAX, SetBy};
use crate::cell::command::{Intent, LeaseState, LogIn, LogOut, SetIntent};
use crate::cell::draft::{Draft, Request};
use crate::cell::event::Object;
use crate::cell::fingerprint::Fingerprint;
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, LoggedIn};
use crate::cell::requests::{Principal, Remembered, recall};
use crate::cell::state::State;
use crate::ids::{AgentId, RequestId, Session};

/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 128;

fn rows<'s>(state: &'s State, agent: &AgentId) -> Result<&'s [Remembered], Refusal> {
    let record = state
        .agents
        .get(agent)
        .ok_or_else(|| Refusal::AgentNotFound {
            agent: agent.clone(),
        })?;
    Ok(&record.requests)
}

fn request<'r>(
    rows: &'r [Remembered],
    agent: &AgentId,
    principal: Principal,
    id: &'r RequestId,
    payload_hash: u64,
) -> Request<'r> {
    Request {
        object: Object::Agent(agent.clone()),
        rows,
        principal,
        id,
        payload_hash,
    }
}

fn check_intent(intent: &Intent) -> Result<(), Refusal> {
    match intent {
        Intent::Ready => Ok(()),
        Intent::NotReady { reason } => check_length("reason", reason.len(), REASON_BYTES_MAX),
    }
}

pub(super) fn log_in(draft: &mut Draft<'_>, log_in: &LogIn) -> Result<Done, Refusal> {
    let name = &log_in.agent;
    let rows = rows(draft.state, name)?;
    let principal = Principal::Agent(name.clone());
    let hash = Fingerprint::of("login")
        .text(log_in.device.as_str())
        .number(log_in.session.map_or(0, |session| session.0))
        .intent(&log_in.intent)
        .hash();
    if let Some(done) = recall(rows, &principal, &log_in.request_id, hash)? {
        return Ok(done);
    }
    check_intent(&log_in.intent)?;
    let record = draft
        .agent_now(name)
        .ok_or_else(|| Refusal::AgentNotFound {
            agent: name.clone(),
        })?;
    let current = record.session;
    if record.retired && current.is_none() {
        return Err(Refusal::AgentNotFound {
            agent: name.clone(),
        });
    }
    if let Some(given) = log_in.session
        && current != Some(given)
    {
        let current = current.unwrap_or(Session(0));
        return Err(Refusal::StaleSession {
            agent: name.clone(),
            session: given,
            current,
        });
    }
    let session = current.unwrap_or(Session(draft.index().0));
    if current.is_none() {
        begin_session(draft, log_in, session);
    }
    join_session(draft, log_in);
    come_back(draft, name);
    let done = Done::LoggedIn(LoggedIn {
        session,
        resumed: current.is_some(),
    });
    // A resume changes nothing that a copy of it would change again, and after the session's end a
    // copy is refused: reconnects take no place among the remembered requests.
    if log_in.session.is_none() {
        draft.remember(
            request(rows, name, principal, &log_in.request_id, hash),
            &done,
        )?;
    }
    Ok(done)
}

fn begin_session(draft: &mut Draft<'_>, log_in: &LogIn, session: Session) {
    let now = draft.now();
    if let Some(agent) = draft.agent(&log_in.agent) {
        agent.session = Some(session);
        agent.session_since = now;
        agent.devices.clear();
        agent.intent_since = now;
        agent.choose(log_in.intent.clone(), None, now);
        if agent.idle_since == crate::ids::CellTime(0) {
            agent.idle_since = now;
        }
        agent.lease = LeaseState::Alive;
        agent.lease_since = now;
        agent.silent_since = now;
    }
}

fn join_session(draft: &mut Draft<'_>, log_in: &LogIn) {
    if let Some(agent) = draft.agent(&log_in.agent) {
        agent.devices.retain(|device| *device != log_in.device);
        if agent.devices.len() >= DEVICES_MAX {
            agent.devices.remove(0);
        }
        agent.devices.push(log_in.device.clone());
        agent.site = log_in.site.clone();
        agent.channels.clear();
    }
}

pub(super) fn log_out(draft: &mut Draft<'_>, log_out: &LogOut) -> Result<Done, Refusal> {
    let name = &log_out.agent;
    let rows = rows(draft.state, name)?;
    let principal = Principal::Agent(name.clone());
    let hash = Fingerprint::of("logout")
        .maybe(log_out.device.as_ref().map(|device| device.as_str()))
        .hash();
    if let Some(done) = recall(rows, &principal, &log_out.request_id, hash)? {
        return Ok(done);
    }
    check_session(draft.state, name, log_out.session)?;
    match &log_out.device {
        // The others go on; the last one to leave is noticed by its silence.
        Some(device) => {
            if let Some(agent) = draft.agent(name) {
                agent.devices.retain(|have| have != device);
            }
        }
        None => leave(draft, name),
    }
    let done = Done::Nothing;
    draft.remember(
        request(rows, name, principal, &log_out.request_id, hash),
        &done,
    )?;
    Ok(done)
}

fn principal_of(set: &SetIntent) -> Principal {
    match &set.staff {
        Some(staff) => Principal::Staff(staff.clone()),
        None => Principal::Agent(set.agent.clone()),
    }
}

/// Checks who sets an intent; the first answer, if it is a copy.
fn check_set(draft: &Draft<'_>, set: &SetIntent, hash: u64) -> Result<Option<Done>, Refusal> {
    let rows = rows(draft.state, &set.agent)?;
    if let Some(done) = recall(rows, &principal_of(set), &set.request_id, hash)? {
        return Ok(Some(done));
    }
    check_intent(&set.intent)?;
    match (set.session, &set.staff) {
        (Some(session), _) => check_session(draft.state, &set.agent, session)?,
        (None, None) => {
            return Err(Refusal::AgentNotLoggedIn {
                agent: set.agent.clone(),
            });
        }
        (None, Some(_)) => {
            let agent = draft.agent_now(&set.agent);
            if agent.is_none_or(|agent| agent.session.is_none()) {
                return Err(Refusal::AgentNotLoggedIn {
                    agent: set.agent.clone(),
                });
            }
        }
    }
    Ok(None)
}

/// What a supervisor's act leaves in the agent's record. A supervisor may take back what supervisors have
/// set, and never makes an agent ready who has chosen not to be.
fn set_by(draft: &Draft<'_>, set: &SetIntent) -> Result<Option<Box<SetBy>>, Refusal> {
    let (Some(staff), Some(agent)) = (&set.staff, draft.agent_now(&set.agent)) else {
        return Ok(None);
    };
    check_length("reason", set.why.len(), super::staff::WHY_BYTES_MAX)?;
    let before = agent.set_by.as_deref();
    let chosen = before.map_or(&agent.intent, |set_by| &set_by.chosen);
    // What the agent chose last counts: for after the present work, or what lay beneath the supervisor's hand.
    let beneath = before.and_then(|set_by| set_by.next.as_ref());
    let next = agent.next.as_ref().or(beneath);
    let leaves = chosen != &Intent::Ready || matches!(agent.next, Some(Intent::NotReady { .. }));
    if set.intent == Intent::Ready && leaves {
        return Err(Refusal::NotAllowed {
            actor: "supervisor",
            act: "make an agent ready who has chosen not to be",
        });
    }
    Ok(Some(Box::new(SetBy {
        staff: staff.clone(),
        why: set.why.as_str().into(),
        chosen: chosen.clone(),
        next: next.cloned(),
    })))
}

/// A hash of what is set; a supervisor's reason belongs to it.
fn hash_of(kind: &str, set: &SetIntent) -> u64 {
    let print = Fingerprint::of(kind).intent(&set.intent);
    match &set.staff {
        Some(_) => print.text(&set.why).hash(),
        None => print.hash(),
    }
}

pub(super) fn set_intent(draft: &mut Draft<'_>, set: &SetIntent) -> Result<Done, Refusal> {
    let hash = hash_of("intent", set);
    if let Some(done) = check_set(draft, set, hash)? {
        return Ok(done);
    }
    let set_by = set_by(draft, set)?;
    if set.staff.is_none() {
        heal(draft, &set.agent);
    }
    apply_intent(draft, &set.agent, &set.intent, set_by);
    let done = Done::Nothing;
    let rows = rows(draft.state, &set.agent)?;
    draft.remember(
        request(rows, &set.agent, principal_of(set), &set.request_id, hash),
        &done,
    )?;
    Ok(done)
}

fn apply_intent(
    draft: &mut Draft<'_>,
    name: &AgentId,
    intent: &Intent,
    set_by: Option<Box<SetBy>>,
) {
    let now = draft.now();
    if let Some(agent) = draft.agent(name) {
        agent.choose(intent.clone(), set_by, now);
    }
    if *intent != Intent::Ready {
        rescind_offers(draft, name);
        let_go(draft, name, super::lease::LetGo::HeldForAWhile);
    }
}

pub(super) fn set_next(draft: &mut Draft<'_>, set: &SetIntent) -> Result<Done, Refusal> {
    let hash = hash_of("next", set);
    if let Some(done) = check_set(draft, set, hash)? {
        return Ok(done);
    }
    let set_by = set_by(draft, set)?;
    if set.staff.is_none() {
        heal(draft, &set.agent);
    }
    if draft.load(&set.agent).count == 0 {
        apply_intent(draft, &set.agent, &set.intent, set_by);
    } else if let Some(agent) = draft.agent(&set.agent) {
        // The present choice again takes an earlier one back: nothing is to change any more.
        agent.next = (set.intent != agent.intent).then(|| set.intent.clone());
        if let Some(set_by) = &mut agent.set_by {
            set_by.next = None;
        }
    }
    let done = Done::Nothing;
    let rows = rows(draft.state, &set.agent)?;
    draft.remember(
        request(rows, &set.agent, principal_of(set), &set.request_id, hash),
        &done,
    )?;
    Ok(done)
}
