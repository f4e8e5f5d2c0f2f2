//! The door: who may be connected, for how long, and who has to go when all places are taken.
//!
//! A connection takes a [place](places). One that waits for nothing but its client, before a request or between two, is
//! closed when it does so too long, or when somebody else needs the place; whoever holds the most places gives way
//! first. Bodies and answers have to come on at a [pace].

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::config::service::Server;

mod answer;
mod line;
mod pace;
mod places;

use answer::Answer;
use line::Line;
pub(super) use pace::{Pace, Watch};
use places::{Place, Places};

/// Open files that are not connections: the database, the networks, other servers, children.
const RESERVE: u64 = 192;
/// Connections that nobody asked for more than.
const MAX_CONNECTIONS: u64 = 4096;
/// Open files that nobody needs more of. Some systems allow a thousand million, and children look at each.
const MAX_OPEN_FILES: u64 = 65_536;
/// Longest head of a request, and what is read or written at a time.
const BUFFER: usize = 32 * 1024;
/// Connections that may be about to close beside those that are open.
const LEAVING: usize = 32;
/// How often to look for connections that wait too long.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait when a connection cannot be accepted.
const AGAIN: Duration = Duration::from_millis(100);

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open at a time.
    connections: usize,
    /// Of one client. `None` behind proxies, which bring everybody's requests.
    per_address: Option<usize>,
    /// From the first moment to the end of a request's head.
    head: Duration,
    /// Between two requests.
    idle: Duration,
    /// Of an answer being read.
    pace: Pace,
}

impl Limits {
    /// The limits of the configuration, as far as this process may open files.
    pub fn of(server: &Server) -> Self {
        Self {
            connections: connections(server),
            per_address: (server.trusted_proxies == 0).then_some(server.connections_per_address),
            head: Duration::from_secs(server.header_timeout_s),
            idle: Duration::from_secs(server.idle_timeout_s),
            pace: Pace::of(server),
        }
    }
}

/// Connections that may be open at a time: what the configuration says, else what the limit of open files leaves.
pub(crate) fn connections(server: &Server) -> usize {
    if server.connections > 0 {
        return server.connections;
    }
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(now, _)| now);
    // With very few files half of them.
    let left = files.saturating_sub(RESERVE).max(files / 2).clamp(16, MAX_CONNECTIONS);
    usize::try_from(left).unwrap_or(usize::MAX)
}

/// Lets this process open as many files as it may at all. That it may not is no reason to stop.
pub fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        let wanted = most.min(MAX_OPEN_FILES);
        if now < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, most) } else { Ok(()) }
    });
    if let Err(error) = raised {
        debug!(%error, "the limit of open files stays as it is");
    }
}

/// A client has all addresses of an IPv6 /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Answers with `router` whoever comes, until `stop` is cancelled and all that were under way have their answer.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let places = Places::new(limits);
    let guests = TaskTracker::new();
    guests.spawn(look_after(Arc::clone(&places), stop.clone()));
    let next = async || {
        places.wait_for_leaving(limits.connections + LEAVING).await;
        listener.accept().await
    };
    while let Some(came) = stop.run_until_cancelled(next()).await {
        match came {
            Ok((stream, peer)) => {
                if let Some(place) = places.take(network(peer.ip())) {
                    guests.spawn(attend(stream, peer, place, router.clone(), limits, stop.clone()));
                }
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                places.note_failure(&error);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    drop(listener);
    guests.close();
    guests.wait().await;
}

/// Whether only the one connection is concerned.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn look_after(places: Arc<Places>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
        places.close_overdue();
        places.report();
    }
}

/// One connection, from its first byte to its last.
async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    place: Arc<Place>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    // Events are small, and each is waited for. That it cannot be set only delays them.
    let _ = stream.set_nodelay(true);
    let line = TokioIo::new(Line::new(stream, Arc::clone(&place), limits.pace));
    let routes = TowerToHyperService::new(router);
    let own = Arc::clone(&place);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = own.begin();
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = routes.call(request);
        async move {
            let response = response.await?;
            Ok::<_, Infallible>(response.map(|body| Body::new(Answer::new(body, answering))))
        }
    });
    let connection = http1::Builder::new()
        // The places look after that.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(BUFFER)
        .serve_connection(line, service);
    let mut connection = std::pin::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            () = place.sent_away() => break,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
