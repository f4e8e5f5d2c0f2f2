//! Where the rows below the number must stand, for pictures in which the lines of text cannot be told apart.
//!
//! The number is the largest print of the card and is read when nothing else is. Its sixteen digits stand at fixed
//! distances, and so tell where the template lies.

use filot_ocr::engine::{Alphabet, Reading, Region, View};
use filot_ocr::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Glyph, Line, Page, Point, Quad, Rect};

use super::template::{HEADER_X, LABEL_X, NIK_DIGIT, NIK_X, PITCH, Slot, VALUE_END, VALUE_X};
use crate::digits;
use crate::span::{Span, first};

/// Rows below the number: twelve, and three for values of two rows.
const ROWS: usize = 15;
/// Height of a region in row distances.
const HEIGHT: f32 = 1.05;
/// Half the room of the two rows at the top.
const HEADER_HALF: f32 = 31.0;
/// Labels, colons and the beginnings of values show the rows.
const INKED_END: f32 = 38.0;
/// A row of ink this near to where a row is expected, in row distances, is that row.
const NEAR: f32 = 0.45;
/// Digits of the number.
const DIGITS: usize = 16;
/// So many of them may have been read as letters that look like them.
const LOOK_ALIKES: usize = 2;
/// A digit that stands this far from its place, in distances between digits, is none of the number.
const UNEVEN: f32 = 0.45;

/// The rows of the grid, labels and values apart, from top to bottom; `None` where the number does not tell where it lies.
pub(crate) fn regions(page: &Page, reading: &Reading, view: View) -> Option<Vec<Region>> {
    let number = number_line(page);
    let header = if number.is_some() { Vec::new() } else { header(view) };
    let line = number.or_else(|| NumberLine::of_card(page))?;
    let rows = rows(reading, &line);
    let pitch = (rows[ROWS - 1] - rows[0]) / (ROWS - 1) as f32;
    let half = HEIGHT * pitch * line.along.x / 2.0;
    let mut regions = header;
    for y in rows {
        for (from, to) in [(LABEL_X - 0.8, VALUE_X - 0.6), (VALUE_X - 0.5, VALUE_END)] {
            let (a, b) = (line.point(from, y), line.point(to, y));
            let middle = (a.y + b.y) / 2.0;
            let rect = Rect { x0: a.x, y0: middle - half, x1: b.x, y1: middle + half };
            regions.push(Region { rect, alphabet: Alphabet::Any, view });
        }
    }
    Some(regions)
}

/// The three rows above the grid on the card's own frame.
fn header(view: View) -> Vec<Region> {
    let row = |slot: Slot, x0: f32, x1: f32, height: f32| {
        let rect = Rect { x0, y0: slot.y() - height / 2.0, x1, y1: slot.y() + height / 2.0 };
        Region { rect, alphabet: Alphabet::Any, view }
    };
    let names = (HEADER_X - HEADER_HALF, HEADER_X + HEADER_HALF);
    vec![
        row(Slot::Province, names.0, names.1, 3.2),
        row(Slot::Regency, names.0, names.1, 3.2),
        row(Slot::Nik, NIK_X - 0.6, NIK_X + 16.4 * NIK_DIGIT, 3.8),
    ]
}

/// The heights of the rows in millimetres of the template: as the ink shows them, else a row's distance on.
fn rows(reading: &Reading, line: &NumberLine) -> Vec<f32> {
    let (from, to) = (Slot::Name.y() - PITCH, Slot::Name.y() + PITCH * ROWS as f32);
    let corners = [line.point(LABEL_X, from), line.point(INKED_END, to)];
    let part = Rect { x0: corners[0].x, y0: corners[0].y, x1: corners[1].x, y1: corners[1].y };
    let unit = line.along.x;
    let mm = |y: f32| from + (y - part.y0) / unit;
    let inked: Vec<f32> = reading.rows_of_ink(&part, PITCH * unit).into_iter().map(mm).collect();
    let (mut next, mut pitch) = (Slot::Name.y(), PITCH);
    (0..ROWS)
        .map(|row| {
            let nearest = inked.iter().copied().min_by(|a, b| (a - next).abs().total_cmp(&(b - next).abs()));
            let here = nearest.filter(|y| (y - next).abs() < NEAR * PITCH).unwrap_or(next);
            if row > 0 {
                // The page may be stretched: the distance so far is the best guess of the next.
                pitch += (here - next) / (row + 1) as f32;
            }
            next = here + pitch;
            here
        })
        .collect()
}

/// The height on the page at which the grid begins, half-way below the number; `None` where that does not tell.
pub(crate) fn top(page: &Page) -> Option<f32> {
    let number = number_line(page)?;
    Some(number.point(VALUE_X, (Slot::Nik.y() + Slot::Name.y()) / 2.0).y)
}

/// The number's line and the template that its digits carry.
struct NumberLine {
    /// Centre of the first digit.
    head: Point,
    /// A millimetre along the line, and one down the card.
    along: Point,
    down: Point,
}

impl NumberLine {
    /// Where the template puts the number on the card's own frame.
    fn of_card(page: &Page) -> Option<Self> {
        let head = Point { x: NIK_X + NIK_DIGIT / 2.0, y: Slot::Nik.y() };
        let line = Self { head, along: Point { x: 1.0, y: 0.0 }, down: Point { x: 0.0, y: 1.0 } };
        (page.frame.framing != Framing::Text).then_some(line)
    }

    /// The page position of a place of the template.
    fn point(&self, x_mm: f32, y_mm: f32) -> Point {
        let (x, y) = (x_mm - NIK_X - NIK_DIGIT / 2.0, y_mm - Slot::Nik.y());
        Point {
            x: self.head.x + x * self.along.x + y * self.down.x,
            y: self.head.y + x * self.along.y + y * self.down.y,
        }
    }
}

/// The number's line, if there is just one that can be it: sixteen digits at even distances.
fn number_line(page: &Page) -> Option<NumberLine> {
    let mut found = page.lines.iter().filter_map(number_in);
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

fn number_in(line: &Line) -> Option<NumberLine> {
    let span = Span::from_line(line);
    let visible: Vec<&Glyph> = span.glyphs.iter().filter(|glyph| first(glyph) != ' ').collect();
    visible.windows(DIGITS).rev().find_map(|digits| {
        let read = digits.iter().filter(|glyph| first(glyph).is_ascii_digit()).count();
        let centres: Vec<f32> = digits.iter().map(|glyph| (glyph.x0 + glyph.x1) / 2.0).collect();
        let (head, step) = evenly(&centres)?;
        if read + LOOK_ALIKES < DIGITS || digits.iter().any(|glyph| digits::digit(glyph).is_none()) {
            return None;
        }
        let lean = line.angle.to_radians().tan();
        let middle = line.rect.centre();
        let unit = step / NIK_DIGIT;
        let along = Point { x: unit, y: unit * lean };
        let head = Point { x: head, y: middle.y + lean * (head - middle.x) };
        Some(NumberLine { head, along, down: Point { x: -along.y, y: along.x } })
    })
}

/// First place and distance of places that are about evenly spaced.
fn evenly(places: &[f32]) -> Option<(f32, f32)> {
    let count = places.len() as f32;
    let (middle, mean) = ((count - 1.0) / 2.0, places.iter().sum::<f32>() / count);
    let off = |n: usize| n as f32 - middle;
    let spread: f32 = (0..places.len()).map(|n| off(n) * off(n)).sum();
    let step = places.iter().enumerate().map(|(n, x)| off(n) * (x - mean)).sum::<f32>() / spread;
    let head = mean - step * middle;
    let even = places.iter().enumerate().all(|(n, x)| (x - head - step * n as f32).abs() < UNEVEN * step);
    (step > 0.0 && even).then_some((head, step))
}

/// The card's corners in pixels of the photo, clockwise from the upper left, as the number's digits tell.
pub(crate) fn corners(page: &Page) -> Option<Quad> {
    let line = number_line(page)?;
    let corner = |x, y| page.frame.photo_point(line.point(x, y));
    let (width, height) = (CARD_WIDTH_MM, CARD_HEIGHT_MM);
    let quad = Quad([corner(0.0, 0.0), corner(width, 0.0), corner(width, height), corner(0.0, height)]);
    quad.0.iter().all(|p| p.x.is_finite() && p.y.is_finite()).then_some(quad)
}

/// Characters less likely than this are rather none.
const NOTHING: f32 = 0.35;

/// A row without what the reader made of the paper behind its text: it ends where characters become mostly unlikely.
pub(crate) fn trimmed(mut line: Line) -> Option<Line> {
    let (mut sum, mut best, mut end) = (0.0, 0.0, 0);
    for (place, glyph) in line.glyphs.iter().enumerate() {
        sum += glyph.candidates[0].1 - NOTHING;
        if sum >= best {
            (best, end) = (sum, place + 1);
        }
    }
    line.glyphs.truncate(end);
    line.text = line.text.chars().take(end).collect();
    (!line.text.trim().is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use filot_ocr::page::{Frame, Quality};

    use super::*;

    /// A line of characters at even distances, turned by `angle` degrees.
    fn line(text: &str, x: f32, y: f32, step: f32, angle: f32, belief: f32) -> Line {
        let glyphs: Vec<Glyph> = text
            .chars()
            .enumerate()
            .map(|(place, c)| {
                let x0 = x + step * place as f32;
                Glyph { candidates: vec![(c, belief)], x0, x1: x0 + step }
            })
            .collect();
        let x1 = x + step * text.len() as f32;
        let rect = Rect { x0: x, y0: y - 1.0, x1, y1: y + 1.0 };
        Line { text: text.to_owned(), confidence: belief, glyphs, rect, angle }
    }

    /// A page of which one unit is a pixel of the photo.
    fn page(lines: Vec<Line>) -> Page {
        let to_photo = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let frame = Frame { framing: Framing::Text, width: 1000.0, height: 800.0, to_photo, turned: 0 };
        Page { frame, lines, quality: Quality::default() }
    }

    #[test]
    fn the_number_tells_where_the_card_lies() {
        // Ten pixels to the millimetre, the card's corner at (200, 100).
        let step = 10.0 * NIK_DIGIT;
        let (x, y) = (200.0 + 10.0 * NIK_X, 100.0 + 10.0 * Slot::Nik.y());
        for text in ["3171014501900003", ":3171014501900003"] {
            let before = (text.len() - DIGITS) as f32;
            let number = line(text, x - before * step, y, step, 0.0, 0.9);
            let other = line("jl. merdeka no 17 tahun 1998", 0.0, 700.0, 12.0, 0.0, 0.9);
            let corners = corners(&page(vec![other, number])).unwrap();
            for (found, (x, y)) in corners.0.iter().zip([(200.0, 100.0), (1056.0, 100.0), (1056.0, 639.8)]) {
                assert!((found.x - x).abs() < 2.0 && (found.y - y).abs() < 2.0, "{text}: {corners:?}");
            }
        }
    }

    #[test]
    fn a_turned_number_turns_the_card() {
        let number = line("3171014501900003", 300.0, 200.0, 22.43, 5.0, 0.9);
        let quad = corners(&page(vec![number])).unwrap().0;
        let lean = (quad[1].y - quad[0].y) / (quad[1].x - quad[0].x);
        assert!((lean.atan().to_degrees() - 5.0).abs() < 0.1, "{quad:?}");
        assert!(quad[3].x < quad[0].x, "what is right goes down, what is down goes left");
    }

    #[test]
    fn what_is_no_number_or_comes_twice_tells_nothing() {
        let number = || line("3171014501900003", 300.0, 200.0, 22.43, 0.0, 0.9);
        assert!(corners(&page(vec![number(), number()])).is_none());
        assert!(corners(&page(vec![line("317101450190000", 300.0, 200.0, 22.43, 0.0, 0.9)])).is_none());
        assert!(corners(&page(vec![line("PROVINSI CONTOH SATU", 300.0, 200.0, 22.43, 0.0, 0.9)])).is_none());
        let mut uneven = number();
        uneven.glyphs[15].x0 += 100.0;
        uneven.glyphs[15].x1 += 100.0;
        assert!(corners(&page(vec![uneven])).is_none());
    }

    #[test]
    fn a_row_ends_where_its_characters_become_unlikely() {
        let mut row = line("KAWIN SETLS", 0.0, 0.0, 2.0, 0.0, 0.9);
        for glyph in &mut row.glyphs[5..] {
            glyph.candidates[0].1 = 0.2;
        }
        assert_eq!(trimmed(row).unwrap().text, "KAWIN");
        assert!(trimmed(line("XTR", 0.0, 0.0, 2.0, 0.0, 0.1)).is_none());
        assert_eq!(trimmed(line("ISLAM", 0.0, 0.0, 2.0, 0.0, 0.9)).unwrap().text, "ISLAM");
    }
}
