//! One connection of the admin port, and the bounds of all: how many there are, how much each may
//! send, how long it may say nothing.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt;

/// Connections at a time; whoever comes beyond is closed at once.
pub const CONNECTIONS_MAX: usize = 64;

/// Bytes of a gRPC message that a client sends, at most.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Requests of one connection at a time.
const STREAMS_MAX: u32 = 8;
/// Bytes of headers, and of what is read ahead.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// The smallest that HTTP/2 allows.
const FRAME_BYTES_MAX: u32 = 16 << 10;
/// Bytes of bodies that wait to be taken, of one request and of one connection.
const WINDOW_BYTES: u32 = 64 << 10;
/// How long a request may take until its answer begins.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the header of an HTTP/1 request may take.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may be open without a request.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long open answers may go on when the broker stops.
const DRAIN_MAX: Duration = Duration::from_millis(200);

/// Serves until the client ends, has been silent for too long, or `stop` says so.
pub(crate) async fn serve(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let requests = Arc::new(Requests::default());
    let counted = Arc::clone(&requests);
    let service = service_fn(move |request: Request<Incoming>| {
        let open = Open::new(&counted);
        answer(router.clone(), request, open)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(usize::try_from(HEADER_BYTES_MAX).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .keep_alive_interval(Some(IDLE_MAX))
        .keep_alive_timeout(Duration::from_secs(10));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(error, "an admin connection ends");
            }
        }
        () = requests.silent() => {}
        () = asked(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            // An answer that goes on is cut: the broker does not wait for who watches it.
            drop(timeout(DRAIN_MAX, connection).await);
        }
    }
}

/// Ready when `stop` says so, or whoever could say so is gone.
pub(crate) async fn asked(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    open: Open,
) -> Result<Response<Answered>, Infallible> {
    let answer = match timeout(ANSWER_MAX, router.oneshot(request)).await {
        Ok(Ok(answer)) => answer,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "it took too long\n").into_response(),
    };
    Ok(answer.map(|body| Answered { body, _open: open }))
}

/// The requests of one connection.
#[derive(Default)]
struct Requests {
    open: AtomicUsize,
    /// Requests that began so far.
    begun: AtomicUsize,
}

impl Requests {
    /// Ready when no request was open for [`IDLE_MAX`], or up to twice that.
    async fn silent(&self) {
        let mut idle_since = Some(0);
        loop {
            tokio::time::sleep(IDLE_MAX).await;
            let begun = self.begun.load(Ordering::Relaxed);
            let idle = (self.open.load(Ordering::Relaxed) == 0).then_some(begun);
            if idle.is_some() && idle == idle_since {
                return;
            }
            idle_since = idle;
        }
    }
}

/// A request whose answer was not sent yet.
struct Open(Arc<Requests>);

impl Open {
    fn new(requests: &Arc<Requests>) -> Open {
        requests.open.fetch_add(1, Ordering::Relaxed);
        requests.begun.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(requests))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer; its request is open until it was sent.
struct Answered {
    body: Body,
    _open: Open,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
