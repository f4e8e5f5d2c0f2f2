//! The tables as Markdown.

use std::fmt::Write;

use filot_testkit::accuracy::{Report, comparison};

use super::{Measured, Order};

/// Keys of a result's timing and what they stand for.
pub(super) const STAGES: [(&str, &str); 4] =
    [("decode", "decode"), ("find", "find the card"), ("detect", "find lines"), ("recognize", "read lines")];

/// Where the picture of APCER against BPCER goes, from the folder of the report.
pub(super) const CURVES: &str = "images/accuracy-attacks.svg";

/// Everything that was measured. Writing to a string cannot fail, so those results are dropped.
pub(super) fn write(order: &Order, measured: &[Measured]) -> String {
    let mut out = String::from("# Accuracy and speed\n\n");
    let _ = match &order.set {
        None => write!(
            out,
            "Written by `make bench`; do not edit. {} pictures drawn by the test kit with seed {}, which is kept \
             for measuring: nothing is tuned on it. They are drawings of invented cards, photographed by a program: they compare readers and \
             releases, and do not replace measuring on real photos (`make bench SET=folder` with a `truth.jsonl`).\n\n",
            order.count, order.seed
        ),
        Some(folder) => {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            write!(out, "Pictures of the folder `{name}`.\n\n")
        }
    };
    out += "The declared card type is given. A field is exact when it equals the truth but for case, blanks and \
            punctuation. Tiers: clean, normal and hard photos of genuine and inconsistent cards; negative ones are not \
            the card, or not all of it.\n\n## Readers side by side\n\n";
    let readers: Vec<(&str, &Report)> = measured.iter().map(|m| (m.reader.name(), &m.accuracy)).collect();
    out += &comparison(&readers);
    out += "\n## Speed and memory\n\nOne reader, one thread. CPU time of the process and the programs it starts, from the \
            file's bytes to the decision; the parts are medians of their own and need not sum to the whole. By edges: \
            photos in which the networks that locate cards were unsure, so that edges and text were searched.\n\n";
    speed(&mut out, measured);
    if let Some(first) = measured.first() {
        let _ = write!(out, "\n## {} in detail\n\n", first.reader.name());
        out += &first.accuracy.markdown();
        if order.report.is_some() && !first.accuracy.attacks.curves().is_empty() {
            let _ = write!(out, "\n![Attacks not noticed against genuine photos held]({CURVES})\n");
        }
        let wrong = |title: &str, files: &[String]| {
            let list = if files.is_empty() { "none".to_owned() } else { files.join(", ") };
            format!("\n{title}: {list}.\n")
        };
        out += &wrong("Approved although it must not be", &first.accuracy.wrongly_approved);
        out += &wrong("Genuine but rejected", &first.accuracy.wrongly_rejected);
    }
    out
}

fn speed(out: &mut String, measured: &[Measured]) {
    *out += "| reader | CPU ms, median | mean | 95 % below | 99 % below | ";
    for (_, name) in STAGES {
        let _ = write!(out, "{name} | ");
    }
    *out += "the rest | by edges, % | memory MiB |\n|---|---:|";
    *out += &"---:|".repeat(STAGES.len() + 5);
    *out += "\n";
    for m in measured {
        let _ = write!(
            out,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | ",
            m.reader.name(),
            quantile(&m.cpu_ms, 0.5),
            m.cpu_ms.iter().sum::<f64>() / m.cpu_ms.len().max(1) as f64,
            quantile(&m.cpu_ms, 0.95),
            quantile(&m.cpu_ms, 0.99)
        );
        for stage in 0..=STAGES.len() {
            let mut times: Vec<f64> = m.stages.iter().map(|times| times[stage]).collect();
            times.sort_by(f64::total_cmp);
            let _ = write!(out, "{:.0} | ", quantile(&times, 0.5));
        }
        let by_edges = 100.0 * m.searched as f64 / m.cpu_ms.len().max(1) as f64;
        let _ = writeln!(out, "{by_edges:.0} | {} |", m.peak_mib);
    }
}

/// The value below which the given share of a sorted list lies; 0 for an empty one.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_small_lists() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&[3.0], 0.95), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 0.5), 2.0);
    }
}
