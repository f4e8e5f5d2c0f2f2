//! The rows of an NPWP card by their ink, for pictures in which the lines of text cannot be told apart.

use filot_ocr::engine::{Alphabet, Reading, Region, View};
use filot_ocr::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Rect};

/// Distance between neighbouring rows in millimetres.
const PITCH: f32 = 3.1;
/// Height of a region in row distances.
const HEIGHT: f32 = 1.15;
/// Room at the card's edges without print.
const MARGIN: f32 = 2.0;
/// The beginnings of the rows, which all have in common.
const INKED: (f32, f32) = (4.0, 40.0);

/// The rows of print, each over the whole width of the card; `None` without the card's own frame.
pub(crate) fn regions(reading: &Reading, view: View) -> Option<Vec<Region>> {
    if reading.page.frame.framing == Framing::Text {
        return None;
    }
    let inked = Rect { x0: INKED.0, y0: MARGIN, x1: INKED.1, y1: CARD_HEIGHT_MM - MARGIN };
    let half = HEIGHT * PITCH / 2.0;
    let region = |y: f32| {
        let rect = Rect { x0: MARGIN, y0: y - half, x1: CARD_WIDTH_MM - MARGIN, y1: y + half };
        Region { rect, alphabet: Alphabet::Any, view }
    };
    Some(reading.rows_of_ink(&inked, PITCH).into_iter().map(region).collect())
}
