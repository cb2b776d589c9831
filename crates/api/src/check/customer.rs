//! Requests of customers.
//! Promise: see `check`.
//! Not here: agents' acts (`acts`).

use pb::api::v1::{CloseRequest, ErrorReason, OpenRequest, RateRequest, Refusal, SendRequest};

use super::{bytes, name, name_or_empty, request_id, text, text_or_empty};
use crate::errors::{RefusalWith, field_invalid, refusal};
use crate::limits;

/// Asks for a conversation.
pub fn open(request: &OpenRequest) -> Result<(), Refusal> {
    request_id(&request.request_id)?;
    name("account", &request.account)?;
    name("customer", &request.customer)?;
    bytes(
        "display_name",
        &request.display_name,
        limits::SHORT_BYTES_MAX,
    )?;
    name_or_empty("queue", &request.queue)?;
    name_or_empty("language", &request.language)?;
    name_or_empty("device_id", &request.device_id)?;
    if request.topics.len() > limits::TOPICS_MAX {
        let problem = format!("has more than {} entries", limits::TOPICS_MAX);
        return Err(field_invalid("topics", problem).with("limit", limits::TOPICS_MAX));
    }
    for topic in &request.topics {
        name("topics", topic)?;
    }
    text_or_empty(&request.text)
}

/// A message, apart from the conversation that it names.
pub fn send(request: &SendRequest) -> Result<(), Refusal> {
    request_id(&request.request_id)?;
    name_or_empty("device_id", &request.device_id)?;
    text(&request.text)
}

/// A customer ends, apart from the conversation.
pub fn close(request: &CloseRequest) -> Result<(), Refusal> {
    request_id(&request.request_id)?;
    bytes("reason", &request.reason, limits::CLOSE_REASON_BYTES_MAX)
}

/// A customer rates, apart from the conversation.
pub fn rate(request: &RateRequest) -> Result<(), Refusal> {
    request_id(&request.request_id)?;
    bytes("comment", &request.comment, limits::COMMENT_BYTES_MAX)?;
    if (1..=5).contains(&request.score) {
        return Ok(());
    }
    let message = format!("score {} is outside 1 to 5", request.score);
    Err(refusal(ErrorReason::ScoreOutOfRange, message).with("score", request.score))
}
