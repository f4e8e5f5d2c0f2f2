//! From the lines of text seen in a photo to the card's frame in millimetres, and whether what is seen in it fits a card.

use crate::canvas::Canvas;
use crate::detect::{TextBox, reading_order};
use crate::geometry::Homography;
use crate::layout;
use crate::morphology;
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Point, Quad, Rect};
use crate::rectify::{EDGE_SIDE, Finder, contains, middle};

/// Width of the band around the outline that is searched too, to see whether the outline cuts through text.
pub(crate) const BORDER_MM: f32 = 2.5;
/// A card shows at least so many lines of text.
const LEAST_LINES: usize = 4;
/// Half the window, in pixels of the picture in which edges are sought, in which strokes are wiped out.
const STROKE_REACH: usize = 3;

/// Ways to look for a card's outline, to be tried in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutlineSearch {
    /// Among all edges, around the text.
    Edges,
    /// In a picture from which fine strokes are wiped out, so that a printed page is plain paper and its lines neither
    /// give edges nor a direction.
    Surfaces,
    /// Among the edges near the lines of text, away from a busy background.
    Nearby,
}

impl OutlineSearch {
    pub(crate) const ALL: [Self; 3] = [Self::Edges, Self::Surfaces, Self::Nearby];
}

/// The card's frame in millimetres.
pub(crate) struct FoundCard {
    pub(crate) canvas: Canvas,
    /// Text lines seen inside it at first; 0 where they were not looked at.
    inside: usize,
    /// Whether it differs from its background all around.
    pub(crate) clear: bool,
    search: OutlineSearch,
}

impl FoundCard {
    /// Lines of text that must be on it, more or less.
    pub(crate) fn lines_expected(&self) -> usize {
        match self.search {
            OutlineSearch::Surfaces => LEAST_LINES,
            _ => self.inside,
        }
    }
}

/// The card's frame, where its outline shows.
pub(crate) fn card_canvas(
    whole: &Canvas,
    text: &[TextBox],
    directions: &[f32],
    search: OutlineSearch,
) -> Option<FoundCard> {
    let scale = EDGE_SIDE / whole.frame.width.max(whole.frame.height);
    let picture =
        whole.view(&Rect { x0: 0.0, y0: 0.0, x1: whole.frame.width, y1: whole.frame.height }, scale)?;
    let (sx, sy) = (picture.width() as f32 / whole.frame.width, picture.height() as f32 / whole.frame.height);
    let finder = match search {
        OutlineSearch::Surfaces => Finder::new(&morphology::closed(&picture, STROKE_REACH)),
        _ => Finder::new(&picture),
    };
    let directions = match search {
        // Edges in all directions: each look spans 14 degrees to either side.
        OutlineSearch::Surfaces => vec![directions[0], directions[0] + 30.0, directions[0] - 30.0],
        _ => directions.to_vec(),
    };
    let found = directions.iter().enumerate().filter_map(|(i, &degrees)| {
        let along = text.iter().filter(|b| match search {
            OutlineSearch::Edges => layout::is_along(b, degrees),
            OutlineSearch::Surfaces => false,
            OutlineSearch::Nearby => layout::is_line_along(b, degrees),
        });
        let along: Vec<Quad> =
            along.map(|b| Quad(b.quad.0.map(|p| Point { x: p.x * sx, y: p.y * sy }))).collect();
        let nearby = i > 0 || search == OutlineSearch::Nearby;
        let outline = finder.outline(&along, degrees, nearby && search != OutlineSearch::Surfaces)?;
        let inside = along.iter().filter(|t| t.0.iter().all(|p| contains(&outline.quad, *p))).count();
        // Text everywhere but inside: the portrait, or a figure of the background.
        let believed = inside > 0 || along.len() < LEAST_LINES;
        believed.then_some((outline, inside))
    });
    let (outline, inside) = found.max_by(|(a, _), (b, _)| a.score.total_cmp(&b.score))?;
    let corners = Quad(outline.quad.0.map(|p| Point { x: p.x / sx, y: p.y / sy }));
    let to_base = Homography::rect_to_quad(CARD_WIDTH_MM, CARD_HEIGHT_MM, &corners)?;
    let canvas = whole.framed(Framing::Card, CARD_WIDTH_MM, CARD_HEIGHT_MM, to_base);
    Some(FoundCard { canvas, inside, clear: outline.clear, search })
}

/// A box found in the whole photo, in the card's coordinates. `None` for those beyond its border.
pub(crate) fn on_card(found: &TextBox, card: &Canvas) -> Option<TextBox> {
    let quad = reading_order(card.to_base.inverse()?.apply_quad(&found.quad).0);
    contains(&whole_frame(card, BORDER_MM), middle(&quad)).then_some(TextBox { quad })
}

/// The frame of a canvas, grown by `margin`.
pub(crate) fn whole_frame(canvas: &Canvas, margin: f32) -> Quad {
    Rect { x0: -margin, y0: -margin, x1: canvas.frame.width + margin, y1: canvas.frame.height + margin }
        .to_quad()
}

/// Whether a line starts clearly inside the frame and ends clearly outside it.
pub(crate) fn crosses_border(quad: &Quad, canvas: &Canvas) -> bool {
    const CLEARLY_MM: f32 = 0.8;
    let rect = layout::bounds(&quad.0);
    let straddles =
        |low: f32, high: f32, border: f32| low < border - CLEARLY_MM && high > border + CLEARLY_MM;
    let (width, height) = (canvas.frame.width, canvas.frame.height);
    [(rect.x0, rect.x1, 0.0), (rect.x0, rect.x1, width), (rect.y0, rect.y1, 0.0), (rect.y0, rect.y1, height)]
        .into_iter()
        .any(|(low, high, border)| straddles(low, high, border))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use image::RgbImage;

    use super::*;
    use crate::canvas::Pyramid;

    #[test]
    fn boxes_of_the_whole_photo_are_moved_onto_the_card() {
        let pyramid = Arc::new(Pyramid::new(Arc::new(RgbImage::new(800, 600))));
        let whole = Canvas::new(pyramid, Framing::Text, 800.0, 600.0, Homography::scale(1.0), 1.0);
        // A card on its side, its text running downwards, ten pixels to the millimetre.
        let at = |x: f32, y: f32| Point { x: 600.0 - 10.0 * y, y: 20.0 + 10.0 * x };
        let corners = Quad([at(0.0, 0.0), at(50.0, 0.0), at(50.0, 40.0), at(0.0, 40.0)]);
        let to_base = Homography::rect_to_quad(50.0, 40.0, &corners).unwrap();
        let card = whole.framed(Framing::Card, 50.0, 40.0, to_base);
        let line = |x0: f32, y0: f32| TextBox {
            quad: Quad([at(x0, y0), at(x0 + 30.0, y0), at(x0 + 30.0, y0 + 2.0), at(x0, y0 + 2.0)]),
        };
        let moved = on_card(&line(5.0, 10.0), &card).unwrap().quad.0;
        for (found, wanted) in moved.iter().zip([(5.0, 10.0), (35.0, 10.0), (35.0, 12.0), (5.0, 12.0)]) {
            assert!((found.x - wanted.0).abs() < 0.01 && (found.y - wanted.1).abs() < 0.01, "{moved:?}");
        }
        assert!(on_card(&line(5.0, -20.0), &card).is_none());
    }

    #[test]
    fn a_card_on_a_printed_page_shows_once_the_print_is_wiped_out() {
        // Rows of strokes that lean a little, and on them a blue card with rows of its own.
        let card = Quad(
            [(150.0, 120.0), (420.0, 120.0), (420.0, 290.0), (150.0, 290.0)].map(|(x, y)| Point { x, y }),
        );
        let picture = RgbImage::from_fn(512, 400, |x, y| {
            let (fx, fy) = (x as f32, y as f32);
            if contains(&card, Point { x: fx, y: fy }) {
                let ink = y % 12 < 2 && x % 7 < 3 && (160..400).contains(&x);
                return image::Rgb(if ink { [40, 40, 50] } else { [150, 190, 220] });
            }
            let row = (fy + 0.1 * fx) as u32;
            image::Rgb(if row % 14 < 3 && x % 6 < 4 { [50, 50, 50] } else { [240, 240, 238] })
        });
        let pyramid = Arc::new(Pyramid::new(Arc::new(picture)));
        let whole = Canvas::new(pyramid, Framing::Text, 512.0, 400.0, Homography::scale(1.0), 1.0);
        let found = card_canvas(&whole, &[], &[-5.0], OutlineSearch::Surfaces).unwrap();
        let corner = found.canvas.to_base.apply(Point { x: 0.0, y: 0.0 });
        assert!((corner.x - 150.0).abs() < 6.0 && (corner.y - 120.0).abs() < 6.0, "{corner:?}");
        let corner = found.canvas.to_base.apply(Point { x: CARD_WIDTH_MM, y: CARD_HEIGHT_MM });
        assert!((corner.x - 420.0).abs() < 6.0 && (corner.y - 290.0).abs() < 6.0, "{corner:?}");
    }
}
