//! API messages to domain values and back: here and nowhere else.
//! Promise: total; what cannot be said in the other form is refused by field, never guessed.
//! Not here: stored forms (`wire`), refusals (`errors`).

mod commands;
mod explain;
mod floor;
mod items;
mod receipts;
mod staff;
mod summaries;

pub use commands::{Whose, act, agent_name, close, end, log_in, open, rate, send};
pub(crate) use explain::{explain_agent, explain_conversation};
pub(crate) use floor::{floor_view, queue_view, queue_views_worst_first};
pub(crate) use items::{Speakers, item, note};
pub(crate) use receipts::receipt;
pub use staff::{assign, pause, release, requeue, resume, set_agent_intent, transfer};
pub(crate) use summaries::{
    agent_display_name, agent_of, agent_summary, conversation_state, conversation_summaries,
    conversation_summary, warning,
};
