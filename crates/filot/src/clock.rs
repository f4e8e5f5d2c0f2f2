//! The only place where the time of day comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// Tells the time, in whole milliseconds: what every database keeps without loss.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    /// Milliseconds since 1970, moved by hand.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The computer's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it, for tests of expiry and schedules.
    pub fn fixed(at: Timestamp) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(at.as_millisecond()))))
    }

    /// Now, cut to milliseconds.
    pub fn now(&self) -> Timestamp {
        let millis = match &self.0 {
            Source::System => Timestamp::now().as_millisecond(),
            Source::Fixed(at) => at.load(Ordering::SeqCst),
        };
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }

    /// The date in Jakarta (UTC+7, no daylight saving): cards, ages and validity are judged by it.
    pub fn today(&self) -> Date {
        Offset::constant(7).to_datetime(self.now()).date()
    }

    /// Moves a fixed clock; the system's clock stays as it is.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Fixed(at) = &self.0 {
            at.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn today_is_the_date_in_jakarta() {
        let clock = Clock::fixed("2026-03-31T18:00:00Z".parse().unwrap());
        assert_eq!(clock.today(), "2026-04-01".parse().unwrap());
        clock.advance(SignedDuration::from_hours(-2));
        assert_eq!(clock.today(), "2026-03-31".parse().unwrap());
    }
}
