//! What the values of an NPWP card mean, and which digits its numbers let one correct.

use std::collections::BTreeMap;

use super::parse::places;
use crate::digits::{self, Digit};
use crate::field::{FieldKey, Repair};
use crate::ktp::repair::{date, exchanged};
use crate::nik::Nik;
use crate::npwp::{Npwp15, Npwp16, luhn};
use crate::reading::{Reading, Standing, Text, free_text};
use crate::span::Span;

/// A digit may be exchanged for an alternative that the recogniser gave at least this probability.
const ALTERNATIVE_FLOOR: f32 = 0.02;
/// Kinds of tax office, which the recogniser sometimes joins with the next word.
const OFFICE_KINDS: [&str; 4] = ["PRATAMA", "MADYA", "WAJIB PAJAK BESAR", "MINYAK DAN GAS BUMI"];

/// Reads one field by its own rules.
pub(crate) fn interpret(key: FieldKey, span: &Span) -> Option<Reading> {
    match key {
        FieldKey::NpwpNumber => npwp15(span),
        FieldKey::Npwp16 | FieldKey::Nik => sixteen(span),
        FieldKey::Name => company_or_person(span),
        FieldKey::Address => free_text(span, Text::Mixed),
        FieldKey::TaxOffice => free_text(span, Text::Letters).map(office),
        FieldKey::RegisteredDate => date(span),
        _ => None,
    }
}

fn npwp15(span: &Span) -> Option<Reading> {
    let read = places(span)?;
    Some(number15(span, read))
}

/// The number as its digits say, with the check digit's verdict.
fn number15(span: &Span, read: Vec<Digit>) -> Reading {
    let text = digits::text(&read);
    let (value, standing) = match Npwp15::parse(&text) {
        Ok(number) if number.check_digit_fits() => (number.to_string(), Standing::Valid),
        Ok(number) => (number.to_string(), Standing::Open),
        Err(_) => (text, Standing::Broken),
    };
    Reading::number(value, span, read, standing)
}

fn sixteen(span: &Span) -> Option<Reading> {
    places(span).map(|read| number16(span, read))
}

fn number16(span: &Span, read: Vec<Digit>) -> Reading {
    let value = digits::text(&read);
    let standing = match Npwp16::parse(&value) {
        Ok(number) => match number.holder() {
            crate::npwp::Holder::Person(nik) if nik.has_birth_date() => Standing::Valid,
            crate::npwp::Holder::Entity(old) if old.check_digit_fits() => Standing::Valid,
            _ => Standing::Open,
        },
        Err(_) => Standing::Broken,
    };
    Reading::number(value, span, read, standing)
}

/// Names of companies may hold digits as words; those of persons hold none.
fn company_or_person(span: &Span) -> Option<Reading> {
    free_text(span, Text::Words)
}

/// Puts the blanks back that separate `KPP`, the kind of office and its place.
fn office(mut reading: Reading) -> Reading {
    let Some(rest) = reading.value.strip_prefix("KPP") else { return reading };
    let rest = rest.trim_start();
    let kind = OFFICE_KINDS.iter().find(|kind| rest.starts_with(**kind));
    let value = match kind {
        Some(kind) => format!("KPP {kind} {}", rest[kind.len()..].trim_start()),
        None => format!("KPP {rest}"),
    };
    let value = value.trim_end().to_owned();
    if value != reading.value {
        reading.value = value;
        reading = reading.repaired(Repair::Spacing);
    }
    reading
}

/// Holds the numbers of the card against each other and against their check digits.
pub(crate) fn reconcile(readings: &mut BTreeMap<FieldKey, Reading>) {
    same_number(readings);
    check_digit(readings);
}

/// The 16-digit number of a person is their NIK: where one line is unsure, the other says which digit it is.
fn same_number(readings: &mut BTreeMap<FieldKey, Reading>) {
    let (Some(number), Some(nik)) = (readings.get(&FieldKey::Npwp16), readings.get(&FieldKey::Nik)) else {
        return;
    };
    if number.digits.len() != 16
        || nik.digits.len() != 16
        || number.value == nik.value
        || number.value.starts_with('0')
    {
        return;
    }
    let (mut first, mut second) = (number.digits.clone(), nik.digits.clone());
    for place in 0..16 {
        let (a, b) = (&first[place], &second[place]);
        if a.best() == b.best() {
            continue;
        }
        // Both readings of one digit multiply: the digit that both lines allow.
        let joint = |digit: char| a.probability(digit) * b.probability(digit);
        let (of_first, of_second) = (joint(a.best()), joint(b.best()));
        let (digit, better) =
            if of_first >= of_second { (a.best(), of_first) } else { (b.best(), of_second) };
        let allowed = a.probability(digit).min(b.probability(digit)) >= ALTERNATIVE_FLOOR;
        if !allowed || better <= 3.0 * of_first.min(of_second) {
            return;
        }
        first = exchanged(first, place, digit);
        second = exchanged(second, place, digit);
    }
    for (key, places) in [(FieldKey::Npwp16, first), (FieldKey::Nik, second)] {
        let Some(before) = readings.get(&key) else { continue };
        let value = digits::text(&places);
        if value == before.value {
            continue;
        }
        let standing = if Nik::parse(&value).is_ok_and(|nik| nik.has_birth_date()) {
            Standing::Valid
        } else {
            Standing::Open
        };
        let after =
            replaced(before, Reading::number(value, &before.span, places, standing), Repair::SameNumber);
        readings.insert(key, after);
    }
}

/// A failing check digit means one digit is misread, or wrong. Exchanged is a digit only for an alternative that the
/// recogniser saw and that alone makes it fit.
fn check_digit(readings: &mut BTreeMap<FieldKey, Reading>) {
    let Some(before) = readings.get(&FieldKey::NpwpNumber) else { return };
    if before.digits.len() != 15 || before.standing == Standing::Valid {
        return;
    }
    let head = &before.digits[..9];
    if let Some((place, digit, _)) = digits::single_change(head, ALTERNATIVE_FLOOR, luhn) {
        let places = exchanged(before.digits.clone(), place, digit);
        let after = replaced(before, number15(&before.span, places), Repair::CheckDigit);
        readings.insert(FieldKey::NpwpNumber, after);
    }
}

fn replaced(before: &Reading, mut after: Reading, repair: Repair) -> Reading {
    after.original.clone_from(&before.original);
    after.source = before.source;
    for earlier in &before.repairs {
        after = after.repaired(*earlier);
    }
    after.repaired(repair)
}

/// A number field from its places, as after merging two readings.
pub(crate) fn from_places(key: FieldKey, span: &Span, places: Vec<Digit>) -> Option<Reading> {
    match key {
        FieldKey::NpwpNumber => Some(number15(span, places)),
        FieldKey::Npwp16 | FieldKey::Nik => Some(number16(span, places)),
        _ => crate::ktp::repair::from_places(key, span, places),
    }
}
