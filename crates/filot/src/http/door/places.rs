//! The places that connections take, and who gives theirs to somebody else.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::warn;

use super::Limits;

/// A connection that has been without a request for so long can go without harm.
const AT_REST: Duration = Duration::from_secs(5);
/// How often at most it is told that places are short.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Connections that are closed when no other can be accepted.
const FREED: usize = 16;

/// A request's head is awaited or coming in.
const HEAD: u8 = 0;
/// A request is being received, carried out or answered.
const BUSY: u8 = 1;
/// The next request is awaited.
const IDLE: u8 = 2;

/// All places.
pub(super) struct Places {
    limits: Limits,
    start: Instant,
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    taken: HashMap<u64, Arc<Shared>>,
    /// How many of them are of each network.
    of: HashMap<IpAddr, usize>,
    /// Connections that are open, those on their way out included.
    open: usize,
    tally: Tally,
    told: Option<Instant>,
}

/// What there is to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    refused: u64,
    closed: u64,
    failed: Option<String>,
}

struct Shared {
    network: IpAddr,
    phase: AtomicU8,
    /// Milliseconds from the start to when the phase began or, of one that is busy, the last byte came or went.
    since: AtomicU64,
    go: Notify,
}

/// One place. It is free again when this is dropped, after the connection.
pub(super) struct Place {
    number: u64,
    shared: Arc<Shared>,
    places: Arc<Places>,
}

/// A request under way.
pub(super) struct Answering(Arc<Place>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.enter(IDLE);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.remove(self.number);
        state.open -= 1;
        drop(state);
        self.places.left.notify_one();
    }
}

impl Place {
    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.enter(BUSY);
        Answering(Arc::clone(self))
    }

    /// The client has sent something.
    pub(super) fn heard(&self) {
        match self.shared.phase.load(Ordering::Relaxed) {
            IDLE => self.enter(HEAD),
            BUSY => self.moved(),
            // One that sends its head letter by letter gains nothing by it.
            _ => {}
        }
    }

    /// Something of a request or an answer has come or gone.
    pub(super) fn moved(&self) {
        self.shared.since.store(self.places.now(), Ordering::Relaxed);
    }

    /// Waits until the connection has to go.
    pub(super) async fn sent_away(&self) {
        self.shared.go.notified().await;
    }

    fn enter(&self, phase: u8) {
        self.moved();
        self.shared.phase.store(phase, Ordering::Relaxed);
    }
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, start: Instant::now(), state: Mutex::default(), left: Notify::new() })
    }

    /// A place for a connection from `network`. Where all are taken, somebody else goes; `None` where nobody has less
    /// right to one.
    pub(super) fn take(self: &Arc<Self>, network: IpAddr) -> Option<Arc<Place>> {
        let now = self.now();
        let mut state = self.state();
        let own = state.of.get(&network).copied().unwrap_or(0);
        let full = state.taken.len() >= self.limits.connections;
        let goes = if self.limits.per_address.is_some_and(|most| own >= most) {
            Some(state.at_rest_of(network))
        } else {
            full.then(|| state.least_entitled(own, now))
        };
        match goes {
            Some(None) => {
                state.tally.refused += 1;
                return None;
            }
            Some(Some(number)) => {
                state.send_away(number);
                state.tally.closed += u64::from(full);
            }
            None => {}
        }
        let number = state.next;
        let shared = Arc::new(Shared {
            network,
            phase: AtomicU8::new(HEAD),
            since: AtomicU64::new(now),
            go: Notify::new(),
        });
        state.taken.insert(number, Arc::clone(&shared));
        *state.of.entry(network).or_default() += 1;
        state.next += 1;
        state.open += 1;
        Some(Arc::new(Place { number, shared, places: Arc::clone(self) }))
    }

    /// Waits until no more than `most` connections are open: those sent away need a moment to go.
    pub(super) async fn wait_for_leaving(&self, most: usize) {
        while self.state().open >= most {
            self.left.notified().await;
        }
    }

    /// Closes what waits for its client too long.
    pub(super) fn close_overdue(&self) {
        let now = self.now();
        let mut state = self.state();
        let overdue = |shared: &Shared| {
            let limit = match shared.phase.load(Ordering::Relaxed) {
                HEAD => self.limits.head,
                IDLE => self.limits.idle,
                _ => return false,
            };
            shared.age(now) > millis(limit)
        };
        let numbers: Vec<u64> =
            state.taken.iter().filter(|(_, shared)| overdue(shared)).map(|(number, _)| *number).collect();
        for number in numbers {
            state.send_away(number);
        }
    }

    /// No connection can be accepted, most likely for want of descriptors. Some go, to free theirs.
    pub(super) fn note_failure(&self, error: &io::Error) {
        let now = self.now();
        let mut state = self.state();
        state.tally.failed = Some(error.to_string());
        for _ in 0..FREED {
            let Some(number) = state.least_entitled(0, now) else { break };
            state.send_away(number);
        }
    }

    /// Tells of places that were short, now and then.
    pub(super) fn report(&self) {
        let mut state = self.state();
        let quiet = state.told.is_some_and(|at| at.elapsed() < REPORT_EVERY);
        if quiet || state.tally == Tally::default() {
            return;
        }
        let Tally { refused, closed, failed } = std::mem::take(&mut state.tally);
        state.told = Some(Instant::now());
        let open = state.taken.len();
        drop(state);
        if let Some(error) = failed {
            warn!(
                error,
                open,
                "connections could not be accepted; raise the limit of open files (LimitNOFILE, ulimit -n) or lower \
                 server.connections"
            );
        }
        if refused + closed > 0 {
            warn!(refused, closed, open, "connections were short: some were refused or closed for others");
        }
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The connection of `network` that has been without a request for longest.
    fn at_rest_of(&self, network: IpAddr) -> Option<u64> {
        let of_network = self.taken.iter().filter(|(_, shared)| shared.network == network && shared.waits());
        of_network.min_by_key(|(_, shared)| shared.since.load(Ordering::Relaxed)).map(|(number, _)| *number)
    }

    /// Who goes for somebody that has `own` places: first those of a network with more that wait, then whoever is at
    /// rest, then those of a network with more that are busy. Of these the one whose network has most, and which was
    /// quiet for longest.
    fn least_entitled(&self, own: usize, now: u64) -> Option<u64> {
        let rank = |shared: &Shared| {
            let (count, age) = (self.of.get(&shared.network).copied().unwrap_or(0), shared.age(now));
            let more = count > own + 1;
            match shared.waits() {
                true if more => Some((3, count, age)),
                true if age > millis(AT_REST) => Some((2, count, age)),
                false if more => Some((1, count, age)),
                _ => None,
            }
        };
        let ranked = self.taken.iter().filter_map(|(number, shared)| Some((rank(shared)?, *number)));
        ranked.max().map(|(_, number)| number)
    }

    fn send_away(&mut self, number: u64) {
        if let Some(shared) = self.remove(number) {
            shared.go.notify_one();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Shared>> {
        let shared = self.taken.remove(&number)?;
        if let Some(count) = self.of.get_mut(&shared.network) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&shared.network);
            }
        }
        Some(shared)
    }
}

impl Shared {
    fn waits(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != BUSY
    }

    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.since.load(Ordering::Relaxed))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn places(connections: usize, per_address: Option<usize>) -> Arc<Places> {
        let server = Config::load(None).unwrap().service.server;
        Places::new(Limits { connections, per_address, ..Limits::of(&server) })
    }

    fn address(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    fn stays(place: &Place) -> bool {
        place.places.state().taken.contains_key(&place.number)
    }

    #[test]
    fn whoever_holds_most_gives_way() {
        let places = places(6, None);
        let busy = places.take(address(1)).unwrap();
        let _request = busy.begin();
        let many: Vec<_> = (0..4).map(|_| places.take(address(2)).unwrap()).collect();
        let few = places.take(address(3)).unwrap();
        let new = places.take(address(4)).unwrap();
        assert!(stays(&busy) && stays(&few) && stays(&new));
        assert_eq!(many.iter().filter(|place| stays(place)).count(), 3);
        // None of the others has more than two, and all have just come.
        let _requests: Vec<_> = many.iter().map(Place::begin).collect();
        assert!(places.take(address(2)).is_none());
        assert!(places.take(address(5)).is_some(), "one of three requests of one client gives way");
    }

    #[test]
    fn a_client_at_its_limit_loses_its_own_oldest_connection_at_rest() {
        let places = places(100, Some(2));
        let first = places.take(address(1)).unwrap();
        let second = places.take(address(1)).unwrap();
        let _request = first.begin();
        let third = places.take(address(1)).unwrap();
        assert!(stays(&first) && !stays(&second) && stays(&third));
        let _other = third.begin();
        assert!(places.take(address(1)).is_none(), "both are busy");
        assert!(places.take(address(2)).is_some());
        drop((first, second, third));
    }

    #[test]
    fn a_place_is_free_again_only_when_the_connection_has_gone() {
        let places = places(1, None);
        let place = places.take(address(1)).unwrap();
        assert_eq!(places.state().open, 1);
        places.state().send_away(place.number);
        // One look at a time: two in one expression would wait for each other.
        assert_eq!(places.state().open, 1);
        assert!(places.state().taken.is_empty());
        drop(place);
        assert_eq!(places.state().open, 0);
        assert!(places.state().of.is_empty());
    }
}
