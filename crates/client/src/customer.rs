//! Customers: open, write, follow, close, rate, read back.
//! Promise: a transcript is read whole, page by page, without gap.
//! Not here: the stream behind [`Conversation`] (`attach`).

use std::sync::Arc;

use pb::api::v1 as api;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use tonic::transport::Channel;

use crate::attach::{Begin, Conversation};
use crate::call::{Core, Effect};
use crate::error::{CallError, Kind};
use crate::unary::calls;

/// Items asked for at once.
const PAGE_ITEMS: u32 = 500;
/// A conversation holds at most 2,000 items; four times that is a server at fault.
const PAGES_MAX: usize = 16;

/// What customers do.
#[derive(Clone)]
pub struct Customer {
    core: Arc<Core>,
}

/// A whole transcript.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// Where the conversation stood at the last page.
    pub conversation: api::ConversationSummary,
    /// All items, numbered from 1 without gap.
    pub items: Vec<api::Item>,
    /// Internal notes, if they were asked for.
    pub notes: Vec<api::InternalNote>,
}

impl Customer {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Opens a conversation, or finds the customer's open one. Learns the endpoints of the answer.
    pub async fn open(&self, request: api::OpenRequest) -> Result<api::OpenResponse, CallError> {
        let opened = self.open_once(request).await?;
        self.core.pool.learn(&opened.endpoints);
        Ok(opened)
    }

    async fn open_once(
        &self,
        mut request: api::OpenRequest,
    ) -> Result<api::OpenResponse, CallError> {
        let id = crate::unary::Identified::identify(&mut request, &self.core);
        let shape = self.core.shape(Effect::Changes);
        self.core
            .call(shape, request, |channel, request| async move {
                ConversationServiceClient::new(channel).open(request).await
            })
            .await
            .map_err(|error| error.of_request(id))
    }

    calls! { ConversationServiceClient<Channel>;
        /// Stores one message. Inside a dialogue, [`Conversation::send`] keeps the order.
        send(api::SendRequest) -> api::SendResponse, Changes;
        /// Passes on that the customer types or has read.
        mark(api::MarkRequest) -> api::MarkResponse, Reads;
        /// Ends the conversation.
        close(api::CloseRequest) -> api::CloseResponse, Changes;
        /// Rates the conversation.
        rate(api::RateRequest) -> api::RateResponse, Changes;
        /// Reads one page of a transcript.
        get_transcript(api::GetTranscriptRequest) -> api::GetTranscriptResponse, Reads;
    }

    /// Follows a conversation from `cursor` (0 for all) and writes into it. The stream is kept up
    /// until the handle is dropped, the conversation is refused or no endpoint works for too long.
    pub fn attach(&self, conversation_id: &str, cursor: u64) -> Conversation {
        Conversation::start(self.core.clone(), begin(conversation_id, cursor, false))
    }

    /// Follows a conversation without being its customer; such a stream cannot write.
    pub fn observe(&self, conversation_id: &str, cursor: u64) -> Conversation {
        Conversation::start(self.core.clone(), begin(conversation_id, cursor, true))
    }

    /// Reads a whole transcript, page by page.
    pub async fn transcript(&self, conversation_id: &str) -> Result<Transcript, CallError> {
        self.read_all(conversation_id, false).await
    }

    /// The same with the internal notes; not for customers' eyes.
    pub async fn transcript_with_notes(
        &self,
        conversation_id: &str,
    ) -> Result<Transcript, CallError> {
        self.read_all(conversation_id, true).await
    }

    async fn read_all(&self, id: &str, with_notes: bool) -> Result<Transcript, CallError> {
        let mut read = Transcript::default();
        for _ in 0..PAGES_MAX {
            let after = read.items.last().map_or(0, |item| item.sequence);
            let page = self
                .get_transcript(api::GetTranscriptRequest {
                    conversation_id: id.to_owned(),
                    after,
                    page_size: PAGE_ITEMS,
                    with_notes: with_notes && after == 0,
                })
                .await?;
            let expected = after + 1..;
            if let Some((item, _)) = page
                .items
                .iter()
                .zip(expected)
                .find(|(item, expected)| item.sequence != *expected)
            {
                let message = format!("the transcript of {id} has a gap before {}", item.sequence);
                return Err(CallError::local(Kind::Defect, message));
            }
            let ended = !page.more || page.items.is_empty();
            read.items.extend(page.items);
            read.notes.extend(page.notes);
            read.conversation = page.conversation.unwrap_or_default();
            if ended {
                return Ok(read);
            }
        }
        let message = format!("the transcript of {id} does not end after {PAGES_MAX} pages");
        Err(CallError::local(Kind::Defect, message))
    }
}

fn begin(conversation_id: &str, cursor: u64, observe: bool) -> Begin {
    Begin {
        conversation_id: conversation_id.to_owned(),
        cursor,
        observe,
    }
}
