//! Time as the product sees it.

use jiff::civil::Date;
use jiff::tz::Offset;

/// Tells the time; a fixed one for repeatable runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    fixed: Option<Date>,
}

impl Clock {
    /// Always the same day.
    pub fn fixed(day: Date) -> Self {
        Self { fixed: Some(day) }
    }

    /// The calendar day in western Indonesia (UTC+7), the zone of most registry offices.
    pub fn today(&self) -> Date {
        self.fixed.unwrap_or_else(|| Offset::constant(7).to_datetime(jiff::Timestamp::now()).date())
    }
}
