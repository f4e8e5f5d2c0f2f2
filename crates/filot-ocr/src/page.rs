//! What a reader hands on: lines of characters with positions and alternatives.

use serde::{Deserialize, Serialize};

use crate::geometry::Homography;
use crate::image::Photo;
use crate::presentation::Presentation;

/// A position; the unit is that of the frame it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// Four corners, clockwise from the one that is top left when the text is upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quad(pub [Point; 4]);

/// An axis-parallel rectangle: `x0 <= x1`, `y0 <= y1`, y pointing down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    pub x0: f32,
    pub y0: f32,
    pub x1: f32,
    pub y1: f32,
}

impl Rect {
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }

    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }

    pub fn centre(&self) -> Point {
        Point { x: (self.x0 + self.x1) / 2.0, y: (self.y0 + self.y1) / 2.0 }
    }

    /// The smallest rectangle that holds both.
    pub fn union(&self, other: &Rect) -> Rect {
        Rect {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }
}

/// How the page's coordinates came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Framing {
    /// The card's four corners were found; the page is the card itself, `CARD_WIDTH_MM` × `CARD_HEIGHT_MM`.
    Card,
    /// No corners, but a line of known place and size told where the card lies; the page is about the card itself, as with
    /// [`Framing::Card`].
    Line,
    /// No corners; the page is the photo turned and straightened by its text lines. The unit is a pixel of that
    /// straightened picture, so only proportions mean something.
    Text,
}

/// Width of an ID-1 card in millimetres (ISO/IEC 7810).
pub const CARD_WIDTH_MM: f32 = 85.60;
/// Height of an ID-1 card in millimetres (ISO/IEC 7810).
pub const CARD_HEIGHT_MM: f32 = 53.98;

/// The page's coordinate system and its way back to the photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    pub framing: Framing,
    pub width: f32,
    pub height: f32,
    /// Row-major projective matrix: page coordinates to pixels of the upright photo (after EXIF orientation).
    pub to_photo: [f64; 9],
    /// Clockwise turn, in degrees (0, 90, 180, 270), that the card shows in the upright photo.
    pub turned: u16,
}

impl Frame {
    /// The pixel of the upright photo that shows page position `p`.
    pub fn photo_point(&self, p: Point) -> Point {
        let m = &self.to_photo;
        let (x, y) = (f64::from(p.x), f64::from(p.y));
        let w = m[6] * x + m[7] * y + m[8];
        Point { x: ((m[0] * x + m[1] * y + m[2]) / w) as f32, y: ((m[3] * x + m[4] * y + m[5]) / w) as f32 }
    }

    /// The page position that pixel `p` of the upright photo shows; `None` when the frame is degenerate.
    pub fn page_point(&self, p: Point) -> Option<Point> {
        let found = Homography(self.to_photo).inverse()?.apply(p);
        (found.x.is_finite() && found.y.is_finite()).then_some(found)
    }

    /// Returns the frame in `photo` of a page that was read in its mirror image; see [`Photo::mirrored`].
    #[must_use]
    pub fn mirrored(&self, photo: &Photo) -> Self {
        let scale = f64::from(photo.reduction);
        let width = f64::from(photo.pixels.width());
        let m = &self.to_photo;
        let mut to_photo = *m;
        for column in 0..3 {
            to_photo[column] = scale * (width * m[6 + column] - m[column]);
            to_photo[3 + column] = scale * m[3 + column];
        }
        Self { to_photo, ..self.clone() }
    }

    /// Where a page rectangle lies in the upright photo.
    pub fn photo_quad(&self, r: &Rect) -> Quad {
        let corner = |x, y| self.photo_point(Point { x, y });
        Quad([corner(r.x0, r.y0), corner(r.x1, r.y0), corner(r.x1, r.y1), corner(r.x0, r.y1)])
    }
}

/// One recognised character, with what else it might be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Glyph {
    /// Candidates with their probability (0..=1), best first, never empty. The first is the one in `Line::text`.
    pub candidates: Vec<(char, f32)>,
    /// Horizontal extent within the page.
    pub x0: f32,
    pub x1: f32,
}

/// One line of text, or the part of one that stands apart from its neighbours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Printable ASCII. One `char` per entry of `glyphs`, blanks included.
    pub text: String,
    /// Mean probability of the chosen characters (0..=1).
    pub confidence: f32,
    pub glyphs: Vec<Glyph>,
    /// Bounding box in page coordinates.
    pub rect: Rect,
    /// Angle of the baseline against the page's x axis in degrees, clockwise positive; about 0 for the card's own text,
    /// clearly otherwise for an overprint or a stamp.
    pub angle: f32,
}

/// All that was read on one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    pub frame: Frame,
    /// In reading order: from top to bottom, then from left to right.
    pub lines: Vec<Line>,
    pub quality: Quality,
}

impl Page {
    /// All text, one line to a row: lines that lie side by side are joined by two blanks.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut before: Option<&Line> = None;
        for line in &self.lines {
            // Side by side: each one's middle lies within the other's height.
            let beside = before.is_some_and(|other| {
                let apart = (other.rect.centre().y - line.rect.centre().y).abs();
                apart < 0.5 * other.rect.height().min(line.rect.height()) && line.rect.x0 >= other.rect.x1
            });
            text.push_str(match (before, beside) {
                (None, _) => "",
                (_, true) => "  ",
                (_, false) => "\n",
            });
            text.push_str(line.text.trim());
            before = Some(line);
        }
        text
    }
}

/// Measurements of the picture; numbers, not verdicts. The thresholds belong to whoever judges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// Width of the card in pixels of the photo (of the text block when no card was found).
    pub card_width_px: f32,
    /// Width of a soft edge on the card in photo pixels: about 1 for a crisp picture, above 3 for a blurred one.
    pub edge_width_px: f32,
    /// Share of the card's area (0..=1) that is burnt out by a reflection.
    pub glare: f32,
    /// Median brightness of the card (0..=1).
    pub brightness: f32,
    /// Difference between bright paper and dark ink (0..=1): 95th minus 5th percentile of the grey values.
    pub contrast: f32,
    /// Mean saturation of the card (0..=1) without the tint of light and paper; a grey copy is close to 0.
    pub saturation: f32,
    /// Circular mean hue of the saturated part of the card in degrees (0..360): about 200 for a blue KTP.
    pub hue: f32,
    /// Strength of periodic patterns between 0 and 1, as a photographed screen shows them.
    pub moire: f32,
    /// Grey levels to which the file's compression rounds the finest structure; 0 where nothing is known or lost.
    #[serde(default)]
    pub fine_step: f32,
    /// Share of the card's frame (0..=1) that lies outside the photo.
    pub cut_off: f32,
    /// What is bright around the card against what is bright on it: the 90th percentile of the grey values outside
    /// divided by the 85th inside. `None` when no card was found or it fills the photo.
    #[serde(default)]
    pub surround: Option<f32>,
    /// Whether it is the card itself that was photographed, by the look of its surface. `None` where nothing looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presentation: Option<Presentation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, x0: f32, y: f32) -> Line {
        let rect = Rect { x0, y0: y - 1.0, x1: x0 + text.len() as f32, y1: y + 1.0 };
        Line { text: text.to_owned(), confidence: 1.0, glyphs: Vec::new(), rect, angle: 0.0 }
    }

    #[test]
    fn a_page_of_the_mirror_lies_where_it_is_in_the_photo() {
        let pixels = image::RgbImage::new(100, 60);
        let photo = Photo::from_pixels(pixels, crate::image::Format::Jpeg, &crate::image::Limits::default());
        let to_photo = [2.0, 0.0, 10.0, 0.0, 2.0, 5.0, 0.0, 0.0, 1.0];
        let frame = Frame { framing: Framing::Card, width: 40.0, height: 20.0, to_photo, turned: 0 };
        let (own, there) = (Point { x: 3.0, y: 4.0 }, frame.mirrored(&photo));
        assert_eq!(frame.photo_point(own), Point { x: 16.0, y: 13.0 });
        assert_eq!(there.photo_point(own), Point { x: 84.0, y: 13.0 });
    }

    #[test]
    fn text_runs_from_top_to_bottom_and_joins_what_stands_side_by_side() {
        let frame = Frame {
            framing: Framing::Card,
            width: CARD_WIDTH_MM,
            height: CARD_HEIGHT_MM,
            to_photo: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            turned: 0,
        };
        let lines = vec![line("NIK", 2.0, 10.0), line(": 35", 20.0, 10.4), line("Nama ", 2.0, 15.0)];
        let page = Page { frame, lines, quality: Quality::default() };
        assert_eq!(page.text(), "NIK  : 35\nNama");
        assert_eq!(Page { lines: Vec::new(), ..page }.text(), "");
    }
}
