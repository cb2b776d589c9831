//! Ids and other small values that several messages share.
//! Promise: what one direction writes the other reads back as the same value.
//! Not here: whole messages (`cell`, `plan`, `control`).

use std::str::FromStr;
use std::sync::Arc;

use ::pb::store::v1 as pb;
use bytes::Bytes;
use domain::cell::checkpoint::{Digest, Mark};
use domain::cell::command::{Actor, Instance};
use domain::ids::{
    Body, CellId, ConversationId, IdError, LogIndex, OfferId, OwnerEpoch, RequestId, Session,
};

use crate::error::WireError;

/// The value of a field that must be there.
pub(crate) fn need<T>(value: Option<T>, field: &'static str) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { field })
}

/// A name of any kind.
pub(crate) fn name<T: FromStr<Err = IdError>>(
    text: &str,
    field: &'static str,
) -> Result<T, WireError> {
    text.parse()
        .map_err(|problem| WireError::BadId { field, problem })
}

/// A name that may be absent.
pub(crate) fn optional_name<T: FromStr<Err = IdError>>(
    text: Option<&String>,
    field: &'static str,
) -> Result<Option<T>, WireError> {
    text.map(|text| name(text, field)).transpose()
}

/// The fault of an enum's number that has no meaning.
pub(crate) fn bad_enum(field: &'static str, value: i32) -> WireError {
    WireError::BadValue {
        field,
        value: u64::from(value.unsigned_abs()),
    }
}

pub(crate) fn conversation_to_wire(id: ConversationId) -> pb::ConversationId {
    pb::ConversationId {
        cell: id.cell.0,
        index: id.index.0,
    }
}

pub(crate) fn conversation(id: Option<&pb::ConversationId>) -> Result<ConversationId, WireError> {
    let id = need(id, "conversation")?;
    Ok(ConversationId {
        cell: CellId(id.cell),
        index: LogIndex(id.index),
    })
}

pub(crate) fn optional_conversation(id: Option<&pb::ConversationId>) -> Option<ConversationId> {
    id.map(|id| ConversationId {
        cell: CellId(id.cell),
        index: LogIndex(id.index),
    })
}

pub(crate) fn offer_to_wire(id: OfferId) -> pb::OfferId {
    pb::OfferId {
        cell: id.cell.0,
        agent_cell: id.agent_cell.0,
        n: id.n,
    }
}

pub(crate) fn offer(id: Option<&pb::OfferId>) -> Result<OfferId, WireError> {
    let id = need(id, "offer")?;
    Ok(OfferId {
        cell: CellId(id.cell),
        agent_cell: CellId(id.agent_cell),
        n: id.n,
    })
}

/// A UUID goes as its bytes, without a heap allocation for its text: messages are the hot path.
pub(crate) fn request_id_to_wire(id: &RequestId) -> pb::RequestId {
    match id.as_uuid() {
        Some(uuid) => pb::RequestId {
            uuid: Bytes::copy_from_slice(uuid),
            text: String::new(),
        },
        None => pb::RequestId {
            uuid: Bytes::new(),
            text: id.to_string(),
        },
    }
}

pub(crate) fn request_id(id: Option<&pb::RequestId>) -> Result<RequestId, WireError> {
    let field = "request_id";
    let id = need(id, field)?;
    let bad = |problem| WireError::BadId { field, problem };
    if id.uuid.is_empty() {
        return RequestId::new(&id.text).map_err(bad);
    }
    let uuid: [u8; 16] = id.uuid.as_ref().try_into().map_err(|_| {
        bad(IdError::BadForm {
            form: "16 bytes of a UUID",
        })
    })?;
    Ok(RequestId::from_uuid(uuid))
}

/// Shares the bytes: no copy before the encoder's own.
pub(crate) fn body_to_wire(body: &Body) -> pb::Body {
    pb::Body {
        key_id: body.key_id,
        bytes: Bytes::from_owner(body.bytes.clone()),
    }
}

pub(crate) fn body(body: &pb::Body) -> Body {
    Body {
        key_id: body.key_id,
        bytes: Arc::from(body.bytes.as_ref()),
    }
}

/// A hash as its bytes.
pub(crate) fn digest_to_wire(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0)
}

pub(crate) fn digest(bytes: &[u8], field: &'static str) -> Result<Digest, WireError> {
    let value = bytes.len() as u64;
    let cut = bytes.try_into();
    cut.map(Digest)
        .map_err(|_| WireError::BadValue { field, value })
}

pub(crate) fn mark_to_wire(mark: Mark) -> pb::Checkpoint {
    pb::Checkpoint {
        index: mark.index.0,
        log_chain: digest_to_wire(mark.log),
        machine_chain: digest_to_wire(mark.machine),
    }
}

pub(crate) fn mark(stored: &pb::Checkpoint) -> Result<Mark, WireError> {
    Ok(Mark {
        index: LogIndex(stored.index),
        log: digest(&stored.log_chain, "checkpoint.log_chain")?,
        machine: digest(&stored.machine_chain, "checkpoint.machine_chain")?,
    })
}

pub(crate) fn instance_to_wire(instance: &Instance) -> pb::Instance {
    pb::Instance {
        device: instance.device.to_string(),
        counter: instance.counter,
    }
}

pub(crate) fn instance(instance: Option<&pb::Instance>) -> Result<Option<Instance>, WireError> {
    let Some(instance) = instance else {
        return Ok(None);
    };
    Ok(Some(Instance {
        device: name(&instance.device, "instance.device")?,
        counter: instance.counter,
    }))
}

pub(crate) fn actor_to_wire(actor: &Actor) -> pb::Actor {
    use pb::actor::Who;
    let who = match actor {
        Actor::Customer => Who::Customer(pb::CustomerActor {}),
        Actor::Agent {
            agent,
            session,
            owner_epoch,
        } => Who::Agent(pb::AgentActor {
            agent: agent.as_str().to_owned(),
            session: session.0,
            owner_epoch: owner_epoch.0,
        }),
        Actor::Bot { owner_epoch } => Who::Bot(pb::BotActor {
            owner_epoch: owner_epoch.0,
        }),
        Actor::Staff { staff } => Who::Staff(pb::StaffActor {
            staff: staff.as_str().to_owned(),
        }),
    };
    pb::Actor { who: Some(who) }
}

pub(crate) fn actor(actor: Option<&pb::Actor>) -> Result<Actor, WireError> {
    use pb::actor::Who;
    let who = need(actor.and_then(|actor| actor.who.as_ref()), "actor")?;
    Ok(match who {
        Who::Customer(_) => Actor::Customer,
        Who::Agent(agent) => Actor::Agent {
            agent: name(&agent.agent, "actor.agent")?,
            session: Session(agent.session),
            owner_epoch: OwnerEpoch(agent.owner_epoch),
        },
        Who::Bot(bot) => Actor::Bot {
            owner_epoch: OwnerEpoch(bot.owner_epoch),
        },
        Who::Staff(staff) => Actor::Staff {
            staff: name(&staff.staff, "actor.staff")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_stored_as_sixteen_bytes_and_every_id_comes_back() {
        let uuid = "6f1c2d3e-0000-4abc-8def-0123456789ab";
        for (text, bytes) in [
            (uuid, 16),
            ("order-17", 0),
            ("6F1C2D3E-0000-4ABC-8DEF-0123456789AB", 0),
        ] {
            let id = RequestId::new(text).expect("well formed");
            let stored = request_id_to_wire(&id);
            assert_eq!(stored.uuid.len(), bytes);
            assert_eq!(request_id(Some(&stored)), Ok(id));
        }
    }

    #[test]
    fn a_uuid_of_another_length_is_refused() {
        let stored = pb::RequestId {
            uuid: Bytes::from_static(b"short"),
            text: String::new(),
        };
        assert!(matches!(
            request_id(Some(&stored)),
            Err(WireError::BadId { .. })
        ));
    }
}
