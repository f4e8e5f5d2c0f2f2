//! APCER against BPCER as a picture: an SVG on white, its lines told apart by their dashes, too.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Room for numbers and names: left, top, right, bottom.
const ROOM: [f64; 4] = [70.0, 40.0, 170.0, 50.0];
/// Genuine photos held beyond this share are of no interest.
const MOST_HELD: f64 = 0.2;
const LINES: [(&str, &str); 3] = [("#0b6e99", ""), ("#b3541e", "8 4"), ("#4f7a28", "2 4")];
const TEXT: &str = r##"font-family="sans-serif" font-size="12" fill="#222""##;

/// Draws the curves: for each kind of attack its name and points of BPCER and APCER, both 0 to 1.
pub(super) fn draw(curves: &[(&str, Vec<[f64; 2]>)]) -> String {
    let [left, top, right, bottom] = ROOM;
    let x = |held: f64| left + (WIDTH - left - right) * held.min(MOST_HELD) / MOST_HELD;
    let y = |missed: f64| HEIGHT - bottom - (HEIGHT - bottom - top) * missed;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Attacks not noticed against genuine photos held\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{left}\" y=\"22\" {TEXT} font-weight=\"bold\">Attacks not noticed against genuine photos held</text>\n"
    );
    for step in 0..=4 {
        let (missed, held) = (f64::from(step) / 4.0, MOST_HELD * f64::from(step) / 4.0);
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" {TEXT}>{:.0} %</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" {TEXT}>{:.0} %</text>",
            WIDTH - right,
            left - 8.0,
            y(missed) + 4.0,
            100.0 * missed,
            x(held),
            HEIGHT - bottom + 18.0,
            100.0 * held,
            y = y(missed),
        );
    }
    for ((name, points), ((colour, dashes), line)) in curves.iter().zip(LINES.iter().zip(0_u8..)) {
        let shown = points.iter().filter(|point| point[0] <= MOST_HELD);
        let path: Vec<String> =
            shown.map(|[held, missed]| format!("{:.1},{:.1}", x(*held), y(*missed))).collect();
        let (name_x, name_y) = (WIDTH - right + 12.0, top + 12.0 + 22.0 * f64::from(line));
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>\n\
             <line x1=\"{name_x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dashes}\"/>\n<text x=\"{}\" y=\"{name_y}\" {TEXT}>{name}</text>",
            path.join(" "),
            name_x + 24.0,
            name_x + 32.0,
            y = name_y - 4.0,
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" {TEXT}>genuine photos held (BPCER)</text>\n\
         <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\" {TEXT}>not noticed (APCER)</text>\n</svg>",
        (left + WIDTH - right) / 2.0,
        HEIGHT - 12.0,
        (top + HEIGHT - bottom) / 2.0,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_curve_has_its_line_within_the_picture() {
        let svg =
            draw(&[("screens", vec![[1.0, 0.0], [0.1, 0.25], [0.0, 1.0]]), ("copies", vec![[0.0, 0.0]])]);
        assert!(svg.contains("points=\"270.0,242.5 70.0,40.0\""), "{svg}");
        assert!(svg.contains(">screens</text>") && svg.contains(">copies</text>"), "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 2);
    }
}
