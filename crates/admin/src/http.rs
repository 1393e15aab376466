//! What the admin port answers to a plain HTTP client: `/metrics`, `/live`, `/ready`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tonic::Status;

use crate::metrics::{self, Page};
use crate::plane::{Plane, Readiness};
use crate::process;

/// The pages, and what anything else is answered.
pub(crate) fn pages(plane: Arc<Plane>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .with_state(plane)
}

/// An unknown path, told in the way of whoever asks.
pub(crate) async fn unknown(headers: HeaderMap) -> Response<Body> {
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if headers.get(CONTENT_TYPE).is_some_and(is_grpc) {
        return Status::unimplemented("there is no such call").into_http();
    }
    let pages = "the pages are /metrics, /live and /ready; the rest of this port is gRPC\n";
    (StatusCode::NOT_FOUND, pages).into_response()
}

async fn ready(State(plane): State<Arc<Plane>>) -> Response<Body> {
    let readiness = plane.is_ready();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", readiness.name())).into_response()
}

async fn metrics(State(plane): State<Arc<Plane>>) -> Response<Body> {
    let reading = match plane.read().await {
        Ok(reading) => reading,
        Err(error) => return failed(&error),
    };
    let page = Page {
        reading,
        groups: plane.about.groups.clone(),
        version: plane.about.version,
        is_ready: plane.is_ready() == Readiness::Ready,
        process: process::read(),
    };
    match metrics::render(page) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(why: &impl ToString) -> Response<Body> {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", why.to_string())).into_response()
}
