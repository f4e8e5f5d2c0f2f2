use proptest::prelude::*;

use super::*;

#[test]
fn lines_lose_what_is_personal() {
    for (line, redacted) in [
        ("nik 3171234567890123 read", "nik [number] read"),
        (r#"{"npwp":"09.254.294.3-407.000","n":1}"#, r#"{"npwp":"[number]","n":1}"#),
        ("user budi.santoso@example.com.", "user [e-mail]."),
        ("call +6281234567890 or 081234567890", "call [number] or [number]"),
        (r"seen\n3171234567890123\nread", r"seen\n[number]\nread"),
        ("nik_3171234567890123abc", "nik_[number]abc"),
        ("3171 2345 6789 0123", "[number]"),
        (r"\u0033171234567890123", "[number]"),
        ("%33%31%37%31234567890123", "[number]"),
        ("budi%40example.com", "[e-mail]"),
        ("born 17-08-1990", "born [number]"),
        ("Authorization: Bearer abc-DEF_123", "Authorization: Bearer [token]"),
        ("t=eyJhbGciOi.eyJzdWIi.c2ln x", "t=[token] x"),
        ("get /files/x?user=7&signature=abc next", "get /files/x?[query] next"),
        ("open https://filot.example/#refresh=abc", "open https://filot.example/#[query]"),
        ("password=hunter2, more", "password=[token], more"),
        (r#"{"token":"x y"}"#, r#"{"token":"[token] y"}"#),
    ] {
        assert_eq!(redact(line), redacted, "{line}");
    }
}

#[test]
fn what_operators_need_stays_readable() {
    let hash = "0d7c5c42abbe70fe44214b2bb653835cd907b5b4286d835cc700bfd25c391ba8";
    for line in [
        "document=01a20679-695d-7667-b5a5-9649bb766fe9 ms=1234 127.0.0.1:8080 2026-11-23T03:45:11.123456Z",
        "lease of 4711-0197f0c2a1b87c11b5a59649bb766fe9 ended",
        "until 2026-11-23T03:45:11+07:00.",
        "03:45:11.123456 took 0.25 s of 30, try 3",
        "192.168.100.200 answered 503 in 120 ms",
        &format!("entry 12345: {hash}"),
        &format!("sha256:{hash}"),
        "filot::worker::upkeep: leases_had_ended TryInitErrorBox HttpConnectionTimedOut",
        "a-very-long-name-of-a-route-or-service",
        "the signature of the token was refused",
        "",
    ] {
        assert_eq!(redact(line), line);
    }
}

#[test]
fn quoted_values_go_and_names_of_columns_stay() {
    for (text, left) in [
        ("invalid input syntax for type uuid: \"Budi\"", "invalid input syntax for type uuid: \"…\""),
        ("null value in column \"blob_key\"", "null value in column \"blob_key\""),
        ("unknown field `siti`, it's `full_name`", "unknown field `…`, it's `full_name`"),
        ("string \"never closed", "string \"…"),
    ] {
        assert_eq!(without_values(text), left);
    }
}

/// Digits in groups, with what may stand between them.
fn number(digits: &'static str) -> impl Strategy<Value = String> {
    let gap = prop::sample::select(vec![
        "", " ", ".", "-", "/", "_", "\n", "\\n", "\\\\n", "\u{a0}", ", ", " - ", "\\t", "%20", "+",
        "\\u0020", ":",
    ]);
    let spelling = prop::sample::select(vec![0, 0, 0, 1, 2, 3, 4, 5]);
    (prop::collection::vec(1..=6_usize, 1..8), gap, spelling, digits).prop_map(
        |(groups, gap, spelling, digits)| {
            let mut out = String::new();
            let mut left = digits.as_str();
            for length in groups.into_iter().cycle() {
                if left.is_empty() {
                    break;
                }
                let (group, rest) = left.split_at(length.min(left.len()));
                if !out.is_empty() {
                    out.push_str(gap);
                }
                out.extend(group.chars().map(|c| match spelling {
                    1 => format!("\\u{:04x}", c as u32),
                    2 => format!("%{:02X}", c as u32),
                    3 => char::from_u32(c as u32 - 0x30 + 0xff10).unwrap().to_string(),
                    4 => format!("\\u{{{:x}}}", c as u32),
                    5 => format!("%25{:02x}", c as u32),
                    _ => c.to_string(),
                }));
                left = rest;
            }
            out
        },
    )
}

fn context() -> impl Strategy<Value = (String, String)> {
    let before = prop::sample::select(vec![
        "",
        "nik ",
        "nik=",
        "NIK",
        "nik_",
        "\\n",
        "\n",
        "(",
        "\"",
        "{\"nik\":\"",
        "[",
        "KTP-",
        "x",
        "%3A",
        "id:",
        "<",
        "2026-11-23T03:45:11Z ",
        "01a20679-695d-7667-b5a5-9649bb766fe9 ",
        "/",
        "\\\"",
        "é",
        "…",
    ]);
    let behind = prop::sample::select(vec![
        "",
        " read",
        ",",
        "\\n",
        "\n",
        ")",
        "\"}",
        "_x",
        "abc",
        ".",
        "%20",
        "/",
        " 2026-11-23T03:45:11Z",
        "\\\"",
        "é",
    ]);
    (before, behind).prop_map(|(before, behind)| (before.to_owned(), behind.to_owned()))
}

/// The digits of a text, whatever way they are spelled in.
fn digits_of(text: &str) -> String {
    read(text).iter().map(|unit| unit.meant).filter(char::is_ascii_digit).collect()
}

fn random_token(length: usize) -> impl Strategy<Value = String> {
    let alphabet: Vec<char> =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().collect();
    prop::collection::vec(prop::sample::select(alphabet), length)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_number_of_a_person_gets_through(
        number in prop_oneof![
            number("[1-9][0-9]{15}"),
            number("0[0-9]{14}"),
            number("628[0-9]{8,10}"),
            number("08[0-9]{8,10}"),
            number("[0-3][0-9][01][0-9]19[0-9]{2}"),
        ],
        (before, behind) in context(),
    ) {
        let line = format!("{before}{number}{behind}");
        let left = digits_of(&redact(&line));
        let around = digits_of(&before).len() + digits_of(&behind).len();
        prop_assert!(left.len() <= around, "{line:?} became {:?}", redact(&line));
    }

    #[test]
    fn no_address_gets_through(
        name in "[a-z][a-z0-9._+-]{0,12}[a-z0-9]",
        domain in "[a-z]{3,10}(\\.[a-z]{2,6}){0,2}",
        at in prop::sample::select(vec!["@", "%40", "\\u0040", "%2540", "\u{ff20}"]),
        (before, behind) in context(),
    ) {
        let line = format!("{before}{name}{at}{domain}{behind}");
        let redacted = redact(&line);
        prop_assert!(!redacted.contains(&format!("{name}{at}")), "{line:?} became {redacted:?}");
    }

    #[test]
    fn no_token_gets_through(
        token in prop_oneof![random_token(43), random_token(32), (random_token(32), random_token(43)).prop_map(|(a, b)| format!("{a}.{b}"))],
        (before, behind) in context(),
    ) {
        let line = format!("{before}{token}{behind}");
        let redacted = redact(&line);
        prop_assert!(!redacted.contains(&token[4..28]), "{line:?} became {redacted:?}");
    }

    #[test]
    fn nothing_behind_a_word_for_secrets_gets_through(
        value in "[a-zA-Z0-9~._/+-]{4,40}",
        name in prop::sample::select(vec![
            "Bearer ", "bearer%20", "password=", "\"token\":\"", "secret: ", "signature=", "?refresh=", "#admin=",
            "&code=", "\\\"password\\\":\\\"", "api_key = ",
        ]),
    ) {
        let line = format!("x {name}{value} y");
        let redacted = redact(&line);
        prop_assert!(!redacted.contains(&value), "{line:?} became {redacted:?}");
    }

    #[test]
    fn ids_hashes_times_and_hosts_stay(
        id in any::<u128>(),
        hash in prop::collection::vec(any::<u8>(), 32),
        seconds in 1_600_000_000_i64..2_500_000_000,
        host in any::<[u8; 4]>(),
        ms in 0_u32..9_999_999,
    ) {
        let id = uuid::Builder::from_u128(id).with_variant(uuid::Variant::RFC4122).with_version(uuid::Version::SortRand).into_uuid();
        let at = jiff::Timestamp::from_second(seconds).unwrap();
        let hash = crate::keys::hex(&hash);
        let host = std::net::Ipv4Addr::from(host);
        let line = format!("document {id} at {at}, hash {hash}, from {host}:8080, {ms} ms");
        prop_assert_eq!(redact(&line), line);
    }
}
