//! Pieces of text sorted into rows, whatever small slope the page has left.

use filot_ocr::page::{Line, Page, Rect};

use crate::span::Span;

/// More lines than any card with paper behind it shows; the rest of a page full of print is left out.
const MAX_LINES: usize = 400;
/// A baseline that leans more than this (degrees) is no print of the card: a stamp, an overprint, the edge of a photo.
const MAX_LEAN: f32 = 12.0;
/// Gaps wider than so many line heights separate columns.
const COLUMN_GAP: f32 = 1.1;
/// Pieces this many row distances apart no longer show the page's slope.
const MAX_GAP: f32 = 7.0;
/// Neighbours in a row may differ in height above the baseline by this share of the row pitch.
const ROW_TOLERANCE: f32 = 0.42;

/// A run of text that no wide gap interrupts.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) span: Span,
    /// Centre line where it would cross x = 0, with the page's slope taken out.
    pub(crate) y: f32,
    /// The line it was cut from.
    pub(crate) line: usize,
}

/// Pieces on one height, from left to right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// Mean of its pieces' `y`.
    pub(crate) y: f32,
    pub(crate) pieces: Vec<Piece>,
}

/// A page's text in rows, from top to bottom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) rows: Vec<Row>,
    /// Typical distance between the centre lines of neighbouring rows of the same column, in page units.
    pub(crate) pitch: f32,
    /// How far the centre lines fall per unit to the right.
    pub(crate) slope: f32,
}

impl Layout {
    pub(crate) fn new(page: &Page) -> Self {
        let mut pieces: Vec<Piece> = page
            .lines
            .iter()
            .take(MAX_LINES)
            .enumerate()
            .filter(|(_, line)| is_level(line))
            .flat_map(|(index, line)| {
                let span = Span::from_line(line);
                let rect = span.rect();
                let gap = COLUMN_GAP * rect.height().min(rect.width());
                span.split_at_gaps(gap).into_iter().map(move |span| Piece {
                    y: span.rect().centre().y,
                    span,
                    line: index,
                })
            })
            .collect();
        drop_noise(&mut pieces);
        let pitch = pitch(&pieces);
        let slope = slope(&pieces, pitch);
        for piece in &mut pieces {
            piece.y -= slope * piece.span.rect().centre().x;
        }
        Self { rows: rows(pieces, pitch), pitch, slope }
    }

    /// The height on the page of a centre line `y` at position `x`.
    pub(crate) fn page_y(&self, y: f32, x: f32) -> f32 {
        y + self.slope * x
    }
}

/// Drops specks: short pieces that lie for the most part inside a longer one.
fn drop_noise(pieces: &mut Vec<Piece>) {
    let boxes: Vec<(Rect, usize)> =
        pieces.iter().map(|piece| (piece.span.rect(), piece.span.len())).collect();
    let mut index = 0;
    pieces.retain(|_| {
        let (own, length) = boxes[index];
        index += 1;
        let inside = |(other, longer): &(Rect, usize)| {
            let shared_x = (own.x1.min(other.x1) - own.x0.max(other.x0)).max(0.0);
            let shared_y = (own.y1.min(other.y1) - own.y0.max(other.y0)).max(0.0);
            *longer >= 3 * length && shared_x * shared_y > 0.6 * own.width() * own.height()
        };
        length > 2 || !boxes.iter().any(inside)
    });
}

/// Whether a line runs along the page's x axis.
pub(crate) fn is_level(line: &Line) -> bool {
    line.angle.is_finite() && line.angle.abs() <= MAX_LEAN
}

/// Median distance of every piece to the next one below it in its column.
fn pitch(pieces: &[Piece]) -> f32 {
    let mut distances: Vec<f32> = pieces
        .iter()
        .filter_map(|piece| {
            let rect = piece.span.rect();
            pieces
                .iter()
                .filter_map(|other| {
                    let below = other.span.rect();
                    let shared = rect.x1.min(below.x1) - rect.x0.max(below.x0);
                    let distance = other.y - piece.y;
                    let near = distance > 0.25 * rect.height().min(below.height());
                    (near && shared > 0.5 * rect.width().min(below.width())).then_some(distance)
                })
                .min_by(f32::total_cmp)
        })
        .collect();
    median(&mut distances).unwrap_or(1.0).max(1e-3)
}

/// Median slope between pieces that stand side by side.
fn slope(pieces: &[Piece], pitch: f32) -> f32 {
    let mut slopes = Vec::new();
    for piece in pieces {
        let left = piece.span.rect();
        for other in pieces {
            let right = other.span.rect();
            let (dx, dy) = (right.centre().x - left.centre().x, other.y - piece.y);
            // Far neighbours on one height may be of different rows.
            let gap = right.x0 - left.x1;
            let beside = gap > -0.1 * left.width() && gap < MAX_GAP * pitch;
            if beside && dx > 2.0 * pitch && dy.abs() < 0.5 * pitch {
                slopes.push(dy / dx);
            }
        }
    }
    median(&mut slopes).unwrap_or(0.0)
}

fn rows(mut pieces: Vec<Piece>, pitch: f32) -> Vec<Row> {
    pieces.sort_by(|a, b| a.span.rect().x0.total_cmp(&b.span.rect().x0));
    let mut rows: Vec<Row> = Vec::new();
    for piece in pieces {
        // The nearest neighbour to the left says where the row runs here, even if the page is bent.
        let home = rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| {
                let neighbour = row.pieces.last()?;
                let overlap = neighbour.span.rect().x1 - piece.span.rect().x0;
                let apart = (neighbour.y - piece.y).abs();
                let beside = overlap < 0.5 * neighbour.span.rect().width().min(piece.span.rect().width());
                (beside && apart < ROW_TOLERANCE * pitch).then_some((index, apart))
            })
            .min_by(|a, b| a.1.total_cmp(&b.1));
        match home {
            Some((index, _)) => rows[index].pieces.push(piece),
            None => rows.push(Row { y: 0.0, pieces: vec![piece] }),
        }
    }
    for row in &mut rows {
        row.y = row.pieces.iter().map(|piece| piece.y).sum::<f32>() / row.pieces.len() as f32;
    }
    rows.sort_by(|a, b| a.y.total_cmp(&b.y));
    rows
}

pub(crate) fn median(values: &mut [f32]) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use filot_ocr::page::{Frame, Framing, Quality, Rect};

    fn page(lines: &[(&str, f32, f32)]) -> Page {
        let lines = lines
            .iter()
            .map(|&(text, x0, y)| Line {
                text: text.to_owned(),
                confidence: 0.99,
                glyphs: Vec::new(),
                rect: Rect { x0, y0: y - 1.5, x1: x0 + 1.3 * text.len() as f32, y1: y + 1.5 },
                angle: 0.0,
            })
            .collect();
        let frame = Frame {
            framing: Framing::Card,
            width: 85.6,
            height: 53.98,
            to_photo: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            turned: 0,
        };
        Page { frame, lines, quality: Quality::default() }
    }

    fn texts(layout: &Layout) -> Vec<Vec<String>> {
        layout.rows.iter().map(|row| row.pieces.iter().map(|piece| piece.span.text()).collect()).collect()
    }

    #[test]
    fn side_by_side_is_one_row_and_below_is_the_next() {
        let layout = Layout::new(&page(&[
            ("Nama", 2.0, 10.0),
            (": BUDI", 20.0, 10.3),
            ("Alamat", 2.0, 12.5),
            (": SOLO", 20.0, 12.7),
            ("Agama", 2.0, 15.0),
            (": ISLAM", 20.0, 15.1),
        ]));
        assert_eq!(texts(&layout), [["Nama", ": BUDI"], ["Alamat", ": SOLO"], ["Agama", ": ISLAM"]]);
        assert!((layout.pitch - 2.5).abs() < 0.2);
    }

    #[test]
    fn rows_that_fall_to_the_right_stay_rows() {
        // Two pitches of fall across the card would be too much, one is not.
        let mut lines = Vec::new();
        for row in 0..6 {
            let y = 10.0 + 2.5 * row as f32;
            lines.extend([("Label", 2.0, y), (": VALUE", 20.0, y + 0.6), ("RIGHT", 65.0, y + 2.1)]);
        }
        let layout = Layout::new(&page(&lines));
        assert_eq!(layout.rows.len(), 6, "{:?}", texts(&layout));
        assert!(layout.rows.iter().all(|row| row.pieces.len() == 3));
    }

    #[test]
    fn leaning_lines_are_left_out_and_nothing_is_no_rows() {
        let mut one = page(&[("Nama", 2.0, 10.0), ("SPECIMEN", 30.0, 20.0)]);
        one.lines[1].angle = -30.0;
        assert_eq!(texts(&Layout::new(&one)), [["Nama"]]);
        assert!(Layout::new(&page(&[])).rows.is_empty());
    }
}
