//! One field of a card: what was read, what it means, how sure that is and where it stands.

use std::collections::BTreeMap;
use std::fmt;

use filot_ocr::page::Quad;
use serde::{Deserialize, Serialize};

/// The fields of both cards. The order is the one in which results list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldKey {
    /// 15-digit tax number, `99.999.999.9-999.999`.
    NpwpNumber,
    /// 16-digit tax number: the NIK of a resident person, else `0` and the 15-digit number.
    Npwp16,
    /// 16-digit population number.
    Nik,
    Name,
    BirthPlace,
    /// ISO 8601.
    BirthDate,
    Gender,
    BloodType,
    Address,
    /// Neighbourhood numbers, `001/017`.
    RtRw,
    /// Kelurahan or desa.
    Village,
    /// Kecamatan.
    District,
    Religion,
    MaritalStatus,
    Occupation,
    Nationality,
    /// `SEUMUR HIDUP` or ISO 8601.
    ValidUntil,
    /// Without the word PROVINSI.
    Province,
    /// With the word KABUPATEN or KOTA where the card prints it.
    Regency,
    /// Kantor Pelayanan Pajak.
    TaxOffice,
    /// ISO 8601.
    RegisteredDate,
}

impl FieldKey {
    /// The fields of a KTP, in the order of results.
    pub const KTP: [FieldKey; 17] = [
        FieldKey::Nik,
        FieldKey::Name,
        FieldKey::BirthPlace,
        FieldKey::BirthDate,
        FieldKey::Gender,
        FieldKey::BloodType,
        FieldKey::Address,
        FieldKey::RtRw,
        FieldKey::Village,
        FieldKey::District,
        FieldKey::Religion,
        FieldKey::MaritalStatus,
        FieldKey::Occupation,
        FieldKey::Nationality,
        FieldKey::ValidUntil,
        FieldKey::Province,
        FieldKey::Regency,
    ];

    /// The fields of an NPWP card, in the order of results.
    pub const NPWP: [FieldKey; 7] = [
        FieldKey::NpwpNumber,
        FieldKey::Npwp16,
        FieldKey::Nik,
        FieldKey::Name,
        FieldKey::Address,
        FieldKey::TaxOffice,
        FieldKey::RegisteredDate,
    ];

    /// The key as results spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NpwpNumber => "npwpNumber",
            Self::Npwp16 => "npwp16",
            Self::Nik => "nik",
            Self::Name => "name",
            Self::BirthPlace => "birthPlace",
            Self::BirthDate => "birthDate",
            Self::Gender => "gender",
            Self::BloodType => "bloodType",
            Self::Address => "address",
            Self::RtRw => "rtRw",
            Self::Village => "village",
            Self::District => "district",
            Self::Religion => "religion",
            Self::MaritalStatus => "maritalStatus",
            Self::Occupation => "occupation",
            Self::Nationality => "nationality",
            Self::ValidUntil => "validUntil",
            Self::Province => "province",
            Self::Regency => "regency",
            Self::TaxOffice => "taxOffice",
            Self::RegisteredDate => "registeredDate",
        }
    }

    /// The key that [`FieldKey::as_str`] spells.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::KTP.into_iter().chain(Self::NPWP).find(|key| key.as_str() == name)
    }
}

impl fmt::Display for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a value differs from the characters first read. Every repair chooses among the recogniser's own alternatives,
/// look-alike characters, or the entries of a closed list that the reading is close to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// A letter where the field holds digits only, or the reverse: `O` for `0`, `1` for `I`.
    LookAlike,
    /// The nearest entry of a closed list (religion, occupation, …).
    Vocabulary,
    /// The nearest name of the region table.
    RegionName,
    /// A digit of the NIK chosen so that birth date and sex agree with the printed ones.
    NikPerson,
    /// A digit of the NIK chosen so that its region exists.
    NikRegion,
    /// A digit of the tax number chosen so that its check digit fits.
    CheckDigit,
    /// A digit chosen because the same number stands elsewhere on the card.
    SameNumber,
    /// A digit of a date chosen so that the date exists or agrees with the NIK.
    Date,
    /// Blanks that the recogniser dropped.
    Spacing,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The reading of the whole card.
    First,
    /// The second, closer reading of the field's place.
    Second,
    /// Both readings say the same.
    Both,
    /// Somebody who looked at the card typed or confirmed it.
    Person,
}

/// One field of a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// The value in its canonical form, capitals as printed.
    pub value: String,
    /// The characters as they were read, before any repair.
    pub original: String,
    /// Probability (0..=1) that `value` is what is printed; see [`crate::confidence`].
    pub confidence: f32,
    /// Where it stands, in pixels of the upright photo.
    #[serde(rename = "box")]
    pub quad: Quad,
    pub source: Source,
    /// What was changed between `original` and `value`; empty when only the form was normalised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
}

/// The fields that were found.
pub type Fields = BTreeMap<FieldKey, Field>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_are_those_of_the_serialised_form() {
        for key in FieldKey::KTP.into_iter().chain(FieldKey::NPWP) {
            assert_eq!(serde_json::to_value(key).unwrap(), key.as_str());
            assert_eq!(FieldKey::from_name(key.as_str()), Some(key));
        }
    }

    #[test]
    fn enum_order_is_the_order_of_both_lists() {
        assert!(FieldKey::KTP.is_sorted());
        assert!(FieldKey::NPWP.is_sorted());
    }
}
