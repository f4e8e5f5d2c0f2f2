//! A1: the served API against its own description, with generated requests. `make fuzz-api` is the long run.

use std::path::Path;
use std::process::Command;

/// Cases to an operation; `make fuzz-api` tries a thousand.
const CASES: &str = "12";

#[test]
fn generated_requests_get_the_answers_that_the_description_promises() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut script = Command::new("setpriv");
    script.args(["--pdeathsig", "TERM"]).arg(root.join("scripts/schemathesis.sh"));
    script.env("CASES", CASES).env("FILOT", env!("CARGO_BIN_EXE_filot"));
    script.env("FILOT_READER_MODELS", root.join("models"));
    let ended = script.output().expect("setpriv is part of util-linux");
    let (said, complained) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{said}\n{complained}");
    // A run that tried nothing is none.
    let generated: u32 = said
        .lines()
        .filter_map(|line| {
            line.trim().strip_suffix(" generated").or_else(|| line.trim().split(" generated,").next())
        })
        .filter_map(|count| count.trim().parse::<u32>().ok())
        .sum();
    assert!(generated > 500, "{generated} requests:\n{said}");
    println!("{generated} requests");
}
