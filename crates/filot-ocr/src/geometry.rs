//! Projective geometry of the plane: 3×3 matrices, row-major, acting on column vectors (x, y, 1).

use crate::page::{Point, Quad};

/// A projective map of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Homography(pub(crate) [f64; 9]);

impl Homography {
    /// A turn by `degrees` (clockwise on a screen, y down) about the origin, followed by a shift.
    pub(crate) fn rotation(degrees: f64, shift_x: f64, shift_y: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self([cos, -sin, shift_x, sin, cos, shift_y, 0.0, 0.0, 1.0])
    }

    pub(crate) fn scale(factor: f64) -> Self {
        Self([factor, 0.0, 0.0, 0.0, factor, 0.0, 0.0, 0.0, 1.0])
    }

    /// The map that takes the rectangle (0, 0)–(width, height) to `quad`, corner by corner. `None` when the corners
    /// are degenerate.
    pub(crate) fn rect_to_quad(width: f32, height: f32, quad: &Quad) -> Option<Self> {
        let corners = [
            (0.0, 0.0),
            (f64::from(width), 0.0),
            (f64::from(width), f64::from(height)),
            (0.0, f64::from(height)),
        ];
        // Two equations per corner in the eight unknowns of a matrix whose last element is 1.
        let mut rows = [[0.0f64; 9]; 8];
        for (i, ((x, y), to)) in corners.into_iter().zip(quad.0).enumerate() {
            let (u, v) = (f64::from(to.x), f64::from(to.y));
            rows[2 * i] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
            rows[2 * i + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
        }
        let h = solve(rows)?;
        Some(Self([h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], 1.0]))
    }

    pub(crate) fn inverse(&self) -> Option<Self> {
        let m = &self.0;
        let cofactor = |a: usize, b: usize, c: usize, d: usize| m[a] * m[d] - m[b] * m[c];
        let det = m[0] * cofactor(4, 5, 7, 8) - m[1] * cofactor(3, 5, 6, 8) + m[2] * cofactor(3, 4, 6, 7);
        if det.abs() < 1e-12 {
            return None;
        }
        let adjugate = [
            cofactor(4, 5, 7, 8),
            -cofactor(1, 2, 7, 8),
            cofactor(1, 2, 4, 5),
            -cofactor(3, 5, 6, 8),
            cofactor(0, 2, 6, 8),
            -cofactor(0, 2, 3, 5),
            cofactor(3, 4, 6, 7),
            -cofactor(0, 1, 6, 7),
            cofactor(0, 1, 3, 4),
        ];
        Some(Self(adjugate.map(|v| v / det)))
    }

    /// First `first`, then `self`.
    pub(crate) fn after(&self, first: &Self) -> Self {
        let (a, b) = (&self.0, &first.0);
        let mut out = [0.0; 9];
        for row in 0..3 {
            for column in 0..3 {
                out[3 * row + column] = (0..3).map(|k| a[3 * row + k] * b[3 * k + column]).sum();
            }
        }
        Self(out)
    }

    pub(crate) fn apply(&self, p: Point) -> Point {
        let m = &self.0;
        let (x, y) = (f64::from(p.x), f64::from(p.y));
        let w = m[6] * x + m[7] * y + m[8];
        Point { x: ((m[0] * x + m[1] * y + m[2]) / w) as f32, y: ((m[3] * x + m[4] * y + m[5]) / w) as f32 }
    }

    pub(crate) fn apply_quad(&self, quad: &Quad) -> Quad {
        Quad(quad.0.map(|p| self.apply(p)))
    }
}

/// Gaussian elimination with partial pivoting of eight equations, each with its right-hand side last.
fn solve(mut rows: [[f64; 9]; 8]) -> Option<[f64; 8]> {
    for column in 0..8 {
        let pivot = (column..8).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        if rows[pivot][column].abs() < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        for row in 0..8 {
            if row != column {
                let factor = rows[row][column] / rows[column][column];
                let pivot_row = rows[column];
                for (value, pivot) in rows[row].iter_mut().zip(pivot_row).skip(column) {
                    *value -= factor * pivot;
                }
            }
        }
    }
    let mut solution = [0.0; 8];
    for (i, row) in rows.iter().enumerate() {
        solution[i] = row[8] / row[i];
    }
    Some(solution)
}

pub(crate) fn distance(a: Point, b: Point) -> f32 {
    (a.x - b.x).hypot(a.y - b.y)
}

impl Quad {
    /// Mean length of the top and bottom sides.
    pub fn width(&self) -> f32 {
        (distance(self.0[0], self.0[1]) + distance(self.0[3], self.0[2])) / 2.0
    }

    /// Mean length of the left and right sides.
    pub fn height(&self) -> f32 {
        (distance(self.0[0], self.0[3]) + distance(self.0[1], self.0[2])) / 2.0
    }

    /// The same corners the other way round, beginning with the second.
    pub(crate) fn mirrored(&self) -> Quad {
        let [a, b, c, d] = self.0;
        Quad([b, a, d, c])
    }

    /// The same corners, starting `quarter_turns` corners later.
    pub(crate) fn turned(&self, quarter_turns: usize) -> Quad {
        Quad(std::array::from_fn(|i| self.0[(i + quarter_turns) % 4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Point, b: Point) -> bool {
        distance(a, b) < 1e-3
    }

    #[test]
    fn corners_map_to_corners_and_back() {
        let quad = Quad([(10.0, 12.0), (97.0, 20.0), (90.0, 70.0), (5.0, 60.0)].map(|(x, y)| Point { x, y }));
        let there = Homography::rect_to_quad(85.6, 53.98, &quad).unwrap();
        let back = there.inverse().unwrap();
        let rect = [(0.0, 0.0), (85.6, 0.0), (85.6, 53.98), (0.0, 53.98)].map(|(x, y)| Point { x, y });
        for (corner, expected) in rect.into_iter().zip(quad.0) {
            assert!(close(there.apply(corner), expected));
            assert!(close(back.apply(expected), corner));
        }
        let identity = back.after(&there);
        assert!(close(identity.apply(Point { x: 3.0, y: 4.0 }), Point { x: 3.0, y: 4.0 }));
    }

    #[test]
    fn degenerate_corners_have_no_map() {
        let point = Point { x: 1.0, y: 1.0 };
        assert_eq!(Homography::rect_to_quad(10.0, 10.0, &Quad([point; 4])), None);
    }
}
