//! Unary calls at the leader of a cell.
//! Promise: a call that changes something is one entry; one that reads is linearizable.
//! Not here: streams (`customer`, `desk`), listings (`lists`).

use conversation::MarkFrom;
use domain::cell::command::Command;
use domain::cell::reply::Done;
use domain::ids::{NodeId, Sequence};
use pb::api::v1::*;
use pb::raft::v1::forward_answer::Response;
use pb::raft::v1::forward_call::Request;
use pb::raft::v1::{WorkAnswer, forward_answer};
use ports::CallAnswer;

use super::customer::display_name;
use super::{CellOwner, desk};
use crate::convert::{self, Speakers};
use crate::errors::{act_error, domain as refused_by_domain, internal};
use crate::{check, limits};

impl CellOwner {
    /// Answers a call.
    pub(super) async fn answer(
        &self,
        request: Request,
        (site, edge): (&str, NodeId),
    ) -> CallAnswer {
        match request {
            Request::Open(request) => self
                .open_conversation(request, site)
                .await
                .map(Response::Open),
            Request::Send(request) => self.send(&request).await.map(Response::Send),
            Request::Mark(request) => self.mark(&request).map(Response::Mark),
            Request::GetTranscript(request) => {
                self.transcript(&request).await.map(Response::GetTranscript)
            }
            Request::Close(request) => self
                .done(convert::close(request)?)
                .await
                .map(|()| Response::Close(CloseResponse {})),
            Request::Rate(request) => self
                .done(convert::rate(request)?)
                .await
                .map(|()| Response::Rate(RateResponse {})),
            Request::Work(request) => self.work(request, (site, edge)).await.map(Response::Work),
            Request::EndConversation(request) => {
                let done = self.done(convert::end(request)?).await;
                done.map(|()| Response::EndConversation(EndConversationResponse {}))
            }
            request => self.supervise(request).await,
        }
    }

    /// Answers a supervisor's act.
    async fn supervise(&self, request: Request) -> CallAnswer {
        let (command, answer) = match request {
            Request::TransferConversation(request) => (
                convert::transfer(request)?,
                Response::TransferConversation(FloorServiceTransferConversationResponse {}),
            ),
            Request::RequeueConversation(request) => (
                convert::requeue(request)?,
                Response::RequeueConversation(RequeueConversationResponse {}),
            ),
            Request::AssignConversation(request) => (
                convert::assign(request)?,
                Response::AssignConversation(AssignConversationResponse {}),
            ),
            Request::ReleaseConversation(request) => (
                convert::release(request)?,
                Response::ReleaseConversation(ReleaseConversationResponse {}),
            ),
            Request::SetAgentIntent(request) => (
                convert::set_agent_intent(request)?,
                Response::SetAgentIntent(SetAgentIntentResponse {}),
            ),
            Request::PauseQueue(request) => (
                convert::pause(request)?,
                Response::PauseQueue(PauseQueueResponse {}),
            ),
            Request::ResumeQueue(request) => (
                convert::resume(request)?,
                Response::ResumeQueue(ResumeQueueResponse {}),
            ),
            request => return self.read(request).await,
        };
        self.done(command).await.map(|()| answer)
    }

    /// Answers a call that changes nothing.
    async fn read(&self, request: Request) -> Result<forward_answer::Response, Refusal> {
        match request {
            Request::ListEarlier(request) => {
                self.list_earlier(&request).await.map(Response::ListEarlier)
            }
            Request::ListQueues(_) => self.list_queues().await.map(Response::ListQueues),
            Request::GetQueue(request) => self.get_queue(&request).await.map(Response::GetQueue),
            Request::ListAgents(request) => {
                self.list_agents(&request).await.map(Response::ListAgents)
            }
            Request::GetAgent(request) => self.get_agent(&request).await.map(Response::GetAgent),
            Request::ListConversations(request) => self
                .list_conversations(&request)
                .await
                .map(Response::ListConversations),
            Request::GetConversation(request) => self
                .get_conversation(&request)
                .await
                .map(Response::GetConversation),
            Request::SearchArchive(request) => self
                .search_archive(&request)
                .await
                .map(Response::SearchArchive),
            Request::ExplainConversation(request) => self
                .explain_conversation(&request)
                .await
                .map(Response::ExplainConversation),
            Request::ExplainAgent(request) => self
                .explain_agent(&request)
                .await
                .map(Response::ExplainAgent),
            _ => Err(internal(
                "a call has reached a cell that is not a cell's to answer",
            )),
        }
    }

    async fn act(&self, command: Command) -> Result<Done, Refusal> {
        self.handle
            .act(command)
            .await
            .map_err(|error| act_error(&error))
    }

    async fn done(&self, command: Command) -> Result<(), Refusal> {
        self.act(command).await.map(drop)
    }

    async fn open_conversation(
        &self,
        request: OpenRequest,
        site: &str,
    ) -> Result<OpenResponse, Refusal> {
        match self.act(convert::open(request, site)?).await? {
            Done::Opened(opened) => Ok(OpenResponse {
                conversation_id: opened.conversation.to_string(),
                queue: opened.queue.to_string(),
                sequence: opened.sequence.map_or(0, |sequence| sequence.0),
                existing: opened.existing,
                notice: opened.text.to_string(),
                endpoints: Vec::new(),
            }),
            _ => Err(internal("an open was answered as another command")),
        }
    }

    async fn send(&self, request: &SendRequest) -> Result<SendResponse, Refusal> {
        let conversation = check::conversation(&request.conversation_id)?;
        match self.act(convert::send(request, conversation)?).await? {
            Done::Sent(sent) => Ok(SendResponse {
                request_id: request.request_id.clone(),
                conversation_id: sent.conversation.to_string(),
                sequence: sent.sequence.0,
                wall_ms: sent.wall_ms,
            }),
            _ => Err(internal("a message was answered as another command")),
        }
    }

    fn mark(&self, request: &MarkRequest) -> Result<MarkResponse, Refusal> {
        let conversation = check::conversation(&request.conversation_id)?;
        let read = Sequence(request.read_sequence);
        let marked = self
            .handle
            .mark(conversation, MarkFrom::Customer, request.typing, read);
        marked
            .map(|()| MarkResponse {})
            .map_err(|error| act_error(&error))
    }

    async fn work(
        &self,
        request: WorkRequest,
        (site, edge): (&str, NodeId),
    ) -> Result<WorkAnswer, Refusal> {
        match request.request {
            Some(work_request::Request::Hello(hello)) => {
                let log_in = desk::log_in(self, &hello, site).await?;
                Ok(WorkAnswer {
                    done: None,
                    log_in: Some(log_in),
                })
            }
            Some(act) => Ok(WorkAnswer {
                done: Some(desk::unary(self, act, edge).await?),
                log_in: None,
            }),
            None => Err(internal("a forwarded act is empty")),
        }
    }

    /// A page of a transcript, of the archive too.
    async fn transcript(
        &self,
        request: &GetTranscriptRequest,
    ) -> Result<GetTranscriptResponse, Refusal> {
        let id = check::conversation(&request.conversation_id)?;
        let size = limits::TRANSCRIPT_PAGE.size(request.page_size);
        let after = Sequence(request.after);
        let found = self.find(id).await?;
        found
            .check_cursor(after)
            .map_err(|refusal| refused_by_domain(&refusal))?;
        let last = found.last_sequence();
        let items = found.items_after(after, size);
        let notes = match request.with_notes && after.0 == 0 {
            true => &found.remarks[..],
            false => &[],
        };
        let mut speakers = Speakers::of(&found);
        let conversation = self.summary(&found);
        let mut bytes = 0;
        let page = items.take_while(|item| {
            let fits = bytes < limits::TRANSCRIPT_PAGE_BYTES;
            bytes += item.message().map_or(0, |message| message.body.bytes.len());
            fits
        });
        let shown: Vec<Item> = page
            .map(|item| {
                convert::item(&item, &mut speakers, |agent| {
                    display_name(&self.handle, agent)
                })
            })
            .collect();
        let notes = notes
            .iter()
            .map(|note| {
                convert::note(note, &mut speakers, |agent| {
                    display_name(&self.handle, agent)
                })
            })
            .collect();
        let more = shown.last().map_or(after.0, |item| item.sequence) < last.0;
        Ok(GetTranscriptResponse {
            conversation: Some(conversation),
            items: shown,
            more,
            notes,
        })
    }
}
