use super::*;
use crate::span::as_read as span;

fn blood(text: &str, belief: f32) -> Option<String> {
    blood_type(&span(text, belief)).map(|reading| reading.value)
}

#[test]
fn blood_types_with_what_is_left_of_their_label() {
    assert_eq!(blood("A", 0.95).as_deref(), Some("A"));
    assert_eq!(blood("8+", 0.95).as_deref(), Some("B+"));
    assert_eq!(blood("d Darah0", 0.9).as_deref(), Some("O"));
    assert_eq!(blood("TIDAK TAHU", 0.9).as_deref(), Some("TIDAK TAHU"));
    // Neither a blood type nor a word.
    assert_eq!(blood("ol Datah  u", 0.9), None);
    assert_eq!(blood("MDaX", 0.9), None);
}

#[test]
fn a_dash_or_half_of_one_is_the_value() {
    let value = |key, text| interpret(key, &span(text, 0.95), &Printed::default()).map(|r| r.value);
    for key in [FieldKey::Address, FieldKey::RtRw, FieldKey::Religion, FieldKey::Occupation] {
        assert_eq!(value(key, "-").as_deref(), Some("-"), "{key}");
        assert_eq!(value(key, ":"), None, "{key}");
    }
    assert_eq!(value(FieldKey::RtRw, "- / -").as_deref(), Some("-/-"));
    assert_eq!(value(FieldKey::RtRw, "005. / -").as_deref(), Some("005/-"));
    assert_eq!(value(FieldKey::RtRw, "-/12").as_deref(), Some("-/012"));
    assert_eq!(value(FieldKey::RtRw, "005-012").as_deref(), Some("005/012"));
    assert_eq!(value(FieldKey::RtRw, "005/"), None);
}

#[test]
fn values_of_offices_stay_as_printed() {
    let value = |key, text| interpret(key, &span(text, 0.97), &Printed::default()).map(|r| r.value);
    for (key, text) in [
        (FieldKey::Occupation, "ASN"),
        (FieldKey::Occupation, "ASN (PPPK)"),
        (FieldKey::Occupation, "PNS"),
        (FieldKey::Occupation, "TNI"),
        (FieldKey::Occupation, "POLRI"),
        (FieldKey::Occupation, "OB"),
        (FieldKey::MaritalStatus, "CERAI HIDUP TERCATAT"),
        (FieldKey::MaritalStatus, "CERAI BELUM TERCATAT"),
        (FieldKey::MaritalStatus, "KAWIN BELUM TERCATAT"),
        (FieldKey::Religion, "BUDDHISM"),
        (FieldKey::Religion, "BUDDHIST"),
        (FieldKey::Religion, "KEPERCAYAAN TERHADAP TUHAN YANG MAHA ESA"),
        (FieldKey::Nationality, "VIET NAM"),
        (FieldKey::Nationality, "KOREA REPUBLIC OF"),
        (FieldKey::Nationality, "RUSSIAN FEDERATION"),
        (FieldKey::Nationality, "UNITED OF AMERICA"),
        (FieldKey::Nationality, "BELANDA"),
        (FieldKey::Nationality, "INDONESIA"),
    ] {
        assert_eq!(value(key, text).as_deref(), Some(text));
    }
    let labelled = value(FieldKey::Religion, "TERHADAP TUHAN YME");
    assert_eq!(labelled.as_deref(), Some("KEPERCAYAAN TERHADAP TUHAN YME"));
    // What is left of a word.
    assert_eq!(interpret(FieldKey::Occupation, &span("QX", 0.6), &Printed::default()).map(|r| r.value), None);
}

#[test]
fn a_small_letter_that_is_hardly_seen_is_a_dash() {
    assert_eq!(blood("o", 0.4).as_deref(), Some("-"));
    assert_eq!(blood("o", 0.95).as_deref(), Some("O"));
    assert_eq!(blood("O", 0.4).as_deref(), Some("O"));
}

#[test]
fn a_six_of_the_number_with_an_eight_behind_it_is_the_eight() {
    let mut number = span("3517065010580022", 0.99);
    number.glyphs[5].candidates = vec![('6', 0.97), ('8', 0.018)];
    let reading = interpret(FieldKey::Nik, &number, &Printed::default()).unwrap();
    assert_eq!(reading.value, "3517085010580022");
    assert!(reading.digits[5].belief() < 0.8, "and not sure at all");
    number.glyphs[5].candidates = vec![('6', 0.97), ('8', 0.002), ('5', 0.02)];
    let reading = interpret(FieldKey::Nik, &number, &Printed::default()).unwrap();
    assert_eq!(reading.value, "3517065010580022");
}

#[test]
fn a_birth_date_that_does_not_exist_is_the_numbers_or_none() {
    let born = |number: &str, month: &[(char, f32)]| {
        let mut date = span("18-00-1971", 0.9);
        date.glyphs[4].candidates = month.to_vec();
        let printed = Printed::default();
        let mut readings: BTreeMap<_, _> = [(FieldKey::Nik, span(number, 0.99)), (FieldKey::BirthDate, date)]
            .into_iter()
            .filter_map(|(key, span)| Some((key, interpret(key, &span, &printed)?)))
            .collect();
        reconcile(&mut readings, &printed);
        let date = readings.remove(&FieldKey::BirthDate)?;
        Some((date.value, date.original, date.repairs))
    };
    let torn = [('0', 0.5), ('8', 0.2), ('9', 0.15)];
    let settled = born("3328065809710059", &torn);
    assert_eq!(settled, Some(("1971-09-18".to_owned(), "18-00-1971".to_owned(), vec![Repair::Date])));
    // Another month than the recogniser saw, another year, nothing seen.
    assert_eq!(born("3328065807710059", &torn), None);
    assert_eq!(born("3328065809620059", &torn), None);
    assert_eq!(born("3328065809710059", &[('0', 0.9)]), None);
}

#[test]
fn a_poor_reading_is_no_country_and_no_religion() {
    let value = |key, text| interpret(key, &span(text, 0.6), &Printed::default()).map(|r| r.value);
    assert_eq!(value(FieldKey::Nationality, "WN1").as_deref(), Some("WNI"));
    assert_eq!(value(FieldKey::Nationality, "ina"), None);
    assert_eq!(value(FieldKey::Nationality, "INDIA").as_deref(), Some("INDIA"));
    assert_eq!(value(FieldKey::Religion, "M"), None);
    let cut = value(FieldKey::Religion, "KEPERCAYAAN TERHADAP TUHAN");
    assert_eq!(cut.as_deref(), Some("KEPERCAYAAN TERHADAP TUHAN YME"));
}
