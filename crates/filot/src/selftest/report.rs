//! What a self-test has shown, for a terminal and as a row of a Markdown table.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io, thread};

use super::durability::Outcome;

/// Above the rows. The command is the same for everybody, so the file says how to repeat it.
const HEAD: &str = "# Durability, measured\n\n\
    Written by `filot selftest durability --report FILE`; do not edit. Documents are uploaded through processes that are\n\
    killed with signal 9 at random moments, then every row, file and event is looked at. Nothing may be lost, end twice or\n\
    stay stuck. Files without a row are what a crash between file and row leaves; the sweeper has to find all of them.\n\n\
    ```sh\n\
    filot selftest durability                                   # 2,000 documents, 100 kills: a minute or two\n\
    filot selftest durability --documents 20000 --kills 1000    # the long one\n\
    ```\n\n\
    Database, queue and file store are those of the settings, in a schema, under a prefix and in a folder of the test's\n\
    own, which it removes.\n\n\
    | on | documents | kills | acknowledged by processes then killed | lost | contradicted | double | stuck | rows without file | \
    files without row: swept | left | audit trail | seed | settled after | took | cores |\n\
    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|\n";

/// For whoever started it.
pub(super) fn table(outcome: &Outcome) -> String {
    let f = &outcome.findings;
    let mut out = format!(
        "{}: {} documents, {} kills, {:.0} s (seed {})\n\n",
        outcome.place,
        outcome.documents,
        outcome.kills,
        outcome.took.as_secs_f64(),
        outcome.seed
    );
    let rows = [
        ("acknowledged", f.acknowledged, "of them by processes then killed:"),
        ("lost", f.lost, ""),
        ("contradicted", f.contradicted, ""),
        ("double", f.double, ""),
        ("stuck", f.stuck, ""),
        ("rows without a file", f.orphan_rows, ""),
        ("files without a row", f.orphan_files, "before the sweeper came:"),
    ];
    // Writing to a text cannot fail.
    for (name, count, more) in rows {
        let more = match name {
            "acknowledged" => format!("   {more} {}", outcome.survived),
            "files without a row" => format!("   {more} {}", f.swept),
            _ => String::new(),
        };
        let _ = writeln!(out, "{name:22}{count:>8}{more}");
    }
    let _ = writeln!(out, "{:22}{:>8}", "audit trail", if f.trail { "whole" } else { "BROKEN" });
    for what in &f.described {
        let _ = writeln!(out, "  - {what}");
    }
    let _ = writeln!(out, "\n{}", if f.good() { "Everything is as promised." } else { "NOT as promised." });
    out
}

/// Adds the run to a report, in place of the one on the same kind of deployment with as many kills.
pub(super) fn note(path: &Path, outcome: &Outcome) -> io::Result<()> {
    let before = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    fs::write(path, with_row(&before, outcome))
}

fn with_row(before: &str, outcome: &Outcome) -> String {
    let key = format!("| {} | {} | {} |", outcome.place, outcome.documents, outcome.kills);
    let rows = before.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let mut rows: Vec<String> =
        rows.filter(|line| line.starts_with('|') && !line.starts_with(&key)).map(str::to_owned).collect();
    rows.push(row(&key, outcome));
    rows.sort_unstable();
    HEAD.to_owned() + &rows.join("\n") + "\n"
}

fn row(key: &str, outcome: &Outcome) -> String {
    let f = &outcome.findings;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{key} {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} s | {:.0} s | {cores} |",
        outcome.survived,
        f.lost,
        f.contradicted,
        f.double,
        f.stuck,
        f.orphan_rows,
        f.swept,
        f.orphan_files,
        if f.trail { "whole" } else { "BROKEN" },
        outcome.seed,
        outcome.settled.as_secs_f64(),
        outcome.took.as_secs_f64(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::selftest::account::Findings;

    #[test]
    fn a_run_replaces_its_like_and_leaves_others() {
        let outcome = |place, lost| Outcome {
            place,
            documents: 2000,
            kills: 100,
            seed: 1,
            findings: Findings { acknowledged: 2000, lost, trail: true, ..Findings::default() },
            survived: 1200,
            settled: Duration::from_secs(3),
            took: Duration::from_secs(60),
        };
        let first = with_row("", &outcome("SQLite, folder", 1));
        let second = with_row(&first, &outcome("PostgreSQL, S3", 0));
        let third = with_row(&second, &outcome("SQLite, folder", 0));
        assert_eq!(third.lines().filter(|line| line.contains("| 2000 | 100 |")).count(), 2);
        assert!(third.starts_with(HEAD) && !third.contains("| 1200 | 1 |"), "{third}");
        assert!(table(&outcome("x", 1)).contains("NOT as promised"));
        assert!(table(&outcome("x", 0)).contains("Everything is as promised"));
    }
}
