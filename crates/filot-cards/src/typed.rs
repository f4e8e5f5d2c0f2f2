//! What a person types for a field, by the rules of the field: the value as the reader would store it, or a word that says
//! what is expected. Strict where the reader is lenient: what is typed is meant, and is never turned into something else.

use jiff::civil::Date;

use crate::checks::Sentence;
use crate::dates;
use crate::field::FieldKey;
use crate::nik::Nik;
use crate::npwp::{Holder, Npwp15, Npwp16};
use crate::reading::trim;
use crate::region::{self, Standing};
use crate::vocabulary;

/// Longest value, in characters; addresses may be twice as long.
const LONGEST: usize = 100;
/// Marks that cards print in names and addresses.
const MARKS: &str = " .,'-/()&:;#+\"";

/// What would have been right. The values are never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    Nik,
    Npwp15,
    Npwp16,
    Date,
    DateOrForLife,
    RtRw,
    BloodType,
    Gender,
    Religion,
    MaritalStatus,
    Nationality,
    /// Letters and the marks of names.
    Name,
    /// Letters, digits and marks.
    Text,
    /// Too long, or with characters that no card has.
    Short,
}

impl Expected {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Nik,
        Self::Npwp15,
        Self::Npwp16,
        Self::Date,
        Self::DateOrForLife,
        Self::RtRw,
        Self::BloodType,
        Self::Gender,
        Self::Religion,
        Self::MaritalStatus,
        Self::Nationality,
        Self::Name,
        Self::Text,
        Self::Short,
    ];

    /// For whoever typed.
    pub fn sentence(self) -> Sentence {
        let (id, en) = match self {
            Self::Nik => (
                "NIK terdiri atas 16 angka: kode wilayah yang ada, tanggal lahir (perempuan: tanggal + 40), nomor urut.",
                "A NIK has 16 digits: a region code that exists, the date of birth (women: day + 40), a serial number.",
            ),
            Self::Npwp15 => (
                "NPWP lama terdiri atas 15 angka, misalnya 01.234.567.8-901.000.",
                "An old NPWP has 15 digits, such as 01.234.567.8-901.000.",
            ),
            Self::Npwp16 => (
                "NPWP baru terdiri atas 16 angka: NIK, atau 0 dan NPWP lama.",
                "A new NPWP has 16 digits: a NIK, or 0 and the old NPWP.",
            ),
            Self::Date => (
                "Tulis tanggal yang ada, misalnya 31-12-1990.",
                "Write a date that exists, such as 31-12-1990.",
            ),
            Self::DateOrForLife => (
                "Tulis SEUMUR HIDUP atau tanggal yang ada, misalnya 31-12-2030.",
                "Write SEUMUR HIDUP or a date that exists, such as 31-12-2030.",
            ),
            Self::RtRw => (
                "Tulis RT dan RW, masing-masing 1 sampai 3 angka, misalnya 001/017.",
                "Write RT and RW, 1 to 3 digits each, such as 001/017.",
            ),
            Self::BloodType => (
                "Tulis A, B, AB, O (boleh dengan + atau -), - atau TIDAK TAHU.",
                "Write A, B, AB or O (+ or - may follow), - or TIDAK TAHU.",
            ),
            Self::Gender => ("Tulis LAKI-LAKI atau PEREMPUAN.", "Write LAKI-LAKI or PEREMPUAN."),
            Self::Religion => (
                "Tulis agama seperti pada kartu, misalnya ISLAM, KRISTEN, KATHOLIK, HINDU, BUDHA.",
                "Write the religion as cards print it, such as ISLAM, KRISTEN, KATHOLIK, HINDU, BUDHA.",
            ),
            Self::MaritalStatus => (
                "Tulis BELUM KAWIN, KAWIN, CERAI HIDUP atau CERAI MATI.",
                "Write BELUM KAWIN, KAWIN, CERAI HIDUP or CERAI MATI.",
            ),
            Self::Nationality => (
                "Tulis WNI, atau nama negara seperti pada kartu.",
                "Write WNI, or the country as the card names it.",
            ),
            Self::Name => (
                "Tulis huruf A sampai Z dan tanda baca nama saja, seperti pada kartu.",
                "Write the letters A to Z and the marks of names only, as on the card.",
            ),
            Self::Text => (
                "Tulis huruf A sampai Z, angka dan tanda baca saja, seperti pada kartu.",
                "Write the letters A to Z, digits and marks only, as on the card.",
            ),
            Self::Short => (
                "Isian terlalu panjang atau berisi karakter yang tidak ada pada kartu.",
                "The value is too long, or has characters that no card has.",
            ),
        };
        Sentence { id, en }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence().en)
    }
}

/// The value that `text` means for a field, in its canonical form; empty where the card has no such field.
///
/// # Errors
/// What was expected, where it means none.
pub fn typed(key: FieldKey, text: &str) -> Result<String, Expected> {
    let longest = if key == FieldKey::Address { 2 * LONGEST } else { LONGEST };
    if text.chars().count() > longest || text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace()) {
        return Err(Expected::Short);
    }
    let value = canonical(text);
    if value.is_empty() {
        return Ok(value);
    }
    // Cards are printed in the letters A to Z; capitals of other letters might even be one of them.
    if !text.is_ascii() {
        return Err(foreign(key));
    }
    if vocabulary::may_be_dash(key) && value == vocabulary::DASH {
        return Ok(value);
    }
    match key {
        FieldKey::Nik => nik(&value).ok_or(Expected::Nik),
        FieldKey::NpwpNumber => {
            Npwp15::parse(&value).map(|number| number.to_string()).map_err(|_| Expected::Npwp15)
        }
        FieldKey::Npwp16 => npwp16(&value).ok_or(Expected::Npwp16),
        FieldKey::BirthDate | FieldKey::RegisteredDate => date(&value).ok_or(Expected::Date),
        FieldKey::ValidUntil => {
            entry(&value, &[&[vocabulary::FOR_LIFE]]).or_else(|| date(&value)).ok_or(Expected::DateOrForLife)
        }
        FieldKey::RtRw => rt_rw(&value).ok_or(Expected::RtRw),
        FieldKey::BloodType => blood_type(&value).ok_or(Expected::BloodType),
        FieldKey::Gender => entry(&value, &[&vocabulary::GENDER]).ok_or(Expected::Gender),
        FieldKey::Religion => entry(&value, &[vocabulary::RELIGION]).ok_or(Expected::Religion),
        FieldKey::MaritalStatus => {
            entry(&value, &[vocabulary::MARITAL_STATUS]).ok_or(Expected::MaritalStatus)
        }
        FieldKey::Nationality => {
            entry(&value, &[vocabulary::CITIZENS, vocabulary::COUNTRY]).ok_or(Expected::Nationality)
        }
        // Cards printed before the list carry others.
        FieldKey::Occupation => {
            entry(&value, &[vocabulary::OCCUPATION]).or_else(|| words(&value, false)).ok_or(Expected::Text)
        }
        FieldKey::Name => words(&value, true).ok_or(Expected::Name),
        FieldKey::Province => province(&value).or_else(|| words(&value, false)).ok_or(Expected::Text),
        FieldKey::Regency => regency(&value).or_else(|| words(&value, false)).ok_or(Expected::Text),
        FieldKey::BirthPlace
        | FieldKey::Address
        | FieldKey::Village
        | FieldKey::District
        | FieldKey::TaxOffice => words(&value, false).ok_or(Expected::Text),
    }
}

/// What is expected of somebody who typed letters that no card has.
fn foreign(key: FieldKey) -> Expected {
    match typed(key, "?") {
        Err(expected) => expected,
        Ok(_) => Expected::Text,
    }
}

/// A value as cards print it: capitals, single blanks.
pub(crate) fn canonical(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase()
}

fn nik(value: &str) -> Option<String> {
    let nik = Nik::parse(&value.replace(' ', "")).ok()?;
    let known = |code: &str| region::standing(code) != Standing::Unknown;
    let sound = (nik.is_of_citizen_abroad() || known(nik.province()) && known(nik.regency()))
        && nik.has_birth_date()
        && nik.serial() != 0;
    sound.then(|| nik.as_str().to_owned())
}

fn npwp16(value: &str) -> Option<String> {
    let number = Npwp16::parse(value).ok()?;
    match number.holder() {
        Holder::Person(person) => nik(person.as_str()),
        Holder::Entity(_) => Some(number.as_str().to_owned()),
    }
}

/// Day, month and year as cards print them, or the ISO form in which they are stored.
fn date(value: &str) -> Option<String> {
    let parts: Vec<&str> = value.split(['-', '/', '.', ' ']).collect();
    let [first, second, third] = parts[..] else { return None };
    let separators = value.chars().filter(|c| !c.is_ascii_digit());
    let mut kinds: Vec<char> = separators.collect();
    kinds.dedup();
    let digits = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    if kinds.len() != 1 || !digits {
        return None;
    }
    let date: Date = match [first.len(), second.len(), third.len()] {
        [2, 2, 4] => dates::parse(&parts.concat()),
        [4, 2, 2] if kinds == ['-'] => dates::parse(&format!("{third}{second}{first}")),
        _ => None,
    }?;
    Some(date.to_string())
}

fn rt_rw(value: &str) -> Option<String> {
    // A dash in the place of one or both is what some cards print.
    if let Some((rt, rw)) = value.replace(' ', "").split_once('/')
        && (rt == vocabulary::DASH || rw == vocabulary::DASH)
    {
        let part = |part: &str| match part {
            vocabulary::DASH => Some(part.to_owned()),
            digits if digits.is_empty() || digits.len() > 3 => None,
            digits => digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{digits:0>3}")),
        };
        return Some(format!("{}/{}", part(rt)?, part(rw)?));
    }
    let parts: Vec<&str> = value.split(['/', '-', ' ']).filter(|part| !part.is_empty()).collect();
    let [rt, rw] = parts[..] else { return None };
    let is_number = |part: &str| part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(rt) && is_number(rw)).then(|| format!("{rt:0>3}/{rw:0>3}"))
}

fn blood_type(value: &str) -> Option<String> {
    let value = value.replace('0', "O");
    let bare = value.replace(' ', "");
    vocabulary::BLOOD_TYPE.into_iter().find(|entry| entry.replace(' ', "") == bare).map(str::to_owned)
}

/// The entry of a list that differs in blanks and marks alone.
fn entry(value: &str, lists: &[&[&'static str]]) -> Option<String> {
    let folded = region::fold(value);
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || MARKS.contains(c));
    let mut entries = lists.iter().flat_map(|list| list.iter()).filter(|_| plain && !folded.is_empty());
    // Of two that differ in marks the one that is typed.
    let exact = entries.clone().find(|entry| **entry == value);
    exact.or_else(|| entries.find(|entry| region::fold(entry) == folded)).map(|entry| (*entry).to_owned())
}

fn province(value: &str) -> Option<String> {
    region_name(value.strip_prefix("PROVINSI ").unwrap_or(value), 2)
}

/// With its kind in full.
fn regency(value: &str) -> Option<String> {
    let (kind, name) = region::split_kind(value);
    let short = kind.starts_with("KAB") && !name.is_empty();
    if short { region_name(&format!("KABUPATEN {name}"), 4) } else { region_name(value, 4) }
}

/// A region's name as cards print it; of several spellings the one that is typed.
fn region_name(value: &str, digits: usize) -> Option<String> {
    let folded = region::fold(value);
    let mut names = region::names("", digits).filter(|known| known.folded == folded);
    let first = names.next()?;
    let exact = first.printed == value || names.any(|known| known.printed == value);
    Some(if exact { value.to_owned() } else { first.printed.clone() })
}

/// Free text as the reader stores it: a blank behind every comma, no marks at the ends. `None` if it is no text of a card.
fn words(value: &str, letters_only: bool) -> Option<String> {
    let fits = |c: char| c.is_ascii_uppercase() || MARKS.contains(c) || !letters_only && c.is_ascii_digit();
    if !value.chars().all(fits) {
        return None;
    }
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if text.ends_with(',') && c.is_ascii_alphabetic() {
            text.push(' ');
        }
        text.push(if c == '"' { '\'' } else { c });
    }
    let mut text = trim(&text);
    // A mark may stand behind a mark.
    loop {
        let shorter = trim(&text);
        if shorter == text {
            break;
        }
        text = shorter;
    }
    // Some names end with an apostrophe.
    if letters_only && value.ends_with('\'') && text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        text.push('\'');
    }
    let enough = if letters_only {
        char::is_ascii_alphabetic as fn(&char) -> bool
    } else {
        char::is_ascii_alphanumeric
    };
    text.chars().any(|c| enough(&c)).then_some(text)
}

#[cfg(test)]
mod tests;
