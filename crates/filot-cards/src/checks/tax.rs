//! Checks of what an NPWP card says.

use jiff::civil::date;

use super::{Check, CheckCode, Content, Outcome, holds, person};
use crate::field::FieldKey;
use crate::nik::{Gender, Nik};
use crate::npwp::{Holder, Nitku, Npwp15, Npwp16};

pub(super) fn checks(case: &Content<'_>) -> Vec<Check> {
    let old = case.value(FieldKey::NpwpNumber);
    let new = case.value(FieldKey::Npwp16);
    let old_number = old.and_then(|value| Npwp15::parse(value).ok());
    let new_number = new.and_then(|value| Npwp16::parse(value).ok());

    let mut malformed = Vec::new();
    if old.is_some() && old_number.is_none() {
        malformed.push(FieldKey::NpwpNumber);
    }
    if new.is_some() && new_number.is_none() {
        malformed.push(FieldKey::Npwp16);
    }
    let any = old.or(new).map(|_| malformed.is_empty());
    let mut checks = vec![Check::on(CheckCode::NpwpFormat, holds(any, Outcome::Fail), malformed)];
    // Zeros pass the check digit.
    let zeros: Vec<FieldKey> = [FieldKey::NpwpNumber, FieldKey::Npwp16, FieldKey::Nik]
        .into_iter()
        .filter(|key| case.value(*key).is_some_and(is_of_zeros))
        .collect();
    let given = old.or(new).map(|_| zeros.is_empty());
    checks.push(Check::on(CheckCode::NumberOfZeros, holds(given, Outcome::Fail), zeros));

    let entity = new_number.as_ref().and_then(|number| match number.holder() {
        Holder::Entity(old) => Some(old),
        Holder::Person(_) => None,
    });
    // A person's 16-digit number alone has no check digit; its structure is that of a NIK.
    let by_structure = old.is_none() && new_number.is_some() && entity.is_none();
    let verdict = match (&old_number, &entity) {
        (Some(number), Some(entity)) => Some(number.check_digit_fits() && entity.check_digit_fits()),
        (Some(number), None) => Some(number.check_digit_fits()),
        (None, Some(entity)) => Some(entity.check_digit_fits()),
        (None, None) => by_structure.then_some(true),
    };
    let fields = if verdict == Some(false) { vec![FieldKey::NpwpNumber] } else { Vec::new() };
    checks.push(Check::on(CheckCode::NpwpCheckDigit, holds(verdict, Outcome::Fail), fields));

    checks.extend(matches(case, old_number.as_ref(), new_number.as_ref(), entity.as_ref()));

    let person_number =
        case.value(FieldKey::Nik).or_else(|| new.filter(|_| entity.is_none() && new_number.is_some()));
    if person_number.is_some() {
        let own = person::of_nik(person_number).into_iter();
        checks.extend(own.filter(|check| check.code != CheckCode::NumberOfZeros));
    }

    let registered = case.date(FieldKey::RegisteredDate);
    // The number was introduced with the tax reform of 1983.
    let plausible = registered.map(|registered| registered >= date(1970, 1, 1) && registered <= case.today);
    let fields = if plausible == Some(false) { vec![FieldKey::RegisteredDate] } else { Vec::new() };
    checks.push(Check::on(CheckCode::RegisteredDate, holds(plausible, Outcome::Fail), fields));
    checks
}

/// Whether the part of a number that says whose it is, is zero. Offices and branches are never 0 alone.
fn is_of_zeros(value: &str) -> bool {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let own = match digits.len() {
        16 if digits.starts_with('0') => digits.get(1..10),
        15 => digits.get(..9),
        _ => Some(digits.as_str()),
    };
    own.is_some_and(|own| !own.is_empty() && own.bytes().all(|digit| digit == b'0'))
}

/// Whether a man's 16-digit number stands beside a woman's NIK: spouses who are taxed together share his number.
fn is_spouses(number: &Npwp16, nik: &str) -> bool {
    let Holder::Person(his) = number.holder() else { return false };
    let Ok(hers) = Nik::parse(nik) else { return false };
    let sound = |nik: &Nik| nik.has_birth_date() && nik.serial() != 0;
    sound(&his) && sound(&hers) && his.gender() == Some(Gender::Male) && hers.gender() == Some(Gender::Female)
}

/// Numbers that must be the same: NPWP16 and NIK of a person, NPWP16 and old number of an entity, NPWP16 and NITKU.
fn matches(
    case: &Content<'_>,
    old: Option<&Npwp15>,
    new: Option<&Npwp16>,
    entity: Option<&Npwp15>,
) -> Option<Check> {
    let mut verdicts = Vec::new();
    let mut fields = Vec::new();
    let mut expect = |same: bool, key: FieldKey| {
        verdicts.push(same);
        if !same {
            fields.push(key);
        }
    };
    if let (Some(new), None, Some(nik)) = (new, entity, case.value(FieldKey::Nik)) {
        if is_spouses(new, nik) {
            return Some(Check::on(
                CheckCode::SpouseNumber,
                Outcome::Warn,
                vec![FieldKey::Npwp16, FieldKey::Nik],
            ));
        }
        expect(new.as_str() == nik, FieldKey::Nik);
    }
    if let (Some(entity), Some(old)) = (entity, old) {
        expect(entity == old, FieldKey::NpwpNumber);
    }
    if let (Some(new), Some(nitku)) = (new, case.nitku.as_deref()) {
        match Nitku::parse(nitku) {
            Ok(nitku) => expect(nitku.npwp16 == *new, FieldKey::Npwp16),
            // A number of this length that is not 22 digits was misread; that says nothing about the others.
            Err(_) => return Some(Check::new(CheckCode::Npwp16Matches, Outcome::NotRun)),
        }
    }
    let all = (!verdicts.is_empty()).then(|| verdicts.iter().all(|same| *same))?;
    Some(Check::on(CheckCode::Npwp16Matches, holds(Some(all), Outcome::Fail), fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_zeros_are_known_in_every_form() {
        for zeros in ["00.000.000.0-000.000", "00.000.000.0-411.000", "0000000000000000", "0000000000411000"]
        {
            assert!(is_of_zeros(zeros), "{zeros}");
        }
        for given in ["01.000.013.1-093.000", "0010000131093000", "3207145304059286", ""] {
            assert!(!is_of_zeros(given), "{given}");
        }
    }

    #[test]
    fn a_wife_beside_her_husband_is_told_from_a_wrong_number() {
        let number = |text| Npwp16::parse(text).unwrap();
        assert!(is_spouses(&number("3207141304059286"), "3207145304059286"));
        assert!(!is_spouses(&number("3207145304059286"), "3207141304059286"), "his beside hers");
        assert!(!is_spouses(&number("3207141304059286"), "3207141305059286"), "two men");
        assert!(!is_spouses(&number("0010000131093000"), "3207145304059286"), "a company");
    }
}
