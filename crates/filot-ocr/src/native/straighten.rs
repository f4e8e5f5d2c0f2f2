//! From the photo to the straightened card and the boxes of its text: by the networks that locate cards, and where those are
//! unsure by edges and text.

use std::time::Instant;

use super::{NativeEngine, milliseconds};
use crate::canvas::Canvas;
use crate::contrast::{clean, is_noisy, stretch};
use crate::detect::{TextBox, detect, network_size};
use crate::engine::{Error, Timing};
use crate::layout;
use crate::locate::Located;
use crate::outline::{
    BORDER_MM, FoundCard, OutlineSearch, card_canvas, crosses_border, on_card, whole_frame,
};
use crate::page::{Framing, Point, Quad, Rect};
use crate::rectify::{contains, middle};

/// Longer side of the picture in which the detector looks for the direction and the extent of the text, in pixels; and of
/// the straightened one in which it looks for the lines.
const OVERVIEW_SIDE: f32 = 480.0;
pub(super) const SEARCH_SIDE: f32 = 640.0;
/// With fewer lines than this in the whole photo, it is searched again, at this size and with its contrast evened out.
const FEW_LINES: usize = 7;
const CLOSE_SEARCH_SIDE: f32 = 1280.0;
/// Window, in pixels, over which contrast is evened out for the detector: a few lines of text.
const DETECTION_WINDOW: usize = 61;
/// Lines are sought this far beyond the found outline, which may lie a little inside the card.
const CARD_MARGIN_MM: f32 = 1.0;
/// A card with fewer rows than this was hardly seen, and how many pixels of smoothing may help.
const FEW_ON_CARD: usize = 9;
const SMOOTH_SEARCH: f32 = 1.8;
/// With this many lines cut, an outline that does not show all around is wrong.
const MAX_CUT_LINES: usize = 3;
/// With this share of the lines cut, the networks are wrong; a printed page under the card has a few that reach to it.
const MAX_CUT_SHARE: f32 = 0.25;
/// Share of the lines seen inside the outline at first that must be found again on the card.
const MIN_TEXT_KEPT: f32 = 0.6;

/// Confidence from which on the networks' corners are taken: of 287 cards of the kit 250 have it, and 242 of those have
/// all their corners within 2 % of the card's width (`docs/training.md`). The others are searched by edges and text.
const LOCATED: f32 = 0.93;
/// Confidence that is enough for a card beside another: what it is, its text has to say.
pub(super) const BESIDE: f32 = 0.6;
/// Confidence from which on they also tell which way is up. Below the second, which none of 666 located cards was, what lies
/// between the corners is no card of ours but parts of two, or something else.
const UPRIGHT: f32 = 0.98;
const MIN_UPRIGHT: f32 = 0.9;

/// A frame that is level with its text, and the boxes of that text.
pub(super) struct Straightened {
    pub(super) canvas: Canvas,
    pub(super) boxes: Vec<TextBox>,
    /// Whether it is known to stand upright; otherwise it may stand on its head.
    pub(super) upright: bool,
    pub(super) located: Option<Located>,
}

impl NativeEngine {
    /// Detected boxes inside a frame and the `margin` around it, in the frame's coordinates. The longer side is reduced
    /// to `side` pixels.
    pub(super) fn search(&self, canvas: &Canvas, margin: f32, side: f32) -> Result<Vec<TextBox>, Error> {
        self.search_in(canvas, margin, side, None)
    }

    /// As [`Self::search`]; with `evened`, the picture is smoothed by so many pixels and its contrast evened out even if it
    /// is not noisy.
    fn search_in(
        &self,
        canvas: &Canvas,
        margin: f32,
        side: f32,
        evened: Option<f32>,
    ) -> Result<Vec<TextBox>, Error> {
        let (width, height) = (canvas.frame.width + 2.0 * margin, canvas.frame.height + 2.0 * margin);
        let scale = side / width.max(height);
        let (pixels_x, pixels_y) = network_size(width * scale, height * scale);
        let area = Rect { x0: -margin, y0: -margin, x1: width - margin, y1: height - margin }.to_quad();
        let Some(mut picture) = canvas.cut(&area, pixels_x, pixels_y) else { return Ok(Vec::new()) };
        stretch(&mut picture);
        if evened.is_some() || is_noisy(&picture) {
            picture = clean(&picture, DETECTION_WINDOW, evened.unwrap_or(1.0));
        }
        let mut boxes = detect(&self.detector, &picture)?;
        let (sx, sy) = (width / pixels_x as f32, height / pixels_y as f32);
        for text_box in &mut boxes {
            text_box.quad =
                Quad(text_box.quad.0.map(|p| Point { x: p.x * sx - margin, y: p.y * sy - margin }));
        }
        Ok(boxes)
    }

    /// The straightened card, or the straightened text where no card's outline shows, with its text boxes; `seen` is what
    /// the networks saw, `overview` the text boxes of the whole photo if it was looked over before, and after it was. `None`
    /// without any text.
    pub(super) fn straighten(
        &self,
        whole: &Canvas,
        framing: Framing,
        direction: usize,
        seen: Option<Located>,
        overview: &mut Option<Vec<TextBox>>,
        timing: &mut Timing,
    ) -> Result<Option<Straightened>, Error> {
        if framing == Framing::Card {
            if let Some(located) = self.straighten_located(whole, seen, LOCATED, timing)? {
                return Ok(Some(located));
            }
            timing.searched = true;
        }
        if overview.is_none() {
            let start = Instant::now();
            *overview = Some(self.look_over(whole)?);
            timing.find += milliseconds(start);
        }
        let overview = overview.as_deref().unwrap_or_default();
        let searched = self.straighten_searched(whole, framing, direction, overview, timing)?;
        Ok(searched.map(|(canvas, boxes)| Straightened { canvas, boxes, upright: false, located: None }))
    }

    /// Returns the card where the networks say that it is, if they are at least so sure. `None` where they are not, or what
    /// is there contradicts them.
    pub(super) fn straighten_located(
        &self,
        whole: &Canvas,
        seen: Option<Located>,
        least: f32,
        timing: &mut Timing,
    ) -> Result<Option<Straightened>, Error> {
        let is_sure = |card: &Located| card.confidence >= least && card.upright >= MIN_UPRIGHT;
        let sure = seen.filter(|card| card.kind.is_card() && is_sure(card));
        let Some((card, canvas)) = sure.and_then(|card| Some((card, card.canvas(whole)?))) else {
            return Ok(None);
        };
        let start = Instant::now();
        let boxes = self.boxes_of_located(&canvas)?;
        timing.detect += milliseconds(start);
        Ok(boxes.map(|boxes| Straightened {
            canvas,
            boxes,
            upright: card.upright >= UPRIGHT,
            located: Some(card),
        }))
    }

    /// The text boxes on a located card; `None` if the frame cuts through its text.
    fn boxes_of_located(&self, canvas: &Canvas) -> Result<Option<Vec<TextBox>>, Error> {
        let mut boxes = self.search_for_rows(canvas)?;
        let cut = boxes.iter().filter(|b| crosses_border(&b.quad, canvas)).count();
        if boxes.is_empty() || cut as f32 >= MAX_CUT_SHARE * boxes.len() as f32 {
            return Ok(None);
        }
        keep_inside(&mut boxes, canvas);
        Ok(Some(boxes))
    }

    /// The text boxes of a card and its border, of a noisy picture after smoothing it.
    fn search_for_rows(&self, canvas: &Canvas) -> Result<Vec<TextBox>, Error> {
        let boxes = self.search(canvas, BORDER_MM, SEARCH_SIDE)?;
        if level(&boxes) < FEW_ON_CARD {
            // Noise hides the rows: smooth it away before looking again.
            let again = self.search_in(canvas, BORDER_MM, SEARCH_SIDE, Some(SMOOTH_SEARCH))?;
            if level(&again) > level(&boxes) {
                return Ok(again);
            }
        }
        Ok(boxes)
    }

    /// The text boxes in the whole photo.
    fn look_over(&self, whole: &Canvas) -> Result<Vec<TextBox>, Error> {
        let mut overview = self.search(whole, 0.0, OVERVIEW_SIDE)?;
        if overview.len() < FEW_LINES {
            // A small card in a large picture, or one in the dark or behind a veil of light.
            let large = whole.frame.width.max(whole.frame.height) > SEARCH_SIDE;
            let close = if large { CLOSE_SEARCH_SIDE } else { SEARCH_SIDE };
            let ways = [(close, None), (SEARCH_SIDE, Some(1.0)), (close, Some(1.0))];
            for (side, evened) in ways.into_iter().take(if large { 3 } else { 2 }) {
                let again = self.search_in(whole, 0.0, side, evened)?;
                if again.len() > overview.len() {
                    overview = again;
                }
                if overview.len() >= FEW_LINES {
                    break;
                }
            }
        }
        Ok(overview)
    }

    /// As [`Self::straighten`], by edges and text.
    fn straighten_searched(
        &self,
        whole: &Canvas,
        framing: Framing,
        direction: usize,
        overview: &[TextBox],
        timing: &mut Timing,
    ) -> Result<Option<(Canvas, Vec<TextBox>)>, Error> {
        let start = Instant::now();
        let mut directions = layout::directions(overview);
        if directions.is_empty() {
            // The outline of a card too dark or too blurred for its text to show; it lies flat or on its side.
            directions = vec![0.0, 90.0];
        }
        timing.find += milliseconds(start);
        if framing == Framing::Card {
            for search in OutlineSearch::ALL {
                let start = Instant::now();
                let card = card_canvas(whole, overview, &directions, search);
                timing.find += milliseconds(start);
                let Some(found) = card else { continue };
                let start = Instant::now();
                let boxes = self.boxes_on_card(overview, &found)?;
                timing.detect += milliseconds(start);
                if let Some(boxes) = boxes {
                    return Ok(Some((found.canvas, boxes)));
                }
            }
        }

        let start = Instant::now();
        let Some(&degrees) = directions.get(direction) else { return Ok(None) };
        let Some(canvas) = text_canvas(whole, overview, degrees) else { return Ok(None) };
        let boxes = self.search(&canvas, 0.0, SEARCH_SIDE)?;
        timing.detect += milliseconds(start);
        Ok(Some((canvas, boxes)))
    }

    /// The text boxes on a card; `None` if what is there shows that the outline was not a card's: most of the text is
    /// lost in it or runs askew, or it cuts through text.
    fn boxes_on_card(&self, overview: &[TextBox], card: &FoundCard) -> Result<Option<Vec<TextBox>>, Error> {
        let canvas = &card.canvas;
        let enough = MIN_TEXT_KEPT * card.lines_expected() as f32;
        let mut boxes = self.search_for_rows(canvas)?;
        // What the first look saw counts too: noise hides text at one size and not at the other.
        if card.clear && (level(&boxes) as f32) < enough {
            let seen: Vec<TextBox> = overview.iter().filter_map(|b| on_card(b, canvas)).collect();
            if level(&seen) > level(&boxes) {
                boxes = seen;
            }
        }
        let cut = boxes.iter().filter(|b| crosses_border(&b.quad, canvas)).count();
        // The portrait has an outline, too, or the gap between two columns.
        let bare = level(&boxes) == 0 && overview.len() >= FEW_LINES;
        if bare || (level(&boxes) as f32) < enough || !card.clear && cut >= MAX_CUT_LINES {
            return Ok(None);
        }
        keep_inside(&mut boxes, canvas);
        Ok(Some(boxes))
    }
}

fn text_canvas(whole: &Canvas, boxes: &[TextBox], degrees: f32) -> Option<Canvas> {
    let (width, height, to_base) = layout::text_frame(boxes, degrees)?;
    Some(whole.framed(Framing::Text, width, height, to_base))
}

/// Leaves out the boxes beside a card.
pub(super) fn keep_inside(boxes: &mut Vec<TextBox>, canvas: &Canvas) {
    let card = whole_frame(canvas, CARD_MARGIN_MM);
    boxes.retain(|text_box| contains(&card, middle(&text_box.quad)));
}

/// Boxes that run along the frame.
fn level(boxes: &[TextBox]) -> usize {
    boxes.iter().filter(|b| layout::is_along(b, 0.0)).count()
}
