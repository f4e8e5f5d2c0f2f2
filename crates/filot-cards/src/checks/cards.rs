//! How many cards a page shows, by what was read.

use std::collections::BTreeSet;

use filot_ocr::page::Page;

use crate::confusion;
use crate::ktp::template::Slot;
use crate::span::{Span, first};

/// Labels that stand on a card once.
const LABELS: [Slot; 6] =
    [Slot::Birth, Slot::Gender, Slot::District, Slot::MaritalStatus, Slot::Nationality, Slot::ValidUntil];
/// So many of them twice are a second card, and not a slip of the reader.
const TWICE: usize = 3;
/// Similarity of a label.
const LABEL: f32 = 0.85;
/// Digits by which two numbers of one card may differ because one was misread.
const MISREAD: usize = 3;

/// Returns whether two cards of a kind stand on the page: two numbers, or the same labels twice.
pub(super) fn are_several(page: &Page) -> bool {
    let spans: Vec<Span> = page.lines.iter().take(400).map(Span::from_line).collect();
    let starts_with = |span: &Span, label: &str| confusion::prefix(&span.glyphs, label).similarity >= LABEL;
    let numbers: BTreeSet<String> = spans
        .iter()
        .filter(|span| starts_with(span, "NIK"))
        .map(|span| span.glyphs.iter().map(first).filter(char::is_ascii_digit).collect::<String>())
        .filter(|digits| digits.len() == 16)
        .collect();
    let differ = |a: &str, b: &str| a.bytes().zip(b.bytes()).filter(|(a, b)| a != b).count() > MISREAD;
    if numbers.iter().any(|one| numbers.iter().any(|other| differ(one, other))) {
        return true;
    }
    let twice = LABELS.iter().filter(|slot| {
        let found = spans.iter().filter(|span| slot.labels().iter().any(|label| starts_with(span, label)));
        found.count() >= 2
    });
    twice.count() >= TWICE
}

#[cfg(test)]
mod tests {
    use filot_ocr::page::{Frame, Framing, Line, Quality, Rect};

    use super::*;

    fn page(texts: &[&str]) -> Page {
        let line = |text: &&str| Line {
            text: (*text).to_owned(),
            confidence: 0.97,
            glyphs: Vec::new(),
            rect: Rect { x0: 0.0, y0: 0.0, x1: 10.0, y1: 2.0 },
            angle: 0.0,
        };
        let to_photo = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let frame = Frame { framing: Framing::Text, width: 800.0, height: 600.0, to_photo, turned: 0 };
        Page { frame, lines: texts.iter().map(line).collect(), quality: Quality::default() }
    }

    #[test]
    fn two_numbers_or_two_sets_of_labels_are_two_cards() {
        assert!(are_several(&page(&["NIK : 3171014501900003", "NIK : 3512025102020054"])));
        let card =
            ["Tempat/Tgl Lahir : SOLO", "Jenis Kelamin : LAKI-LAKI", "Kecamatan : LAWEYAN", "Berlaku Hingga"];
        assert!(are_several(&page(&[card, card].concat())));
        assert!(!are_several(&page(&card)));
        assert!(!are_several(&page(&["NIK : 3171014501900003", "NIK : 3171014501900008"])), "read twice");
        assert!(!are_several(&page(&["NIK : 3171014501900003", "NPWP16 : 3512025102020054"])));
    }
}
