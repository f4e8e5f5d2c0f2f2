//! Numbers in a reading: every character as the digit it most probably shows, with the other digits it may be.

use filot_ocr::page::Glyph;

use crate::confusion::as_digit;
use crate::span::{belief, first};

/// A digit must be seen with this probability to stand for a letter that does not look like it.
const SEEN: f32 = 0.05;

/// One place of a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Digit {
    /// The digits that the recogniser saw here with their probability, best first; never empty.
    pub(crate) options: Vec<(char, f32)>,
    /// The character as read was no digit but one that looks like it.
    pub(crate) look_alike: bool,
    /// Readings of which this is the mean.
    pub(crate) readings: u8,
}

impl Digit {
    pub(crate) fn best(&self) -> char {
        self.options[0].0
    }

    pub(crate) fn belief(&self) -> f32 {
        self.options[0].1
    }

    /// The probability that the recogniser gave to `digit` here.
    pub(crate) fn probability(&self, digit: char) -> f32 {
        self.options.iter().find(|option| option.0 == digit).map_or(0.0, |option| option.1)
    }

    /// The mean of all readings of the same place that two stand for.
    pub(crate) fn merged(&self, other: &Self) -> Self {
        let readings = self.readings.saturating_add(other.readings);
        let share = f32::from(self.readings) / f32::from(readings.max(1));
        let mean = |digit| share * self.probability(digit) + (1.0 - share) * other.probability(digit);
        let mut options: Vec<(char, f32)> =
            ('0'..='9').map(|digit| (digit, mean(digit))).filter(|option| option.1 > 0.0).collect();
        options.sort_by(|a, b| b.1.total_cmp(&a.1));
        if options.is_empty() {
            return self.clone();
        }
        Self { options, look_alike: self.look_alike && other.look_alike, readings }
    }
}

/// The glyph as a digit; `None` if it is a blank or a mark, or a letter that neither looks like a digit nor has one
/// among its alternatives.
pub(crate) fn digit(glyph: &Glyph) -> Option<Digit> {
    let read = first(glyph);
    let mut options = match as_digit(read) {
        Some(best) => vec![(best, belief(glyph))],
        None if read.is_ascii_alphabetic() => {
            let seen = glyph.candidates.iter().find(|c| c.0.is_ascii_digit() && c.1 >= SEEN)?;
            vec![(seen.0, 0.0)]
        }
        None => return None,
    };
    for &(c, probability) in glyph.candidates.iter().skip(1) {
        let Some(digit) = as_digit(c) else { continue };
        match options.iter_mut().find(|option| option.0 == digit) {
            Some(option) => option.1 = (option.1 + probability).min(1.0),
            None => options.push((digit, probability)),
        }
    }
    // The place's own reading stays first even where look-alikes of another digit add up to more.
    options[1..].sort_by(|a, b| b.1.total_cmp(&a.1));
    Some(Digit { options, look_alike: !read.is_ascii_digit(), readings: 1 })
}

/// The best reading of all places.
pub(crate) fn text(digits: &[Digit]) -> String {
    digits.iter().map(Digit::best).collect()
}

/// The most probable single change that makes `fits` true, among the recogniser's alternatives of at least `floor`.
/// `None` if the reading fits as it is, nothing else does, or two changes are about equally probable.
pub(crate) fn single_change(
    digits: &[Digit],
    floor: f32,
    mut fits: impl FnMut(&str) -> bool,
) -> Option<(usize, char, f32)> {
    let read = text(digits);
    if fits(&read) {
        return None;
    }
    let mut found: Vec<(usize, char, f32)> = Vec::new();
    for (place, digit) in digits.iter().enumerate() {
        for &(other, probability) in digit.options.iter().skip(1) {
            if probability < floor {
                continue;
            }
            let mut changed = read.clone();
            changed.replace_range(place..=place, other.encode_utf8(&mut [0; 4]));
            if fits(&changed) {
                found.push((place, other, probability / digit.belief().max(1e-3)));
            }
        }
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    match found.as_slice() {
        [only] => Some(*only),
        [best, next, ..] if best.2 > 2.0 * next.2 => Some(*best),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyph(candidates: &[(char, f32)]) -> Glyph {
        Glyph { candidates: candidates.to_vec(), x0: 0.0, x1: 0.0 }
    }

    #[test]
    fn letters_count_as_the_digits_they_look_like() {
        let read = digit(&glyph(&[('O', 0.6), ('0', 0.3), ('8', 0.05)])).unwrap();
        assert_eq!((read.best(), read.look_alike), ('0', true));
        assert!((read.belief() - 0.9).abs() < 1e-6);
        assert_eq!(read.probability('8'), 0.05);
        assert_eq!(digit(&glyph(&[('W', 0.9)])), None);
    }

    #[test]
    fn a_change_needs_an_alternative_and_no_rival() {
        let sure = |c| digit(&glyph(&[(c, 0.99)])).unwrap();
        let unsure = |a, b, p| digit(&glyph(&[(a, 1.0 - p), (b, p)])).unwrap();
        let fits = |text: &str| text == "12" || text == "92";
        assert_eq!(
            single_change(&[unsure('7', '1', 0.3), sure('2')], 0.05, fits).map(|c| (c.0, c.1)),
            Some((0, '1'))
        );
        assert_eq!(single_change(&[sure('7'), sure('2')], 0.05, fits), None);
        assert_eq!(single_change(&[unsure('7', '1', 0.01), sure('2')], 0.05, fits), None);
        assert_eq!(single_change(&[sure('1'), sure('2')], 0.05, fits), None);
        let torn = digit(&glyph(&[('7', 0.4), ('1', 0.3), ('9', 0.3)])).unwrap();
        assert_eq!(single_change(&[torn, sure('2')], 0.05, fits), None);
    }

    #[test]
    fn two_readings_share_their_beliefs() {
        let one = digit(&glyph(&[('5', 0.6), ('6', 0.4)])).unwrap();
        let two = digit(&glyph(&[('6', 0.9), ('5', 0.1)])).unwrap();
        assert_eq!(one.merged(&two).best(), '6');
        // Each of three readings counts the same, in whatever order.
        let three = one.merged(&one).merged(&two);
        assert!((three.probability('5') - (0.6 + 0.6 + 0.1) / 3.0).abs() < 1e-6);
        assert_eq!(three.readings, 3);
    }
}
