//! Checks of what kind of thing the photo shows.

use filot_ocr::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Line};

use super::{Case, Check, CheckCode, Outcome, holds};
use crate::confusion;
use crate::kind::{DocumentType, Strength};
use crate::layout::is_level;
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
/// A word must be at least this similar to count, and more so if it runs along the card's own rows.
const ACROSS: f32 = 0.6;
const ALONG: f32 = 0.8;
/// Writing of the card itself is level and at most so high in the card's own frame (millimetres, box included).
const TALLEST: f32 = 7.5;
/// Leaning writing that is no word of the list must be so sure and so large; signatures and the portrait's edges are
/// neither.
const SURE: f32 = 0.85;
const LARGE: f32 = 5.0;
/// Where signatures and the crest stand (millimetres): left, top, right, bottom.
const SCRIBBLES: [[f32; 4]; 2] = [[57.0, 38.0, 86.0, 54.0], [0.0, 0.0, 14.0, 12.0]];

pub(super) fn checks(case: &Case<'_>) -> Vec<Check> {
    let kind = &case.draft.kind;
    let mut checks = Vec::new();
    let found = match case.document {
        DocumentType::Other if case.draft.perhaps_unreadable() => Outcome::NotRun,
        DocumentType::Other => Outcome::Fail,
        document if kind.strength(document) == Strength::Clear => Outcome::Pass,
        // Too little of it was read to be sure that it is one.
        _ => Outcome::Warn,
    };
    checks.push(Check::new(CheckCode::DocumentType, found));
    checks.push(Check::new(CheckCode::TypedForm, holds(Some(!kind.typed_form), Outcome::Fail)));
    if case.document != DocumentType::Other {
        if let Some(declared) = case.draft.declared.document() {
            checks.push(Check::new(
                CheckCode::DeclaredType,
                holds(Some(declared == case.document), Outcome::Fail),
            ));
        }
        let framed = case.page.frame.framing == Framing::Card;
        let in_text = case.page.lines.iter().any(|line| is_overprint(line) || framed && stands_out(line));
        let across = case.draft.large_text().map(|lines| lines.iter().any(is_large_writing));
        let clear = if in_text { Some(false) } else { across.map(|found| !found) };
        checks.push(Check::new(CheckCode::Overprint, holds(clear, Outcome::Fail)));
    }
    checks
}

/// Whether what looked like large writing is some: a few letters that the recogniser believes in. Portraits, crests and
/// signatures give one or two, or none that is sure.
fn is_large_writing(line: &Line) -> bool {
    const LETTERS: usize = 3;
    const CONFIDENCE: f32 = 0.65;
    let letters = line.text.chars().filter(char::is_ascii_alphabetic).count();
    letters >= LETTERS && line.confidence >= CONFIDENCE
}

/// Whether a line is writing across the card.
fn is_overprint(line: &Line) -> bool {
    let span = Span::from_line(line);
    let level = is_level(line);
    let least = if level { ALONG } else { ACROSS };
    let words = (0..span.len()).filter(|&at| at == 0 || first(&span.glyphs[at - 1]) == ' ');
    words.clone().any(|at| {
        OVERPRINTS.iter().any(|word| {
            let found = confusion::prefix(&span.glyphs[at..], word);
            // A whole word: names like CONTOHARJO go on.
            let ends = span.glyphs.get(at + found.end).is_none_or(|next| !first(next).is_ascii_alphabetic());
            found.similarity >= least && found.end >= 4 && (!level || ends)
        })
    })
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
