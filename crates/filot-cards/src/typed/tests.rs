use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::dates as printed;
use crate::ktp::repair::{Printed, interpret};
use crate::reading::Standing as Read;
use crate::span::as_read;

/// Each field of both cards.
fn all() -> BTreeSet<FieldKey> {
    FieldKey::KTP.into_iter().chain(FieldKey::NPWP).collect()
}

fn ok(key: FieldKey, text: &str) -> Option<String> {
    typed(key, text).ok()
}

#[test]
fn values_are_stored_as_the_reader_stores_them() {
    use FieldKey as F;
    for (key, text, stored) in [
        (F::Nik, " 3171 0145 0190 0003 ", "3171014501900003"),
        (F::Nik, "9911056001590033", "9911056001590033"),
        (F::NpwpNumber, "010000131093000", "01.000.013.1-093.000"),
        (F::Npwp16, "0010000131093000", "0010000131093000"),
        (F::BirthDate, "31-12-1990", "1990-12-31"),
        (F::BirthDate, "31/12/1990", "1990-12-31"),
        (F::BirthDate, "31 12 1990", "1990-12-31"),
        (F::BirthDate, "1990-12-31", "1990-12-31"),
        (F::ValidUntil, "seumur  hidup", "SEUMUR HIDUP"),
        (F::ValidUntil, "31-12-2030", "2030-12-31"),
        (F::RtRw, "1/17", "001/017"),
        (F::RtRw, "001 - 017", "001/017"),
        (F::RtRw, "-", "-"),
        (F::RtRw, "5 / -", "005/-"),
        (F::RtRw, "-/-", "-/-"),
        (F::Religion, "-", "-"),
        (F::Address, "-", "-"),
        (F::Name, "ni'mah'", "NI'MAH'"),
        (F::Occupation, "asn (pppk)", "ASN (PPPK)"),
        (F::Nationality, "indonesia", "INDONESIA"),
        (F::Gender, "laki laki", "LAKI-LAKI"),
        (F::BloodType, "ab +", "AB+"),
        (F::BloodType, "0", "O"),
        (F::BloodType, "-", "-"),
        (F::Religion, "kristen protestan", "KRISTEN PROTESTAN"),
        (F::MaritalStatus, "belumkawin", "BELUM KAWIN"),
        (F::Occupation, "pelajar mahasiswa", "PELAJAR/MAHASISWA"),
        (F::Occupation, "astronot", "ASTRONOT"),
        (F::Nationality, "wni", "WNI"),
        (F::Name, " siti  nur'aini,s.h. ", "SITI NUR'AINI, S.H."),
        (F::Province, "provinsi dki jakarta", "DKI JAKARTA"),
        (F::Regency, "kab. bogor", "KABUPATEN BOGOR"),
        (F::Regency, "jakarta pusat", "JAKARTA PUSAT"),
        (F::Address, "jl. melati no. 1", "JL. MELATI NO. 1"),
        (F::Village, "30 ilir", "30 ILIR"),
        (F::Name, "  ", ""),
    ] {
        assert_eq!(ok(key, text).as_deref(), Some(stored), "{key}: {text}");
    }
}

#[test]
fn nonsense_is_refused_with_what_is_expected() {
    use FieldKey as F;
    for (key, text, expected) in [
        (F::Nik, "9999999999999999", Expected::Nik),
        (F::Nik, "3171013102900003", Expected::Nik),
        (F::Nik, "3199014501900003", Expected::Nik),
        (F::Nik, "3171014501900000", Expected::Nik),
        (F::Nik, "317101450190000", Expected::Nik),
        (F::Npwp16, "9999999999999999", Expected::Npwp16),
        (F::NpwpNumber, "1", Expected::Npwp15),
        (F::BirthDate, "31-02-1990", Expected::Date),
        (F::BirthDate, "1990", Expected::Date),
        (F::BirthDate, "31-12-90", Expected::Date),
        (F::BirthDate, "31-12/1990", Expected::Date),
        (F::BirthDate, "1990/12/31", Expected::Date),
        (F::BirthDate, "yesterday", Expected::Date),
        (F::ValidUntil, "forever", Expected::DateOrForLife),
        (F::RtRw, "0001/1", Expected::RtRw),
        (F::RtRw, "12", Expected::RtRw),
        (F::Gender, "X", Expected::Gender),
        (F::BloodType, "C", Expected::BloodType),
        (F::Religion, "JEDI", Expected::Religion),
        (F::MaritalStatus, "X", Expected::MaritalStatus),
        (F::Nationality, "NOWHERE", Expected::Nationality),
        (F::Name, "SITI 2", Expected::Name),
        (F::Name, "...", Expected::Name),
        (F::Name, "СИТИ", Expected::Name),
        (F::Name, "ſiti", Expected::Name),
        (F::Name, "<b>", Expected::Name),
        (F::Address, "JL\u{0}", Expected::Short),
        (F::Address, "東京", Expected::Text),
        (F::BirthDate, "٣١-١٢-١٩٩٠", Expected::Date),
    ] {
        assert_eq!(typed(key, text), Err(expected), "{key}: {text}");
    }
    assert_eq!(typed(F::Name, &"A".repeat(101)), Err(Expected::Short));
    assert_eq!(typed(F::Address, &"A".repeat(201)), Err(Expected::Short));
}

#[test]
fn sentences_are_there_in_both_languages() {
    for expected in Expected::ALL {
        let Sentence { id, en } = expected.sentence();
        for text in [id, en] {
            assert!(text.len() > 20 && text.ends_with('.'), "{text}");
        }
    }
}

/// What people type: dates in many forms, entries of the lists, numbers, words, other scripts, anything.
fn text() -> impl Strategy<Value = String> {
    let lists: Vec<&'static str> =
        [&vocabulary::GENDER[..], vocabulary::RELIGION, vocabulary::MARITAL_STATUS]
            .concat()
            .into_iter()
            .chain(vocabulary::OCCUPATION.iter().copied())
            .chain(vocabulary::BLOOD_TYPE)
            .chain(["WNI", "SEUMUR HIDUP"])
            .collect();
    let date = (1..40_u8, 1..14_u8, 1880..2120_i16);
    prop_oneof![
        2 => (date.clone(), select(vec!["-", "/", ".", " ", ""]))
            .prop_map(|((d, m, y), sep)| format!("{d:02}{sep}{m:02}{sep}{y}")),
        1 => date.prop_map(|(d, m, y)| format!("{y}-{m:02}-{d:02}")),
        2 => select(lists).prop_map(str::to_lowercase),
        2 => "[0-9]{15,17}",
        1 => "[0-9]{1,4}[/ -][0-9]{1,4}",
        2 => "[A-Za-z .,'-]{0,30}",
        1 => "[A-Za-z0-9 .,/()-]{0,60}",
        1 => "\\PC{0,40}",
        1 => any::<String>(),
        1 => "[а-яА-Я]{1,20}",
        1 => "[A-Z]{90,260}",
    ]
}

/// Whether a stored value is one that the field can have on a card.
fn is_of_the_field(key: FieldKey, value: &str) -> bool {
    use FieldKey as F;
    let date = || value.parse::<Date>().is_ok_and(|date| date.to_string() == value);
    match key {
        F::Nik => Nik::parse(value).is_ok_and(|nik| nik.has_birth_date() && nik.serial() != 0),
        F::NpwpNumber => Npwp15::parse(value).is_ok_and(|number| number.to_string() == value),
        F::Npwp16 => value.len() == 16 && value.bytes().all(|byte| byte.is_ascii_digit()),
        F::BirthDate | F::RegisteredDate => date(),
        F::ValidUntil => date() || value == vocabulary::FOR_LIFE,
        F::Religion | F::MaritalStatus if value == vocabulary::DASH => true,
        F::RtRw => value == "-" || value.split('/').all(|part| part == "-" || part.len() == 3),
        F::Gender => vocabulary::GENDER.contains(&value),
        F::BloodType => vocabulary::BLOOD_TYPE.contains(&value),
        F::Religion => vocabulary::RELIGION.contains(&value),
        F::MaritalStatus => vocabulary::MARITAL_STATUS.contains(&value),
        F::Nationality => vocabulary::CITIZENS.contains(&value) || vocabulary::COUNTRY.contains(&value),
        F::Name => !value.bytes().any(|byte| byte.is_ascii_digit()) && value.is_ascii(),
        _ => value.is_ascii() && value.len() <= 2 * LONGEST + 100 && value.to_uppercase() == value,
    }
}

proptest! {
    // A thousand for each of the fields.
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_typed_is_parsed_as_the_fields_value_or_refused(text in text()) {
        for key in all() {
            let Ok(value) = typed(key, &text) else { continue };
            if value.is_empty() {
                prop_assert!(text.trim().is_empty(), "{key}: {text:?} took the field away");
                continue;
            }
            prop_assert!(is_of_the_field(key, &value), "{key}: {text:?} became {value:?}");
            // Typed again, the stored value means itself.
            let again = typed(key, &value);
            prop_assert_eq!(again.as_ref(), Ok(&value), "{}: {:?}", key, text);
            // Nothing is added: letters and digits are those that were typed, but for the forms of dates and numbers.
            let free = matches!(key, FieldKey::Name | FieldKey::Address | FieldKey::Village);
            if free {
                prop_assert_eq!(region::fold(&text), region::fold(&value));
            }
        }
    }

    #[test]
    fn printed_dates_are_read_alike(day in 1..=31_u8, month in 1..=12_u8, year in 1890..2110_i16) {
        let text = format!("{day:02}-{month:02}-{year}");
        let read = interpret(FieldKey::BirthDate, &as_read(&text, 0.99), &Printed::default())
            .filter(|reading| reading.standing == Read::Valid && reading.repairs.is_empty())
            .map(|reading| reading.value);
        prop_assert_eq!(ok(FieldKey::BirthDate, &text), read);
        prop_assert!(printed::parse(&text.replace('-', "")).is_some() == ok(FieldKey::BirthDate, &text).is_some());
    }

    #[test]
    fn listed_values_and_numbers_are_read_alike(
        entry in select(vocabulary::RELIGION.to_vec()),
        status in select(vocabulary::MARITAL_STATUS.to_vec()),
        rt in 1..999_u16,
        rw in 1..999_u16,
    ) {
        let groups = format!("{rt:03}/{rw:03}");
        for (key, text) in
            [(FieldKey::Religion, entry), (FieldKey::MaritalStatus, status), (FieldKey::RtRw, groups.as_str())]
        {
            let read = interpret(key, &as_read(text, 0.99), &Printed::default()).map(|reading| reading.value);
            prop_assert_eq!(ok(key, text), read, "{}", key);
        }
    }
}
