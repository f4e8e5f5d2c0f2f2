//! The KTP: its printed template, how a page is laid onto it, and what its fields mean.

pub(crate) mod align;
mod belief;
mod blood;
mod citizen;
pub(crate) mod columns;
mod fit;
pub(crate) mod grid;
pub(crate) mod parse;
mod place;
pub(crate) mod regions;
pub(crate) mod repair;
pub(crate) mod template;

use std::collections::BTreeMap;

use crate::digits::Digit;
use crate::draft::choose;
use crate::field::FieldKey;
use crate::reading::Reading;
use crate::span::Span;
use align::Sheet;
use repair::Printed;
use template::Slot;

/// The row on which a field stands. Birth place and date share one, sex and blood type another.
pub(crate) fn slot(key: FieldKey) -> Option<Slot> {
    Some(match key {
        FieldKey::Nik => Slot::Nik,
        FieldKey::Name => Slot::Name,
        FieldKey::BirthPlace | FieldKey::BirthDate => Slot::Birth,
        FieldKey::Gender | FieldKey::BloodType => Slot::Gender,
        FieldKey::Address => Slot::Address,
        FieldKey::RtRw => Slot::RtRw,
        FieldKey::Village => Slot::Village,
        FieldKey::District => Slot::District,
        FieldKey::Religion => Slot::Religion,
        FieldKey::MaritalStatus => Slot::MaritalStatus,
        FieldKey::Occupation => Slot::Occupation,
        FieldKey::Nationality => Slot::Nationality,
        FieldKey::ValidUntil => Slot::ValidUntil,
        FieldKey::Province => Slot::Province,
        FieldKey::Regency => Slot::Regency,
        FieldKey::NpwpNumber | FieldKey::Npwp16 | FieldKey::TaxOffice | FieldKey::RegisteredDate => {
            return None;
        }
    })
}

/// The characters of every field that was found.
pub(crate) fn spans(sheet: &Sheet) -> BTreeMap<FieldKey, Span> {
    let mut spans = BTreeMap::new();
    for key in FieldKey::KTP {
        let Some(slot) = slot(key) else { continue };
        let value = sheet.value(slot);
        let part = match key {
            FieldKey::BirthPlace => value.and_then(|value| repair::split_birth(&value).0),
            FieldKey::BirthDate => value.and_then(|value| repair::split_birth(&value).1),
            FieldKey::BloodType => sheet.blood.clone(),
            FieldKey::Nik => value.map(|value| parse::nik_digits(&value)),
            _ => value,
        };
        if let Some(part) = part.filter(|part| !part.is_blank()) {
            spans.insert(key, part);
        }
    }
    spans
}

/// What a second reading of a field's rows says: labels and colons that came with it are cut off.
pub(crate) fn second_reading(sheet: &Sheet, key: FieldKey, rows: Vec<Span>) -> Vec<(FieldKey, Span)> {
    let Some(slot) = slot(key) else { return Vec::new() };
    let value = Span::join(rows.into_iter().map(|row| {
        let y = row.rect().centre().y - sheet.layout.slope * row.rect().centre().x;
        match key {
            FieldKey::BloodType => align::after_blood_label(&row),
            FieldKey::Nik => parse::nik_digits(&parse::after_colon(&row)),
            _ if slot.is_header() => row,
            _ => parse::value_of(slot, &row, None, y, &sheet.columns).0,
        }
    }));
    let mut found = Vec::new();
    if slot == Slot::Birth {
        let (place, date) = repair::split_birth(&value);
        found.extend(place.map(|span| (FieldKey::BirthPlace, span)));
        found.extend(date.map(|span| (FieldKey::BirthDate, span)));
    } else {
        found.push((key, value));
    }
    found.retain(|(_, span)| !span.is_blank());
    found
}

/// The meaning of all fields from a first reading and closer ones, held against each other.
pub(crate) fn readings(
    first: &BTreeMap<FieldKey, Span>,
    further: &[BTreeMap<FieldKey, Span>],
) -> BTreeMap<FieldKey, Reading> {
    let read = |key: FieldKey, printed: &Printed| {
        let of = |spans: &BTreeMap<FieldKey, Span>| {
            spans.get(&key).and_then(|span| repair::interpret(key, span, printed))
        };
        further
            .iter()
            .fold(of(first), |best, spans| choose(best, of(spans), |base, places| number(key, base, places)))
    };
    let province = read(FieldKey::Province, &Printed::default());
    let printed = repair::printed_codes(province.as_ref(), None);
    let regency = read(FieldKey::Regency, &printed);
    let printed = repair::printed_codes(province.as_ref(), regency.as_ref());
    let mut readings = BTreeMap::new();
    for key in FieldKey::KTP {
        let reading = match key {
            FieldKey::Province => province.clone(),
            FieldKey::Regency => regency.clone(),
            _ => read(key, &printed),
        };
        if let Some(reading) = reading {
            readings.insert(key, reading);
        }
    }
    repair::reconcile(&mut readings, &printed);
    readings
}

/// A number field from merged places.
fn number(key: FieldKey, base: &Reading, places: Vec<Digit>) -> Option<Reading> {
    repair::from_places(key, &base.span, places)
}
