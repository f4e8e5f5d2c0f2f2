//! The closed lists of values that cards print, and the entry that a reading is closest to.
//!
//! Occupations: Permendagri 109/2019, form F-1.01. Cards printed before it carry others, and foreigners' cards carry
//! English words, so lists correct readings that are close to an entry and never refuse the rest.

mod countries;
mod occupations;

use filot_ocr::page::Glyph;

use crate::confusion::{self, Compared};
use crate::field::FieldKey;
use crate::nik::Gender;
use crate::region::fold;
use crate::span::first;

pub(crate) use countries::COUNTRY;
pub(crate) use occupations::OCCUPATION;

/// At least this similar, or the reading is something else.
const MIN_SIMILARITY: f32 = 0.7;
/// Likewise for a list of few entries that differ much.
const MIN_SIMILARITY_OF_FEW: f32 = 0.6;
const FEW: usize = 40;
/// The next best entry must be this much farther away, or the choice would be a guess.
const MARGIN: f32 = 0.45;

/// An entry that a reading is close to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Match {
    pub(crate) entry: &'static str,
    /// Confusion-weighted edit distance; below [`EXACT`] only blanks and punctuation differ.
    pub(crate) distance: f32,
}

/// Distances below this come from blanks and punctuation alone.
pub(crate) const EXACT: f32 = 0.35;

/// The entry of `list` that the glyphs most probably show; `None` if none is near or two are equally near.
pub(crate) fn closest(glyphs: &[Glyph], list: &[&'static str]) -> Option<Match> {
    let mut best: Option<Match> = None;
    let mut second = f32::INFINITY;
    let least = if list.len() <= FEW { MIN_SIMILARITY_OF_FEW } else { MIN_SIMILARITY };
    let letters = glyphs.iter().filter(|glyph| first(glyph).is_ascii_alphanumeric()).count() as f32;
    let mut compared = Compared::new(glyphs);
    for &entry in list {
        // Letters too many or too few alone put it out of reach.
        let weight = confusion::weight(entry);
        if confusion::MISSING * (letters - weight).abs() > (1.0 - least) * weight + MARGIN {
            continue;
        }
        // Farther away than this it is neither the best nor so near to it that the choice is a guess.
        let limit = best.map_or(f32::INFINITY, |found| found.distance + MARGIN);
        let Some(distance) = compared.distance(entry, limit) else { continue };
        match best {
            // Spellings that differ in blanks and marks are one entry: between them there is no guess. It is spelt as it was
            // read, or as the list has it first.
            Some(found) if fold(found.entry) == fold(entry) => {
                if distance == 0.0 {
                    best = Some(Match { entry, distance });
                }
            }
            Some(found) if distance >= found.distance => second = second.min(distance),
            _ => {
                second = second.min(best.map_or(f32::INFINITY, |found| found.distance));
                best = Some(Match { entry, distance });
            }
        }
    }
    best.filter(|found| {
        let near = found.distance <= (1.0 - least) * confusion::weight(found.entry);
        near && (found.distance < EXACT / 2.0 && second > found.distance || second - found.distance >= MARGIN)
    })
}

pub(crate) const GENDER: [&str; 4] = ["LAKI-LAKI", "PEREMPUAN", "MALE", "FEMALE"];

/// What an entry of [`GENDER`] means.
pub(crate) fn gender(value: &str) -> Option<Gender> {
    match value {
        "LAKI-LAKI" | "MALE" => Some(Gender::Male),
        "PEREMPUAN" | "FEMALE" => Some(Gender::Female),
        _ => None,
    }
}

pub(crate) const BLOOD_TYPE: [&str; 14] =
    ["A", "B", "AB", "O", "A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-", "-", "TIDAK TAHU"];

/// Religions and beliefs, on foreigners' cards in English.
pub(crate) const RELIGION: &[&str] = &[
    "ISLAM",
    "KRISTEN",
    "KRISTEN PROTESTAN",
    "KATOLIK",
    "KATHOLIK",
    "KRISTEN KATOLIK",
    "HINDU",
    "BUDDHA",
    "BUDHA",
    "KHONGHUCU",
    "KONGHUCU",
    "KEPERCAYAAN TERHADAP TUHAN YME",
    "KEPERCAYAAN TERHADAP TUHAN YANG MAHA ESA",
    "KEPERCAYAAN KEPADA TUHAN YME",
    "KEPERCAYAAN KEPADA TUHAN YANG MAHA ESA",
    "KEPERCAYAAN",
    "PENGHAYAT KEPERCAYAAN",
    "PROTESTAN",
    "LAINNYA",
    "CHRISTIAN",
    "CHRISTIANITY",
    "PROTESTANT",
    "CATHOLIC",
    "CATHOLICISM",
    "MOSLEM",
    "MUSLIM",
    "BUDDHIST",
    "BUDDHISM",
    "HINDUISM",
    "CONFUCIAN",
    "CONFUCIANISM",
    "OTHERS",
];

/// Marital states; those of the civil register say whether it knows of the marriage or the divorce.
pub(crate) const MARITAL_STATUS: &[&str] = &[
    "BELUM KAWIN",
    "KAWIN",
    "CERAI HIDUP",
    "CERAI MATI",
    "KAWIN TERCATAT",
    "KAWIN BELUM TERCATAT",
    "KAWIN TIDAK TERCATAT",
    "CERAI HIDUP TERCATAT",
    "CERAI HIDUP BELUM TERCATAT",
    "CERAI HIDUP TIDAK TERCATAT",
    "CERAI TERCATAT",
    "CERAI BELUM TERCATAT",
    "CERAI TIDAK TERCATAT",
    "CERAI MATI TERCATAT",
    "CERAI MATI BELUM TERCATAT",
    "SINGLE",
    "MARRIED",
    "DIVORCED",
    "WIDOWED",
    "NOT MARRIED",
];

/// Whether an entry of [`MARITAL_STATUS`] says that the person is or was married; such people hold a KTP before 17.
pub(crate) fn ever_married(value: &str) -> bool {
    !matches!(value, "BELUM KAWIN" | "SINGLE" | "NOT MARRIED")
}

/// Citizenship of Indonesians; foreigners' cards print a country.
pub(crate) const CITIZEN: &str = "WNI";
/// The same, as some offices print it.
pub(crate) const CITIZENS: &[&str] = &[CITIZEN, "INDONESIA"];
/// What cards print where a value would be none.
pub(crate) const DASH: &str = "-";

/// Returns whether offices print a dash in the field where there is nothing to say. The blood type's is in its list.
pub(crate) fn may_be_dash(key: FieldKey) -> bool {
    use FieldKey::*;
    matches!(key, Address | RtRw | Religion | MaritalStatus | Occupation)
}
pub(crate) const FOR_LIFE: &str = "SEUMUR HIDUP";

impl FieldKey {
    /// The entries that cards usually print in a field with a closed list, the usual ones first; none for other fields.
    /// A card may carry others.
    pub fn vocabulary(self) -> &'static [&'static str] {
        match self {
            Self::Gender => &GENDER,
            Self::BloodType => &BLOOD_TYPE,
            Self::Religion => RELIGION,
            Self::MaritalStatus => MARITAL_STATUS,
            Self::Occupation => OCCUPATION,
            Self::Nationality => CITIZENS,
            Self::ValidUntil => &[FOR_LIFE],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyphs(text: &str) -> Vec<Glyph> {
        text.chars().map(|c| Glyph { candidates: vec![(c, 0.99)], x0: 0.0, x1: 0.0 }).collect()
    }

    fn closest_in(text: &str, list: &[&'static str]) -> Option<&'static str> {
        closest(&glyphs(text), list).map(|found| found.entry)
    }

    #[test]
    fn close_readings_find_their_entry() {
        assert_eq!(closest_in("1SLAM", RELIGION), Some("ISLAM"));
        assert_eq!(closest_in("LAKI LAKI", &GENDER), Some("LAKI-LAKI"));
        assert_eq!(closest_in("BURUHHARIANLEPAS", OCCUPATION), Some("BURUH HARIAN LEPAS"));
        assert_eq!(closest_in("PELAJAR MAHASISWA", OCCUPATION), Some("PELAJAR/MAHASISWA"));
        assert_eq!(closest_in("WIN", MARITAL_STATUS), Some("KAWIN"));
        assert_eq!(closest_in("KARYAWAN BUMD", OCCUPATION), Some("KARYAWAN BUMD"));
        assert_eq!(closest_in("MALE", &GENDER), Some("MALE"));
        assert_eq!(closest_in("FEMALE", &GENDER), Some("FEMALE"));
        // Readers pass over brackets.
        assert_eq!(closest_in("ASN PPPK", OCCUPATION), Some("ASN (PPPK)"));
        assert_eq!(closest_in("ASN/PPPK", OCCUPATION), Some("ASN/PPPK"));
        for list in [RELIGION, MARITAL_STATUS, OCCUPATION, &GENDER, COUNTRY, CITIZENS] {
            for entry in list {
                assert_eq!(closest_in(entry, list), Some(*entry));
            }
        }
    }

    #[test]
    fn what_is_far_from_all_or_between_two_stays_alone() {
        assert_eq!(closest_in("ASTRONOT", OCCUPATION), None);
        assert_eq!(closest_in("KARYAWAN BUMX", OCCUPATION), None);
        assert_eq!(closest_in("", RELIGION), None);
    }

    #[test]
    fn entries_are_distinct() {
        let all = [RELIGION, MARITAL_STATUS, OCCUPATION, &GENDER, COUNTRY];
        for list in all {
            let set: std::collections::BTreeSet<_> = list.iter().collect();
            assert_eq!(set.len(), list.len());
        }
    }

    #[test]
    fn meanings() {
        assert_eq!(gender("PEREMPUAN"), Some(Gender::Female));
        assert_eq!(gender("MALE"), Some(Gender::Male));
        assert_eq!(gender("X"), None);
        assert!(ever_married("CERAI MATI") && ever_married("KAWIN") && !ever_married("BELUM KAWIN"));
    }
}
