//! Calls whose request cannot be decoded: larger than the API reads, or no message of the call at all.
//! Promise: they are refused with our reason, like every other refusal.
//! Not here: requests that are decoded and hold what they may not (`check`), streams (`edge`).

use std::task::{Context, Poll};

use futures::TryFutureExt;
use futures::future::MapOk;
use rpc::api::v1::cluster_service_server::SERVICE_NAME as CLUSTER_SERVICE;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::errors::{message_malformed, message_too_large, status};
use crate::limits;

/// Where tonic puts a status' details: what has them is a refusal of ours.
const DETAILS: &str = "grpc-status-details-bin";

/// Wraps the services of an API listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct UndecodedLayer;

impl<S> Layer<S> for UndecodedLayer {
    type Service = Undecoded<S>;

    fn layer(&self, inner: S) -> Undecoded<S> {
        Undecoded { inner }
    }
}

/// Services whose transport's own words about a request become the API's.
#[derive(Debug, Clone)]
pub(super) struct Undecoded<S> {
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Undecoded<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(Response<B>) -> Response<B>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = request.uri().path().trim_start_matches('/');
        let answer = if path.starts_with(CLUSTER_SERVICE) {
            of_clusters
        } else {
            of_others
        };
        self.inner.call(request).map_ok(answer)
    }
}

fn of_clusters<B>(mut response: Response<B>) -> Response<B> {
    with_reason(response.headers_mut(), limits::RECEIVE_CLUSTER_BYTES_MAX);
    response
}

fn of_others<B>(mut response: Response<B>) -> Response<B> {
    with_reason(response.headers_mut(), limits::RECEIVE_BYTES_MAX);
    response
}

/// Gives a bare status its reason. A refused call has its status in the headers; the only ones of tonic's
/// own with these codes are about the request: its size, its framing, its encoding.
fn with_reason(headers: &mut HeaderMap, limit: usize) {
    if headers.contains_key(DETAILS) {
        return;
    }
    let ours = match Status::from_header_map(headers).map(|status| status.code()) {
        Some(Code::OutOfRange) => message_too_large(limit + 1, limit),
        // Left as it is, a client's fault would be counted and traced as ours.
        Some(Code::Internal) => message_malformed(),
        _ => return,
    };
    if let Err(wrong) = status(ours).add_header(headers) {
        tracing::error!(%wrong, "a refusal does not fit into headers");
    }
}
