//! `ConversationService` at the edge.
//! Promise: checks what needs no state, then asks the conversation's cell.
//! Not here: what happens there (`owner`).

use pb::api::v1::{
    AttachRequest, AttachResponse, CloseRequest, CloseResponse, GetTranscriptRequest,
    GetTranscriptResponse, MarkRequest, MarkResponse, OpenRequest, OpenResponse, RateRequest,
    RateResponse, SendRequest, SendResponse,
};
use rpc::api::v1::conversation_service_server::ConversationService;
use tonic::{Request, Response, Status, Streaming};

use super::Edge;
use super::attach::AttachKind;
use super::calls::{ask, patience};
use super::stream::{self, Responses};
use crate::check;
use crate::errors::status;
use crate::metrics::asked;

/// `ConversationService` of one node.
#[derive(Clone)]
pub struct Conversations(pub Edge);

#[tonic::async_trait]
impl ConversationService for Conversations {
    async fn open(&self, request: Request<OpenRequest>) -> Result<Response<OpenResponse>, Status> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::open(&request).map_err(status)?;
        let cell = self
            .0
            .homes()
            .of_customer(&request.account, &request.customer)
            .map_err(status)?;
        let mut opened = ask!(self.0, cell.0, patience, Open(request))?;
        opened.endpoints = self.0.cluster().endpoints();
        Ok(Response::new(opened))
    }

    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendResponse>, Status> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        check::send(&request).map_err(status)?;
        ask!(self.0, conversation.cell.0, patience, Send(request)).map(Response::new)
    }

    type AttachStream = Responses<AttachResponse>;

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let asked = asked(request.metadata().as_ref());
        stream::start::<AttachKind>(&self.0, request.into_inner(), asked).map(Response::new)
    }

    async fn mark(&self, request: Request<MarkRequest>) -> Result<Response<MarkResponse>, Status> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        ask!(self.0, conversation.cell.0, patience, Mark(request)).map(Response::new)
    }

    async fn get_transcript(
        &self,
        request: Request<GetTranscriptRequest>,
    ) -> Result<Response<GetTranscriptResponse>, Status> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            GetTranscript(request)
        )
        .map(Response::new)
    }

    async fn close(
        &self,
        request: Request<CloseRequest>,
    ) -> Result<Response<CloseResponse>, Status> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        check::close(&request).map_err(status)?;
        ask!(self.0, conversation.cell.0, patience, Close(request)).map(Response::new)
    }

    async fn rate(&self, request: Request<RateRequest>) -> Result<Response<RateResponse>, Status> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        check::rate(&request).map_err(status)?;
        ask!(self.0, conversation.cell.0, patience, Rate(request)).map(Response::new)
    }
}
