//! Which part of the photo is shown, and how it is turned. The script does the same without a round trip.

use filot_ocr::page::{Frame, Point, Quad};

use super::Fields;
use crate::desk::Place;

/// Pixels across the straightened picture.
pub(super) const STRAIGHTENED_WIDTH: u32 = 960;
/// Asks for a picture in which nothing can be read.
pub(super) const VEILED: &str = "veiled";
/// Room around a field that is zoomed to, in its own heights.
const MARGIN: f32 = 1.6;

/// A part of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Region {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

impl Region {
    fn around(points: &[Point]) -> Option<Self> {
        let low = |of: fn(&Point) -> f32| points.iter().map(of).fold(f32::INFINITY, f32::min);
        let high = |of: fn(&Point) -> f32| points.iter().map(of).fold(f32::NEG_INFINITY, f32::max);
        let (x, y) = (low(|p| p.x), low(|p| p.y));
        let region = Self { x, y, width: high(|p| p.x) - x, height: high(|p| p.y) - y };
        let sound = region.width > 0.0
            && region.height > 0.0
            && region.width.is_finite()
            && region.height.is_finite();
        sound.then_some(region)
    }

    fn with_margin(self, heights: f32) -> Self {
        let by = self.height * heights;
        Self { x: self.x - by, y: self.y - by, width: self.width + 2.0 * by, height: self.height + 2.0 * by }
    }

    /// As SVG writes it.
    pub(super) fn text(&self) -> String {
        format!("{:.1} {:.1} {:.1} {:.1}", self.x, self.y, self.width, self.height)
    }
}

/// A picture of the document in its own coordinates.
pub(super) struct Picture {
    pub(super) name: &'static str,
    pub(super) width: f32,
    pub(super) height: f32,
}

impl Picture {
    fn whole(&self) -> Region {
        Region { x: 0.0, y: 0.0, width: self.width, height: self.height }
    }
}

/// What there is to look at.
pub(super) struct Pictures {
    pub(super) original: Picture,
    pub(super) straightened: Option<Picture>,
    frame: Option<Frame>,
}

impl Pictures {
    pub(super) fn of(place: Option<&Place>) -> Self {
        // Without a reading the size is not known; any with about the right shape lets the browser fit it.
        let (width, height) =
            place.map_or((1600.0, 1200.0), |p| (p.photo.width as f32, p.photo.height as f32));
        let frame =
            place.map(|place| place.frame.clone()).filter(|frame| frame.width > 0.0 && frame.height > 0.0);
        let straightened = frame.as_ref().map(|frame| Picture {
            name: "straightened",
            width: STRAIGHTENED_WIDTH as f32,
            height: (STRAIGHTENED_WIDTH as f32 * frame.height / frame.width).round(),
        });
        Self { original: Picture { name: "original", width, height }, straightened, frame }
    }

    /// Where a field stands in both pictures.
    pub(super) fn places(&self, quad: &Quad) -> (Option<Region>, Option<Region>) {
        let original = Region::around(&quad.0);
        let straightened = self.frame.as_ref().zip(original).and_then(|(frame, _)| {
            let scale = STRAIGHTENED_WIDTH as f32 / frame.width;
            let onto = |p: &Point| frame.page_point(*p).map(|p| Point { x: p.x * scale, y: p.y * scale });
            let points: Option<Vec<Point>> = quad.0.iter().map(onto).collect();
            Region::around(&points?)
        });
        (original, straightened)
    }
}

/// What the page was asked to show.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) original: bool,
    /// Degrees, clockwise: 0, 90, 180 or 270.
    pub(super) turn: u16,
    pub(super) contrast: bool,
    /// Everything, not blurred.
    pub(super) reveal: bool,
    /// The field zoomed to.
    pub(super) field: Option<String>,
}

impl Look {
    pub(super) fn of(query: &Fields) -> Self {
        let is = |name: &str, value: &str| query.get(name).is_some_and(|given| given == value);
        let turn = query.get("turn").and_then(|text| text.parse::<u16>().ok()).unwrap_or_default();
        Self {
            original: is("view", "original"),
            turn: turn / 90 % 4 * 90,
            contrast: is("contrast", "1"),
            reveal: is("reveal", "1"),
            field: query.get("field").filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric())).cloned(),
        }
    }

    /// The query that asks for this.
    pub(super) fn query(&self) -> String {
        let mut parts = vec![format!("view={}", if self.original { "original" } else { "straightened" })];
        if self.turn != 0 {
            parts.push(format!("turn={}", self.turn));
        }
        if self.contrast {
            parts.push("contrast=1".to_owned());
        }
        if self.reveal {
            parts.push("reveal=1".to_owned());
        }
        if let Some(field) = &self.field {
            parts.push(format!("field={field}"));
        }
        format!("?{}", parts.join("&"))
    }
}

/// The attributes of the picture on the page.
pub(super) struct Shown {
    pub(super) view_box: String,
    pub(super) transform: String,
}

/// Shows `region` of a picture, or all of it, turned.
pub(super) fn shown(picture: &Picture, region: Option<Region>, turn: u16) -> Shown {
    let region = region.map_or_else(|| picture.whole(), |region| region.with_margin(MARGIN));
    let (x, y) = (region.x + region.width / 2.0, region.y + region.height / 2.0);
    let (width, height) =
        if turn.is_multiple_of(180) { (region.width, region.height) } else { (region.height, region.width) };
    let view = Region { x: x - width / 2.0, y: y - height / 2.0, width, height };
    Shown { view_box: view.text(), transform: format!("rotate({turn} {x:.1} {y:.1})") }
}

/// The window through which a field's crop is seen.
pub(super) fn crop(region: Region) -> Region {
    region.with_margin(0.25)
}

#[cfg(test)]
mod tests {
    use filot_ocr::page::Framing;

    use super::*;
    use crate::desk::Size;

    fn place() -> Place {
        // The card's 80 by 50 millimetres, ten photo pixels to one, at (100, 200).
        let to_photo = [10.0, 0.0, 100.0, 0.0, 10.0, 200.0, 0.0, 0.0, 1.0];
        let frame = Frame { framing: Framing::Card, width: 80.0, height: 50.0, to_photo, turned: 0 };
        Place { photo: Size { width: 2000, height: 1000, page: None }, frame }
    }

    #[test]
    fn a_field_is_found_in_both_pictures() {
        let pictures = Pictures::of(Some(&place()));
        let corner = |x, y| Point { x, y };
        let quad =
            Quad([corner(300.0, 300.0), corner(500.0, 300.0), corner(500.0, 320.0), corner(300.0, 320.0)]);
        let (original, straightened) = pictures.places(&quad);
        assert_eq!(original.unwrap().text(), "300.0 300.0 200.0 20.0");
        let scale = STRAIGHTENED_WIDTH as f32 / 80.0;
        let region = straightened.unwrap();
        assert!(
            (region.x - 20.0 * scale).abs() < 0.1 && (region.height - 2.0 * scale).abs() < 0.1,
            "{region:?}"
        );
        assert_eq!(
            pictures.places(&Quad::default()),
            (None, None),
            "a field that was typed in stands nowhere"
        );
    }

    #[test]
    fn turning_swaps_the_sides_around_the_middle() {
        let pictures = Pictures::of(Some(&place()));
        assert_eq!(shown(&pictures.original, None, 0).view_box, "0.0 0.0 2000.0 1000.0");
        let turned = shown(&pictures.original, None, 90);
        assert_eq!(turned.view_box, "500.0 -500.0 1000.0 2000.0");
        assert_eq!(turned.transform, "rotate(90 1000.0 500.0)");
    }

    #[test]
    fn a_look_survives_its_query_and_nonsense_is_the_usual_look() {
        let look =
            Look { original: true, turn: 270, contrast: true, reveal: true, field: Some("nik".to_owned()) };
        assert_eq!(Look::of(&super::super::fields(&look.query().as_bytes()[1..])), look);
        let odd = super::super::fields(b"view=x&turn=17&contrast=yes&field=%3Cscript%3E");
        assert_eq!(Look::of(&odd).query(), "?view=straightened");
    }
}
