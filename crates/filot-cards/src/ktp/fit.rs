//! A straight relation between template and page, fitted to landmarks of which some are wrong.

/// Rounds of reweighting.
const ROUNDS: usize = 4;
/// A mark that is off by so many millimetres counts half.
const HALF_WEIGHT: f32 = 0.5;

/// A template position seen on the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) mm: f32,
    pub(crate) x: f32,
    pub(crate) y: f32,
}

/// `x = origin + unit · mm + lean · y`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) origin: f32,
    pub(crate) unit: f32,
    pub(crate) lean: f32,
}

impl Line {
    pub(crate) fn x(&self, mm: f32, y: f32) -> f32 {
        self.origin + self.unit * mm + self.lean * y
    }
}

/// How strongly the result is held where it starts, as weights of its offset, unit and lean; the marks weigh one each.
pub(crate) type Hold = [f32; 3];

/// Least squares through the marks, those that are off counting less each round. `height` is about that of the card.
pub(crate) fn through(start: Line, marks: &[Mark], height: f32, hold: Hold) -> Line {
    if marks.len() < 2 {
        return start;
    }
    let middle = marks.iter().map(|mark| mark.y).sum::<f32>() / marks.len() as f32;
    let held = [start.origin + start.lean * middle, start.unit, start.lean * height];
    let mut line = start;
    for _ in 0..ROUNDS {
        // Normal equations of x = a + b·mm + c·(y - middle)/height; the fourth column is the right side.
        let mut matrix = [[0.0_f32; 4]; 3];
        for (index, (weight, value)) in hold.into_iter().zip(held).enumerate() {
            matrix[index][index] += weight;
            matrix[index][3] += weight * value;
        }
        for mark in marks {
            let row = [1.0, mark.mm, (mark.y - middle) / height];
            let off = (mark.x - line.x(mark.mm, mark.y)) / start.unit / HALF_WEIGHT;
            let weight = 1.0 / (1.0 + off * off);
            for (equation, own) in matrix.iter_mut().zip(row) {
                for (cell, other) in equation.iter_mut().zip(row) {
                    *cell += weight * own * other;
                }
                equation[3] += weight * own * mark.x;
            }
        }
        let Some([a, b, c]) = solve(matrix) else { return line };
        let lean = (c / height).clamp(-0.5, 0.5);
        line = Line { origin: a - lean * middle, unit: b, lean };
    }
    // A fit that left its senses is worse than none.
    let sound = (0.7..1.4).contains(&(line.unit / start.unit)) && line.origin.is_finite();
    if sound { line } else { start }
}

/// Gaussian elimination with pivoting; `None` if the system is singular.
fn solve(mut matrix: [[f32; 4]; 3]) -> Option<[f32; 3]> {
    for column in 0..3 {
        let pivot =
            (column..3).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, pivot);
        let head = matrix[column];
        if head[column].is_nan() || head[column].abs() < 1e-9 {
            return None;
        }
        for (index, row) in matrix.iter_mut().enumerate() {
            if index != column {
                let factor = row[column] / head[column];
                for (value, above) in row.iter_mut().zip(head) {
                    *value -= factor * above;
                }
            }
        }
    }
    let result = [0, 1, 2].map(|index| matrix[index][3] / matrix[index][index]);
    result.iter().all(|value| value.is_finite()).then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOSE: Hold = [1e-3, 1e-2, 0.1];

    #[test]
    fn wrong_marks_do_not_carry_the_line_away() {
        let truth = Line { origin: 40.0, unit: 12.0, lean: 0.02 };
        let mut marks: Vec<Mark> = (0..12)
            .map(|n| {
                let (mm, y) = (if n % 2 == 0 { 2.57 } else { 20.7 }, 30.0 * n as f32);
                Mark { mm, x: truth.x(mm, y), y }
            })
            .collect();
        marks[3].x += 60.0;
        marks[8].x -= 45.0;
        let start = Line { origin: 43.0, unit: 11.8, lean: 0.0 };
        let found = through(start, &marks, 360.0, LOOSE);
        assert!((found.x(20.7, 100.0) - truth.x(20.7, 100.0)).abs() < 2.0, "{found:?}");
    }

    #[test]
    fn nothing_and_nonsense_leave_the_start() {
        let start = Line { origin: 0.0, unit: 1.0, lean: 0.0 };
        assert_eq!(through(start, &[], 54.0, LOOSE), start);
        let nonsense = [Mark { mm: 2.0, x: f32::NAN, y: 1.0 }, Mark { mm: 20.0, x: 1.0, y: 2.0 }];
        assert_eq!(through(start, &nonsense, 54.0, LOOSE), start);
    }
}
