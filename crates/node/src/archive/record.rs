//! A sealed conversation as a record of the archive.
//! Promise: everything that is indexed is read from the record's own bytes, so that a copy from a peer
//! has the same indexes.
//! Not here: the bytes themselves (`wire`).

use bytes::Bytes;
use conversation::archive_key;
use domain::cell::conversation::{Conversation, Ending, Phase};
use store::archive::{Facts, Hash16, Record, blob_hash};

/// The record of a sealed conversation; `None` for one that is not sealed.
pub(super) fn record(conversation: &Conversation, blob: Bytes) -> Option<Record> {
    let Phase::Closed(closed) = &conversation.phase else {
        return None;
    };
    let wait_ms = conversation.first_wait_ms();
    let abandoned = matches!(closed.how, Ending::Abandoned { .. });
    let waited_ms = closed.at.since_ms(conversation.aged_from);
    let agents = conversation.took_part();
    Some(Record {
        cell: conversation.id.cell.0,
        sealed: closed.sealed?.0,
        conversation: conversation.id.index.0,
        customer: archive_key(&conversation.account, &conversation.customer),
        agents: agents
            .iter()
            .take(store::archive::AGENTS_MAX)
            .map(ToString::to_string)
            .collect(),
        queue: conversation.queue.to_string(),
        opened_wall_ms: conversation.created_wall_ms,
        closed_wall_ms: conversation.last_wall_ms(),
        facts: Facts {
            answered: wait_ms.is_some(),
            abandoned,
            wait_ms: wait_ms.unwrap_or(waited_ms),
            handle_ms: conversation.handled_ms,
            rating: conversation.rating.as_ref().map(|rating| rating.score),
        },
        blob,
    })
}

/// The hash that the record of a conversation has in every archive.
pub(super) fn hash_of(conversation: &Conversation) -> Hash16 {
    blob_hash(&wire::archive::encode(conversation))
}

/// The record that a peer's bytes make.
pub(super) fn of_bytes(blob: Bytes) -> Option<Record> {
    let conversation = wire::archive::decode(&blob).ok()?;
    record(&conversation, blob)
}
