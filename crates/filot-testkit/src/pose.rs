//! Where the camera stands: the projective map from the sheet to the picture, and back.

/// Row-major 3 × 3 projective matrix.
type Matrix = [f32; 9];

/// A sheet as the camera sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pose {
    /// Millimetres on the sheet to pixels of the upright picture.
    to_picture: Matrix,
    /// Pixels of the upright picture to millimetres on the sheet.
    to_sheet: Matrix,
}

/// How a sheet lies before the camera.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Width and height of the sheet in millimetres.
    pub(crate) sheet: [f32; 2],
    /// Pixels per millimetre at the sheet's centre.
    pub(crate) scale: f32,
    /// Picture position of the sheet's centre.
    pub(crate) centre: [f32; 2],
    /// Clockwise turn within the picture, radians.
    pub(crate) roll: f32,
    /// Tilts about the sheet's horizontal and vertical axis, radians.
    pub(crate) pitch: f32,
    pub(crate) yaw: f32,
    /// Distance of the camera in millimetres; less makes the perspective stronger.
    pub(crate) distance: f32,
}

impl Pose {
    pub(crate) fn new(placement: &Placement) -> Self {
        let Placement { sheet, scale, centre, roll, pitch, yaw, distance } = *placement;
        let (sr, cr) = roll.sin_cos();
        let (sp, cp) = pitch.sin_cos();
        let (sy, cy) = yaw.sin_cos();
        // Rotation Rz(roll)·Rx(pitch)·Ry(yaw): the images of the sheet's x and y axis.
        let x_axis = [cr * cy - sr * sp * sy, sr * cy + cr * sp * sy, -cp * sy];
        let y_axis = [-sr * cp, cr * cp, sp];
        let focal = scale * distance;
        // Picture position p = centre + focal · (R m)xy / ((R m)z + distance), with m measured from the sheet's centre.
        let rotated: Matrix = [
            focal * x_axis[0] + centre[0] * x_axis[2],
            focal * y_axis[0] + centre[0] * y_axis[2],
            centre[0] * distance,
            focal * x_axis[1] + centre[1] * x_axis[2],
            focal * y_axis[1] + centre[1] * y_axis[2],
            centre[1] * distance,
            x_axis[2],
            y_axis[2],
            distance,
        ];
        let to_centre: Matrix = [1.0, 0.0, -sheet[0] / 2.0, 0.0, 1.0, -sheet[1] / 2.0, 0.0, 0.0, 1.0];
        let to_picture = product(&rotated, &to_centre);
        Self { to_picture, to_sheet: inverse(&to_picture) }
    }

    /// The picture position of a point of the sheet.
    pub(crate) fn picture(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        apply(&self.to_picture, x, y)
    }

    /// Homogeneous sheet coordinates of a pixel; divide the first two by the third. They change evenly along a row, by
    /// [`Pose::row_step`] per pixel.
    pub(crate) fn sheet_homogeneous(&self, x: f32, y: f32) -> [f32; 3] {
        let m = &self.to_sheet;
        [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5], m[6] * x + m[7] * y + m[8]]
    }

    pub(crate) fn row_step(&self) -> [f32; 3] {
        [self.to_sheet[0], self.to_sheet[3], self.to_sheet[6]]
    }

    /// Corners of the sheet in the picture, clockwise from its top left.
    pub(crate) fn corners(&self, [width, height]: [f32; 2]) -> [[f32; 2]; 4] {
        [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]].map(|corner| self.picture(corner))
    }
}

fn apply(m: &Matrix, x: f32, y: f32) -> [f32; 2] {
    let w = m[6] * x + m[7] * y + m[8];
    [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w]
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|n| {
        let (row, column) = (n / 3, n % 3);
        (0..3).map(|k| a[3 * row + k] * b[3 * k + column]).sum()
    })
}

/// Inverse up to a factor, which projective maps do not mind.
fn inverse(m: &Matrix) -> Matrix {
    let m = m.map(f64::from);
    let adjugate = [
        m[4] * m[8] - m[5] * m[7],
        m[2] * m[7] - m[1] * m[8],
        m[1] * m[5] - m[2] * m[4],
        m[5] * m[6] - m[3] * m[8],
        m[0] * m[8] - m[2] * m[6],
        m[2] * m[3] - m[0] * m[5],
        m[3] * m[7] - m[4] * m[6],
        m[1] * m[6] - m[0] * m[7],
        m[0] * m[4] - m[1] * m[3],
    ];
    let determinant = m[0] * adjugate[0] + m[1] * adjugate[3] + m[2] * adjugate[6];
    adjugate.map(|value| (value / determinant) as f32)
}

/// Width in pixels of a card with the given corners: the mean of its upper and lower edge.
pub(crate) fn card_width(corners: &[[f32; 2]; 4]) -> f32 {
    let length = |a: [f32; 2], b: [f32; 2]| ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sqrt();
    (length(corners[0], corners[1]) + length(corners[3], corners[2])) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_again() {
        let placement = Placement {
            sheet: [85.6, 53.98],
            scale: 12.0,
            centre: [800.0, 600.0],
            roll: 0.3,
            pitch: 0.2,
            yaw: -0.25,
            distance: 200.0,
        };
        let pose = Pose::new(&placement);
        let centre = pose.picture([42.8, 26.99]);
        assert!((centre[0] - 800.0).abs() < 0.01 && (centre[1] - 600.0).abs() < 0.01, "{centre:?}");
        for point in [[0.0, 0.0], [85.6, 0.0], [30.0, 50.0]] {
            let [x, y] = pose.picture(point);
            let [u, v, w] = pose.sheet_homogeneous(x, y);
            assert!((u / w - point[0]).abs() < 0.01 && (v / w - point[1]).abs() < 0.01);
        }
    }

    #[test]
    fn unturned_cards_keep_their_size() {
        let placement = Placement {
            sheet: [85.6, 53.98],
            scale: 10.0,
            centre: [500.0, 400.0],
            roll: 0.0,
            pitch: 0.0,
            yaw: 0.0,
            distance: 300.0,
        };
        let corners = Pose::new(&placement).corners([85.6, 53.98]);
        assert!((card_width(&corners) - 856.0).abs() < 0.1);
        assert!(corners[0][0] < corners[1][0] && corners[0][1] < corners[3][1]);
    }
}
