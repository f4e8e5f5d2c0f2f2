//! Reads a folder of pictures and compares with its `truth.jsonl`: `judge_set MODELS FOLDER [--all] [--text]`.
//!
//! For working on parsing and checks without building the service. Prints, per picture that surprises, the decision, the
//! checks that did not pass and every field that differs, marks included; then the sums. Unlike `filot bench` it compares
//! dashes, slashes and apostrophes too. `MODELS` also holds the ONNX Runtime library.
#![expect(clippy::print_stdout, reason = "a command line tool")]

mod truth;

use std::path::Path;

use anyhow::{Context, Result};
use filot_cards::assess::read_card;
use filot_cards::checks::Outcome;
use filot_cards::decide::{Decision, Policy};
use filot_cards::kind::DeclaredType;
use filot_ocr::image::{Limits, Photo};
use filot_ocr::models::Models;
use filot_ocr::native::NativeEngine;
use serde_json::Value;

use truth::NAMES;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [models, folder, options @ ..] = arguments.as_slice() else {
        anyhow::bail!("judge_set MODELS FOLDER [--all] [--text]")
    };
    let option = |name: &str| options.iter().any(|option| option == name);
    let (models, folder) = (Path::new(models), Path::new(folder));
    let library = Some(models.join("libonnxruntime.so")).filter(|file| file.exists());
    let engine = NativeEngine::load(&Models::from_dir(models)?, library.as_deref(), 1)?;
    let policy = Policy::default();
    // The day of `filot bench`, for which its cards are drawn.
    let today = jiff::civil::date(2026, 1, 1);
    let (mut right, mut all, mut cards, mut pictures) = (0, 0, 0, 0);
    let (mut false_approvals, mut false_rejections, mut approved, mut to_approve) = (0, 0, 0, 0);
    for line in std::fs::read_to_string(folder.join("truth.jsonl"))?.lines() {
        let truth: Value = serde_json::from_str(line)?;
        let text = |name: &str| truth[name].as_str().unwrap_or_default();
        let file = text("file");
        let Ok(bytes) = std::fs::read(folder.join(file)) else { continue };
        let photo = Photo::decode(&bytes, &Limits::default()).context(file.to_owned())?;
        let declared = match text("declared") {
            "ktp" => DeclaredType::Ktp,
            "npwp" => DeclaredType::Npwp,
            _ => DeclaredType::Auto,
        };
        let read = read_card(&engine, &photo, declared, &policy, today)?;
        let found = &read.assessment;
        let hidden: Vec<&str> =
            truth["hidden"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut wrong = Vec::new();
        for (name, key) in NAMES {
            let Some(value) = truth["fields"][name].as_str().filter(|_| !hidden.contains(&name)) else {
                continue;
            };
            let field = found.fields.get(&key);
            all += 1;
            if field.is_some_and(|field| canonical(&field.value) == canonical(value)) {
                right += 1;
                continue;
            }
            let shown =
                field.map_or("-".to_owned(), |field| format!("{:?} {:.2}", field.value, field.confidence));
            wrong.push(format!("    {key}: {shown} instead of {value:?}"));
        }
        let expected = text("expect");
        let surprising = match expected {
            "approve" => found.decision != Decision::AutoApprove,
            "approve_or_review" => found.decision == Decision::AutoReject,
            "not_approve" => found.decision == Decision::AutoApprove,
            _ => found.decision != Decision::AutoReject,
        };
        pictures += 1;
        cards += usize::from(wrong.is_empty());
        false_approvals += usize::from(found.decision == Decision::AutoApprove && expected == "not_approve");
        false_rejections += usize::from(
            found.decision == Decision::AutoReject && matches!(expected, "approve" | "approve_or_review"),
        );
        to_approve += usize::from(expected == "approve");
        approved += usize::from(expected == "approve" && found.decision == Decision::AutoApprove);
        if option("--all") || surprising || !wrong.is_empty() {
            let reasons: Vec<String> = found
                .checks
                .iter()
                .filter(|check| check.outcome != Outcome::Pass)
                .map(|check| format!("{:?}={:?}{:?}", check.code, check.outcome, check.fields))
                .collect();
            println!(
                "{file} {:?} {:?} {}{} expected {expected}{}\n    {}",
                found.document_type,
                found.decision,
                found.score,
                if found.retake_advised { " retake" } else { "" },
                if surprising { " SURPRISING" } else { "" },
                reasons.join(" ")
            );
            wrong.iter().for_each(|line| println!("{line}"));
        }
        if option("--text") {
            println!("{}", read.text);
        }
    }
    println!(
        "{pictures} pictures: fields {right} of {all}, whole cards {cards}, approved {approved} of {to_approve}, false \
         approvals {false_approvals}, false rejections {false_rejections}"
    );
    Ok(())
}

/// Capitals without blanks; dates as DDMMYYYY whichever way they are written.
fn canonical(value: &str) -> String {
    if let Ok(date) = value.parse::<jiff::civil::Date>() {
        return format!("{:02}-{:02}-{:04}", date.day(), date.month(), date.year());
    }
    value.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect()
}
