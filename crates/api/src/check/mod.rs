//! What can be said about a request without any state.
//! Promise: cheap; whatever passes has ids that parse and fields within their bounds.
//! Not here: whether what the ids name exists (`domain`).

mod acts;
mod customer;
pub mod staff;

use domain::cell::refusal::Refusal as Domain;
use domain::ids::{ConversationId, IdError, OfferId, RequestId};
use pb::api::v1::Refusal;

use crate::edge::CONTROL_GROUP;
use crate::errors::domain as refused_by_domain;
use crate::errors::{RefusalWith, field_invalid, message_empty, message_too_large};
use crate::limits;

pub use acts::{act, described};
pub use customer::{close, open, rate, send};

/// A request id is there and well formed.
pub fn request_id(text: &str) -> Result<(), Refusal> {
    let wrong = if text.is_empty() {
        Some(IdError::Empty)
    } else if text.len() > domain::ids::REQUEST_ID_BYTES_MAX {
        Some(IdError::TooLong {
            limit: domain::ids::REQUEST_ID_BYTES_MAX,
        })
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some(IdError::BadCharacter)
    } else {
        None
    };
    wrong.map_or(Ok(()), |wrong| Err(field_invalid("request_id", wrong)))
}

/// A request id, parsed.
pub fn parsed_request_id(text: &str) -> Result<RequestId, Refusal> {
    RequestId::new(text).map_err(|wrong| field_invalid("request_id", wrong))
}

/// A conversation's id, parsed. One of the control group, which has none, would be asked there: no cell would
/// say that it is unknown.
pub fn conversation(text: &str) -> Result<ConversationId, Refusal> {
    let id: ConversationId = text
        .parse()
        .map_err(|wrong: IdError| field_invalid("conversation_id", wrong))?;
    if id.cell.0 == CONTROL_GROUP {
        let refused = Domain::ConversationNotFound { conversation: id };
        return Err(refused_by_domain(&refused));
    }
    Ok(id)
}

/// An offer's id, parsed; likewise.
pub fn offer(text: &str) -> Result<OfferId, Refusal> {
    let id: OfferId = text
        .parse()
        .map_err(|wrong: IdError| field_invalid("offer_id", wrong))?;
    if id.cell.0 == CONTROL_GROUP {
        return Err(refused_by_domain(&Domain::OfferNotFound { offer: id }));
    }
    Ok(id)
}

/// A name: 1 to 128 bytes without control characters.
pub fn name(field: &'static str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        Err(field_invalid(field, IdError::Empty))
    } else {
        name_or_empty(field, text)
    }
}

/// A name that may be left out.
pub fn name_or_empty(field: &'static str, text: &str) -> Result<(), Refusal> {
    bytes(field, text, limits::SHORT_BYTES_MAX)?;
    if text.chars().any(char::is_control) {
        Err(field_invalid(field, IdError::BadCharacter))
    } else {
        Ok(())
    }
}

/// A text of at most `limit` bytes.
pub fn bytes(field: &'static str, text: &str, limit: usize) -> Result<(), Refusal> {
    if text.len() <= limit {
        return Ok(());
    }
    Err(field_invalid(field, IdError::TooLong { limit })
        .with("limit", limit)
        .with("bytes", text.len()))
}

/// The text of a message: not empty, at most 64 KiB.
pub fn text(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        Err(message_empty())
    } else {
        text_or_empty(text)
    }
}

/// The text of a message that may be left out.
pub fn text_or_empty(text: &str) -> Result<(), Refusal> {
    if text.len() <= limits::TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(message_too_large(text.len(), limits::TEXT_BYTES_MAX))
}

#[cfg(test)]
#[path = "check_test.rs"]
mod check_test;
