//! How often passwords and codes can be tried, so that nobody guesses them and nobody keeps their owner out.
//!
//! Only what fails is counted, in three ways: for an account from one network, for a network over all accounts, and for
//! an account over all networks. The last two turn away strangers only: from where somebody has signed in before, their
//! right password is accepted whatever others try from elsewhere. A browser in which they have signed in is such a place
//! wherever it is, and what others fail on its network does not count for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::Clock;

/// Keys counted at a time; those that are tried least are forgotten.
const CAPACITY: u64 = 50_000;

/// So many failures at once, and one more each time `refill` has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) burst: u32,
    pub(crate) refill: Duration,
}

/// Counts by a key.
pub(crate) struct Counter {
    levels: Cache<String, Arc<Mutex<Level>>>,
    allowance: Allowance,
    clock: Clock,
}

/// Failures that have not been forgiven yet, and when that was (milliseconds since 1970).
#[derive(Default)]
struct Level {
    failures: f64,
    at: i64,
}

impl Counter {
    pub(crate) fn new(allowance: Allowance, clock: Clock) -> Self {
        let ttl = allowance.refill.saturating_mul(allowance.burst + 1);
        Self { levels: Cache::builder().max_capacity(CAPACITY).time_to_idle(ttl).build(), allowance, clock }
    }

    /// Counts a failure in advance, if one more is allowed.
    pub(crate) fn take(&self, key: &str) -> bool {
        let level = self.levels.get_with_by_ref(key, Arc::default);
        let mut level = level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().as_millisecond();
        let forgiven = (now - level.at).max(0) as f64 / self.allowance.refill.as_millis().max(1) as f64;
        level.failures = (level.failures - forgiven).max(0.0);
        level.at = now;
        let fits = level.failures + 1.0 <= f64::from(self.allowance.burst);
        if fits {
            level.failures += 1.0;
        }
        fits
    }

    /// It was no failure.
    pub(crate) fn give_back(&self, key: &str) {
        if let Some(level) = self.levels.get(key) {
            let mut level = level.lock().unwrap_or_else(PoisonError::into_inner);
            level.failures = (level.failures - 1.0).max(0.0);
        }
    }
}

/// Where an attempt comes from.
#[derive(Debug, Default)]
pub struct Source {
    /// The client's address, if that is known.
    pub address: Option<IpAddr>,
    /// The mark that a browser was given when somebody signed in there completely. It proves nothing but that.
    pub device: Option<String>,
}

impl From<Option<IpAddr>> for Source {
    fn from(address: Option<IpAddr>) -> Self {
        Self { address, device: None }
    }
}

/// Counts attempts of accounts.
pub(crate) struct Attempts {
    pairs: Counter,
    networks: Counter,
    accounts: Counter,
}

/// One attempt that is allowed. It counts as a failure until [`Attempts::succeeded`] says otherwise.
#[derive(Debug)]
pub(crate) struct Attempt {
    pair: String,
    /// Account and network, unless they had nothing left and it came from where the owner signs in.
    stranger: Option<(String, String)>,
}

impl Attempts {
    /// `pair` is for one account from one network, the others for a network and for an account in all.
    pub(crate) fn new(clock: Clock, pair: Allowance, network: Allowance, account: Allowance) -> Self {
        Self {
            pairs: Counter::new(pair, clock),
            networks: Counter::new(network, clock),
            accounts: Counter::new(account, clock),
        }
    }

    /// Allows an attempt, or does not. `is_known` says whether the account has been signed in to from there; it is asked
    /// only when strangers are turned away.
    pub(crate) async fn begin<E>(
        &self,
        account: &str,
        network: &str,
        is_known: impl AsyncFnOnce() -> Result<bool, E>,
    ) -> Result<Option<Attempt>, E> {
        let pair = format!("{account} {network}");
        if !self.pairs.take(&pair) {
            return Ok(None);
        }
        if self.networks.take(network) {
            if self.accounts.take(account) {
                return Ok(Some(Attempt { pair, stranger: Some((account.to_owned(), network.to_owned())) }));
            }
            self.networks.give_back(network);
        }
        let known = is_known().await;
        if !matches!(known, Ok(true)) {
            self.pairs.give_back(&pair);
        }
        Ok(known?.then_some(Attempt { pair, stranger: None }))
    }

    /// Allows an attempt from a device of the account's owner, or does not: counted for this device only.
    pub(crate) fn begin_on(&self, account: &str, device: &str) -> Option<Attempt> {
        let pair = format!("{account} {device}");
        self.pairs.take(&pair).then_some(Attempt { pair, stranger: None })
    }

    /// The attempt was no failure, or none of whoever made it.
    pub(crate) fn succeeded(&self, attempt: &Attempt) {
        self.pairs.give_back(&attempt.pair);
        if let Some((account, network)) = &attempt.stranger {
            self.accounts.give_back(account);
            self.networks.give_back(network);
        }
    }
}

/// The network of an address: what one customer of a provider has, or their neighbours.
pub(crate) fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "-".to_owned(),
        Some(IpAddr::V4(v4)) => format!("{}/24", Ipv4Addr::from_bits(v4.to_bits() & !0xFF)),
        Some(IpAddr::V6(v6)) => format!("{}/48", Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48))),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    const fn allowance(burst: u32, refill_s: u64) -> Allowance {
        Allowance { burst, refill: Duration::from_secs(refill_s) }
    }

    #[test]
    fn failures_are_forgiven_with_time_and_successes_are_none() {
        let clock = Clock::by_hand(Timestamp::now());
        let counter = Counter::new(allowance(3, 10), clock);
        assert_eq!([(); 4].map(|()| counter.take("a")), [true, true, true, false]);
        assert!(counter.take("b"));
        clock.advance(SignedDuration::from_secs(10));
        assert_eq!([(); 2].map(|()| counter.take("a")), [true, false]);
        counter.give_back("a");
        assert!(counter.take("a"));
        clock.advance(SignedDuration::from_secs(1000));
        assert_eq!([(); 4].map(|()| counter.take("a")), [true, true, true, false]);
    }

    #[tokio::test]
    async fn strangers_are_turned_away_and_the_owner_is_not() {
        let clock = Clock::by_hand(Timestamp::now());
        let attempts = Attempts::new(clock, allowance(2, 10), allowance(50, 1), allowance(5, 60));
        let begin = async |network: &str, known: bool| {
            let known = async || Ok::<_, ()>(known);
            attempts.begin("siti", network, known).await.unwrap()
        };
        let mut allowed = 0;
        for number in 0..10 {
            for _ in 0..3 {
                allowed += u32::from(begin(&format!("10.0.{number}.0/24"), false).await.is_some());
            }
        }
        assert_eq!(allowed, 5, "guesses in all, wherever they come from");
        assert!(begin("10.1.0.0/24", false).await.is_none());
        for _ in 0..20 {
            let attempt = begin("10.1.0.0/24", true).await.unwrap();
            attempts.succeeded(&attempt);
        }
        assert!(begin("10.1.0.0/24", true).await.is_some());
        assert!(begin("10.1.0.0/24", true).await.is_some());
        assert!(begin("10.1.0.0/24", true).await.is_none(), "who fails from there is slowed, too");
        // Their own browser there is not slowed by neighbours, and is no way to guess without end.
        let told = [(); 3].map(|()| attempts.begin_on("siti", "device a").is_some());
        assert_eq!(told, [true, true, false]);
    }

    #[test]
    fn networks_are_those_of_neighbours() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("203.0.113.9"), "203.0.113.0/24");
        assert_eq!(of("::ffff:203.0.113.9"), "203.0.113.0/24");
        assert_eq!(of("2001:db8:1:2::3"), "2001:db8:1::/48");
        assert_eq!(network(None), "-");
    }
}
