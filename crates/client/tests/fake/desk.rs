//! The agent service of the fake: the work stream alone.
//! Promise: a snapshot of what the test set, then changes.
//! Not here: connections (`super`).

use client::api::{self, work_request, work_response::Response as Say};
use rpc::api::v1::agent_service_server::AgentService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Service;

struct Down {
    to: mpsc::Sender<Result<api::WorkResponse, Status>>,
    number: u64,
}

impl Down {
    async fn say(&mut self, response: Say) {
        self.number += 1;
        let message = api::WorkResponse {
            number: self.number,
            response: Some(response),
        };
        self.to.send(Ok(message)).await.ok();
    }
}

macro_rules! twins {
    ($($name:ident($request:ident) -> $answer:ident;)*) => {
        #[tonic::async_trait]
        impl AgentService for Service {
            type WorkStream = ReceiverStream<Result<api::WorkResponse, Status>>;

            async fn work(
                &self,
                request: Request<Streaming<api::WorkRequest>>,
            ) -> Result<Response<Self::WorkStream>, Status> {
                let (to, stream) = mpsc::channel(1_024);
                tokio::spawn(serve(self.clone(), request.into_inner(), Down { to, number: 0 }));
                Ok(Response::new(ReceiverStream::new(stream)))
            }

            $(async fn $name(
                &self,
                _request: Request<api::$request>,
            ) -> Result<Response<api::$answer>, Status> {
                Ok(Response::new(api::$answer::default()))
            })*
        }
    };
}

twins! {
    log_in(LogInRequest) -> LogInResponse;
    log_out(LogOutRequest) -> LogOutResponse;
    heartbeat(HeartbeatRequest) -> HeartbeatResponse;
    show_offer(ShowOfferRequest) -> ShowOfferResponse;
    accept_offer(AcceptOfferRequest) -> AcceptOfferResponse;
    decline_offer(DeclineOfferRequest) -> DeclineOfferResponse;
    reply(ReplyRequest) -> ReplyResponse;
    add_note(AddNoteRequest) -> AddNoteResponse;
    mark_conversation(MarkConversationRequest) -> MarkConversationResponse;
    hold_conversation(HoldConversationRequest) -> HoldConversationResponse;
    resume_conversation(ResumeConversationRequest) -> ResumeConversationResponse;
    transfer_conversation(TransferConversationRequest) -> TransferConversationResponse;
    close_conversation(CloseConversationRequest) -> CloseConversationResponse;
    finish_wrap_up(FinishWrapUpRequest) -> FinishWrapUpResponse;
    set_intent(SetIntentRequest) -> SetIntentResponse;
    set_next_status(SetNextStatusRequest) -> SetNextStatusResponse;
    list_earlier_conversations(ListEarlierConversationsRequest) -> ListEarlierConversationsResponse;
}

async fn serve(service: Service, mut up: Streaming<api::WorkRequest>, mut down: Down) {
    let Ok(Some(first)) = up.message().await else {
        return;
    };
    let Some(work_request::Request::Hello(hello)) = first.request else {
        return;
    };
    let resumed = hello.session == 77;
    let (offers, items, holds) = {
        let mut shared = service.fake.shared.lock().unwrap();
        shared.hellos.push(hello);
        (shared.offers.clone(), shared.items.clone(), shared.holds)
    };
    let mut seen = items.len() as u64;
    let mut changed = service.fake.changed.subscribe();
    down.say(Say::Welcome(api::WorkWelcome {
        session: 77,
        resumed,
        heartbeat_ms: 1_000,
        ..Default::default()
    }))
    .await;
    if holds {
        down.say(Say::Conversation(held(items))).await;
    }
    for offer in offers {
        down.say(Say::Offer(offer)).await;
    }
    down.say(Say::Ready(api::WorkReady {})).await;
    loop {
        tokio::select! {
            biased;
            heard = up.message() => match heard {
                Ok(Some(message)) => hear(&service, message, &mut down).await,
                Ok(None) | Err(_) => return,
            },
            Ok(()) = changed.changed() => {}
        }
        let new: Vec<api::Item> = {
            let shared = service.fake.shared.lock().unwrap();
            shared.items.iter().skip(seen as usize).cloned().collect()
        };
        seen += new.len() as u64;
        for item in new {
            let conversation_id = "main-1".to_owned();
            down.say(Say::Item(api::WorkItem {
                conversation_id,
                item: Some(item),
            }))
            .await;
        }
    }
}

fn held(items: Vec<api::Item>) -> api::HeldConversation {
    api::HeldConversation {
        conversation: Some(api::ConversationSummary {
            conversation_id: "main-1".into(),
            ..Default::default()
        }),
        items,
        notes: Vec::new(),
    }
}

async fn hear(service: &Service, message: api::WorkRequest, down: &mut Down) {
    let (request_id, text) = match message.request {
        Some(work_request::Request::Heartbeat(_)) => {
            service.fake.shared.lock().unwrap().beats += 1;
            return;
        }
        Some(work_request::Request::Reply(reply)) => (reply.request_id, Some(reply.text)),
        Some(work_request::Request::Accept(accept)) => (accept.request_id, None),
        _ => return,
    };
    let (refusal, swallowed) = {
        let mut shared = service.fake.shared.lock().unwrap();
        shared
            .asked
            .push((service.node.clone(), request_id.clone()));
        let swallowed = shared.swallow_acks > 0;
        shared.swallow_acks = shared.swallow_acks.saturating_sub(1);
        (shared.refusals.pop_front(), swallowed)
    };
    if let Some(refusal) = refusal {
        let draft = text.unwrap_or_default();
        let refused = api::WorkRefused {
            request_id,
            refusal: Some(refusal),
            conversation_id: String::new(),
            draft,
        };
        return down.say(Say::Refused(refused)).await;
    }
    let mut sequence = 0;
    if let Some(text) = text {
        sequence = service
            .fake
            .store(api::author::Kind::Agent, &request_id, &text);
    }
    if !swallowed {
        down.say(Say::Done(api::WorkDone {
            request_id,
            sequence,
            owner_epoch: 2,
            ..Default::default()
        }))
        .await;
    }
}
