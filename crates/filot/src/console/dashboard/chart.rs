//! Charts as SVG, made of numbers and of the pages' own words. Colours come from the style sheet; what a chart shows is
//! also told by its description, and stands in a table behind it.

use std::fmt::Write;

/// Edges of the plot, in units of the view box.
const LEFT: f64 = 30.0;
const RIGHT: f64 = 356.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 132.0;

/// What a chart is called and says.
pub(super) struct Caption<'a> {
    /// Unique on the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
}

/// Bars side by side, each of parts on top of each other: one list of values for each part.
pub(super) fn stacked(caption: &Caption<'_>, labels: &[String], parts: &[Vec<u64>]) -> String {
    let sum = |at: usize| parts.iter().map(|part| part[at]).sum::<u64>();
    let top = nice((0..labels.len()).map(sum).max().unwrap_or_default());
    let mut svg = open(caption);
    axis(&mut svg, &[0, top / 2, top], top, "");
    let step = (RIGHT - LEFT) / labels.len().max(1) as f64;
    let gap = if step > 6.0 { 0.2 } else { 0.1 } * step;
    for at in 0..labels.len() {
        let mut below = 0;
        for (kind, part) in parts.iter().enumerate().filter(|(_, part)| part[at] > 0) {
            let (low, high) = (height(below, top), height(below + part[at], top));
            below += part[at];
            let x = LEFT + step * at as f64 + gap;
            let _ = write!(
                svg,
                r#"<rect class="s{kind}" x="{x:.1}" y="{high:.1}" width="{:.1}" height="{:.1}"/>"#,
                step - 2.0 * gap,
                // A hair of ground between the parts tells them apart without their colours.
                (low - high - 0.6).max(0.4)
            );
        }
    }
    close(svg, labels)
}

/// A share in percent over time; `None` where there is none.
pub(super) fn share(caption: &Caption<'_>, labels: &[String], values: &[Option<f64>]) -> String {
    let mut svg = open(caption);
    axis(&mut svg, &[0, 50, 100], 100, "%");
    let step = (RIGHT - LEFT) / labels.len().max(1) as f64;
    let place = |at: usize, value: f64| {
        (LEFT + step * (at as f64 + 0.5), BOTTOM - value.clamp(0.0, 100.0) / 100.0 * (BOTTOM - TOP))
    };
    let mut path = String::new();
    let mut drawing = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let (x, y) = place(at, *value);
        let _ = write!(path, "{}{x:.1} {y:.1}", if drawing { 'L' } else { 'M' });
        drawing = true;
        if step > 4.0 {
            let _ = write!(svg, r#"<circle class="s0" cx="{x:.1}" cy="{y:.1}" r="2"/>"#);
        }
    }
    let _ = write!(svg, r#"<path class="line" d="{path}"/>"#);
    close(svg, labels)
}

/// Lying bars, one below the other, with their values behind them.
pub(super) fn lying(caption: &Caption<'_>, bars: &[(&str, &str, u64)]) -> String {
    let top = bars.iter().map(|bar| bar.2).max().unwrap_or_default().max(1);
    let height = 30 * bars.len();
    let mut svg = framed(caption, height as f64);
    for (at, (class, name, value)) in bars.iter().enumerate() {
        let y = 30 * at;
        let width = *value as f64 / top as f64 * 300.0;
        let _ = write!(
            svg,
            r#"<text x="2" y="{}">{name}</text><rect class="{class}" x="2" y="{}" width="{:.1}" height="10"/><text x="{:.1}" y="{}">{value}</text>"#,
            y + 11,
            y + 15,
            width.max(if *value > 0 { 1.5 } else { 0.0 }),
            width + 8.0,
            y + 24
        );
    }
    svg + "</svg>"
}

/// A row of small bars without axes, for a cell of a table; `top` is shared by all rows.
pub(super) fn small(title: &str, values: &[u64], top: u64) -> String {
    let step = 180.0 / values.len().max(1) as f64;
    let mut svg = format!(r#"<svg class="small" viewBox="0 0 180 24" role="img"><title>{title}</title>"#);
    for (at, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
        let height = (*value as f64 / top.max(1) as f64 * 23.0).max(1.0);
        let _ = write!(
            svg,
            r#"<rect class="s0" x="{:.1}" y="{:.1}" width="{:.1}" height="{height:.1}"/>"#,
            step * at as f64,
            24.0 - height,
            step * 0.85
        );
    }
    svg + r#"<path class="base" d="M0 23.8H180"/></svg>"#
}

fn open(caption: &Caption<'_>) -> String {
    framed(caption, 152.0)
}

fn framed(caption: &Caption<'_>, height: f64) -> String {
    let Caption { id, title, description } = caption;
    format!(
        r#"<svg class="chart" viewBox="0 0 360 {height}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc>"#
    )
}

fn axis(svg: &mut String, ticks: &[u64], top: u64, unit: &str) {
    for &tick in ticks {
        let y = height(tick, top);
        let _ = write!(
            svg,
            r#"<path class="grid" d="M{LEFT} {y:.1}H{RIGHT}"/><text class="end" x="{}" y="{:.1}">{tick}{unit}</text>"#,
            LEFT - 3.0,
            y + 3.0
        );
    }
}

/// The first, the middle and the last label below, and the end.
fn close(mut svg: String, labels: &[String]) -> String {
    if let (Some(first), Some(last)) = (labels.first(), labels.last()) {
        let middle = &labels[labels.len() / 2];
        for (class, x, label) in
            [("", LEFT, first), ("middle", (LEFT + RIGHT) / 2.0, middle), ("end", RIGHT, last)]
        {
            let _ = write!(svg, r#"<text class="{class}" x="{x}" y="147">{label}</text>"#);
        }
    }
    svg + "</svg>"
}

fn height(value: u64, top: u64) -> f64 {
    BOTTOM - value as f64 / top.max(1) as f64 * (BOTTOM - TOP)
}

/// The next number of one digit and noughts that is even, so that its half is whole.
fn nice(value: u64) -> u64 {
    let mut unit = 1;
    while value > unit * 10 {
        unit *= 10;
    }
    [2, 4, 6, 8, 10].into_iter().map(|digit| digit * unit).find(|&top| top >= value).unwrap_or(10 * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTION: Caption<'_> = Caption { id: "x", title: "T", description: "D" };

    #[test]
    fn an_axis_ends_at_a_round_number_that_holds_everything() {
        for (value, top) in
            [(0, 2), (1, 2), (3, 4), (9, 10), (10, 10), (11, 20), (93, 100), (100, 100), (101, 200)]
        {
            assert_eq!(nice(value), top, "{value}");
        }
    }

    #[test]
    fn parts_stand_on_each_other_and_within_the_plot() {
        let labels: Vec<String> = (0..3).map(|day| day.to_string()).collect();
        let svg = stacked(&CAPTION, &labels, &[vec![1, 0, 10], vec![1, 0, 0]]);
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert!(svg.contains(r#"aria-labelledby="x-t x-d""#) && svg.contains("<desc id=\"x-d\">D</desc>"));
        assert!(svg.contains(&format!(r#"y="{TOP:.1}""#)), "the largest reaches the top: {svg}");
        assert!(stacked(&CAPTION, &[], &[Vec::new()]).ends_with("</svg>"));
    }

    #[test]
    fn a_share_that_is_not_there_is_a_gap() {
        let labels: Vec<String> = (0..4).map(|day| day.to_string()).collect();
        let svg = share(&CAPTION, &labels, &[Some(100.0), Some(0.0), None, Some(50.0)]);
        assert_eq!(svg.matches("<circle").count(), 3);
        let line = svg.split(r#"class="line" d=""#).nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 1), "{line}");
    }
}
