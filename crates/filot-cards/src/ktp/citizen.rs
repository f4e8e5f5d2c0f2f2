//! WNI, the shortest word of the card and the one that poor photos spoil most.

use std::collections::BTreeMap;

use crate::confusion;
use crate::field::{FieldKey, Repair};
use crate::reading::{Reading, Standing, from_entry};
use crate::vocabulary;

/// Distance from WNI of a reading on a card that is otherwise a citizen's: one of the letters is there.
const CITIZEN_DISTANCE: f32 = 2.2;
const CITIZEN_LETTERS: usize = 5;

/// WNI is three letters, of which a poor photo may leave one. Where the sex is printed in Indonesian, and the
/// place holds a short word that is near it, the card says WNI: foreigners' cards are in English.
pub(crate) fn complete(readings: &mut BTreeMap<FieldKey, Reading>) {
    let in_indonesian = readings
        .get(&FieldKey::Gender)
        .is_some_and(|reading| matches!(reading.value.as_str(), "LAKI-LAKI" | "PEREMPUAN"));
    let Some(before) = readings.get(&FieldKey::Nationality) else { return };
    let letters = before.value.chars().filter(char::is_ascii_alphanumeric).count();
    if !in_indonesian || before.standing == Standing::Valid || letters > CITIZEN_LETTERS {
        return;
    }
    let distance = confusion::distance(&before.span.glyphs, vocabulary::CITIZEN);
    if distance <= CITIZEN_DISTANCE {
        let mut after = from_entry(&before.span, vocabulary::CITIZEN, distance, Repair::Vocabulary);
        after.source = before.source;
        readings.insert(FieldKey::Nationality, after);
    }
}

#[cfg(test)]
mod tests {
    use filot_ocr::page::{Line, Rect};

    use super::*;
    use crate::span::Span;

    fn completed(gender: &str, nationality: &str) -> String {
        let reading = |text: &str| {
            let rect = Rect { x0: 0.0, y0: 0.0, x1: 10.0, y1: 2.0 };
            let line = Line { text: text.to_owned(), confidence: 0.6, glyphs: Vec::new(), rect, angle: 0.0 };
            Reading::new(text.to_owned(), &Span::from_line(&line), Standing::Open)
        };
        let mut readings = BTreeMap::from([
            (FieldKey::Gender, reading(gender)),
            (FieldKey::Nationality, reading(nationality)),
        ]);
        complete(&mut readings);
        readings[&FieldKey::Nationality].value.clone()
    }

    #[test]
    fn a_letter_of_it_is_enough_on_a_citizens_card_only() {
        assert_eq!(completed("PEREMPUAN", "WHE"), "WNI");
        assert_eq!(completed("LAKI-LAKI", "W"), "WNI");
        assert_eq!(completed("FEMALE", "WHE"), "WHE");
        assert_eq!(completed("PEREMPUAN", "QX"), "QX");
        assert_eq!(completed("PEREMPUAN", "WARGANEGARA"), "WARGANEGARA");
    }
}
