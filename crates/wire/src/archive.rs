//! An archived conversation: its bytes, and the hash over a row of them.
//! Promise: every replica writes the same bytes for a sealed record, in programs of neighbouring
//! versions too; damaged bytes are refused, never a panic.
//! Not here: files and indexes (`store`), when a record is sealed (`domain`).

use ::pb::store::v1 as pb;
use domain::cell::conversation::Conversation;
use mutants::{Mutant, planted};
use prost::Message;

use crate::error::{WireError, check_format};
use crate::ids::need;
use crate::snapshot::{conversation_from_wire, conversation_to_wire};

/// The newest format of an archived conversation: what this version writes.
pub const ARCHIVE_FORMAT: u32 = 1;

/// The bytes of a sealed conversation.
pub fn encode(conversation: &Conversation) -> Vec<u8> {
    let mut found = conversation_to_wire::conversation(conversation);
    if planted(Mutant::ArchiveLosesLastItem) {
        found.items.pop();
    }
    let stored = pb::ArchivedConversation {
        format: ARCHIVE_FORMAT,
        conversation: Some(found),
    };
    stored.encode_to_vec()
}

/// The conversation that these bytes hold.
///
/// # Errors
/// When the bytes are no archived conversation, or one of a newer format.
pub fn decode(bytes: &[u8]) -> Result<Conversation, WireError> {
    let stored = pb::ArchivedConversation::decode(bytes)?;
    check_format(stored.format, ARCHIVE_FORMAT)?;
    let found = need(stored.conversation.as_ref(), "conversation")?;
    conversation_from_wire::conversation(found)
}
