//! Where the KTP's columns lie on the page, found from the labels that were read.

use filot_ocr::page::{Framing, Page};

use super::fit::{self, Hold, Line, Mark};
use super::parse;
use super::template::{LABEL_X, PITCH, Slot, VALUE_X};
use crate::confusion;
use crate::layout::{Layout, Piece, Row, median};
use crate::span::{Span, first};

/// A label must be at least this similar to be believed without knowing where it stands.
const SURE: f32 = 0.78;
/// And have at least so many letters.
const LONG: f32 = 5.0;

/// The card's own frame is the template; labels only correct the print's offset.
const HOLD_FRAMED: Hold = [0.15, 60.0, 0.3];
/// A frame that one line told is about the template.
const HOLD_ROUGHLY: Hold = [0.15, 6.0, 0.3];
const HOLD_LOOSE: Hold = [1e-3, 1e-2, 1.0];
/// Height of the card's text in rows.
const ROWS: f32 = 16.0;

/// A label that was read, the landmark that everything else is measured from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    pub(crate) slot: Slot,
    pub(crate) y: f32,
    pub(crate) label_x: f32,
    /// First character after the colon, where one follows on the row.
    pub(crate) value_x: Option<f32>,
}

/// From millimetres of the template to the page: `x = origin + unit · mm + lean · y`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    line: Line,
    /// Page units from row to row.
    pub(crate) pitch: f32,
    /// Whether labels told; otherwise it is the card's frame, or a guess from the page's width.
    pub(crate) anchored: bool,
    /// Whether the page is the card's own frame.
    pub(crate) framed: bool,
}

impl Columns {
    /// Page position of a template position at height `y`.
    pub(crate) fn x(&self, mm: f32, y: f32) -> f32 {
        self.line.x(mm, y)
    }

    /// Template position of a page position at height `y`.
    pub(crate) fn mm(&self, x: f32, y: f32) -> f32 {
        (x - self.line.x(0.0, y)) / self.line.unit
    }

    /// Page units per millimetre along a row.
    pub(crate) fn unit(&self) -> f32 {
        self.line.unit
    }

    /// Template distance of a distance down the page.
    pub(crate) fn rows(&self, dy: f32) -> f32 {
        dy / self.pitch
    }

    pub(crate) fn fit(page: &Page, layout: &Layout, anchors: &[Anchor]) -> Self {
        let mut units: Vec<f32> = anchors
            .iter()
            .filter_map(|anchor| Some((anchor.value_x? - anchor.label_x) / (VALUE_X - anchor.slot.label_x())))
            .filter(|unit| *unit > 0.0)
            .collect();
        let mut steps: Vec<f32> = anchors
            .windows(2)
            .map(|pair| (pair[1].y - pair[0].y) / (pair[1].slot.y() - pair[0].slot.y()))
            .filter(|step| *step > 0.0)
            .collect();
        let (unit, step) = (median(&mut units), median(&mut steps));
        let frame = match page.frame.framing {
            Framing::Card | Framing::Line => Some(1.0),
            Framing::Text => None,
        };
        let guess = (page.frame.width / filot_ocr::page::CARD_WIDTH_MM).max(1e-3);
        let guess = if guess.is_finite() { guess } else { 1.0 };
        let unit = frame.or(unit).or(step).unwrap_or(guess).max(1e-3);
        let pitch = PITCH
            * step.unwrap_or(if units.is_empty() && frame.is_none() { layout.pitch / PITCH } else { unit });
        let pitch = pitch.max(1e-3);

        let marks: Vec<Mark> = anchors
            .iter()
            .flat_map(|anchor| {
                let label = Mark { mm: anchor.slot.label_x(), x: anchor.label_x, y: anchor.y };
                [Some(label), anchor.value_x.map(|x| Mark { mm: VALUE_X, x, y: anchor.y })]
            })
            .flatten()
            .collect();
        let mut lefts: Vec<f32> = marks.iter().map(|mark| mark.x - unit * mark.mm).collect();
        let origin = match (median(&mut lefts), frame) {
            (_, Some(_)) => 0.0,
            (Some(origin), None) => origin,
            (None, None) => left_edge(layout) - unit * LABEL_X,
        };
        let start = Line { origin, unit, lean: 0.0 };
        let hold = match page.frame.framing {
            Framing::Card => HOLD_FRAMED,
            Framing::Line => HOLD_ROUGHLY,
            Framing::Text => HOLD_LOOSE,
        };
        let line = fit::through(start, &marks, ROWS * pitch, hold);
        Self { line, pitch, anchored: !anchors.is_empty(), framed: frame.is_some() }
    }
}

/// Where most rows begin.
fn left_edge(layout: &Layout) -> f32 {
    let first = |row: &Row| row.pieces.first().map(|piece| piece.span.rect().x0);
    let mut edges: Vec<f32> = layout.rows.iter().filter_map(first).collect();
    median(&mut edges).unwrap_or(0.0)
}

/// The labels of the field rows that can be recognised wherever they stand, from top to bottom.
pub(crate) fn anchors(layout: &Layout) -> Vec<Anchor> {
    let mut best: Vec<(f32, Anchor)> = Vec::new();
    for row in &layout.rows {
        for (place, piece) in row.pieces.iter().enumerate() {
            for slot in Slot::ALL.into_iter().filter(|slot| !slot.is_header()) {
                for label in slot.labels().iter().filter(|label| confusion::weight(label) >= LONG) {
                    let found = confusion::prefix(&piece.span.glyphs, label);
                    if found.similarity < SURE || parse::is_value(label, &piece.span.glyphs[..found.end]) {
                        continue;
                    }
                    let anchor = Anchor {
                        slot,
                        y: row.y,
                        label_x: piece.span.glyphs.first().map_or(piece.span.rect().x0, |glyph| glyph.x0),
                        value_x: value_x(row, place, piece, found.end),
                    };
                    match best.iter_mut().find(|(_, other)| other.slot == slot) {
                        Some(entry) if entry.0 < found.similarity => *entry = (found.similarity, anchor),
                        Some(_) => {}
                        None => best.push((found.similarity, anchor)),
                    }
                }
            }
        }
    }
    let mut anchors: Vec<Anchor> = best.into_iter().map(|(_, anchor)| anchor).collect();
    anchors.sort_by_key(|anchor| anchor.slot);
    in_order(anchors)
}

/// The longest run of anchors that also come in this order on the page.
fn in_order(anchors: Vec<Anchor>) -> Vec<Anchor> {
    let mut chains: Vec<Vec<Anchor>> = Vec::new();
    for anchor in anchors {
        let longest = chains
            .iter()
            .filter(|chain| chain.last().is_some_and(|last| last.y < anchor.y))
            .max_by_key(|chain| chain.len())
            .cloned();
        let mut chain = longest.unwrap_or_default();
        chain.push(anchor);
        chains.push(chain);
    }
    chains.into_iter().max_by_key(Vec::len).unwrap_or_default()
}

fn value_x(row: &Row, place: usize, piece: &Piece, label_end: usize) -> Option<f32> {
    let start = |span: &Span, from: usize| {
        span.glyphs
            .iter()
            .skip(from)
            .find(|glyph| !matches!(first(glyph), ' ' | ':' | ';' | '.'))
            .map(|g| g.x0)
    };
    start(&piece.span, label_end).or_else(|| start(&row.pieces.get(place + 1)?.span, 0))
}
