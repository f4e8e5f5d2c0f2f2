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
    let corrected = nik.as_ref().zip(born).is_some_and(|(nik, born)| nik.differs_in_one_part(born));
    // A lawful correction of the date leaves the number as it was.
    let different = if corrected { Outcome::Warn } else { Outcome::Fail };
    checks.push(on(CheckCode::NikMatchesBirthDate, holds(same_date, different), &both));
    if corrected {
        checks.push(on(CheckCode::BirthDateCorrected, Outcome::Warn, &both));
    }
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
    let zeros = value.map(|value| !value.is_empty() && value.bytes().all(|digit| digit == b'0'));
    if nik.as_ref().is_some_and(Nik::is_of_citizen_abroad) {
        return vec![
            on(CheckCode::NikFormat, Outcome::Pass, &[]),
            on(CheckCode::CitizenAbroad, Outcome::Warn, &[FieldKey::Nik]),
        ];
    }
    let province = nik.as_ref().map(|nik| known(nik.province()));
    let region = nik.as_ref().map(|nik| known(nik.regency()) && known(nik.district()));
    let check = |code, verdict, otherwise| on(code, holds(verdict, otherwise), &[FieldKey::Nik]);
    vec![
        check(CheckCode::NumberOfZeros, zeros.map(|zeros| !zeros), Outcome::Fail),
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
    if nik.is_some_and(Nik::is_of_citizen_abroad) {
        return on(CheckCode::NikMatchesRegion, Outcome::Pass, &[]);
    }
    let verdict = nik.filter(|_| !provinces.is_empty() && !regencies.is_empty()).map(|nik| {
        let successor = region::successor(nik.regency());
        successor.is_some_and(|code| regencies.contains(&code))
            || regencies.contains(&nik.regency())
            || provinces.contains(&nik.province()) && regencies.is_empty()
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
    case.value(FieldKey::Nationality).map(|value| vocabulary::CITIZENS.contains(&value))
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
        FieldKey::Religion | FieldKey::MaritalStatus if value == vocabulary::DASH => true,
        FieldKey::Religion => vocabulary::RELIGION.contains(&value),
        FieldKey::MaritalStatus => vocabulary::MARITAL_STATUS.contains(&value),
        FieldKey::Nationality => {
            vocabulary::CITIZENS.contains(&value) || vocabulary::COUNTRY.contains(&value)
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

#[cfg(test)]
mod tests {
    use filot_ocr::page::Quad;
    use jiff::civil::date;

    use super::*;
    use crate::decide::Policy;
    use crate::field::{Field, Fields, Source};
    use crate::kind::DocumentType;

    fn outcomes(values: &[(FieldKey, &str)]) -> Vec<(CheckCode, Outcome)> {
        let field = |value: &str| Field {
            value: value.to_owned(),
            original: value.to_owned(),
            confidence: 0.97,
            quad: Quad::default(),
            source: Source::First,
            repairs: Vec::new(),
        };
        let fields: Fields = values.iter().map(|(key, value)| (*key, field(value))).collect();
        let policy = Policy::default();
        let document = DocumentType::Ktp;
        let content =
            Content { document, fields: &fields, nitku: None, policy: &policy, today: date(2026, 1, 1) };
        checks(&content).iter().map(|check| (check.code, check.outcome)).collect()
    }

    fn outcome(values: &[(FieldKey, &str)], code: CheckCode) -> Option<Outcome> {
        outcomes(values).into_iter().find(|(found, _)| *found == code).map(|(_, outcome)| outcome)
    }

    #[test]
    fn the_number_of_a_citizen_abroad_has_a_check_of_its_own() {
        let card = [
            (FieldKey::Nik, "9911056001590033"),
            (FieldKey::Province, "DAERAH ISTIMEWA YOGYAKARTA"),
            (FieldKey::Regency, "KOTA YOGYAKARTA"),
        ];
        assert_eq!(outcome(&card, CheckCode::CitizenAbroad), Some(Outcome::Warn));
        for code in [CheckCode::NikProvince, CheckCode::NikRegion] {
            assert_eq!(outcome(&card, code), None, "it has no region");
        }
        assert_eq!(outcome(&card, CheckCode::NikMatchesRegion), Some(Outcome::Pass));
        assert_eq!(outcome(&[(FieldKey::Nik, "3171014501900003")], CheckCode::CitizenAbroad), None);
    }

    #[test]
    fn a_number_of_zeros_has_a_check_of_its_own() {
        let of = |nik| outcome(&[(FieldKey::Nik, nik)], CheckCode::NumberOfZeros);
        assert_eq!(of("0000000000000000"), Some(Outcome::Fail));
        assert_eq!(of("3171014501900003"), Some(Outcome::Pass));
    }

    #[test]
    fn a_corrected_birth_date_is_told_from_another_person() {
        let of =
            |born, code| outcome(&[(FieldKey::Nik, "3171014501900003"), (FieldKey::BirthDate, born)], code);
        assert_eq!(of("1990-01-15", CheckCode::BirthDateCorrected), Some(Outcome::Warn));
        assert_eq!(of("1990-01-15", CheckCode::NikMatchesBirthDate), Some(Outcome::Warn));
        assert_eq!(of("1985-07-15", CheckCode::BirthDateCorrected), None);
        assert_eq!(of("1985-07-15", CheckCode::NikMatchesBirthDate), Some(Outcome::Fail));
        assert_eq!(of("1990-01-05", CheckCode::NikMatchesBirthDate), Some(Outcome::Pass));
    }

    #[test]
    fn retired_codes_are_known_and_lead_to_their_successors() {
        let card = [
            (FieldKey::Nik, "6406014804850059"),
            (FieldKey::Province, "KALIMANTAN UTARA"),
            (FieldKey::Regency, "KABUPATEN MALINAU"),
        ];
        assert_eq!(outcome(&card, CheckCode::NikRegion), Some(Outcome::Pass));
        assert_eq!(outcome(&card, CheckCode::NikMatchesRegion), Some(Outcome::Pass));
    }

    #[test]
    fn values_of_offices_are_in_their_lists() {
        for (key, value) in [
            (FieldKey::Nationality, "INDONESIA"),
            (FieldKey::Nationality, "BELANDA"),
            (FieldKey::Nationality, "RUSSIAN FEDERATION"),
            (FieldKey::Religion, "-"),
            (FieldKey::Religion, "BUDDHISM"),
            (FieldKey::MaritalStatus, "CERAI HIDUP BELUM TERCATAT"),
        ] {
            assert_eq!(outcome(&[(key, value)], CheckCode::Vocabulary), Some(Outcome::Pass), "{value}");
        }
        let for_life = [(FieldKey::Nationality, "INDONESIA"), (FieldKey::ValidUntil, "SEUMUR HIDUP")];
        assert_eq!(outcome(&for_life, CheckCode::Validity), Some(Outcome::Pass));
    }
}
