//! The arrival of a request's body: it has to come on at a pace, and while it does, the request's deadline waits.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use super::door::{Pace, Watch};
use super::error::{ApiError, AsIs, Code};

/// What requests may take.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// From the last of the body to the answer.
    pub(super) answer: Duration,
    pub(super) pace: Pace,
}

/// Nobody waits for the client.
const HERE: u8 = 0;
/// More of the body is waited for.
const AWAITED: u8 = 1;
/// It came too slowly, or broke off.
const LOST: u8 = 2;

/// How the body of one request fares.
struct Fate {
    state: AtomicU8,
    latest: Mutex<Instant>,
}

impl Fate {
    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Relaxed) == state
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }

    fn latest(&self) -> Instant {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A body that is watched.
struct Arriving {
    body: Body,
    watch: Watch,
    fate: Arc<Fate>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let (bytes, state) = match &polled {
            Poll::Pending => {
                this.fate.set(AWAITED);
                return this.watch.poll_slow(cx).map(|()| {
                    this.fate.set(LOST);
                    Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut))))
                });
            }
            Poll::Ready(Some(Ok(frame))) => (frame.data_ref().map_or(0, Bytes::len), HERE),
            Poll::Ready(Some(Err(error))) => (0, if broke_off(error) { LOST } else { HERE }),
            Poll::Ready(None) => (0, HERE),
        };
        this.watch.moved(bytes);
        this.fate.touch();
        this.fate.set(state);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a body ended before its time, rather than being nonsense.
fn broke_off(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        let hyper = error.downcast_ref::<hyper::Error>();
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let gone = matches!(kind, Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof));
        if gone || hyper.is_some_and(|error| error.is_incomplete_message() || error.is_canceled()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Ends a request that has no answer in time. While its body is on its way the time does not run, but the body has to
/// come on. Streams that have begun are not touched.
pub(super) async fn deadline(
    State(patience): State<Patience>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let fate = Arc::new(Fate { state: AtomicU8::new(HERE), latest: Mutex::new(Instant::now()) });
    let request = if request.body().is_end_stream() {
        request
    } else {
        let watch = Watch::new(patience.pace);
        request.map(|body| Body::new(Arriving { body, watch, fate: Arc::clone(&fate) }))
    };
    let mut answer = std::pin::pin!(next.run(request));
    loop {
        let end = fate.latest() + patience.answer;
        match timeout_at(end, answer.as_mut()).await {
            Ok(response) if fate.is(LOST) => return lost(Some(response)),
            Ok(response) => return response,
            Err(_) if fate.latest() + patience.answer > end => {}
            Err(_) if fate.is(AWAITED) => return lost(None),
            Err(_) => {
                return ApiError::new(Code::TimedOut, "The request was not finished in time. Try again.")
                    .retry_after(Duration::from_secs(5))
                    .into_response();
            }
        }
    }
}

/// The answer to a request whose body did not come: pages for people stay what they are, but for their status.
fn lost(response: Option<Response<Body>>) -> Response<Body> {
    let page = response.filter(|response| response.extensions().get::<AsIs>().is_some());
    let mut response = match page {
        Some(mut page) => {
            *page.status_mut() = StatusCode::REQUEST_TIMEOUT;
            page
        }
        None => ApiError::new(
            Code::BodyIncomplete,
            "The body broke off or came too slowly. Send the request again on a better connection.",
        )
        .into_response(),
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
