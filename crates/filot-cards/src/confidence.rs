//! How sure a value is: the one place where the recogniser's beliefs become a probability.
//!
//! The input is the *doubt* of a reading: the expected number of wrong characters, the sum over its letters and digits of
//! one minus the recogniser's belief, lowered where something else confirms them (a closed list, a check digit, a second
//! reading). If characters failed independently at those rates, the value would be right with probability `exp(-doubt)`.
//! [`CURVE`] bends that to what was counted on pictures with known truth; refit it there and nowhere else.

use crate::reading::{Reading, Standing};

/// From `exp(-doubt)` to the share of right values, by straight lines between these points.
const CURVE: [(f32, f32); 6] =
    [(0.0, 0.02), (0.3, 0.25), (0.6, 0.55), (0.8, 0.80), (0.95, 0.965), (1.0, 0.997)];
/// A second reading that says the same leaves this share of the doubt.
const CONFIRMED: f32 = 0.4;
/// A value that breaks its field's rules is right at most this often (a card may be printed wrong).
const BROKEN: f32 = 0.3;

/// The doubt left when two readings agree.
pub(crate) fn confirmed(doubt: f32) -> f32 {
    doubt * CONFIRMED
}

/// Probability (0..=1) that the value is what is printed.
pub(crate) fn of(reading: &Reading) -> f32 {
    let raw = curve((-reading.doubt.max(0.0)).exp());
    if reading.standing == Standing::Broken { raw.min(BROKEN) } else { raw }
}

fn curve(raw: f32) -> f32 {
    let mut before = CURVE[0];
    for point in CURVE {
        if raw <= point.0 {
            let share = if point.0 > before.0 { (raw - before.0) / (point.0 - before.0) } else { 0.0 };
            return before.1 + share * (point.1 - before.1);
        }
        before = point;
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_and_stays_a_probability() {
        assert!(CURVE.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        let values: Vec<f32> = (0..=100).map(|n| curve(n as f32 / 100.0)).collect();
        assert!(values.is_sorted() && values.iter().all(|v| (0.0..=1.0).contains(v)));
        assert_eq!(curve(1.0), 0.997);
    }
}
