//! Writing across a card that is none of its own: words such as SPECIMEN, a purpose and a date across a copy.

use filot_ocr::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Line, Rect};

use super::Case;
use crate::confusion;
use crate::dates;
use crate::layout::{is_level, median};
use crate::span::{Span, first};

/// Words printed across cards that are for show.
const OVERPRINTS: [&str; 9] = [
    "SPECIMEN",
    "SPESIMEN",
    "CONTOH",
    "SAMPLE",
    "TIDAK BERLAKU",
    "DUMMY",
    "SALINAN",
    "FOTOKOPI",
    "BUKAN ASLI",
];
/// Words of the purpose that people write across a copy before they hand it over.
const PURPOSES: [&str; 6] =
    ["HANYA UNTUK", "UNTUK KEPERLUAN", "KEPERLUAN", "VERIFIKASI", "PENGAJUAN", "COPY"];
/// A word must be at least this similar to count, and more so if it runs along the card's own rows. Within a value only
/// the word itself counts: SALMAN, SAMPE and DEMMY are names, KALIMANTAN is an island.
const ACROSS: f32 = 0.6;
const ALONG: f32 = 0.8;
const WITHIN_VALUE: f32 = 0.99;
/// Writing so many times as high as the card's values is none of them.
const LARGER: f32 = 1.5;
/// Degrees by which writing across the card leans more than the card's own rows.
const LEAN: f32 = 12.0;
/// Writing of the card itself is level and at most so high in the card's own frame (millimetres, box included).
const TALLEST: f32 = 7.5;
/// Leaning writing that is no word of the list must be so sure and so large; signatures and the portrait's edges are
/// neither.
const SURE: f32 = 0.85;
const LARGE: f32 = 5.0;
/// Where signatures and the crest stand (millimetres): left, top, right, bottom.
const SCRIBBLES: [[f32; 4]; 2] = [[57.0, 38.0, 86.0, 54.0], [0.0, 0.0, 14.0, 12.0]];

/// Whether nothing is written across the card; `None` where nobody could look.
pub(super) fn is_clear(case: &Case<'_>) -> Option<bool> {
    let page = case.page;
    let framed = page.frame.framing == Framing::Card;
    let values = case.draft.value_boxes();
    let rows = lean_of_rows(&page.lines);
    let in_text = page.lines.iter().any(|line| {
        let across = (line.angle - rows).abs() > LEAN;
        is_overprint(line, across, framed, &values) || framed && stands_out(line)
    });
    let across = case.draft.large_text().map(|lines| lines.iter().any(is_large_writing));
    if in_text { Some(false) } else { across.map(|found| !found) }
}

/// The lean in degrees of most lines: on a page that was not straightened the card's own rows lean too.
fn lean_of_rows(lines: &[Line]) -> f32 {
    let mut leans: Vec<f32> = lines.iter().map(|line| line.angle).filter(|angle| angle.is_finite()).collect();
    median(&mut leans).unwrap_or(0.0)
}

/// Whether a line is writing across the card.
fn is_overprint(line: &Line, across: bool, framed: bool, values: &[Rect]) -> bool {
    let span = Span::from_line(line);
    // Paper behind the card may say anything.
    let purposes = if framed || across { &PURPOSES[..] } else { &[] };
    // The card's own dates run along its rows.
    if across && dates::find(&span.glyphs).is_some_and(|found| found.date().is_some()) {
        return true;
    }
    let words = (0..span.len()).filter(|&at| at == 0 || first(&span.glyphs[at - 1]) == ' ');
    words.clone().any(|at| {
        OVERPRINTS.iter().chain(purposes).any(|word| {
            let found = confusion::prefix(&span.glyphs[at..], word);
            let end = at + found.end;
            // A whole word: names like CONTOHARJO go on.
            let ends = span.glyphs.get(end).is_none_or(|next| !first(next).is_ascii_alphabetic());
            let least = match () {
                () if within(&span, at..end, &line.rect, values) => WITHIN_VALUE,
                () if across => ACROSS,
                () => ALONG,
            };
            found.similarity >= least && found.end >= 4 && (across || ends)
        })
    })
}

/// Whether the glyphs lie in the box of a value.
fn within(span: &Span, range: std::ops::Range<usize>, line: &Rect, values: &[Rect]) -> bool {
    let Some(glyphs) = span.glyphs.get(range).filter(|glyphs| !glyphs.is_empty()) else { return false };
    // Larger writing lies across values, and is none.
    let mut heights: Vec<f32> = values.iter().map(Rect::height).collect();
    if median(&mut heights).is_none_or(|height| line.height() > LARGER * height) {
        return false;
    }
    let x = (glyphs[0].x0 + glyphs[glyphs.len() - 1].x1) / 2.0;
    let y = line.centre().y;
    values.iter().any(|value| (value.x0..=value.x1).contains(&x) && (value.y0..=value.y1).contains(&y))
}

/// Whether what looked like large writing is some: a word of the list, or a few letters that the recogniser believes in,
/// most of them capitals. Portraits, crests and signatures give one or two, small ones, or none that is sure.
fn is_large_writing(line: &Line) -> bool {
    const LETTERS: usize = 3;
    const CONFIDENCE: f32 = 0.65;
    let letters = line.text.chars().filter(char::is_ascii_alphabetic).count();
    let capitals = line.text.chars().filter(char::is_ascii_uppercase).count();
    let is_writing = capitals * 2 > letters || is_overprint(line, false, true, &[]);
    letters >= LETTERS && is_writing && line.confidence >= CONFIDENCE
}

/// Whether a line in the card's own frame is too large or too slanted to be printed by the card's issuer.
fn stands_out(line: &Line) -> bool {
    let rect = line.rect;
    let letters = line.text.chars().filter(char::is_ascii_alphabetic).count();
    let within =
        rect.x0 > 0.5 && rect.y0 > 0.5 && rect.x1 < CARD_WIDTH_MM - 0.5 && rect.y1 < CARD_HEIGHT_MM - 0.5;
    let centre = rect.centre();
    let scribble = SCRIBBLES
        .iter()
        .any(|[x0, y0, x1, y1]| (*x0..*x1).contains(&centre.x) && (*y0..*y1).contains(&centre.y));
    if !within || scribble || line.confidence < SURE {
        return false;
    }
    if is_level(line) {
        letters >= 3 && rect.height() > TALLEST && rect.width() > rect.height()
    } else {
        letters >= 2 && rect.height().min(rect.width()) > LARGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, angle: f32) -> Line {
        let rect = Rect { x0: 20.0, y0: 14.0, x1: 20.0 + 1.3 * text.len() as f32, y1: 17.0 };
        Line { text: text.to_owned(), confidence: 0.97, glyphs: Vec::new(), rect, angle }
    }

    const VALUE: Rect = Rect { x0: 19.0, y0: 13.5, x1: 60.0, y1: 17.5 };

    #[test]
    fn names_that_resemble_an_overprint_are_none() {
        for name in [
            "SALMAN ALFARISI",
            "SALIMAN",
            "SAMPE SITUMORANG",
            "DEMMY PRATAMA",
            "KALIMANTAN BARAT",
            "CONTOHARJO",
        ] {
            assert!(!is_overprint(&line(name, 0.0), false, true, &[VALUE]), "{name}");
        }
        // The card leans, and its rows with it.
        let lines = ["PROVINSI KALIMANTAN BARAT", "NIK : 6171014501900003", "Nama : SITI AMINAH"];
        let lines: Vec<Line> = lines.iter().map(|text| line(text, 20.0)).collect();
        let rows = lean_of_rows(&lines);
        assert!(!lines.iter().any(|line| is_overprint(line, (line.angle - rows).abs() > LEAN, false, &[])));
    }

    #[test]
    fn large_writing_is_a_word_of_the_list_or_mostly_capitals() {
        for text in ["Contoh", "specimen", "CONT", "ONT"] {
            assert!(is_large_writing(&line(text, -30.0)), "{text}");
        }
        for text in ["wae", "nRengn A", "T", "NT"] {
            assert!(!is_large_writing(&line(text, -30.0)), "{text}");
        }
        assert!(!is_large_writing(&Line { confidence: 0.6, ..line("CONTOH", -30.0) }));
    }

    #[test]
    fn an_overprint_counts_wherever_it_stands() {
        for word in ["SPECIMEN", "SALINAN", "SAMPLE", "DUMMY", "CONTOH", "TIDAK BERLAKU"] {
            assert!(is_overprint(&line(word, 0.0), false, true, &[]), "{word}");
            assert!(is_overprint(&line(word, -30.0), true, true, &[]), "{word}");
            assert!(is_overprint(&line(&format!("BUDI {word}"), 0.0), false, true, &[VALUE]), "{word}");
        }
        assert!(is_overprint(&line("BANK ABC 12-08-2025", -25.0), true, true, &[]), "a date across the card");
        assert!(is_overprint(&line("SPECIMFN", 0.0), false, true, &[]));
        assert!(is_overprint(&line("HANYA UNTUK PENGAJUAN KREDIT 12-08-2025", -25.0), true, true, &[]));
    }
}
