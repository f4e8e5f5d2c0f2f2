//! Dates as cards print them: day, month, year with `-`, `/` or `.` between.

use std::ops::Range;

use filot_ocr::page::Glyph;
use jiff::civil::Date;

use crate::digits::{self, Digit};
use crate::span::first;

/// No card shows a date outside these years.
const YEARS: Range<i16> = 1900..2100;
/// Of the eight places of a date, so many must have been read as digits and not as letters that look like them.
const TRUE_DIGITS: usize = 6;

/// Full years from `born` to `today`; negative for a birth in the future.
pub(crate) fn age(born: Date, today: Date) -> i16 {
    let had_birthday = (today.month(), today.day()) >= (born.month(), born.day());
    today.year() - born.year() - i16::from(!had_birthday)
}

/// Eight places that look like a date.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    /// The glyphs it takes.
    pub(crate) range: Range<usize>,
    /// DDMMYYYY.
    pub(crate) digits: Vec<Digit>,
}

impl Found {
    pub(crate) fn date(&self) -> Option<Date> {
        parse(&digits::text(&self.digits))
    }
}

/// The date that the eight digits DDMMYYYY name, if it exists and a card could show it.
pub(crate) fn parse(ddmmyyyy: &str) -> Option<Date> {
    if ddmmyyyy.len() != 8 {
        return None;
    }
    let part = |range: Range<usize>| ddmmyyyy.get(range);
    let date =
        Date::new(part(4..8)?.parse().ok()?, part(2..4)?.parse().ok()?, part(0..2)?.parse().ok()?).ok()?;
    YEARS.contains(&date.year()).then_some(date)
}

/// The last run of characters that looks like a date. Separators may be misread or missing.
pub(crate) fn find(glyphs: &[Glyph]) -> Option<Found> {
    let mut found: Option<Found> = None;
    for start in 0..glyphs.len() {
        let Some(next) = at(glyphs, start) else { continue };
        // A start one place later in the same run is a worse cut of the same date, unless that one exists.
        let overlaps = found.as_ref().is_some_and(|before| before.range.end > next.range.start);
        let better = found.as_ref().is_some_and(|before| before.date().is_none()) && next.date().is_some();
        if !overlaps || better {
            found = Some(next);
        }
    }
    found
}

fn at(glyphs: &[Glyph], start: usize) -> Option<Found> {
    let mut digits = Vec::with_capacity(8);
    let mut place = start;
    while digits.len() < 8 {
        let glyph = glyphs.get(place)?;
        let c = first(glyph);
        if let Some(digit) = (c != '|' && c != '!').then(|| digits::digit(glyph)).flatten() {
            digits.push(digit);
        } else if !(matches!(digits.len(), 2 | 4) && is_separator(c) || !digits.is_empty() && c == ' ') {
            return None;
        }
        place += 1;
    }
    let true_digits = digits.iter().filter(|digit| !digit.look_alike).count();
    (true_digits >= TRUE_DIGITS).then_some(Found { range: start..place, digits })
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '/' | '.' | ' ' | '_' | '~' | ',' | ':' | '|' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn glyphs(text: &str) -> Vec<Glyph> {
        text.chars().map(|c| Glyph { candidates: vec![(c, 0.99)], x0: 0.0, x1: 0.0 }).collect()
    }

    fn date_in(text: &str) -> Option<Date> {
        find(&glyphs(text)).and_then(|found| found.date())
    }

    #[test]
    fn age_changes_on_the_birthday() {
        assert_eq!(age(date(2009, 8, 1), date(2026, 7, 31)), 16);
        assert_eq!(age(date(2009, 8, 1), date(2026, 8, 1)), 17);
        assert_eq!(age(date(2008, 2, 29), date(2025, 2, 28)), 16);
        assert_eq!(age(date(2008, 2, 29), date(2025, 3, 1)), 17);
        assert_eq!(age(date(2030, 1, 1), date(2026, 1, 1)), -4);
    }

    #[test]
    fn dates_are_found_in_what_stands_around_them() {
        let expected = Some(date(1990, 12, 31));
        for text in [
            "31-12-1990",
            "31/12/1990",
            "31.12.1990",
            "31 12 1990",
            "31121990",
            "BOGOR, 31-12-1990",
            "BOGOR,31-12-1990",
            "LOMBOK 31-12-1990",
            "SOLO.31-12-1990 ",
            "Terdaftar : 31/12/1990",
            "31-12 -1990",
            "3l-12-199O",
        ] {
            assert_eq!(date_in(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_not_found() {
        for text in ["", "BOGOR", "31-12-199", "OOOOOOOO", "RT 001 RW 017", "SOLO BOLO"] {
            assert!(find(&glyphs(text)).is_none(), "{text}");
        }
        // It looks like one, but does not exist.
        assert!(find(&glyphs("31-02-1990")).is_some());
        assert_eq!(date_in("31-02-1990"), None);
        assert_eq!(date_in("01-01-1780"), None);
    }

    #[test]
    fn the_last_of_two_dates_is_taken() {
        assert_eq!(date_in("01-01-1990 02-02-2000"), Some(date(2000, 2, 2)));
    }

    #[test]
    fn the_range_covers_the_date_only() {
        assert_eq!(find(&glyphs("SOLO, 31-12-1990")).unwrap().range, 6..16);
    }
}
