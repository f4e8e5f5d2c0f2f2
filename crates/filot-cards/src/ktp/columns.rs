//! Where the KTP's columns lie on the page, found from the labels that were read.

use filot_ocr::page::{Framing, Page};

use super::template::{LABEL_X, PITCH, Slot, VALUE_X};
use crate::confusion;
use crate::layout::{Layout, Piece, Row, median};
use crate::span::{Span, first};

/// A label must be at least this similar to be believed without knowing where it stands.
const SURE: f32 = 0.78;
/// And have at least so many letters.
const LONG: f32 = 5.0;

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
    origin: f32,
    lean: f32,
    /// Page units per millimetre along a row.
    pub(crate) unit: f32,
    /// Page units from row to row.
    pub(crate) pitch: f32,
    /// Whether labels told; otherwise it is the card's frame, or a guess from the page's width.
    pub(crate) anchored: bool,
}

impl Columns {
    /// Page position of a template position at height `y`.
    pub(crate) fn x(&self, mm: f32, y: f32) -> f32 {
        self.origin + self.unit * mm + self.lean * y
    }

    /// Template position of a page position at height `y`.
    pub(crate) fn mm(&self, x: f32, y: f32) -> f32 {
        (x - self.origin - self.lean * y) / self.unit
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
            Framing::Card => Some(1.0),
            Framing::Text => None,
        };
        let guess = (page.frame.width / filot_ocr::page::CARD_WIDTH_MM).max(1e-3);
        let guess = if guess.is_finite() { guess } else { 1.0 };
        let unit = unit.or(frame).or(step).unwrap_or(guess).max(1e-3);
        let pitch = PITCH
            * step.unwrap_or(if units.is_empty() && frame.is_none() { layout.pitch / PITCH } else { unit });

        let lefts: Vec<(f32, f32)> =
            anchors.iter().map(|anchor| (anchor.y, anchor.label_x - unit * anchor.slot.label_x())).collect();
        let mut leans: Vec<f32> = lefts
            .iter()
            .enumerate()
            .flat_map(|(index, a)| lefts[index + 1..].iter().map(move |b| (b.0 - a.0, b.1 - a.1)))
            .filter(|(dy, _)| dy.abs() > 2.0 * pitch)
            .map(|(dy, dx)| dx / dy)
            .collect();
        let lean = if leans.len() >= 3 { median(&mut leans).unwrap_or(0.0).clamp(-0.5, 0.5) } else { 0.0 };
        let mut origins: Vec<f32> = lefts.iter().map(|(y, x)| x - lean * y).collect();
        let left_edge = || {
            let mut edges: Vec<f32> = layout
                .rows
                .iter()
                .filter_map(|row| row.pieces.first())
                .map(|piece| piece.span.rect().x0)
                .collect();
            median(&mut edges).unwrap_or(0.0) - unit * LABEL_X
        };
        let origin = match median(&mut origins) {
            Some(origin) => origin,
            None if frame.is_some() => 0.0,
            None => left_edge(),
        };
        Self { origin, lean, unit, pitch: pitch.max(1e-3), anchored: !anchors.is_empty() }
    }
}

/// The labels of the field rows that can be recognised wherever they stand, from top to bottom.
pub(crate) fn anchors(layout: &Layout) -> Vec<Anchor> {
    let mut best: Vec<(f32, Anchor)> = Vec::new();
    for row in &layout.rows {
        for (place, piece) in row.pieces.iter().enumerate() {
            for slot in Slot::ALL.into_iter().filter(|slot| !slot.is_header()) {
                for label in slot.labels().iter().filter(|label| confusion::weight(label) >= LONG) {
                    let found = confusion::prefix(&piece.span.glyphs, label);
                    if found.similarity < SURE {
                        continue;
                    }
                    let anchor = Anchor {
                        slot,
                        y: row.y,
                        label_x: piece.span.rect().x0,
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
