//! Checks of what kind of thing the photo shows.

use filot_ocr::page::Line;

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
/// Letters that leaning text must have to be writing and not the edge of a portrait or a signature.
const LEANING_LETTERS: usize = 5;
const LEANING_CONFIDENCE: f32 = 0.75;

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
        let written_over = case.page.lines.iter().any(is_overprint);
        checks.push(Check::new(CheckCode::Overprint, holds(Some(!written_over), Outcome::Fail)));
    }
    checks
}

/// Whether a line is writing across the card.
fn is_overprint(line: &Line) -> bool {
    let span = Span::from_line(line);
    let level = is_level(line);
    let least = if level { ALONG } else { ACROSS };
    let words = (0..span.len()).filter(|&at| at == 0 || first(&span.glyphs[at - 1]) == ' ');
    let named = words.clone().any(|at| {
        OVERPRINTS.iter().any(|word| {
            let found = confusion::prefix(&span.glyphs[at..], word);
            // A whole word: names like CONTOHARJO go on.
            let ends = span.glyphs.get(at + found.end).is_none_or(|next| !first(next).is_ascii_alphabetic());
            found.similarity >= least && found.end >= 4 && (!level || ends)
        })
    });
    let letters = span.glyphs.iter().filter(|glyph| first(glyph).is_ascii_alphabetic()).count();
    named || !level && letters >= LEANING_LETTERS && line.confidence >= LEANING_CONFIDENCE
}
