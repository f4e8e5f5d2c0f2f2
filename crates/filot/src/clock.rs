//! Time as the product sees it. No other place asks for the time of day.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// Tells the time; a fixed one for repeatable runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Always the same day; the time of day goes on.
    Day(Date),
    /// Milliseconds since 1970, moved by hand.
    Hand(&'static AtomicI64),
    /// Wrong by so many milliseconds.
    Skewed(i64),
    /// The same, put right by what a clock that all share has said.
    Corrected { wrong_by: i64, correction: &'static AtomicI64 },
}

impl Clock {
    /// Always the same day.
    pub fn fixed(day: Date) -> Self {
        Self(Source::Day(day))
    }

    /// A clock that stands still until [`Clock::advance`] moves it, for tests of expiry and schedules. Its copies share
    /// one hand, which is never freed.
    pub fn by_hand(at: Timestamp) -> Self {
        Self(Source::Hand(Box::leak(Box::new(AtomicI64::new(at.as_millisecond())))))
    }

    /// A clock that goes, but wrong: what a badly kept machine has.
    pub fn skewed(by: SignedDuration) -> Self {
        Self(Source::Skewed(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The clock of processes that have to agree: it is put right by [`Clock::correct`]. One that is moved by hand, or always
    /// shows the same day, stays as it is. Its copies share the correction, which is never freed.
    pub fn correctable(self) -> Self {
        let wrong_by = match self.0 {
            Source::System => 0,
            Source::Skewed(by) => by,
            _ => return self,
        };
        Self(Source::Corrected { wrong_by, correction: Box::leak(Box::new(AtomicI64::new(0))) })
    }

    /// Whether [`Clock::correct`] does anything.
    pub fn is_correctable(&self) -> bool {
        matches!(self.0, Source::Corrected { .. })
    }

    /// Moves a clock made by [`Clock::correctable`].
    pub fn correct(&self, by: SignedDuration) {
        if let Source::Corrected { correction, .. } = self.0 {
            correction.fetch_add(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::SeqCst);
        }
    }

    /// Now, in whole milliseconds: what every database keeps without loss.
    pub fn now(&self) -> Timestamp {
        let millis = match self.0 {
            Source::System | Source::Day(_) => Timestamp::now().as_millisecond(),
            Source::Hand(at) => at.load(Ordering::SeqCst),
            Source::Skewed(by) => Timestamp::now().as_millisecond().saturating_add(by),
            Source::Corrected { wrong_by, correction } => Timestamp::now()
                .as_millisecond()
                .saturating_add(wrong_by)
                .saturating_add(correction.load(Ordering::SeqCst)),
        };
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }

    /// The calendar day in western Indonesia (UTC+7), the zone of most registry offices.
    pub fn today(&self) -> Date {
        match self.0 {
            Source::Day(day) => day,
            Source::System | Source::Hand(_) | Source::Skewed(_) | Source::Corrected { .. } => {
                Offset::constant(7).to_datetime(self.now()).date()
            }
        }
    }

    /// Moves a clock made by [`Clock::by_hand`]; others go by themselves.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Hand(at) = self.0 {
            at.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn today_is_the_date_in_western_indonesia() {
        let clock = Clock::by_hand("2026-03-31T18:00:00Z".parse().unwrap());
        assert_eq!(clock.today(), "2026-04-01".parse().unwrap());
        clock.advance(SignedDuration::from_hours(-2));
        assert_eq!(clock.today(), "2026-03-31".parse().unwrap());
    }
}
