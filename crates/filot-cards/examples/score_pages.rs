//! Measures the parser on page dumps: `score_pages PAGES TRUTH [--all]`.
//!
//! `PAGES` is a folder of `Page` JSON files, `TRUTH` a `truth.jsonl` that names pictures with the same stems. Prints exact
//! shares by tier, decisions, and every wrong field with what was read and what is true. Values compare without case,
//! blanks and punctuation.
#![expect(clippy::print_stdout, reason = "a command line tool")]

mod truth;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use filot_cards::assess::assess;
use filot_cards::decide::{Decision, Policy};
use filot_cards::draft::{Draft, Round};
use filot_cards::field::FieldKey;
use filot_cards::kind::DeclaredType;
use filot_ocr::page::Page;
use serde_json::Value;

use truth::NAMES;

#[derive(Default)]
struct Tally {
    right: usize,
    all: usize,
}

impl Tally {
    fn count(&mut self, right: bool) {
        self.all += 1;
        self.right += usize::from(right);
    }

    fn share(&self) -> f64 {
        if self.all == 0 { f64::NAN } else { 100.0 * self.right as f64 / self.all as f64 }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pages, truth, options @ ..] = arguments.as_slice() else {
        anyhow::bail!("score_pages PAGES TRUTH [--all]")
    };
    let all = options.iter().any(|option| option == "--all");
    let policy = Policy::default();
    let today = jiff::civil::date(2026, 8, 1);
    let mut fields: BTreeMap<String, Tally> = BTreeMap::new();
    let mut numbers: BTreeMap<String, Tally> = BTreeMap::new();
    let mut by_key: BTreeMap<FieldKey, Tally> = BTreeMap::new();
    let mut decisions: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    let mut confidences: Vec<(f32, bool)> = Vec::new();

    for line in std::fs::read_to_string(truth)?.lines() {
        let truth: Value = serde_json::from_str(line)?;
        let text = |name: &str| truth[name].as_str().unwrap_or_default().to_owned();
        let file = text("file");
        let stem = Path::new(&file).file_stem().and_then(|stem| stem.to_str()).context("a file name")?;
        let Ok(json) = std::fs::read_to_string(Path::new(pages).join(format!("{stem}.json"))) else {
            continue;
        };
        let Ok(page) = serde_json::from_str::<Page>(&json) else {
            println!("{stem}: no page");
            continue;
        };
        let declared = match text("declared").as_str() {
            "ktp" => DeclaredType::Ktp,
            "npwp" => DeclaredType::Npwp,
            _ => DeclaredType::Auto,
        };
        let mut draft = Draft::new(&page, declared);
        // The look across the card needs the picture; this measures the parser.
        draft.look_across(Some(Vec::new()));
        let weak: Vec<String> =
            draft.weak_regions(Round::Second).iter().map(|(key, _)| key.to_string()).collect();
        let found = assess(&draft, &policy, today);
        let decision = serde_json::to_value(found.decision)?.as_str().unwrap_or_default().to_owned();
        let expected = text("expect");
        *decisions
            .entry((text("tier"), expected.clone()))
            .or_default()
            .entry(decision.clone())
            .or_default() += 1;

        let hidden: Vec<&str> =
            truth["hidden"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut wrong = Vec::new();
        for (name, key) in NAMES {
            let Some(value) = truth["fields"][name].as_str() else { continue };
            if hidden.contains(&name) {
                continue;
            }
            let read = found.fields.get(&key);
            let right = read.is_some_and(|field| canonical(&field.value) == canonical(value));
            if let Some(field) = read {
                confidences.push((field.confidence, right));
            }
            fields.entry(text("tier")).or_default().count(right);
            by_key.entry(key).or_default().count(right);
            let is_number = match text("type").as_str() {
                "ktp" => key == FieldKey::Nik,
                _ => key == FieldKey::NpwpNumber || key == FieldKey::Npwp16,
            };
            if is_number {
                numbers.entry(text("tier")).or_default().count(right);
            }
            if !right {
                let read =
                    read.map_or("-".to_owned(), |field| format!("{:?} {:.2}", field.value, field.confidence));
                wrong.push(format!("    {key}: {read} instead of {value:?}"));
            }
        }
        // What is not on the card must not be in the result.
        for key in found.fields.keys() {
            let known = NAMES.iter().any(|(name, of)| of == key && truth["fields"][name].is_string());
            if !known {
                wrong.push(format!("    {key}: {:?} is not on the card", found.fields[key].value));
            }
        }
        let surprising = match expected.as_str() {
            "approve" => found.decision != Decision::AutoApprove,
            "approve_or_review" => found.decision == Decision::AutoReject,
            "not_approve" => found.decision == Decision::AutoApprove,
            _ => found.decision != Decision::AutoReject,
        };
        if all || surprising || !wrong.is_empty() {
            let reasons: Vec<String> = found
                .checks
                .iter()
                .filter(|check| serde_json::to_value(check.outcome).is_ok_and(|outcome| outcome != "pass"))
                .map(|check| format!("{:?}={:?}{:?}", check.code, check.outcome, check.fields))
                .collect();
            println!(
                "{stem} {} {:?} {} expected {expected}, {decision} {} weak {weak:?}\n    {}",
                text("tier"),
                found.document_type,
                truth["flags"],
                found.score,
                reasons.join(" ")
            );
            println!("{}", wrong.join("\n"));
        }
    }
    println!("fields exact");
    for (tier, tally) in &fields {
        println!("  {tier:10} {:6.2} % of {}", tally.share(), tally.all);
    }
    println!("NIK / NPWP exact");
    for (tier, tally) in &numbers {
        println!("  {tier:10} {:6.2} % of {}", tally.share(), tally.all);
    }
    println!("by field");
    for (key, tally) in &by_key {
        println!("  {key:16} {:6.2} % of {}", tally.share(), tally.all);
    }
    println!("decisions by tier and expectation: {decisions:#?}");
    println!("stated confidence against the share that is right");
    confidences.sort_by(|a, b| a.0.total_cmp(&b.0));
    for bin in confidences.chunks(confidences.len().div_ceil(12).max(1)) {
        let stated = bin.iter().map(|entry| entry.0).sum::<f32>() / bin.len() as f32;
        let right = bin.iter().filter(|entry| entry.1).count() as f32 / bin.len() as f32;
        println!("  {stated:.3} {right:.3} ({})", bin.len());
    }
    Ok(())
}

/// Capitals and digits; dates as DDMMYYYY whichever way they are written.
fn canonical(value: &str) -> String {
    if let Ok(date) = value.parse::<jiff::civil::Date>() {
        return format!("{:02}{:02}{:04}", date.day(), date.month(), date.year());
    }
    // A sign is all there is to some blood types.
    if value.len() <= 3 {
        return value.to_ascii_uppercase();
    }
    value.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}
