//! A circuit breaker: after some failures in a row BULI2 is left alone for a while, then asked once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::document::spelled;

spelled! {
    /// How a breaker stands.
    BreakerState {
        /// Calls are made.
        Closed = "closed",
        /// No calls are made.
        Open = "open",
        /// One call is made to see whether things are better.
        HalfOpen = "half_open",
    }
}

/// Counts failures in a row: 5xx, timeouts and network errors. A refusal is an answer and no failure.
#[derive(Clone, Debug)]
pub struct Breaker {
    limit: u32,
    cooldown: SignedDuration,
    failures: u32,
    open_until: Option<Timestamp>,
    probing: bool,
}

impl Breaker {
    /// Opens after `limit` failures in a row, for `cooldown`.
    pub fn new(limit: u32, cooldown: Duration) -> Self {
        let cooldown = SignedDuration::try_from(cooldown).unwrap_or(SignedDuration::MAX);
        Self { limit: limit.max(1), cooldown, failures: 0, open_until: None, probing: false }
    }

    /// How many of `wanted` calls may be made now.
    pub(super) fn permits(&mut self, wanted: usize, now: Timestamp) -> usize {
        match self.state(now).0 {
            BreakerState::Closed => wanted,
            BreakerState::HalfOpen if !self.probing && wanted > 0 => {
                self.probing = true;
                1
            }
            BreakerState::Open | BreakerState::HalfOpen => 0,
        }
    }

    /// The probe was not made.
    pub(super) fn give_back(&mut self) {
        self.probing = false;
    }

    /// A call has ended.
    pub(super) fn record(&mut self, healthy: bool, now: Timestamp) {
        self.probing = false;
        if healthy {
            self.failures = 0;
            self.open_until = None;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.limit {
            self.open_until = now.checked_add(self.cooldown).ok().or(Some(Timestamp::MAX));
        }
    }

    /// How it stands, and until when it is open.
    pub(super) fn state(&self, now: Timestamp) -> (BreakerState, Option<Timestamp>) {
        match self.open_until {
            None => (BreakerState::Closed, None),
            Some(until) if now < until => (BreakerState::Open, Some(until)),
            Some(_) => (BreakerState::HalfOpen, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::new(3, Duration::from_secs(30));
        for second in 0..10 {
            breaker.record(second % 3 == 2, at(second));
            assert_eq!(breaker.permits(8, at(second)), 8);
        }
        for second in 10..12 {
            breaker.record(false, at(second));
        }
        assert_eq!(breaker.permits(8, at(12)), 0, "three in a row");
        assert_eq!(breaker.state(at(12)), (BreakerState::Open, Some(at(41))));
    }

    #[test]
    fn one_probe_decides() {
        let mut breaker = Breaker::new(1, Duration::from_secs(30));
        breaker.record(false, at(0));
        assert_eq!((breaker.permits(8, at(29)), breaker.permits(8, at(30))), (0, 1));
        assert_eq!(breaker.permits(8, at(31)), 0, "the probe is on its way");
        breaker.record(false, at(40));
        assert_eq!((breaker.permits(8, at(69)), breaker.permits(8, at(70))), (0, 1), "open anew");
        breaker.give_back();
        assert_eq!(breaker.permits(8, at(71)), 1, "nothing was there to send");
        breaker.record(true, at(72));
        assert_eq!(breaker.permits(8, at(72)), 8);
    }
}
