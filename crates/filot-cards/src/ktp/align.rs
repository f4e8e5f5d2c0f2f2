//! Lays the rows of a page onto the rows of the card.
//!
//! The card's rows come in a fixed order, each with a label and a value of a certain look, some wrapped into a second row,
//! some illegible; the page's rows may hold more than the card. The assignment with the best sum of label similarity,
//! plausible values and expected distances is found by dynamic programming, so that one misread label is outvoted by
//! everything around it.

use filot_ocr::page::{Glyph, Page};

use super::columns::{self, Columns};
use super::parse;
use super::template::{
    BLOOD_LABEL, BLOOD_LABEL_X, BLOOD_VALUE_X, HEADER_X, PITCH, RIGHT_CENTRE, RIGHT_COLUMN_X, Slot, VALUE_X,
};
use crate::confusion::{self, Prefix};
use crate::layout::Layout;
use crate::span::{Span, belief, first};

/// Label similarities below this are chance.
const LABEL_FLOOR: f32 = 0.55;
/// A row of the card that no row of the page is taken for.
const MISSING_SLOT: f32 = -0.8;
/// A row of the page that is not of the card.
const FOREIGN_ROW: f32 = -0.5;
/// Rows of the page that may be passed over in one step.
const MAX_FOREIGN: usize = 14;
/// Rows looked at; the rest is text behind the card.
const MAX_ROWS: usize = 90;
/// A distance that is off costs at most this.
const MAX_STRAY: f32 = 3.0;

/// A row of the page that was taken for a row of the card.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) slot: Slot,
    /// Its value goes on from the row above.
    pub(crate) continued: bool,
    /// Index into the layout's rows.
    pub(crate) row: usize,
    /// Similarity of the label, 0 where none was read.
    pub(crate) label: f32,
    /// Left edge of the label in template millimetres, where one was read.
    pub(crate) label_mm: Option<f32>,
    /// A colon stands after the label.
    pub(crate) colon: bool,
    pub(crate) value: Span,
}

/// A page laid onto the card.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    pub(crate) layout: Layout,
    pub(crate) columns: Columns,
    pub(crate) placed: Vec<Placed>,
    /// What stands after `Gol. Darah`, if that was found.
    pub(crate) blood: Option<Span>,
    pub(crate) blood_label: bool,
}

/// One row of the page as a candidate for a row of the card.
struct Candidate {
    row: usize,
    y: f32,
    /// Everything that is not of the right column.
    text: Span,
    /// Where the text begins, in template millimetres.
    start: f32,
    centre: f32,
    blood: Option<Span>,
    blood_label: bool,
}

impl Candidate {
    /// It begins in the label column.
    fn leads(&self) -> bool {
        self.start < VALUE_X - 4.0
    }
}

/// How well a candidate fits a slot, and how it is cut if it does.
#[derive(Clone)]
struct Fit {
    score: f32,
    label: f32,
    colon: bool,
    value: Span,
}

impl Sheet {
    pub(crate) fn new(page: &Page) -> Self {
        let layout = Layout::new(page);
        let anchors = columns::anchors(&layout);
        let columns = Columns::fit(page, &layout, &anchors);
        let candidates = candidates(&layout, &columns);
        let (placed, gender) = place(&candidates, &columns);
        // The blood type stands on the row of the sex; if that was not found, wherever its label is.
        let carrier = gender
            .map(|index| &candidates[index])
            .filter(|candidate| candidate.blood.is_some())
            .or_else(|| candidates.iter().find(|candidate| candidate.blood_label));
        let blood = carrier.and_then(|candidate| candidate.blood.clone());
        let blood_label = carrier.is_some_and(|candidate| candidate.blood_label);
        Self { layout, columns, placed, blood, blood_label }
    }

    /// The rows taken for `slot`, from top to bottom.
    pub(crate) fn rows(&self, slot: Slot) -> impl Iterator<Item = &Placed> {
        self.placed.iter().filter(move |placed| placed.slot == slot)
    }

    /// The whole value of a slot.
    pub(crate) fn value(&self, slot: Slot) -> Option<Span> {
        let value = Span::join(self.rows(slot).map(|placed| placed.value.clone()));
        (!value.is_blank()).then_some(value)
    }
}

fn candidates(layout: &Layout, columns: &Columns) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = layout
        .rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| {
            let place = |x: f32| columns.mm(x, row.y);
            let mut blood = None;
            let mut blood_label = false;
            let mut parts = Vec::new();
            for piece in &row.pieces {
                let rect = piece.span.rect();
                let (from, to) = (place(rect.x0), place(rect.x1));
                let right_column = from > RIGHT_COLUMN_X && (from + to) / 2.0 > RIGHT_CENTRE;
                if to < 1.5 || from > 88.0 || right_column {
                    continue;
                }
                if let Some((start, end)) = blood_label_in(&piece.span) {
                    parts.push(piece.span.slice(0, start));
                    blood_label = true;
                    blood = Some(parse::after_colon(&piece.span.slice(end, usize::MAX)));
                } else if to < BLOOD_VALUE_X + 7.0
                    && (blood_label && from > BLOOD_LABEL_X
                        || from > BLOOD_VALUE_X - 7.0 && piece.span.len() <= 4)
                {
                    let value = parse::after_colon(&piece.span);
                    blood = Some(Span::join(blood.into_iter().chain([value])));
                } else {
                    parts.push(piece.span.clone());
                }
            }
            let mut text = Span::join(parts);
            // The label itself may have come in two pieces.
            if !blood_label && let Some((start, end)) = blood_label_in(&text) {
                blood_label = true;
                let rest = parse::after_colon(&text.slice(end, usize::MAX));
                blood = Some(Span::join([rest].into_iter().chain(blood)));
                text = text.slice(0, start);
            }
            if text.is_blank() {
                return blood_label.then_some(Candidate {
                    row: index,
                    y: row.y,
                    text,
                    start: VALUE_X,
                    centre: HEADER_X,
                    blood,
                    blood_label,
                });
            }
            let rect = text.rect();
            let start = text.glyphs.first().map_or(rect.x0, |glyph| glyph.x0);
            Some(Candidate {
                row: index,
                y: row.y,
                start: place(start),
                centre: place(rect.centre().x),
                text,
                blood,
                blood_label,
            })
        })
        .collect();
    found.truncate(MAX_ROWS);
    found
}

/// What stands after the blood type's label, or all of the text where there is none; the colon itself if it was read
/// surely and nothing follows.
pub(crate) fn after_blood_label(span: &Span) -> Span {
    let label = blood_label_in(span);
    let rest = span.slice(label.map_or(0, |(_, end)| end), usize::MAX);
    let value = parse::after_colon(&rest);
    let sure = |glyph: &Glyph| first(glyph) != ':' || belief(glyph) >= 0.8;
    if label.is_some() && value.is_blank() && rest.glyphs.iter().all(sure) { rest } else { value }
}

/// Where the blood type's label stands in a piece of text.
fn blood_label_in(span: &Span) -> Option<(usize, usize)> {
    (0..span.len())
        .filter(|&start| matches!(first(&span.glyphs[start]), 'G' | 'g' | '6' | 'C' | 'O' | '0'))
        .map(|start| (start, confusion::prefix(&span.glyphs[start..], BLOOD_LABEL)))
        .filter(|(_, found)| found.similarity >= 0.7)
        .max_by(|a, b| a.1.similarity.total_cmp(&b.1.similarity))
        .map(|(start, found)| (start, start + found.end))
}

/// The best assignment, and which candidate holds the sex.
#[expect(clippy::needless_range_loop, reason = "a state is a number that means the same in several tables")]
fn place(candidates: &[Candidate], columns: &Columns) -> (Vec<Placed>, Option<usize>) {
    const STATES: usize = Slot::ALL.len() * 2;
    let fits: Vec<Vec<Fit>> = candidates
        .iter()
        .map(|candidate| {
            Slot::ALL
                .iter()
                .flat_map(|&slot| [first_row(candidate, slot, columns), next_row(candidate, slot, columns)])
                .collect()
        })
        .collect();
    // best[row][state] = (score of the best chain that ends here, the step before)
    type Step = (f32, Option<(usize, usize)>);
    let mut best: Vec<Vec<Step>> = Vec::with_capacity(candidates.len());
    for (row, candidate) in candidates.iter().enumerate() {
        let mut line = Vec::with_capacity(STATES);
        for state in 0..STATES {
            let slot = Slot::ALL[state / 2];
            let continued = state % 2 == 1;
            let own = fits[row][state].score;
            let mut top = if continued {
                (f32::NEG_INFINITY, None)
            } else {
                (own + MISSING_SLOT * (state / 2) as f32, None)
            };
            for before in row.saturating_sub(MAX_FOREIGN)..row {
                let foreign = FOREIGN_ROW * (row - before - 1) as f32;
                for earlier in 0..=state {
                    let from = Slot::ALL[earlier / 2];
                    let allowed = if continued { from == slot } else { from < slot };
                    if !allowed {
                        continue;
                    }
                    let steps = if continued { 1.0 } else { (slot.y() - from.y()) / PITCH };
                    let stray = columns.rows(candidate.y - candidates[before].y) - steps;
                    // Rows in between that were not read may have been wrapped.
                    let slack =
                        if !continued && (state / 2 - earlier / 2) > 1 && stray > 0.0 { 0.5 } else { 1.0 };
                    let geometry = -(1.2 * slack * stray * stray).min(MAX_STRAY);
                    let skipped = if continued { 0 } else { state / 2 - earlier / 2 - 1 };
                    let score =
                        best[before][earlier].0 + own + foreign + geometry + MISSING_SLOT * skipped as f32;
                    if score > top.0 {
                        top = (score, Some((before, earlier)));
                    }
                }
            }
            line.push(top);
        }
        best.push(line);
    }
    let ends = best.iter().enumerate().flat_map(|(row, line)| {
        line.iter().enumerate().map(move |(state, entry)| {
            let unread = Slot::ALL.len() - 1 - state / 2;
            (entry.0 + MISSING_SLOT * unread as f32, (row, state))
        })
    });
    let end = ends.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, end)| end);

    let mut placed = Vec::new();
    let mut gender = None;
    let mut step = end;
    while let Some((row, state)) = step {
        let fit = &fits[row][state];
        let candidate = &candidates[row];
        let slot = Slot::ALL[state / 2];
        if slot == Slot::Gender {
            gender = Some(row);
        }
        // A row that fits nothing was only a stepping stone.
        if fit.score > -2.0 {
            placed.push(Placed {
                slot,
                continued: state % 2 == 1,
                row: candidate.row,
                label: fit.label,
                label_mm: (fit.label >= LABEL_FLOOR).then_some(candidate.start),
                colon: fit.colon,
                value: fit.value.clone(),
            });
        }
        step = best[row][state].1;
    }
    placed.reverse();
    (placed, gender)
}

/// The candidate as the row in which a slot begins.
fn first_row(candidate: &Candidate, slot: Slot, columns: &Columns) -> Fit {
    // A label does not reach into the value column.
    let room = if slot.is_header() || !columns.anchored {
        candidate.text.len()
    } else {
        let column = columns.x(VALUE_X, candidate.y) + 0.4 * columns.unit();
        let beyond = |glyph: &Glyph| (glyph.x0 + glyph.x1) / 2.0 > column;
        candidate.text.glyphs.iter().position(beyond).unwrap_or(candidate.text.len())
    };
    let label = slot
        .labels()
        .iter()
        .map(|label| (label, confusion::prefix(&candidate.text.glyphs[..room], label)))
        .filter(|(label, found)| !parse::is_value(label, &candidate.text.glyphs[..found.end]))
        .map(|(_, found)| found)
        .max_by(|a, b| a.similarity.total_cmp(&b.similarity))
        .unwrap_or(Prefix { similarity: 0.0, end: 0 });
    if slot.is_header() {
        let similarity = label.similarity.max(parse::bare_header(slot, &candidate.text));
        let off_centre = if columns.anchored { (candidate.centre - HEADER_X).abs() } else { 0.0 };
        let score = 5.0 * (similarity - 0.6) - if off_centre > 10.0 { 1.5 } else { 0.0 };
        let colon = candidate.text.glyphs.iter().skip(label.end).take(3).any(|glyph| first(glyph) == ':');
        return Fit { score, label: similarity, colon, value: candidate.text.clone() };
    }
    let leads = candidate.leads() || !columns.anchored;
    let known = leads && label.similarity >= LABEL_FLOOR;
    let (value, colon) = parse::value_of(slot, &candidate.text, known.then_some(label), candidate.y, columns);
    let by_label = match (known, candidate.leads()) {
        (true, _) => {
            6.0 * (label.similarity - 0.4) * if confusion::weight(slot.labels()[0]) < 5.0 { 0.8 } else { 1.0 }
        }
        // A remnant of the label says little, another text in its place a lot.
        (false, true) if lead_letters(&candidate.text, room) <= 3 => -0.6,
        (false, true) => -1.5,
        (false, false) => -0.4,
    };
    let by_value = parse::plausibility(slot, &value);
    Fit { score: by_label + by_value, label: if known { label.similarity } else { 0.0 }, colon, value }
}

/// Letters and digits in the label column.
fn lead_letters(text: &Span, room: usize) -> usize {
    text.glyphs[..room].iter().filter(|glyph| first(glyph).is_ascii_alphanumeric()).count()
}

/// The candidate as a row in which the value of a slot goes on.
fn next_row(candidate: &Candidate, slot: Slot, columns: &Columns) -> Fit {
    if !slot.wraps() || candidate.text.is_blank() {
        return Fit { score: -10.0, label: 0.0, colon: false, value: Span::default() };
    }
    let (value, _) = parse::value_of(slot, &candidate.text, None, candidate.y, columns);
    let score = if candidate.leads() { -3.0 } else { 0.0 } + parse::continuation(slot, &value);
    Fit { score, label: 0.0, colon: false, value }
}
