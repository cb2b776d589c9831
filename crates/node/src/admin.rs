//! The port for whoever looks after the node: metrics, health.
//! Promise: one page is made at a time, others wait their turn, and as many as the listener has connections;
//! nothing that clients wrote is on any of them.
//! Not here: what is on the page (`metrics`), accepting and draining (`listener`).

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use tokio::sync::{Semaphore, watch};
use tonic::body::Body;
use tonic::service::Routes;

use crate::metrics::Metrics;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Everything else.
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// What the port answers from.
pub(crate) struct Admin {
    metrics: Metrics,
    ready: watch::Receiver<bool>,
    /// The right to make a page: it reads the state of every cell.
    turn: Semaphore,
}

impl Admin {
    pub(crate) fn new(metrics: Metrics, ready: watch::Receiver<bool>) -> Self {
        Self {
            metrics,
            ready,
            turn: Semaphore::new(1),
        }
    }

    /// The paths of the port.
    pub(crate) fn routes(self) -> Routes {
        let admin = Arc::new(self);
        let service = tower::service_fn(move |request: http::Request<_>| {
            let admin = admin.clone();
            let (head, _) = request.into_parts();
            async move { Ok::<_, Infallible>(admin.answer(&head.method, head.uri.path()).await) }
        });
        let router = Routes::default().into_axum_router();
        Routes::from(router.fallback_service(service)).prepare()
    }

    async fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, TEXT_TYPE, "only GET\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        let is_ready = *self.ready.borrow();
        match path {
            "/metrics" => {
                // The semaphore is never closed.
                let _turn = self.turn.acquire().await;
                text(
                    StatusCode::OK,
                    METRICS_TYPE,
                    self.metrics.page(is_ready).await,
                )
            }
            "/healthz" => text(StatusCode::OK, TEXT_TYPE, "ok\n"),
            "/readyz" if is_ready => text(StatusCode::OK, TEXT_TYPE, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, TEXT_TYPE, "not ready\n"),
            _ => text(
                StatusCode::NOT_FOUND,
                TEXT_TYPE,
                "/metrics, /healthz or /readyz\n",
            ),
        }
    }
}

fn text(status: StatusCode, kind: &'static str, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::new(text.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
