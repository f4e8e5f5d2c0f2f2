//! Provinces, regencies and districts from the Kemendagri table, as they are printed on cards.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::dice::Dice;

const CURRENT: &str = include_str!("../../filot-cards/data/regions.csv");
const HISTORIC: &str = include_str!("../../filot-cards/data/regions_historic.csv");

/// A district with all that is printed about it, in capitals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct District {
    /// Six digits: province, regency, district.
    pub(crate) code: String,
    pub(crate) name: String,
    /// With its kind, as in the card's heading: `KABUPATEN BOGOR`, `KOTA BEKASI`, `JAKARTA SELATAN`.
    pub(crate) regency: String,
    /// Without the word PROVINSI: `JAWA BARAT`, `DKI JAKARTA`.
    pub(crate) province: String,
}

impl District {
    /// The regency without its kind, as printed above the issue date and in birth places.
    pub(crate) fn regency_place(&self) -> &str {
        place(&self.regency)
    }
}

/// A regency's name without `KABUPATEN` or `KOTA`.
fn place(regency: &str) -> &str {
    regency.strip_prefix("KABUPATEN ").or_else(|| regency.strip_prefix("KOTA ")).unwrap_or(regency)
}

struct Table {
    districts: Vec<(&'static str, &'static str)>,
    names: HashMap<&'static str, &'static str>,
    retired: Vec<&'static str>,
    /// Indices into `districts`, per province code, with the province's share of the population in percent.
    by_province: Vec<(Vec<usize>, f32)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let names: HashMap<_, _> = CURRENT.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let districts: Vec<_> = CURRENT
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .filter(|(code, _)| code.len() == 6)
        .collect();
    // A code that the current edition no longer has, under a province that it has.
    let retired = HISTORIC
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').next())
        .filter(|code| code.len() == 6 && !names.contains_key(code) && !names.contains_key(&code[..4]))
        .collect();
    let mut by_province: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, (code, _)) in districts.iter().enumerate() {
        match by_province.last_mut() {
            Some((province, members)) if province == &code[..2] => members.push(index),
            _ => by_province.push((code[..2].to_owned(), vec![index])),
        }
    }
    let by_province =
        by_province.into_iter().map(|(province, members)| (members, population_share(&province))).collect();
    Table { districts, names, retired, by_province }
});

/// Rough share of Indonesia's people in percent: cards of Java are the common ones, the small provinces share the rest.
fn population_share(province: &str) -> f32 {
    match province {
        "32" => 17.0,
        "35" => 14.0,
        "33" => 13.0,
        "31" => 8.0,
        "36" | "12" => 5.0,
        "73" | "16" | "18" => 3.5,
        "34" | "51" => 3.0,
        _ => 1.4,
    }
}

/// A district, Java more often than the rest.
pub(crate) fn district(dice: &mut Dice) -> District {
    let table = &*TABLE;
    let members = dice.weighted(&table.by_province);
    let (code, name) = table.districts[*dice.pick(members)];
    let look_up = |code: &str| table.names.get(code).copied().unwrap_or_default().to_uppercase();
    let mut regency = look_up(&code[..4]);
    let mut province = look_up(&code[..2]);
    if &code[..2] == "31" {
        // The heading of Jakarta's cards has neither `KOTA` nor `ADMINISTRASI`.
        regency = regency.replace("KOTA ADMINISTRASI ", "").replace("KABUPATEN ADMINISTRASI ", "");
        province = if dice.chance(0.9) { "DKI JAKARTA".into() } else { "DAERAH KHUSUS JAKARTA".into() };
    }
    if &code[..2] == "34" && dice.chance(0.4) {
        province = "DI YOGYAKARTA".into();
    }
    District { code: code.to_owned(), name: name.to_uppercase(), regency, province }
}

/// Six digits that were a district once and are no more: valid on old cards.
pub(crate) fn retired_code(dice: &mut Dice) -> String {
    (*dice.pick(&TABLE.retired)).to_owned()
}

/// Whether the current table has this district (six digits), regency (four) or province (two).
#[cfg(test)]
pub(crate) fn exists(code: &str) -> bool {
    TABLE.names.contains_key(code)
}

/// A regency's or a city's plain name, for birth places and tax offices.
pub(crate) fn any_place(dice: &mut Dice) -> String {
    district(dice).regency_place().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn districts_are_complete_and_ascii() {
        let mut dice = Dice::new(3);
        for _ in 0..300 {
            let district = district(&mut dice);
            assert_eq!(district.code.len(), 6);
            for text in [&district.name, &district.regency, &district.province] {
                assert!(!text.is_empty() && text.is_ascii(), "{district:?}");
            }
        }
    }

    #[test]
    fn retired_codes_are_really_gone() {
        let mut dice = Dice::new(3);
        assert!(TABLE.retired.len() > 100);
        for _ in 0..50 {
            let code = retired_code(&mut dice);
            assert!(!exists(&code) && exists(&code[..2]), "{code}");
        }
    }
}
