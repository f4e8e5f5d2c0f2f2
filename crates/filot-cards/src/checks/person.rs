//! Checks of what a KTP says about a person.

use jiff::civil::Date;

use super::{Check, CheckCode, Content, Outcome, holds};
use crate::dates;
use crate::field::FieldKey;
use crate::nik::Nik;
use crate::region::{self, Standing};
use crate::vocabulary;

/// Nobody is older.
const MAX_AGE: i16 = 120;

pub(super) fn checks(case: &Content<'_>) -> Vec<Check> {
    let mut checks = of_nik(case.value(FieldKey::Nik));
    let nik = case.value(FieldKey::Nik).and_then(|value| Nik::parse(value).ok());
    let born = case.date(FieldKey::BirthDate);
    let gender = case.value(FieldKey::Gender).and_then(vocabulary::gender);
    let both = [FieldKey::Nik, FieldKey::BirthDate];
    let same_date = nik.as_ref().zip(born).map(|(nik, born)| nik.agrees_with(born));
    checks.push(on(CheckCode::NikMatchesBirthDate, holds(same_date, Outcome::Fail), &both));
    let same_gender = nik.as_ref().zip(gender).map(|(nik, gender)| nik.gender() == Some(gender));
    let both = [FieldKey::Nik, FieldKey::Gender];
    checks.push(on(CheckCode::NikMatchesGender, holds(same_gender, Outcome::Fail), &both));
    checks.push(matches_region(case, nik.as_ref()));
    checks.push(on(
        CheckCode::BirthDate,
        holds(
            born.map(|born| (0..=MAX_AGE).contains(&dates::age(born, case.today)) && born <= case.today),
            Outcome::Fail,
        ),
        &[FieldKey::BirthDate],
    ));
    checks.push(age(case, born));
    checks.push(validity(case));
    checks.push(vocabulary(case));
    checks.push(region_names(case));
    checks
}

/// A check that names its fields only where it found them wanting.
fn on(code: CheckCode, outcome: Outcome, fields: &[FieldKey]) -> Check {
    let fields = if outcome == Outcome::Pass { Vec::new() } else { fields.to_vec() };
    Check::on(code, outcome, fields)
}

/// The NIK by itself; also for the NIK and the 16-digit number of a person on an NPWP card.
pub(super) fn of_nik(value: Option<&str>) -> Vec<Check> {
    let nik = value.and_then(|value| Nik::parse(value).ok());
    let known = |code: &str| region::standing(code) != Standing::Unknown;
    let province = nik.as_ref().map(|nik| known(nik.province()));
    let region = nik.as_ref().map(|nik| known(nik.regency()) && known(nik.district()));
    let check = |code, verdict, otherwise| on(code, holds(verdict, otherwise), &[FieldKey::Nik]);
    vec![
        check(CheckCode::NikFormat, value.map(|_| nik.is_some()), Outcome::Fail),
        check(CheckCode::NikProvince, province, Outcome::Fail),
        check(CheckCode::NikRegion, region, Outcome::Warn),
        check(CheckCode::NikBirthDate, nik.as_ref().map(Nik::has_birth_date), Outcome::Fail),
        check(CheckCode::NikSerial, nik.as_ref().map(|nik| nik.serial() != 0), Outcome::Fail),
    ]
}

/// The NIK keeps the region of first registration, so a difference is only worth a note.
fn matches_region(case: &Content<'_>, nik: Option<&Nik>) -> Check {
    let provinces =
        case.value(FieldKey::Province).map(|name| region::codes_of(name, "", 2)).unwrap_or_default();
    let regencies =
        case.value(FieldKey::Regency).map(|name| region::codes_of(name, "", 4)).unwrap_or_default();
    let verdict = nik.filter(|_| !provinces.is_empty() && !regencies.is_empty()).map(|nik| {
        regencies.contains(&nik.regency()) || provinces.contains(&nik.province()) && regencies.is_empty()
    });
    on(CheckCode::NikMatchesRegion, holds(verdict, Outcome::Warn), &[FieldKey::Nik, FieldKey::Regency])
}

/// KTPs are given at 17, earlier to the married.
fn age(case: &Content<'_>, born: Option<Date>) -> Check {
    let married = case.value(FieldKey::MaritalStatus).is_some_and(|status| {
        vocabulary::MARITAL_STATUS.contains(&status) && vocabulary::ever_married(status)
    });
    let verdict = born.map(|born| dates::age(born, case.today) >= case.policy.min_age || married);
    on(CheckCode::Age, holds(verdict, Outcome::Fail), &[FieldKey::BirthDate])
}

fn is_citizen(case: &Content<'_>) -> Option<bool> {
    case.value(FieldKey::Nationality).map(|value| value == vocabulary::CITIZEN)
}

/// Citizens' cards are valid for life whatever date they carry (UU 24/2013 art. 64(7), 101); foreigners' are not.
fn validity(case: &Content<'_>) -> Check {
    let verdict = match (case.value(FieldKey::ValidUntil), is_citizen(case)) {
        (Some(vocabulary::FOR_LIFE), Some(citizen)) => Some(citizen),
        (Some(_), Some(true)) => Some(true),
        (Some(_), Some(false)) => case.date(FieldKey::ValidUntil).map(|end| end >= case.today),
        _ => None,
    };
    on(CheckCode::Validity, holds(verdict, Outcome::Fail), &[FieldKey::ValidUntil])
}

/// Fields with a fixed set of values. Occupations outside the list exist on older cards.
fn vocabulary(case: &Content<'_>) -> Check {
    let known = |key: FieldKey, value: &str| match key {
        FieldKey::Religion => vocabulary::RELIGION.contains(&value),
        FieldKey::MaritalStatus => vocabulary::MARITAL_STATUS.contains(&value),
        FieldKey::Nationality => {
            value == vocabulary::CITIZEN
                || vocabulary::COUNTRY.contains(&value)
                || vocabulary::COUNTRY_MORE.contains(&value)
        }
        _ => true,
    };
    let found: Vec<(FieldKey, &str)> = [FieldKey::Religion, FieldKey::MaritalStatus, FieldKey::Nationality]
        .into_iter()
        .filter_map(|key| Some((key, case.value(key)?)))
        .collect();
    let strange: Vec<FieldKey> =
        found.iter().filter(|(key, value)| !known(*key, value)).map(|(key, _)| *key).collect();
    let verdict = (!found.is_empty()).then_some(strange.is_empty());
    Check::on(CheckCode::Vocabulary, holds(verdict, Outcome::Fail), strange)
}

/// The printed province must exist and hold the printed regency. Districts are renamed and split too often to insist.
fn region_names(case: &Content<'_>) -> Check {
    let (province, regency) = (case.value(FieldKey::Province), case.value(FieldKey::Regency));
    let verdict = province.zip(regency).map(|(province, regency)| {
        let provinces = region::codes_of(province, "", 2);
        let regencies = region::codes_of(regency, "", 4);
        regencies.iter().any(|code| provinces.iter().any(|province| code.starts_with(province)))
    });
    let fields = [FieldKey::Province, FieldKey::Regency];
    on(CheckCode::RegionNames, holds(verdict, Outcome::Warn), &fields)
}
