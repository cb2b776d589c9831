//! The conversation service of the fake.
//! Promise: items follow the cursor, with the faults that the test asked for.
//! Not here: connections (`super`).

use client::api::{self, attach_request, attach_response};
use rpc::api::v1::conversation_service_server::ConversationService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Service;

type Down = mpsc::Sender<Result<api::AttachResponse, Status>>;

#[tonic::async_trait]
impl ConversationService for Service {
    type AttachStream = ReceiverStream<Result<api::AttachResponse, Status>>;

    async fn open(
        &self,
        request: Request<api::OpenRequest>,
    ) -> Result<Response<api::OpenResponse>, Status> {
        let open = request.into_inner();
        self.note(&open.request_id)?;
        let endpoints = self.fake.shared.lock().unwrap().endpoints.clone();
        Ok(Response::new(api::OpenResponse {
            conversation_id: "main-1".into(),
            endpoints,
            ..Default::default()
        }))
    }

    async fn send(
        &self,
        request: Request<api::SendRequest>,
    ) -> Result<Response<api::SendResponse>, Status> {
        let send = request.into_inner();
        self.note(&send.request_id)?;
        let kind = api::author::Kind::Customer;
        let sequence = self.fake.store(kind, &send.request_id, &send.text);
        Ok(Response::new(sent(&send, sequence)))
    }

    async fn attach(
        &self,
        request: Request<Streaming<api::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (down, stream) = mpsc::channel(1_024);
        tokio::spawn(serve(self.clone(), request.into_inner(), down));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn mark(
        &self,
        _request: Request<api::MarkRequest>,
    ) -> Result<Response<api::MarkResponse>, Status> {
        Ok(Response::new(api::MarkResponse {}))
    }

    async fn get_transcript(
        &self,
        request: Request<api::GetTranscriptRequest>,
    ) -> Result<Response<api::GetTranscriptResponse>, Status> {
        let asked = request.into_inner();
        let shared = self.fake.shared.lock().unwrap();
        let after = asked.after as usize;
        let page: Vec<api::Item> = shared.items.iter().skip(after).take(3).cloned().collect();
        Ok(Response::new(api::GetTranscriptResponse {
            more: after + page.len() < shared.items.len(),
            items: page,
            ..Default::default()
        }))
    }

    async fn close(
        &self,
        request: Request<api::CloseRequest>,
    ) -> Result<Response<api::CloseResponse>, Status> {
        self.note(&request.into_inner().request_id)?;
        Ok(Response::new(api::CloseResponse {}))
    }

    async fn rate(
        &self,
        request: Request<api::RateRequest>,
    ) -> Result<Response<api::RateResponse>, Status> {
        self.note(&request.into_inner().request_id)?;
        Ok(Response::new(api::RateResponse {}))
    }
}

async fn serve(service: Service, mut up: Streaming<api::AttachRequest>, down: Down) {
    let Ok(Some(first)) = up.message().await else {
        return;
    };
    let Some(attach_request::Request::Begin(begin)) = first.request else {
        return;
    };
    let mut next = {
        let mut shared = service.fake.shared.lock().unwrap();
        shared.begun.push((service.node.clone(), begin.cursor));
        (begin.cursor + 1).saturating_sub(shared.repeat).max(1)
    };
    let mut changed = service.fake.changed.subscribe();
    let welcome = api::AttachWelcome {
        endpoints: service.fake.shared.lock().unwrap().endpoints.clone(),
        ..Default::default()
    };
    say(&down, attach_response::Response::Welcome(welcome)).await;
    loop {
        for item in due(&service, &mut next) {
            say(&down, attach_response::Response::Item(item)).await;
        }
        tokio::select! {
            biased;
            heard = up.message() => match heard {
                Ok(Some(message)) => hear(&service, message, &down).await,
                Ok(None) | Err(_) => return,
            },
            Ok(()) = changed.changed() => {}
        }
    }
}

fn due(service: &Service, next: &mut u64) -> Vec<api::Item> {
    let mut shared = service.fake.shared.lock().unwrap();
    let from = *next;
    *next = shared.items.len() as u64 + 1;
    let skipped = shared.skip_once.filter(|skip| (from..*next).contains(skip));
    if skipped.is_some() {
        shared.skip_once = None;
    }
    let items = shared.items.iter();
    items
        .filter(|item| item.sequence >= from && Some(item.sequence) != skipped)
        .cloned()
        .collect()
}

async fn hear(service: &Service, message: api::AttachRequest, down: &Down) {
    let Some(attach_request::Request::Send(send)) = message.request else {
        return;
    };
    let refusal = {
        let mut shared = service.fake.shared.lock().unwrap();
        shared
            .asked
            .push((service.node.clone(), send.request_id.clone()));
        shared.refusals.pop_front()
    };
    if let Some(refusal) = refusal {
        let refused = api::AttachRefused {
            request_id: send.request_id,
            refusal: Some(refusal),
        };
        return say(down, attach_response::Response::Refused(refused)).await;
    }
    let kind = api::author::Kind::Customer;
    let sequence = service.fake.store(kind, &send.request_id, &send.text);
    let swallowed = {
        let mut shared = service.fake.shared.lock().unwrap();
        let swallowed = shared.swallow_acks > 0;
        shared.swallow_acks = shared.swallow_acks.saturating_sub(1);
        swallowed
    };
    if !swallowed {
        say(down, attach_response::Response::Sent(sent(&send, sequence))).await;
    }
}

async fn say(down: &Down, response: attach_response::Response) {
    let message = api::AttachResponse {
        response: Some(response),
    };
    down.send(Ok(message)).await.ok();
}

fn sent(send: &api::SendRequest, sequence: u64) -> api::SendResponse {
    api::SendResponse {
        request_id: send.request_id.clone(),
        sequence,
        ..Default::default()
    }
}
