//! Provinces, regencies and cities, districts: the codes of the Ministry of Home Affairs and their names.
//!
//! `data/regions.csv` holds Kepmendagri 300.2.2-2430/2025, `data/regions_historic.csv` the codes and names of the editions
//! since 2016 that were retired or renamed, `data/regions_before_2016.csv` those that an earlier split retired, with the
//! codes that came after them. The first two come from github.com/cahyadsn/wilayah (MIT, see `data/LICENSE-wilayah.txt`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

const CURRENT: &str = include_str!("../data/regions.csv");
const HISTORIC: &str = include_str!("../data/regions_historic.csv");
const BEFORE_2016: &str = include_str!("../data/regions_before_2016.csv");

/// How a province may be printed besides its name in the table.
const PROVINCE_ALIASES: [(&str, &str); 9] = [
    ("11", "NANGGROE ACEH DARUSSALAM"),
    ("19", "BANGKA BELITUNG"),
    ("31", "DKI JAKARTA"),
    ("31", "DAERAH KHUSUS JAKARTA"),
    ("31", "D.K.I. JAKARTA"),
    ("34", "DI YOGYAKARTA"),
    ("34", "D.I. YOGYAKARTA"),
    ("34", "DIY"),
    ("91", "IRIAN JAYA"),
];

/// What is known about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Current,
    /// In use once; numbers given then stay valid.
    Retired,
    Unknown,
}

/// One name of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// 2, 4 or 6 digits: province, regency or city, district.
    pub code: &'static str,
    /// Capitals, as cards print it: `JAWA TIMUR`, `KABUPATEN BOGOR`, `LEUWILIANG`.
    pub printed: String,
    /// [`fold`] of `printed`.
    pub folded: String,
    /// [`fold`] of the name without KABUPATEN or KOTA.
    pub folded_bare: String,
}

struct Table {
    standing: BTreeMap<&'static str, Standing>,
    /// Sorted by code, so that a parent's children lie together.
    names: Vec<Name>,
    /// Codes that a split retired, and those that came after them.
    successors: BTreeMap<&'static str, &'static str>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let rows = |csv: &'static str| csv.lines().skip(1).filter_map(|row| row.split_once(','));
    let mut standing = BTreeMap::new();
    let mut names = Vec::new();
    for (code, name) in rows(CURRENT) {
        standing.insert(code, Standing::Current);
        names.extend(spellings(code, name));
    }
    for (code, rest) in rows(HISTORIC) {
        standing.entry(code).or_insert(Standing::Retired);
        // The one historic row of a province cuts Yogyakarta's name short.
        if code.len() == 2 {
            continue;
        }
        names.extend(spellings(code, rest.split(',').next().unwrap_or(rest)));
    }
    let mut successors = BTreeMap::new();
    for (code, rest) in rows(BEFORE_2016) {
        standing.entry(code).or_insert(Standing::Retired);
        successors.extend(rest.split(',').next().map(|successor| (code, successor)));
    }
    for (code, name) in PROVINCE_ALIASES {
        names.extend(spellings(code, name));
    }
    names.sort_by(|a, b| (a.code, &a.printed).cmp(&(b.code, &b.printed)));
    names.dedup();
    Table { standing, names, successors }
});

/// A name as it may be printed. Regencies and cities get their kind in full; those of Jakarta are printed without it too.
fn spellings(code: &'static str, name: &str) -> Vec<Name> {
    let upper = name.to_ascii_uppercase();
    let mut printed = Vec::new();
    if code.len() == 4 {
        let (kind, rest) = split_kind(&upper);
        let kind = if kind.starts_with("KOTA") { "KOTA" } else { "KABUPATEN" };
        printed.push(format!("{kind} {rest}"));
        if code.starts_with("31") {
            printed.push(format!("{kind} ADMINISTRASI {rest}"));
            printed.push(rest.to_owned());
        }
    } else {
        printed.push(upper);
    }
    let name = |printed: String| Name {
        code,
        folded: fold(&printed),
        folded_bare: fold(if code.len() == 4 { split_kind(&printed).1 } else { &printed }),
        printed,
    };
    printed.into_iter().map(name).collect()
}

/// Capital letters and digits only, for comparing names whose blanks and punctuation may be lost.
pub fn fold(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// Splits `KABUPATEN X`, `KAB. X`, `KOTA ADMINISTRASI X`, `KOTA X` into kind and name; the kind is empty where none is
/// written. Blanks may be missing after a full word.
pub fn split_kind(text: &str) -> (&str, &str) {
    const KINDS: [&str; 8] = [
        "KABUPATEN ADMINISTRASI",
        "KOTA ADMINISTRASI",
        "KABUPATEN",
        "KOTAMADYA",
        "KAB.",
        "KAB ",
        "KOTA ADM.",
        "KOTA",
    ];
    for kind in KINDS {
        if let Some(rest) = text.strip_prefix(kind) {
            return (&text[..kind.len()], rest.trim_start_matches([' ', '.']));
        }
    }
    ("", text)
}

/// What is known about a code of 2, 4 or 6 digits.
pub fn standing(code: &str) -> Standing {
    TABLE.standing.get(code).copied().unwrap_or(Standing::Unknown)
}

/// Returns the code that came after one that an early split retired.
pub fn successor(code: &str) -> Option<&'static str> {
    TABLE.successors.get(code).copied()
}

/// All names with a code of `digits` digits (2, 4 or 6) that starts with `prefix`, retired and renamed ones included.
pub fn names(prefix: &str, digits: usize) -> impl Iterator<Item = &'static Name> + Clone + use<> {
    let from = TABLE.names.partition_point(|name| name.code < prefix);
    let under = TABLE.names[from..].partition_point(|name| name.code.starts_with(prefix));
    TABLE.names[from..from + under].iter().filter(move |name| name.code.len() == digits)
}

/// The codes of `digits` digits under `prefix` that are called `name`, whatever its blanks and punctuation.
pub fn codes_of(name: &str, prefix: &str, digits: usize) -> Vec<&'static str> {
    let folded = fold(name);
    let mut codes: Vec<_> =
        names(prefix, digits).filter(|entry| entry.folded == folded).map(|entry| entry.code).collect();
    codes.dedup();
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete() {
        let count = |digits| {
            TABLE.standing.iter().filter(|(code, s)| code.len() == digits && **s == Standing::Current).count()
        };
        assert_eq!((count(2), count(4), count(6)), (38, 514, 7285));
    }

    #[test]
    fn codes_stand_as_they_do() {
        assert_eq!(standing("35"), Standing::Current);
        assert_eq!(standing("3512"), Standing::Current);
        assert_eq!(standing("351202"), Standing::Current);
        assert_eq!(standing("97"), Standing::Unknown);
        assert_eq!(standing("00"), Standing::Unknown);
        assert_eq!(standing("3599"), Standing::Unknown);
        // Renumbered when Papua was split in 2022.
        for retired in ["9101", "9107", "9201", "9271"] {
            assert_eq!(standing(retired), Standing::Retired, "{retired}");
        }
        assert_eq!(standing("9301"), Standing::Current);
        // North Kalimantan was part of East Kalimantan until 2012.
        for retired in ["6404", "640401", "6406", "6473", "647301"] {
            assert_eq!(standing(retired), Standing::Retired, "{retired}");
        }
        assert_eq!(successor("6406"), Some("6502"));
        assert_eq!(successor("3512"), None);
        assert!(TABLE.successors.values().all(|code| standing(code) == Standing::Current));
    }

    #[test]
    fn names_of_a_parent_are_its_own() {
        assert!(names("3201", 6).any(|name| name.printed == "LEUWILIANG"));
        assert!(names("35", 4).all(|name| name.code.starts_with("35")));
        assert_eq!(names("97", 4).count(), 0);
        assert_eq!(names("", 2).filter(|name| name.code == "31").count(), 4);
    }

    #[test]
    fn names_are_found_without_blanks_and_by_alias() {
        assert_eq!(codes_of("KABUPATENBOGOR", "32", 4), ["3201"]);
        assert_eq!(codes_of("DKI JAKARTA", "", 2), ["31"]);
        assert_eq!(codes_of("DAERAH KHUSUS JAKARTA", "", 2), ["31"]);
        assert_eq!(codes_of("JAKARTA SELATAN", "31", 4), ["3174"]);
        assert_eq!(codes_of("KOTA ADMINISTRASI JAKARTA SELATAN", "31", 4), ["3174"]);
        // Renamed: the old name still finds the code.
        assert_eq!(codes_of("KABUPATEN TOBA SAMOSIR", "12", 4), ["1212"]);
        assert!(codes_of("KABUPATEN NARNIA", "", 4).is_empty());
    }

    #[test]
    fn the_kind_of_a_regency_is_split_off() {
        assert_eq!(split_kind("KABUPATEN BOGOR"), ("KABUPATEN", "BOGOR"));
        assert_eq!(split_kind("KABUPATENBOGOR"), ("KABUPATEN", "BOGOR"));
        assert_eq!(split_kind("KAB. BOGOR"), ("KAB.", "BOGOR"));
        assert_eq!(split_kind("KOTA BEKASI"), ("KOTA", "BEKASI"));
        assert_eq!(split_kind("JAKARTA SELATAN"), ("", "JAKARTA SELATAN"));
    }
}
