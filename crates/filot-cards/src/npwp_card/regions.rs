//! Where on the page an NPWP card's fields stand or must stand, for a second reading.

use filot_ocr::engine::{Alphabet, Region, View};
use filot_ocr::page::Rect;

use super::parse::Sheet;
use crate::field::FieldKey;

/// The regions of the fields that `weak` names.
pub(crate) fn weak(sheet: &Sheet, weak: impl Fn(FieldKey) -> bool) -> Vec<(FieldKey, Region)> {
    let mut regions = Vec::new();
    for key in FieldKey::NPWP.into_iter().filter(|key| weak(*key)) {
        let alphabet = match key {
            FieldKey::NpwpNumber | FieldKey::Npwp16 | FieldKey::Nik => Alphabet::Numeric,
            _ => Alphabet::Any,
        };
        let rects = match sheet.spans.get(&key) {
            Some(span) => rows(span.rows.iter().map(|row| row.1), sheet.pitch),
            None => missing(sheet, key).into_iter().collect(),
        };
        regions.extend(rects.into_iter().map(|rect| (key, Region { rect, alphabet, view: View::Plain })));
    }
    regions
}

/// One padded box per row.
fn rows(boxes: impl Iterator<Item = Rect>, pitch: f32) -> Vec<Rect> {
    let mut rects: Vec<Rect> = Vec::new();
    for rect in boxes {
        match rects.last_mut() {
            Some(last) if (last.centre().y - rect.centre().y).abs() < 0.4 * pitch => {
                *last = last.union(&rect)
            }
            _ => rects.push(rect),
        }
    }
    for rect in &mut rects {
        let (height, middle) = (rect.height(), rect.centre().y);
        rect.y0 = middle - 0.55 * height;
        rect.y1 = middle + 0.55 * height;
        rect.x0 -= 0.15 * height;
        rect.x1 += 0.5 * height;
    }
    rects
}

/// The tax office and the date stand one below the other: where one was read, the other must be.
fn missing(sheet: &Sheet, key: FieldKey) -> Option<Rect> {
    let (neighbour, rows) = match key {
        FieldKey::TaxOffice => (FieldKey::RegisteredDate, -1.0),
        FieldKey::RegisteredDate => (FieldKey::TaxOffice, 1.0),
        _ => return None,
    };
    let rect = sheet.spans.get(&neighbour)?.rect();
    let (x0, y) = (sheet.left, rect.centre().y + rows * sheet.pitch);
    let half = 0.5 * sheet.pitch;
    Some(Rect { x0, y0: y - half, x1: rect.x1.max(x0 + 16.0 * sheet.pitch), y1: y + half })
}
