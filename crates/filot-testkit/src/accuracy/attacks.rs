//! Presentation attacks as ISO/IEC 30107-3 counts them: how many of each kind go unnoticed (APCER) while how many genuine
//! photos are held (BPCER).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::Share;
use crate::truth::{CardType, Medium, Truth};

/// The share of genuine photos that may be held when APCER is stated.
const BPCER: f64 = 0.01;

/// What the rates of one kind of attack are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attack {
    Screen,
    Copy,
}

impl Attack {
    const ALL: [Self; 2] = [Self::Screen, Self::Copy];

    fn of(medium: Medium) -> Option<Self> {
        match medium {
            Medium::Screen => Some(Self::Screen),
            Medium::Photocopy => Some(Self::Copy),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Screen => "photo of a screen",
            Self::Copy => "grey copy",
        }
    }

    /// Code of the check that is there for it.
    fn check(self) -> &'static str {
        match self {
            Self::Screen => "SCREEN",
            Self::Copy => "PHOTOCOPY",
        }
    }

    /// How much a result speaks for it: 0 to 1, `None` where the picture was not looked at for that.
    fn score(self, result: &Value) -> Option<f64> {
        let of_quality = |name: &str| result["quality"][name].as_f64();
        match self {
            Self::Screen => {
                result["quality"]["presentation"]["screen"].as_f64().or_else(|| of_quality("moire"))
            }
            Self::Copy => of_quality("saturation").map(|saturation| 1.0 - saturation),
        }
    }
}

/// What one picture got with regard to one kind of attack.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    score: f64,
    /// Its check did not pass.
    held: bool,
}

/// Rates over a set of pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attacks {
    attacks: BTreeMap<Attack, Vec<Look>>,
    /// The same looks at photos and scans of genuine cards.
    genuine: BTreeMap<Attack, Vec<Look>>,
}

impl Attacks {
    pub(super) fn add(&mut self, truth: &Truth, result: &Value) {
        if truth.card == CardType::Other || truth.flags.iter().any(|flag| flag == "specimen") {
            return;
        }
        let own = Attack::of(truth.capture.medium);
        let genuine = matches!(truth.capture.medium, Medium::Photo | Medium::Scan) && truth.expect.genuine();
        for attack in Attack::ALL {
            let list = match own {
                Some(own) if own == attack => &mut self.attacks,
                None if genuine && !truth.capture.grey => &mut self.genuine,
                _ => continue,
            };
            let checks = result["checks"].as_array().map_or(&[][..], Vec::as_slice);
            let held = checks.iter().any(|check| {
                check["code"] == attack.check() && matches!(check["outcome"].as_str(), Some("fail" | "warn"))
            });
            let score = attack.score(result).unwrap_or(0.0);
            list.entry(attack).or_default().push(Look { score, held });
        }
    }

    /// The table, empty when there is no attack among the pictures.
    pub fn markdown(&self) -> String {
        if self.attacks.is_empty() {
            return String::new();
        }
        let mut out = format!(
            "| attack | pictures | not noticed (APCER) | genuine held (BPCER) | APCER where BPCER is {:.0} % |\n\
             |---|---:|---:|---:|---:|\n",
            100.0 * BPCER
        );
        for (attack, looks) in &self.attacks {
            let genuine = self.genuine.get(attack).map_or(&[][..], Vec::as_slice);
            let share = |looks: &[Look], held| Share {
                hits: looks.iter().filter(|look| look.held == held).count() as u64,
                of: looks.len() as u64,
            };
            let percent = |share: Share| {
                share.percent().map_or_else(|| "–".to_owned(), |value| format!("{value:.1} %"))
            };
            let at =
                curve(looks, genuine).into_iter().filter(|point| point[0] <= BPCER).map(|point| point[1]);
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                attack.name(),
                looks.len(),
                percent(share(looks, false)),
                percent(share(genuine, true)),
                at.reduce(f64::min).map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", 100.0 * value)),
            );
        }
        out
    }

    /// For each kind of attack its name and the points of its curve: BPCER and APCER, both 0 to 1, from the strictest
    /// threshold to the most lenient one.
    pub fn curves(&self) -> Vec<(&'static str, Vec<[f64; 2]>)> {
        let curve_of = |(attack, looks): (&Attack, &Vec<Look>)| {
            let genuine = self.genuine.get(attack).map_or(&[][..], Vec::as_slice);
            (attack.name(), curve(looks, genuine))
        };
        self.attacks.iter().map(curve_of).collect()
    }
}

/// BPCER and APCER for every threshold that makes a difference: held is what has more than the threshold.
fn curve(attacks: &[Look], genuine: &[Look]) -> Vec<[f64; 2]> {
    let mut thresholds: Vec<f64> = attacks.iter().chain(genuine).map(|look| look.score).collect();
    thresholds.push(-1.0);
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let share = |looks: &[Look], test: &dyn Fn(f64) -> bool| {
        looks.iter().filter(|look| test(look.score)).count() as f64 / looks.len().max(1) as f64
    };
    let rates = |threshold: f64| {
        [share(genuine, &|score| score > threshold), share(attacks, &|score| score <= threshold)]
    };
    thresholds.into_iter().map(rates).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn add(attacks: &mut Attacks, medium: &str, moire: f64, outcome: &str) {
        let truth = serde_json::from_value(json!({
            "type": "ktp", "declared": "ktp", "file": "1.jpg", "tier": "normal", "fields": {}, "hidden": [],
            "expect": if medium == "screen" { "not_approve" } else { "approve" }, "flags": [],
            "capture": {"medium": medium}
        }))
        .expect("a truth");
        let checks = json!([{"code": "SCREEN", "outcome": outcome}]);
        attacks.add(&truth, &json!({"quality": {"moire": moire, "saturation": 0.5}, "checks": checks}));
    }

    #[test]
    fn rates_are_those_of_the_checks_and_of_the_best_threshold() {
        let mut attacks = Attacks::default();
        for n in 0..100 {
            add(&mut attacks, "photo", f64::from(n) / 200.0, if n == 99 { "fail" } else { "pass" });
        }
        for moire in [0.2, 0.493, 0.6, 0.8] {
            add(&mut attacks, "screen", moire, if moire > 0.7 { "fail" } else { "pass" });
        }
        let text = attacks.markdown();
        // One of four is found by its check; with one genuine photo of a hundred held, three are.
        assert!(text.contains("| photo of a screen | 4 | 75.0 % | 1.0 % | 25.0 % |"), "{text}");
        let (name, curve) = &attacks.curves()[0];
        assert_eq!((*name, curve[0], curve[curve.len() - 1]), ("photo of a screen", [1.0, 0.0], [0.0, 1.0]));
        assert!(curve.windows(2).all(|pair| pair[0][0] >= pair[1][0] && pair[0][1] <= pair[1][1]));
    }

    #[test]
    fn a_set_without_attacks_says_nothing() {
        let mut attacks = Attacks::default();
        add(&mut attacks, "photo", 0.1, "pass");
        assert_eq!(attacks.markdown(), "");
        assert!(attacks.curves().is_empty());
    }
}
