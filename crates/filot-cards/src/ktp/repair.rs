//! What the values of a KTP mean: each field by its own rules, then held against each other.

use std::collections::BTreeMap;

use super::belief::religion;
use super::blood::blood_type;
use super::citizen;
use super::parse;
use super::place::{Near, region_name};
use crate::confusion;
use crate::dates;
use crate::digits;
use crate::field::{FieldKey, Repair};
use crate::nik::{Gender, Nik};
use crate::reading::{Reading, Standing, Text, dash, free_text, listed};
use crate::region;
use crate::span::{Span, first};
use crate::vocabulary;

/// A digit may be exchanged for an alternative that the recogniser gave at least this probability.
const ALTERNATIVE_FLOOR: f32 = 0.02;

/// The codes that the printed region names stand for, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed {
    pub(crate) province: Option<&'static str>,
    pub(crate) regency: Option<&'static str>,
}

/// How much likelier an 8 of the number is than the recogniser says where it read a 6.
const EIGHT_FOR_SIX: f32 = 100.0;
/// The first two digits of the years in which people were born who have a card.
const CENTURIES: [i16; 2] = [19, 20];
/// Letters of the shortest word that a list might lack.
const SHORTEST_WORD: usize = 4;
/// Letters of an abbreviation, and the doubt in wrong letters below which it is one.
const ABBREVIATION: usize = 2;
const SURE: f32 = 0.1;
/// Similarity to a country's name from which a nationality is that.
const COUNTRY: f32 = 0.8;

/// Reads one field by its own rules.
pub(crate) fn interpret(key: FieldKey, span: &Span, printed: &Printed) -> Option<Reading> {
    let open = |text| free_text(span, text);
    // Of a value that is not in its list, a letter or two are only remnants, unless read surely.
    let unlisted = || {
        free_text(span, Text::Letters).filter(|reading| {
            reading.value.len() >= SHORTEST_WORD
                || reading.value.len() >= ABBREVIATION && reading.doubt < SURE
        })
    };
    match key {
        FieldKey::Nik => nik(span),
        FieldKey::Name => open(Text::Letters),
        FieldKey::BirthPlace => {
            let names = (0..=1).flat_map(|level| region::names("", 2 + 2 * level));
            // Most people are born where their card was issued.
            let own = printed.regency.into_iter().flat_map(|code| region::names(code, 4));
            region_name(span, names, &Near { bare: true, ..Near::ANYWHERE })
                .or_else(|| region_name(span, own, &Near { bare: true, ..Near::LOCAL }))
                .or_else(|| open(Text::Words))
        }
        FieldKey::BirthDate => date_as_read(span),
        FieldKey::Gender => listed(span, &[&vocabulary::GENDER]),
        FieldKey::BloodType => blood_type(span),
        FieldKey::Address => dash(span).or_else(|| open(Text::Mixed).map(address)),
        FieldKey::RtRw => rt_rw(span),
        FieldKey::Village => open(Text::Words),
        FieldKey::District => {
            let within = printed.regency.or(printed.province).unwrap_or("-");
            region_name(span, region::names(within, 6), &Near::LOCAL).or_else(|| open(Text::Words))
        }
        FieldKey::Religion => dash(span).or_else(|| religion(span)).or_else(unlisted),
        FieldKey::MaritalStatus => {
            dash(span).or_else(|| listed(span, &[vocabulary::MARITAL_STATUS])).or_else(unlisted)
        }
        FieldKey::Occupation => {
            dash(span).or_else(|| listed(span, &[vocabulary::OCCUPATION])).or_else(unlisted)
        }
        FieldKey::Nationality => {
            let lists = [vocabulary::CITIZENS, vocabulary::COUNTRY];
            // Hardly a card shows a country: a poor reading is none.
            let likely = |reading: &Reading| {
                reading.value == vocabulary::CITIZEN
                    || confusion::similarity(&span.glyphs, &reading.value) >= COUNTRY
            };
            listed(span, &lists).filter(likely).or_else(unlisted)
        }
        FieldKey::ValidUntil => listed(span, &[&[vocabulary::FOR_LIFE]]).or_else(|| date(span)),
        FieldKey::Province => province(span),
        FieldKey::Regency => regency(span, printed.province),
        FieldKey::NpwpNumber | FieldKey::Npwp16 | FieldKey::TaxOffice | FieldKey::RegisteredDate => None,
    }
}

fn nik(span: &Span) -> Option<Reading> {
    let mut places = Vec::new();
    for glyph in &span.glyphs {
        match digits::digit(glyph) {
            Some(digit) => places.push(perhaps_eight(digit)),
            None if first(glyph).is_ascii_alphabetic() => return None,
            None => {}
        }
    }
    (places.len() >= 6).then(|| nik_of(span, places))
}

/// In the number's face (OCR-A) the middle bar of a blurred 8 fills its upper half, and the recogniser, trained on other
/// faces, takes it for a 6 with conviction. Only where an 8 was printed does it see one at all: of 334 printed sixes one
/// had an 8 among its alternatives with more than 0.005, of five eights that were read as sixes all had, with 0.016 and
/// more (drawn cards of two seeds).
fn perhaps_eight(mut digit: digits::Digit) -> digits::Digit {
    let (six, eight) = (digit.probability('6'), digit.probability('8'));
    if digit.best() != '6' || eight <= 0.0 {
        return digit;
    }
    let odds = EIGHT_FOR_SIX * eight / six.max(1e-3);
    let both = six + eight;
    for option in &mut digit.options {
        match option.0 {
            '6' => option.1 = both / (1.0 + odds),
            '8' => option.1 = both * odds / (1.0 + odds),
            _ => {}
        }
    }
    digit.options.sort_by(|a, b| b.1.total_cmp(&a.1));
    digit
}

fn nik_of(span: &Span, places: Vec<digits::Digit>) -> Reading {
    let value = digits::text(&places);
    let standing = match Nik::parse(&value) {
        Ok(nik) if nik.is_of_citizen_abroad() => Standing::Valid,
        Ok(nik) if nik.has_birth_date() && region::standing(nik.province()) != region::Standing::Unknown => {
            Standing::Valid
        }
        Ok(_) => Standing::Open,
        Err(_) => Standing::Broken,
    };
    Reading::number(value, span, places, standing)
}

/// A date, in ISO 8601. One that does not exist is corrected if exactly one alternative digit makes it exist.
pub(crate) fn date(span: &Span) -> Option<Reading> {
    date_as_read(span).filter(|reading| reading.standing == Standing::Valid)
}

/// The same, or DDMMYYYY of one that does not exist, in case the number says which it is; see [`settle_birth_date`].
fn date_as_read(span: &Span) -> Option<Reading> {
    let found = dates::find(&span.glyphs)?;
    let part = span.slice(found.range.start, found.range.end);
    if let Some(date) = found.date() {
        return Some(Reading::number(date.to_string(), &part, found.digits, Standing::Valid));
    }
    let change = digits::single_change(&found.digits, ALTERNATIVE_FLOOR, |text| dates::parse(text).is_some());
    if let Some((place, digit, _)) = change {
        let places = exchanged(found.digits, place, digit);
        let date = dates::parse(&digits::text(&places))?;
        return Some(
            Reading::number(date.to_string(), &part, places, Standing::Valid).repaired(Repair::Date),
        );
    }
    Some(Reading::number(digits::text(&found.digits), &part, found.digits, Standing::Broken))
}

/// The places with one of them showing another of its options.
pub(crate) fn exchanged(mut places: Vec<digits::Digit>, place: usize, digit: char) -> Vec<digits::Digit> {
    if let Some(entry) = places.get_mut(place)
        && let Some(option) = entry.options.iter().position(|option| option.0 == digit)
    {
        entry.options[..=option].rotate_right(1);
    }
    places
}

fn rt_rw(span: &Span) -> Option<Reading> {
    if let Some(value) = parse::half_of_rt_rw(span) {
        // Two numbers that another look finds are worth more.
        return Some(Reading::new(value, span, Standing::Open));
    }
    let Some(groups) = parse::rt_rw(span) else { return dash(span) };
    let [rt, rw] = groups.each_ref().map(|group| format!("{:0>3}", digits::text(group)));
    Some(Reading::number(format!("{rt}/{rw}"), span, groups.into_iter().flatten().collect(), Standing::Valid))
}

/// Addresses begin with a few short words that are easily misread.
fn address(mut reading: Reading) -> Reading {
    for (wrong, right) in
        [("JI.", "JL."), ("JI ", "JL "), ("J1.", "JL."), ("J1 ", "JL "), ("JIN.", "JLN."), ("JIN ", "JLN ")]
    {
        if let Some(rest) = reading.value.strip_prefix(wrong) {
            reading.value = format!("{right}{rest}");
            reading = reading.repaired(Repair::LookAlike);
        }
    }
    let mut from = 0;
    while let Some(at) = reading.value[from..].find("N0").map(|at| at + from) {
        let starts_word = at == 0 || !reading.value.as_bytes()[at - 1].is_ascii_alphanumeric();
        let number_follows = matches!(reading.value.as_bytes().get(at + 2), Some(b'.' | b' ' | b'0'..=b'9'));
        if starts_word && number_follows {
            reading.value.replace_range(at..at + 2, "NO");
            reading = reading.repaired(Repair::LookAlike);
        }
        from = at + 2;
    }
    reading
}

fn province(span: &Span) -> Option<Reading> {
    let label = confusion::prefix(&span.glyphs, "PROVINSI");
    let start = if label.similarity >= 0.6 { label.end } else { 0 };
    let name = parse::after_colon(&span.slice(start, usize::MAX));
    // Few names, far from each other: a generous limit does no harm.
    let known: Vec<&'static str> = region::names("", 2).map(|name| name.printed.as_str()).collect();
    listed(&name, &[&known])
        .map(|reading| renamed(reading, Repair::Vocabulary, Repair::RegionName))
        // A row that is not recognisably the header says nothing.
        .or_else(|| {
            (label.similarity >= 0.7 && name.len() >= 4).then(|| free_text(&name, Text::Letters)).flatten()
        })
}

fn renamed(mut reading: Reading, from: Repair, to: Repair) -> Reading {
    for repair in &mut reading.repairs {
        if *repair == from {
            *repair = to;
        }
    }
    reading
}

/// With its kind: `KABUPATEN X`, `KOTA Y`; Jakarta's cities are printed without.
fn regency(span: &Span, province: Option<&'static str>) -> Option<Reading> {
    let kinds = ["KABUPATEN", "KOTA"].map(|kind| (kind, confusion::prefix(&span.glyphs, kind)));
    let kind =
        kinds.iter().find(|(_, found)| found.similarity >= 0.7).filter(|(_, found)| found.end < span.len());
    let (kind, start) = kind.map_or(("", 0), |(kind, found)| (*kind, found.end));
    let name = parse::after_colon(&span.slice(start, usize::MAX));
    let of_kind = |prefix: &'static str| {
        region::names(prefix, 4).filter(move |entry| region::split_kind(&entry.printed).0.starts_with(kind))
    };
    // The printed province is part of the evidence; a name elsewhere must be exact.
    let local = Near { bare: true, ..Near::LOCAL };
    let anywhere = Near { bare: true, ..Near::ANYWHERE };
    let found = province
        .and_then(|code| region_name(&name, of_kind(code), &local))
        .or_else(|| region_name(&name, of_kind(""), &anywhere).filter(|found| found.repairs.is_empty()));
    let unknown = || (!kind.is_empty() && name.len() >= 3).then(|| free_text(&name, Text::Words)).flatten();
    let mut reading = found.or_else(unknown)?;
    if !kind.is_empty() {
        reading.value = format!("{kind} {}", reading.value);
        reading.original = span.text();
        reading.span = span.clone();
    }
    Some(reading)
}

/// Region codes of the printed header, for the fields that depend on them.
pub(crate) fn printed_codes(province: Option<&Reading>, regency: Option<&Reading>) -> Printed {
    let code = |reading: Option<&Reading>, prefix: &str, digits| {
        let codes = region::codes_of(&reading?.value, prefix, digits);
        // A retired code and the current one share a name; the current one has the districts.
        let current = codes.iter().find(|code| region::standing(code) == region::Standing::Current);
        current.or(codes.first()).copied()
    };
    let province = code(province, "", 2);
    Printed { province, regency: code(regency, province.unwrap_or(""), 4) }
}

/// Holds the fields against each other and corrects digits where one of two numbers is unsure and the other shows how.
pub(crate) fn reconcile(readings: &mut BTreeMap<FieldKey, Reading>, printed: &Printed) {
    citizen::complete(readings);
    settle_birth_date(readings);
    reconcile_person(readings);
    reconcile_region(readings, printed);
}

/// A birth date that does not exist becomes the number's, if the recogniser saw that too, and else goes.
fn settle_birth_date(readings: &mut BTreeMap<FieldKey, Reading>) {
    let Some(date) = readings.get(&FieldKey::BirthDate).filter(|date| date.standing == Standing::Broken)
    else {
        return;
    };
    let nik = readings.get(&FieldKey::Nik).and_then(|number| Nik::parse(&number.value).ok());
    let seen = nik.iter().flat_map(|nik| CENTURIES.iter().filter_map(|&century| nik_date(nik, century)));
    let seen = seen.filter_map(|wanted| supported_change(&date.digits, 0, &wanted));
    match seen.max_by(|one, other| one.1.total_cmp(&other.1)) {
        Some((places, _)) => exchange(readings, FieldKey::BirthDate, places, Repair::Date),
        None => {
            readings.remove(&FieldKey::BirthDate);
        }
    }
}

fn reconcile_person(readings: &mut BTreeMap<FieldKey, Reading>) {
    let gender = readings.get(&FieldKey::Gender).and_then(|reading| vocabulary::gender(&reading.value));
    let (Some(number), Some(date)) = (readings.get(&FieldKey::Nik), readings.get(&FieldKey::BirthDate))
    else {
        return;
    };
    let (Ok(nik), Ok(born)) = (Nik::parse(&number.value), date.value.parse::<jiff::civil::Date>()) else {
        return;
    };
    let same_gender = gender.is_none() || nik.gender() == gender;
    if nik.agrees_with(born) && same_gender {
        return;
    }
    let day = born.day() + if gender.or(nik.gender()) == Some(Gender::Female) { 40 } else { 0 };
    let by_date = format!("{day:02}{:02}{:02}", born.month(), born.year().rem_euclid(100));
    let nik_change = supported_change(&number.digits, 6, &by_date);
    // Only if the sex agrees, so that nothing but the date is in question.
    let wanted = same_gender.then(|| nik_date(&nik, born.year() / 100)).flatten();
    let date_change = wanted.and_then(|wanted| supported_change(&date.digits, 0, &wanted));
    let support = |change: &Option<(Vec<digits::Digit>, f32)>| change.as_ref().map_or(0.0, |change| change.1);
    let (of_nik, of_date) = (support(&nik_change), support(&date_change));
    if of_nik > 3.0 * of_date
        && let Some((places, _)) = nik_change
    {
        exchange(readings, FieldKey::Nik, places, Repair::NikPerson);
    } else if of_date > 3.0 * of_nik
        && let Some((places, _)) = date_change
    {
        exchange(readings, FieldKey::BirthDate, places, Repair::Date);
    }
}

/// DDMMYYYY of the NIK, in the given century: 19 for 1900 to 1999.
fn nik_date(nik: &Nik, century: i16) -> Option<String> {
    let digits = &nik.as_str()[6..12];
    let day: u8 = digits[..2].parse().ok()?;
    let day = if day > 40 { day - 40 } else { day };
    let wanted = format!("{day:02}{}{century:02}{}", &digits[2..4], &digits[4..6]);
    dates::parse(&wanted).is_some().then_some(wanted)
}

/// The places changed so that they read `wanted` from `from` on, if the recogniser's alternatives allow it, with the
/// probability of the change relative to the reading. At most two places may change.
fn supported_change(
    places: &[digits::Digit],
    from: usize,
    wanted: &str,
) -> Option<(Vec<digits::Digit>, f32)> {
    let mut changed = places.to_vec();
    let mut support = 1.0;
    let mut changes = 0;
    for (offset, digit) in wanted.chars().enumerate() {
        let place = places.get(from + offset)?;
        if place.best() == digit {
            continue;
        }
        let probability = place.probability(digit);
        changes += 1;
        if probability < ALTERNATIVE_FLOOR || changes > 2 {
            return None;
        }
        support *= probability / place.belief().max(1e-3);
        changed = exchanged(changed, from + offset, digit);
    }
    (changes > 0).then_some((changed, support))
}

fn exchange(
    readings: &mut BTreeMap<FieldKey, Reading>,
    key: FieldKey,
    places: Vec<digits::Digit>,
    repair: Repair,
) {
    let Some(before) = readings.get(&key) else { return };
    let text = digits::text(&places);
    let value = match key {
        FieldKey::BirthDate => match dates::parse(&text) {
            Some(date) => date.to_string(),
            None => return,
        },
        _ => text,
    };
    let mut after = Reading::number(value, &before.span, places, Standing::Valid).repaired(repair);
    after.original.clone_from(&before.original);
    after.source = before.source;
    for earlier in before.repairs.clone() {
        after = after.repaired(earlier);
    }
    readings.insert(key, after);
}

/// Corrects the region part of the NIK towards the printed region, only where it names no region that ever was.
fn reconcile_region(readings: &mut BTreeMap<FieldKey, Reading>, printed: &Printed) {
    let Some(number) = readings.get(&FieldKey::Nik) else { return };
    let Ok(nik) = Nik::parse(&number.value) else { return };
    let known = |code: &str| region::standing(code) != region::Standing::Unknown;
    if known(nik.district()) || nik.is_of_citizen_abroad() {
        return;
    }
    let districts = readings
        .get(&FieldKey::District)
        .zip(printed.regency)
        .map(|(reading, regency)| region::codes_of(&reading.value, regency, 6));
    let wanted = match districts.as_deref() {
        Some([code]) => supported_change(&number.digits, 0, code),
        _ if !known(nik.regency()) => {
            printed.regency.and_then(|code| supported_change(&number.digits, 0, code))
        }
        _ => None,
    };
    if let Some((places, _)) = wanted {
        exchange(readings, FieldKey::Nik, places, Repair::NikRegion);
    }
}

/// Splits the value of the birth row into place and date.
pub(crate) fn split_birth(value: &Span) -> (Option<Span>, Option<Span>) {
    match dates::find(&value.glyphs) {
        Some(found) => {
            let place = before_mark(&value.slice(0, found.range.start));
            (place, Some(value.slice(found.range.start, found.range.end)))
        }
        None => {
            // The date is illegible: the place ends at the comma, or where digits begin.
            let end = value
                .glyphs
                .iter()
                .position(|glyph| first(glyph) == ',' || first(glyph).is_ascii_digit())
                .unwrap_or(value.len());
            (before_mark(&value.slice(0, end)), None)
        }
    }
}

fn before_mark(span: &Span) -> Option<Span> {
    let end =
        span.glyphs.iter().rposition(|glyph| first(glyph).is_ascii_alphanumeric() || first(glyph) == ')')?;
    Some(span.slice(0, end + 1))
}

/// A number field from its places, as after merging two readings.
pub(crate) fn from_places(key: FieldKey, span: &Span, places: Vec<digits::Digit>) -> Option<Reading> {
    let text = digits::text(&places);
    match key {
        FieldKey::Nik => Some(nik_of(span, places)),
        FieldKey::BirthDate | FieldKey::ValidUntil | FieldKey::RegisteredDate => {
            let date = dates::parse(&text)?;
            Some(Reading::number(date.to_string(), span, places, Standing::Valid))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
