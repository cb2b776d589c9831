//! Calls whose request is larger than the API decodes.
//! Promise: they are refused with our reason and both sizes, like every other refusal.
//! Not here: requests that are decoded and hold a text too long (`check`), streams (`edge`).

use std::task::{Context, Poll};

use futures::TryFutureExt;
use futures::future::MapOk;
use rpc::api::v1::cluster_service_server::SERVICE_NAME as CLUSTER_SERVICE;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::errors::{message_too_large, status};
use crate::limits;

/// Where tonic puts a status' details: what has them is a refusal of ours.
const DETAILS: &str = "grpc-status-details-bin";

/// Wraps the services of an API listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct OversizedLayer;

impl<S> Layer<S> for OversizedLayer {
    type Service = Oversized<S>;

    fn layer(&self, inner: S) -> Oversized<S> {
        Oversized { inner }
    }
}

/// Services whose transport's own "too large" becomes the API's.
#[derive(Debug, Clone)]
pub(super) struct Oversized<S> {
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Oversized<S>
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

/// Gives a bare "out of range" its reason. A refused call has its status in the headers, and the only
/// one of tonic's own with this code is that of the receive limit.
fn with_reason(headers: &mut HeaderMap, limit: usize) {
    let bare = !headers.contains_key(DETAILS);
    let refused = bare
        && Status::from_header_map(headers).map(|status| status.code()) == Some(Code::OutOfRange);
    if !refused {
        return;
    }
    let ours = status(message_too_large(limit + 1, limit));
    if let Err(wrong) = ours.add_header(headers) {
        tracing::error!(%wrong, "a refusal does not fit into headers");
    }
}
