//! Where on the page a KTP's fields stand or must stand, for a second reading.

use std::collections::BTreeMap;

use filot_ocr::engine::{Alphabet, Region, View};
use filot_ocr::page::Rect;

use super::align::Sheet;
use super::template::{BLOOD_LABEL_X, HEADER_X, NIK_DIGIT, NIK_X, PITCH, Slot, VALUE_END, VALUE_X};
use crate::field::FieldKey;
use crate::span::Span;
use crate::vocabulary;

/// Height of a region in row distances.
const HEIGHT: f32 = 1.05;

/// The regions of the fields that `weak` names. Fields of one row share a region. With `labels`, rows in which nothing was
/// found but their label are looked at with it: a reader passes over a dash that stands alone.
pub(crate) fn weak(
    sheet: &Sheet,
    found: &BTreeMap<FieldKey, Span>,
    labels: bool,
    weak: impl Fn(FieldKey) -> bool,
) -> Vec<(FieldKey, Region)> {
    let mut regions = Vec::new();
    let in_place =
        sheet.columns.anchored || sheet.columns.framed && !sheet.placed.is_empty() || sheet.placed.len() >= 3;
    if !in_place {
        return regions;
    }
    for key in FieldKey::KTP {
        let Some(slot) = super::slot(key) else { continue };
        // One look at the birth row serves place and date.
        let other_of_pair = key == FieldKey::BirthPlace && weak(FieldKey::BirthDate);
        if !weak(key) || other_of_pair {
            continue;
        }
        let labelled =
            labels && vocabulary::may_be_dash(key) && sheet.columns.anchored && !found.contains_key(&key);
        let alphabet = if labelled { Alphabet::Any } else { alphabet(key) };
        let rects = match (key, found.get(&key)) {
            (FieldKey::BirthPlace | FieldKey::BirthDate, _) => rows_of(sheet, slot),
            (FieldKey::BloodType, Some(span)) | (_, Some(span)) => padded_rows(span, sheet),
            (_, None) => Vec::new(),
        };
        let rects = if rects.is_empty() {
            predicted(sheet, key, slot, labelled).into_iter().collect()
        } else {
            rects
        };
        regions.extend(rects.into_iter().map(|rect| (key, Region { rect, alphabet, view: View::Plain })));
    }
    regions
}

fn alphabet(key: FieldKey) -> Alphabet {
    match key {
        FieldKey::Nik => Alphabet::Digits,
        FieldKey::RtRw => Alphabet::Numeric,
        FieldKey::Name
        | FieldKey::Gender
        | FieldKey::Religion
        | FieldKey::MaritalStatus
        | FieldKey::Occupation
        | FieldKey::Nationality
        | FieldKey::Province
        | FieldKey::Regency => Alphabet::Letters,
        _ => Alphabet::Any,
    }
}

/// The value rows of a slot, each in full.
fn rows_of(sheet: &Sheet, slot: Slot) -> Vec<Rect> {
    sheet.rows(slot).flat_map(|placed| padded_rows(&placed.value, sheet)).collect()
}

/// The boxes of a span, one per row, a little larger than the characters.
fn padded_rows(span: &Span, sheet: &Sheet) -> Vec<Rect> {
    let mut rects: Vec<Rect> = Vec::new();
    for &(_, rect) in &span.rows {
        match rects.last_mut() {
            // Pieces side by side are one row.
            Some(last) if (last.centre().y - rect.centre().y).abs() < 0.5 * sheet.columns.pitch => {
                *last = last.union(&rect)
            }
            _ => rects.push(rect),
        }
    }
    for rect in &mut rects {
        let height = rect.height().clamp(0.8 * sheet.columns.pitch, 2.0 * sheet.columns.pitch);
        let middle = rect.centre().y;
        rect.y0 = middle - 0.55 * height;
        rect.y1 = middle + 0.55 * height;
        rect.x0 -= 0.6 * sheet.columns.unit();
        rect.x1 += 1.2 * sheet.columns.unit();
    }
    rects
}

/// Where a field that was not found must be.
fn predicted(sheet: &Sheet, key: FieldKey, slot: Slot, labelled: bool) -> Option<Rect> {
    let y = height_of(sheet, slot)?;
    let (from, to) = match key {
        FieldKey::Gender => (VALUE_X, BLOOD_LABEL_X - 0.5),
        // With its label, as a lone dash is hardly found.
        FieldKey::BloodType => (BLOOD_LABEL_X - 0.4, VALUE_END),
        FieldKey::Nik => (NIK_X - 0.8, NIK_X + 16.6 * NIK_DIGIT),
        FieldKey::Province | FieldKey::Regency => (HEADER_X - 31.0, HEADER_X + 31.0),
        _ if labelled => (slot.label_x() - 0.6, VALUE_END),
        _ => (VALUE_X - 0.2, VALUE_END),
    };
    let tall = if slot <= Slot::Nik { 1.5 } else { HEIGHT };
    let (x0, x1) = (sheet.columns.x(from, y), sheet.columns.x(to, y));
    let middle = sheet.layout.page_y(y, (x0 + x1) / 2.0);
    let half = tall * sheet.columns.pitch / 2.0 + sheet.layout.slope.abs().min(0.05) * (x1 - x0) / 4.0;
    Some(Rect { x0, y0: middle - half, x1, y1: middle + half })
}

/// The centre line of a slot's first row: its own, or measured from the nearest rows that were found.
fn height_of(sheet: &Sheet, slot: Slot) -> Option<f32> {
    let y = |row: usize| sheet.layout.rows[row].y;
    if let Some(placed) = sheet.rows(slot).next() {
        return Some(y(placed.row));
    }
    let step = |from: Slot, to: Slot| (to.y() - from.y()) / PITCH * sheet.columns.pitch;
    let above = sheet.placed.iter().rev().find(|placed| placed.slot < slot);
    let below = sheet.placed.iter().find(|placed| placed.slot > slot);
    // A continuation row counts as the slot's first row moved down.
    let from_above = above.map(|placed| (placed.slot, y(placed.row) + step(placed.slot, slot)));
    let from_below = below.map(|placed| (placed.slot, y(placed.row) - step(slot, placed.slot)));
    let wraps_between =
        |from: Slot, to: Slot| Slot::ALL.iter().any(|other| from < *other && *other < to && other.wraps());
    match (from_above, from_below) {
        (Some((from, y)), None) => (!wraps_between(from, slot)).then_some(y),
        (None, Some((_, y))) => Some(y),
        (Some((from, upper)), Some((to, lower))) => Some(match () {
            () if !wraps_between(from, slot) => upper,
            () if !slot.wraps() && !wraps_between(slot, to) => lower,
            () => (upper + lower) / 2.0,
        }),
        (None, None) => None,
    }
}
