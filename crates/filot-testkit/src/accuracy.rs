//! How well a reader does on pictures whose truth is known.
//!
//! A result is the JSON object that `filot scan --format ndjson` gives for one file. Values compare without case, blanks
//! and punctuation, dates in any common form. Not scored are fields that nobody could read (`hidden`), and the fields of
//! cards with an overprint across them (`specimen`).

mod attacks;
mod compare;
mod family;
mod tables;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;

use crate::truth::{CardType, Expect, Tier, Truth};
pub use attacks::Attacks;
pub use compare::{edits, same};
pub use family::Family;
pub use tables::comparison;

/// Hits among trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub hits: u64,
    pub of: u64,
}

impl Share {
    fn count(&mut self, hit: bool) {
        self.of += 1;
        self.hits += u64::from(hit);
    }

    /// 0 to 100, `None` without trials.
    pub fn percent(self) -> Option<f64> {
        (self.of > 0).then(|| 100.0 * self.hits as f64 / self.of as f64)
    }
}

impl std::ops::AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.of += other.of;
    }
}

/// What was measured on the pictures of one tier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TierScore {
    pub pictures: u64,
    /// Number lines read exactly: the NIK of a KTP, the 15 and the 16 digits of an NPWP.
    pub numbers: Share,
    /// Fields read exactly.
    pub fields: Share,
    /// Cards of which every field was read exactly.
    pub cards: Share,
    /// Character edits from the readings to the truth, among the characters of the truth.
    pub character_errors: Share,
    /// Genuine cards approved without a person.
    pub approved: Share,
    /// Genuine cards rejected.
    pub rejected: Share,
    /// Approvals of what must not be approved.
    pub wrong_approvals: Share,
    /// Rejections of what is not the card at all.
    pub strangers_rejected: Share,
}

/// One of ten ranges of stated confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Sum of the stated confidences (0 to 1).
    pub stated: f64,
    pub right: Share,
}

/// A field that was not read exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    pub file: String,
    pub tier: Tier,
    pub field: String,
    pub truth: String,
    /// Empty when nothing was read.
    pub read: String,
}

/// Measurements over a set of pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub tiers: BTreeMap<Tier, TierScore>,
    /// Exact readings per card type, field and tier.
    pub by_field: BTreeMap<(CardType, String), BTreeMap<Tier, Share>>,
    pub calibration: [Bin; 10],
    pub misses: Vec<Miss>,
    /// Files approved although they must not be.
    pub wrongly_approved: Vec<String>,
    /// Genuine cards rejected.
    pub wrongly_rejected: Vec<String>,
    /// Cards approved although a field is wrong.
    pub approved_wrong: WrongFields,
    /// The same measures by what lies under the card, by design and by how the picture came about.
    pub families: BTreeMap<(Family, String), TierScore>,
    pub attacks: Attacks,
}

/// Approvals of cards of which something was misread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrongFields {
    /// With some field wrong, among all approvals.
    pub any: Share,
    /// With the number, the name or the birth date wrong, among all approvals.
    pub identity: Share,
    /// Files of the latter.
    pub files: Vec<String>,
}

/// Key of a field in a result, `None` for what results do not carry.
pub fn result_key(card: CardType, field: &str) -> Option<&'static str> {
    Some(match (card, field) {
        (CardType::Ktp, "provinsi") => "province",
        (CardType::Ktp, "kota") => "regency",
        (CardType::Ktp, "tempat_lahir") => "birthPlace",
        (CardType::Ktp, "tanggal_lahir") => "birthDate",
        (CardType::Ktp, "jenis_kelamin") => "gender",
        (CardType::Ktp, "gol_darah") => "bloodType",
        (CardType::Ktp, "rt_rw") => "rtRw",
        (CardType::Ktp, "kel_desa") => "village",
        (CardType::Ktp, "kecamatan") => "district",
        (CardType::Ktp, "agama") => "religion",
        (CardType::Ktp, "status_perkawinan") => "maritalStatus",
        (CardType::Ktp, "pekerjaan") => "occupation",
        (CardType::Ktp, "kewarganegaraan") => "nationality",
        (CardType::Ktp, "berlaku_hingga") => "validUntil",
        (CardType::Npwp, "npwp") => "npwpNumber",
        (CardType::Npwp, "npwp16") => "npwp16",
        (CardType::Npwp, "kpp") => "taxOffice",
        (CardType::Npwp, "tanggal_terdaftar") => "registeredDate",
        (CardType::Ktp | CardType::Npwp, "nik") => "nik",
        (CardType::Ktp | CardType::Npwp, "nama") => "name",
        (CardType::Ktp | CardType::Npwp, "alamat") => "address",
        _ => return None,
    })
}

fn is_number(card: CardType, field: &str) -> bool {
    matches!((card, field), (CardType::Ktp, "nik") | (CardType::Npwp, "npwp" | "npwp16"))
}

/// The truths of a folder with a `truth.jsonl`.
pub fn truths(folder: &Path) -> Result<Vec<Truth>, io::Error> {
    let file = BufReader::new(File::open(folder.join("truth.jsonl"))?);
    let mut truths = Vec::new();
    for (number, line) in file.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let truth = serde_json::from_str(&line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("truth.jsonl, line {}: {error}", number + 1))
        })?;
        truths.push(truth);
    }
    Ok(truths)
}

/// One field of one picture: what stands there and what was read.
struct FieldReading<'a> {
    field: &'a str,
    value: &'a str,
    read: &'a str,
    confidence: Option<f64>,
    exact: bool,
}

impl FieldReading<'_> {
    /// Whether the field says who somebody is.
    fn is_identity(&self, card: CardType) -> bool {
        is_number(card, self.field) || matches!(self.field, "nama" | "tanggal_lahir")
    }
}

/// The fields of a picture that are scored.
fn readings<'a>(truth: &'a Truth, result: &'a Value) -> Vec<FieldReading<'a>> {
    if truth.flags.iter().any(|flag| flag == "specimen") {
        return Vec::new();
    }
    let seen = truth.fields.iter().filter(|(field, _)| !truth.hidden.contains(field));
    seen.filter_map(|(field, value)| {
        let entry = &result["fields"][result_key(truth.card, field)?];
        let read = entry["value"].as_str().or_else(|| entry.as_str()).unwrap_or_default();
        Some(FieldReading {
            field,
            value,
            read,
            confidence: entry["confidence"].as_f64(),
            exact: same(value, read),
        })
    })
    .collect()
}

impl TierScore {
    fn add(&mut self, truth: &Truth, decision: &str, readings: &[FieldReading<'_>]) {
        self.pictures += 1;
        if truth.expect.genuine() {
            self.approved.count(decision == "auto_approve");
            self.rejected.count(decision == "auto_reject");
        } else {
            self.wrong_approvals.count(decision == "auto_approve");
            if truth.expect == Expect::Reject {
                self.strangers_rejected.count(decision == "auto_reject");
            }
        }
        for reading in readings {
            self.fields.count(reading.exact);
            if is_number(truth.card, reading.field) {
                self.numbers.count(reading.exact);
            }
            let (wrong, length) = edits(reading.value, reading.read);
            self.character_errors += Share { hits: wrong, of: length };
        }
        if !readings.is_empty() {
            self.cards.count(readings.iter().all(|reading| reading.exact));
        }
    }
}

impl Report {
    /// Adds one picture. `result` is what the reader gave, [`Value::Null`] when it failed.
    pub fn add(&mut self, truth: &Truth, result: &Value) {
        let decision = result["decision"].as_str().unwrap_or("none");
        match truth.expect {
            Expect::Approve | Expect::ApproveOrReview if decision == "auto_reject" => {
                self.wrongly_rejected.push(truth.file.clone());
            }
            Expect::NotApprove | Expect::Reject if decision == "auto_approve" => {
                self.wrongly_approved.push(truth.file.clone());
            }
            _ => {}
        }
        let readings = readings(truth, result);
        self.tiers.entry(truth.tier).or_default().add(truth, decision, &readings);
        for family in Family::ALL {
            if let Some(name) = family.of(truth) {
                self.families.entry((family, name)).or_default().add(truth, decision, &readings);
            }
        }
        self.attacks.add(truth, result);
        if decision == "auto_approve" && !readings.is_empty() {
            let wrong = readings.iter().filter(|reading| !reading.exact);
            let identity = wrong.clone().any(|reading| reading.is_identity(truth.card));
            self.approved_wrong.any.count(wrong.count() > 0);
            self.approved_wrong.identity.count(identity);
            if identity {
                self.approved_wrong.files.push(truth.file.clone());
            }
        }
        for reading in readings {
            self.by_field
                .entry((truth.card, reading.field.to_owned()))
                .or_default()
                .entry(truth.tier)
                .or_default()
                .count(reading.exact);
            if let Some(confidence) = reading.confidence.filter(|_| !reading.read.is_empty()) {
                let bin = &mut self.calibration[((confidence * 10.0) as usize).min(9)];
                bin.stated += confidence;
                bin.right.count(reading.exact);
            }
            if !reading.exact {
                self.misses.push(Miss {
                    file: truth.file.clone(),
                    tier: truth.tier,
                    field: reading.field.to_owned(),
                    truth: reading.value.to_owned(),
                    read: reading.read.to_owned(),
                });
            }
        }
    }

    /// All tables as Markdown.
    pub fn markdown(&self) -> String {
        tables::report(self)
    }

    /// Genuine cards of the clean and normal tiers that were approved without a person.
    pub fn approved_clean_and_normal(&self) -> Share {
        let mut share = Share::default();
        for tier in [Tier::Clean, Tier::Normal] {
            share += self.tiers.get(&tier).map(|score| score.approved).unwrap_or_default();
        }
        share
    }

    /// Expected calibration error: mean distance between stated and measured confidence, weighted by use (0 to 1).
    /// `None` when no confidence was stated.
    pub fn calibration_error(&self) -> Option<f64> {
        let total: u64 = self.calibration.iter().map(|bin| bin.right.of).sum();
        (total > 0).then(|| {
            self.calibration.iter().map(|bin| (bin.stated - bin.right.hits as f64).abs()).sum::<f64>()
                / total as f64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn truth(line: Value) -> Truth {
        serde_json::from_value(line).expect("a truth")
    }

    fn ktp(expect: &str, tier: &str) -> Truth {
        truth(json!({
            "type": "ktp", "declared": "ktp", "file": "1.jpg", "tier": tier, "expect": expect, "consistent": true,
            "fields": {"nik": "3201145402550022", "nama": "NI'MATUL A. SALIM", "tanggal_lahir": "14-02-1955", "agama": "ISLAM"},
            "hidden": ["agama"], "flags": []
        }))
    }

    fn reading(nik: &str, name: &str, decision: &str) -> Value {
        json!({
            "decision": decision,
            "fields": {
                "nik": {"value": nik, "confidence": 0.97},
                "name": {"value": name, "confidence": 0.55},
                "birthDate": {"value": "1955-02-14", "confidence": 0.96}
            }
        })
    }

    #[test]
    fn a_perfect_reading() {
        let mut report = Report::default();
        report.add(&ktp("approve", "clean"), &reading("3201145402550022", "Nimatul A Salim", "auto_approve"));
        let score = &report.tiers[&Tier::Clean];
        assert_eq!(score.numbers, Share { hits: 1, of: 1 });
        assert_eq!(score.fields, Share { hits: 3, of: 3 });
        assert_eq!(score.cards, Share { hits: 1, of: 1 });
        assert_eq!(score.character_errors.hits, 0);
        assert_eq!(score.approved, Share { hits: 1, of: 1 });
        assert!(report.misses.is_empty() && report.wrongly_approved.is_empty());
    }

    #[test]
    fn a_faulty_reading() {
        let mut report = Report::default();
        report.add(&ktp("approve", "normal"), &reading("3201145402550023", "NIMATUL A SALIM", "auto_reject"));
        let score = &report.tiers[&Tier::Normal];
        assert_eq!(score.numbers, Share { hits: 0, of: 1 });
        assert_eq!(score.fields, Share { hits: 2, of: 3 });
        // 16 digits, 13 letters, 8 digits of the date.
        assert_eq!(score.character_errors, Share { hits: 1, of: 37 });
        assert_eq!(score.rejected, Share { hits: 1, of: 1 });
        assert_eq!(report.wrongly_rejected, ["1.jpg"]);
        assert_eq!(report.misses[0].field, "nik");
        assert_eq!(report.calibration[9].right, Share { hits: 1, of: 2 });
        assert_eq!(report.calibration[5].right, Share { hits: 1, of: 1 });
        let error = report.calibration_error().expect("confidences were stated");
        assert!((error - (0.93 + 0.45) / 3.0).abs() < 1e-9, "{error}");
    }

    #[test]
    fn failures_count_against_the_reader() {
        let mut report = Report::default();
        report.add(&ktp("approve", "hard"), &Value::Null);
        assert_eq!(report.tiers[&Tier::Hard].fields, Share { hits: 0, of: 3 });
        assert_eq!(report.tiers[&Tier::Hard].approved, Share { hits: 0, of: 1 });
        assert_eq!(report.tiers[&Tier::Hard].character_errors, Share { hits: 37, of: 37 });
    }

    #[test]
    fn wrong_approvals_and_strangers() {
        let mut report = Report::default();
        report.add(&ktp("not_approve", "clean"), &json!({"decision": "auto_approve"}));
        let decoy = truth(
            json!({"type": "other", "declared": "npwp", "decoy": "face", "expect": "reject", "fields": {},
            "file": "2.jpg", "flags": [], "tier": "negative", "capture": {"medium": "photo", "exif": 8, "jpeg": 79}}),
        );
        report.add(&decoy, &json!({"decision": "needs_review"}));
        assert_eq!(report.wrongly_approved, ["1.jpg"]);
        assert_eq!(report.tiers[&Tier::Negative].wrong_approvals, Share { hits: 0, of: 1 });
        assert_eq!(report.tiers[&Tier::Negative].strangers_rejected, Share { hits: 0, of: 1 });
        assert_eq!(report.tiers[&Tier::Negative].cards.of, 0);
    }

    #[test]
    fn specimens_are_judged_but_not_read() {
        let mut card = ktp("not_approve", "clean");
        card.flags.push("specimen".into());
        let mut report = Report::default();
        report.add(&card, &json!({"decision": "needs_review"}));
        assert_eq!(report.tiers[&Tier::Clean].fields.of, 0);
        assert_eq!(report.tiers[&Tier::Clean].wrong_approvals, Share { hits: 0, of: 1 });
    }

    #[test]
    fn tax_cards_have_two_numbers_and_an_unscored_one() {
        let card = truth(json!({
            "type": "npwp", "declared": "npwp", "file": "3.jpg", "tier": "clean", "expect": "approve", "design": "new16",
            "fields": {"npwp": "66.198.235.6-542.000", "npwp16": "3207145304059286", "nitku": "3207145304059286000000",
                       "tanggal_terdaftar": "02-02-2016"},
            "hidden": [], "flags": []
        }));
        let mut report = Report::default();
        let read = json!({"decision": "needs_review", "fields": {
            "npwpNumber": {"value": "661982356542000"}, "npwp16": {"value": "3207145304059286"},
            "registeredDate": {"value": "02/02/2016"}}});
        report.add(&card, &read);
        assert_eq!(report.tiers[&Tier::Clean].numbers, Share { hits: 2, of: 2 });
        assert_eq!(report.tiers[&Tier::Clean].fields, Share { hits: 3, of: 3 });
        assert_eq!(report.calibration_error(), None);
    }

    #[test]
    fn folders_are_read_line_by_line() {
        let folder = std::env::temp_dir().join(format!("filot-testkit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let line = serde_json::to_string(&ktp("approve", "clean")).expect("JSON");
        std::fs::write(folder.join("truth.jsonl"), format!("{line}\n\n{line}\n")).expect("written");
        assert_eq!(truths(&folder).expect("two truths").len(), 2);
        std::fs::write(folder.join("truth.jsonl"), format!("{line}\n{{\n")).expect("written");
        let error = truths(&folder).expect_err("the second line is broken");
        assert!(error.to_string().contains("line 2"), "{error}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
