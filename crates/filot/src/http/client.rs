//! Which client is asking, and whether it asks too often. Each process counts for itself; with Redis all instances also
//! count together.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use axum::middleware::Next;
use axum::response::IntoResponse;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Api;
use super::door::network;
use super::error::{ApiError, Code};
use crate::config::service::{Server, Service};

mod shared;

use shared::SharedLimits;

/// Requests between two looks for clients that have not come for a while.
const SWEEP_EVERY: u32 = 10_000;

/// Counts requests of each client.
pub(super) struct Limits {
    all: DefaultKeyedRateLimiter<IpAddr>,
    costly: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    trusted_proxies: usize,
    requests: AtomicU32,
    shared: Option<SharedLimits>,
    requests_per_minute: u32,
    uploads_per_minute: u32,
}

impl Limits {
    /// The limits of the configuration, shared through Redis when there is one.
    pub(super) fn of(config: &Service) -> Self {
        let shared = crate::queue::redis::connection(&config.redis);
        let shared = shared.map(|connection| SharedLimits::new(connection, &config.redis.prefix));
        Self { shared, ..Self::new(&config.server) }
    }

    fn new(server: &Server) -> Self {
        let limiter = |a_minute: u32| {
            RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(a_minute).unwrap_or(NonZeroU32::MIN)))
        };
        Self {
            all: limiter(server.requests_per_minute),
            costly: limiter(server.uploads_per_minute),
            clock: DefaultClock::default(),
            trusted_proxies: server.trusted_proxies.into(),
            requests: AtomicU32::new(0),
            shared: None,
            requests_per_minute: server.requests_per_minute.max(1),
            uploads_per_minute: server.uploads_per_minute.max(1),
        }
    }

    /// The address of the client: of the peer, or what the outermost trusted proxy saw.
    pub(super) fn address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let seen: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let outermost = seen.len().checked_sub(self.trusted_proxies).filter(|_| self.trusted_proxies > 0);
        let address = outermost.and_then(|at| seen.get(at)).and_then(|text| text.parse().ok());
        address.unwrap_or(peer.ip()).to_canonical()
    }

    /// What this process counted comes first: who asks it too often does not reach Redis.
    async fn take(&self, client: IpAddr, costly: bool) -> Result<(), Duration> {
        self.check(client, costly)?;
        let Some(shared) = &self.shared else { return Ok(()) };
        let (kind, a_minute) =
            if costly { ("costly", self.uploads_per_minute) } else { ("all", self.requests_per_minute) };
        shared.take(kind, network(client), a_minute).await.map_or(Ok(()), Err)
    }

    fn check(&self, client: IpAddr, costly: bool) -> Result<(), Duration> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.all.retain_recent();
            self.costly.retain_recent();
        }
        let client = network(client);
        let wait = |until: governor::NotUntil<_>| until.wait_time_from(self.clock.now());
        self.all.check_key(&client).map_err(wait)?;
        if costly { self.costly.check_key(&client).map_err(wait) } else { Ok(()) }
    }
}

/// What costs a decoding, a password hash or a reading.
fn is_costly(method: &Method, route: &str) -> bool {
    const COSTLY: &[&str] = &[
        "/auth/register",
        "/auth/login",
        "/auth/verify",
        "/auth/first-admin",
        "/auth/confirm",
        "/auth/trial",
        "/auth/password",
        "/console/login",
        "/console/code",
        "/console/enrol/{token}",
        "/console/password",
        "/documents/upload",
        "/documents/{id}/process",
        "/retake/{token}",
        "/verification/{id}/escalate",
    ];
    method == Method::POST && COSTLY.contains(&route)
}

/// The address that a request came from, for handlers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CameFrom(pub(crate) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for CameFrom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(None)))
    }
}

/// Turns away clients that ask too often. Who watches over the service is never turned away, and neighbours with the
/// service key are trusted to behave.
pub(super) async fn limit(State(api): State<Api>, mut request: Request, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let free = matches!(route, "/health" | "/ready" | "/metrics") || route.starts_with("/internal/");
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    if let Some(peer) = peer.filter(|_| !free) {
        let client = api.limits.address(peer, request.headers());
        if let Err(wait) = api.limits.take(client, is_costly(request.method(), route)).await {
            return ApiError::new(Code::RateLimited, "Too many requests. Wait a little before the next one.")
                .retry_after(wait)
                .into_response();
        }
        request.extensions_mut().insert(CameFrom(Some(client)));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(trusted_proxies: u8) -> Limits {
        let mut server = crate::config::Config::load(None).unwrap().service.server;
        server.trusted_proxies = trusted_proxies;
        server.requests_per_minute = 3;
        server.uploads_per_minute = 1;
        Limits::new(&server)
    }

    #[test]
    fn only_what_trusted_proxies_add_is_believed() {
        let peer = "10.0.0.1:5000".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 1.2.3.4".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.9".parse().unwrap());
        let seen = |proxies| limits(proxies).address(peer, &headers).to_string();
        assert_eq!([seen(0), seen(1), seen(2)], ["10.0.0.1", "10.0.0.9", "1.2.3.4"]);
        assert_eq!(limits(4).address(peer, &headers), peer.ip(), "fewer entries than proxies");
    }

    #[test]
    fn each_client_has_its_own_count_and_costly_requests_another() {
        let limits = limits(0);
        let [one, two]: [IpAddr; 2] = ["1.1.1.1".parse().unwrap(), "2.2.2.2".parse().unwrap()];
        assert!(limits.check(one, true).is_ok());
        assert!(limits.check(one, true).is_err());
        assert!(limits.check(one, false).is_ok());
        assert!(limits.check(one, false).is_err());
        assert!(limits.check(two, true).is_ok());
        let [a, b]: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        assert!(limits.check(a, true).is_ok());
        assert!(limits.check(b, true).is_err(), "the same network");
    }
}
