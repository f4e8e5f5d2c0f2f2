//! Measurements as Markdown.

use std::fmt::Write as _;

use super::{Family, Report, Share, TierScore};
use crate::truth::{CardType, Tier};

fn percent(share: Share) -> String {
    share.percent().map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

fn counted(share: Share) -> String {
    if share.of == 0 { "–".to_owned() } else { format!("{} of {}", share.hits, share.of) }
}

/// A row of the table: what it says, and how it is taken from a tier's score.
type Measure = (&'static str, fn(&TierScore) -> String);

/// The measures of the tables, in order.
const MEASURES: [Measure; 9] = [
    ("pictures", |score| score.pictures.to_string()),
    ("NIK / NPWP exact, %", |score| percent(score.numbers)),
    ("fields exact, %", |score| percent(score.fields)),
    ("cards with every field exact, %", |score| percent(score.cards)),
    ("character error rate, %", |score| {
        score.character_errors.percent().map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
    }),
    ("genuine approved without a person, %", |score| percent(score.approved)),
    ("genuine rejected", |score| counted(score.rejected)),
    ("approved although it must not be", |score| counted(score.wrong_approvals)),
    ("no such card at all, rejected", |score| counted(score.strangers_rejected)),
];

/// Readers side by side: one column per reader and tier.
pub fn comparison(readers: &[(&str, &Report)]) -> String {
    let columns: Vec<_> = Tier::ALL
        .iter()
        .flat_map(|tier| readers.iter().map(move |(name, report)| (*tier, *name, report.tiers.get(tier))))
        .filter(|(_, _, score)| score.is_some())
        .collect();
    let mut out = String::from("|");
    for (tier, name, _) in &columns {
        let _ = if readers.len() > 1 {
            write!(out, " | {} {name}", tier.name())
        } else {
            write!(out, " | {}", tier.name())
        };
    }
    out.push_str(" |\n|---");
    out.push_str(&"|---:".repeat(columns.len()));
    out.push_str("|\n");
    for (measure, show) in MEASURES {
        let _ = write!(out, "| {measure}");
        for (_, _, score) in &columns {
            let _ = write!(out, " | {}", score.map_or_else(|| "–".to_owned(), show));
        }
        out.push_str(" |\n");
    }
    out
}

/// All tables of one reader.
pub(super) fn report(report: &Report) -> String {
    let mut out = comparison(&[("", report)]);
    for (card, title) in [(CardType::Ktp, "KTP"), (CardType::Npwp, "NPWP")] {
        let rows: Vec<_> = report.by_field.iter().filter(|((of, _), _)| *of == card).collect();
        if rows.is_empty() {
            continue;
        }
        let _ =
            write!(out, "\n{title}, exact in %\n\n| field | clean | normal | hard |\n|---|---:|---:|---:|\n");
        for ((_, field), tiers) in rows {
            let at = |tier| percent(tiers.get(&tier).copied().unwrap_or_default());
            let _ = writeln!(
                out,
                "| {field} | {} | {} | {} |",
                at(Tier::Clean),
                at(Tier::Normal),
                at(Tier::Hard)
            );
        }
    }
    for family in Family::ALL {
        out += &by_family(report, family);
    }
    let wrong = &report.approved_wrong;
    if wrong.any.of > 0 {
        let _ = write!(
            out,
            "\nApproved with a wrong field: {}; with a wrong number, name or birth date: {}{}\n",
            counted(wrong.any),
            counted(wrong.identity),
            if wrong.files.is_empty() { ".".to_owned() } else { format!(" ({}).", wrong.files.join(", ")) }
        );
    }
    let attacks = report.attacks.markdown();
    if !attacks.is_empty() {
        let _ = write!(out, "\nPresentation attacks (ISO/IEC 30107-3)\n\n{attacks}");
    }
    if let Some(error) = report.calibration_error() {
        let _ = write!(
            out,
            "\nConfidence, stated against measured; mean distance {:.1} points\n\n\
             | stated | fields | mean stated, % | measured right, % |\n|---|---:|---:|---:|\n",
            100.0 * error
        );
        for (n, bin) in report.calibration.iter().enumerate().filter(|(_, bin)| bin.right.of > 0) {
            let stated = 100.0 * bin.stated / bin.right.of as f64;
            let _ = writeln!(
                out,
                "| {}–{} % | {} | {stated:.1} | {} |",
                n * 10,
                n * 10 + 10,
                bin.right.of,
                percent(bin.right)
            );
        }
    }
    out
}

/// The measures of each family of one kind; empty where the set has one at most.
fn by_family(report: &Report, family: Family) -> String {
    let families: Vec<_> = report.families.iter().filter(|((of, _), _)| *of == family).collect();
    if families.len() < 2 {
        return String::new();
    }
    let mut out = format!(
        "\nBy {}, over all tiers\n\n| {} | pictures | number exact, % | fields exact, % | genuine approved, % | genuine \
         rejected |\n|---|---:|---:|---:|---:|---:|\n",
        family.name(),
        family.name()
    );
    for ((_, name), score) in families {
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} |",
            score.pictures,
            percent(score.numbers),
            percent(score.fields),
            percent(score.approved),
            counted(score.rejected)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::Report;
    use serde_json::json;

    fn sample() -> Report {
        let mut report = Report::default();
        for (tier, nik) in [("clean", "3201145402550022"), ("hard", "9")] {
            let truth = serde_json::from_value(json!({
                "type": "ktp", "declared": "ktp", "file": "1.jpg", "tier": tier, "expect": "approve",
                "fields": {"nik": "3201145402550022"}, "hidden": [], "flags": []
            }))
            .expect("a truth");
            report.add(
                &truth,
                &json!({"decision": "auto_approve", "fields": {"nik": {"value": nik, "confidence": 1.0}}}),
            );
        }
        report
    }

    #[test]
    fn every_table_row_has_as_many_cells_as_its_head() {
        let text = report(&sample());
        for table in text.split("\n\n").filter(|block| block.starts_with('|')) {
            let cells: Vec<_> = table.lines().map(|line| line.matches('|').count()).collect();
            assert!(cells.iter().all(|count| *count == cells[0]), "{table}");
        }
        assert!(text.contains("| NIK / NPWP exact, % | 100.0 | 0.0 |"), "{text}");
        assert!(text.contains("| nik | 100.0 | – | 0.0 |"), "{text}");
        assert!(text.contains("| 90–100 % | 2 | 100.0 | 50.0 |"), "{text}");
    }

    #[test]
    fn readers_side_by_side() {
        let (a, b) = (sample(), Report::default());
        let text = comparison(&[("native", &a), ("tesseract", &b)]);
        assert!(text.starts_with("| | clean native | hard native |\n"), "{text}");
    }
}
