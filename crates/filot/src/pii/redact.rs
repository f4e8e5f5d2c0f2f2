//! Removing personal data and tokens from text that is about to be logged, however they are spelled.
//!
//! The text is read as what it means: `%33`, `\u0033`, `\n` and a full-width digit are the characters they stand for. Then
//! everything goes that could be a number of a person (eight digits or more, whatever stands between and around them), an
//! e-mail address, or a token. What operators need is told from that by its exact form: ids, hashes, points in time,
//! addresses of hosts.

use std::ops::Range;

/// From so many digits on a number may be somebody's: the shortest are telephone numbers and dates of birth.
const DIGITS: usize = 8;
/// Characters that may stand between two digits of one number.
const GAP: usize = 3;
/// Random text of this length is a token.
const TOKEN: usize = 20;

/// One character of the meaning, and where it stands in the text.
#[derive(Clone, Copy)]
struct Unit {
    meant: char,
    from: usize,
    to: usize,
}

/// Removes numbers of people, e-mail addresses, tokens, passwords and query strings from a text. The last barrier: code is
/// written so that such things do not get here.
pub fn redact(text: &str) -> String {
    let units = read(text);
    let mut gone: Vec<(Range<usize>, &'static str)> = Vec::new();
    let kept = readable(&units);
    find_secrets(&units, &mut gone);
    find_queries(&units, &mut gone);
    find_addresses(&units, &mut gone);
    find_tokens(&units, &kept, &mut gone);
    find_numbers(&units, &kept, &mut gone);
    gone.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    let mut end = 0;
    for (range, name) in gone {
        if range.end <= end {
            continue;
        }
        // What overlaps goes as one.
        if range.start >= end {
            out.push_str(&text[at..units[range.start].from]);
            out.push_str(name);
        }
        end = range.end;
        at = units[end - 1].to;
    }
    out.push_str(&text[at..]);
    out
}

/// Removes everything in quotation marks that is not a plain name of a program: databases and parsers quote the values
/// that they did not like, and those may be anybody's.
pub fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['"', '\'', '`']) {
        let mark = rest[start..].chars().next().unwrap_or('"');
        let inside = start + mark.len_utf8();
        // An apostrophe within a word quotes nothing.
        let quotes = mark != '\'' || !rest[..start].ends_with(char::is_alphanumeric);
        // One that is not closed quotes the rest.
        let length = rest[inside..].find(mark).unwrap_or(rest.len() - inside);
        if !quotes {
            out.push_str(&rest[..inside]);
            rest = &rest[inside..];
            continue;
        }
        let value = &rest[inside..inside + length];
        let plain = value.len() <= 63
            && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b))
            && value.contains('_');
        out.push_str(&rest[..inside]);
        out.push_str(if plain { value } else { "…" });
        rest = &rest[inside + length..];
        if let Some(behind) = rest.strip_prefix(mark) {
            out.push(mark);
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// What the text means, character by character.
fn read(text: &str) -> Vec<Unit> {
    let mut units = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (meant, length) = match c {
            '%' => percent(&text[at..]),
            '\\' => escape(&text[at..]),
            _ => None,
        }
        .unwrap_or((c, c.len_utf8()));
        units.push(Unit { meant: plain(meant), from: at, to: at + length });
        at += length;
    }
    units
}

/// `%41`, and `%2541`, which becomes that.
fn percent(text: &str) -> Option<(char, usize)> {
    let mut skip = 1;
    while text[skip..].starts_with("25") && text.get(skip + 2..skip + 4).is_some_and(is_hex) {
        skip += 2;
    }
    let code = u8::from_str_radix(text.get(skip..skip + 2).filter(|hex| is_hex(hex))?, 16).ok()?;
    Some((char::from(code), skip + 2))
}

/// `\n`, `\u0031`, `\u{31}`, `\x31`, however many backslashes stand before it.
fn escape(text: &str) -> Option<(char, usize)> {
    let slashes = text.bytes().take_while(|b| *b == b'\\').count();
    let rest = &text[slashes..];
    let hex = |digits: &str| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    match rest.chars().next()? {
        'n' | 'r' | 't' | 'b' | 'f' | '0' => Some((' ', slashes + 1)),
        '"' => Some(('"', slashes + 1)),
        '\'' => Some(('\'', slashes + 1)),
        '/' => Some(('/', slashes + 1)),
        'x' => Some((hex(rest.get(1..3).filter(|hex| is_hex(hex))?)?, slashes + 3)),
        'u' if rest[1..].starts_with('{') => {
            let length = rest[2..].find('}').filter(|length| (1..=6).contains(length))?;
            Some((hex(&rest[2..2 + length])?, slashes + 3 + length))
        }
        'u' => Some((hex(rest.get(1..5).filter(|hex| is_hex(hex))?)?, slashes + 5)),
        _ => None,
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Digits and letters of other widths and scripts as those of ASCII.
fn plain(c: char) -> char {
    let code = u32::from(c);
    let ascii = match code {
        0xff01..=0xff5e => Some(code - 0xff01 + 0x21),
        0x0660..=0x0669 => Some(code - 0x0660 + 0x30),
        0x06f0..=0x06f9 => Some(code - 0x06f0 + 0x30),
        0x0966..=0x096f => Some(code - 0x0966 + 0x30),
        0x1d7ce..=0x1d7ff => Some((code - 0x1d7ce) % 10 + 0x30),
        _ => None,
    };
    ascii.and_then(char::from_u32).unwrap_or(c)
}

fn meaning(units: &[Unit]) -> String {
    units.iter().map(|unit| unit.meant).collect()
}

/// The parts that stay readable although they look like numbers or tokens: ids (UUID), hashes (64 or 40 digits of
/// hexadecimal) and points in time of this century.
fn readable(units: &[Unit]) -> Vec<bool> {
    let mut kept = vec![false; units.len()];
    let part = |c: char| c.is_ascii_alphanumeric() || "-:.+".contains(c);
    let mut at = 0;
    while at < units.len() {
        let end = at + units[at..].iter().take_while(|unit| part(unit.meant)).count();
        let word = meaning(&units[at..end]);
        // A sentence may end behind it, and a name stand before it as in `pid-…`.
        let bare = word.trim_end_matches(['.', ':', '-', '+']);
        let start =
            bare.rfind(['-', ':']).filter(|_| !is_id(bare) && !is_instant(bare)).map_or(0, |at| at + 1);
        // A host with a port is one for sure; without, its digits may go on behind it.
        if is_id(bare) || is_instant(bare) || (bare.contains(':') && is_host(bare)) {
            kept[at..at + bare.len()].fill(true);
        } else if is_hash(&bare[start..]) {
            kept[at + start..at + bare.len()].fill(true);
        }
        at = end.max(at + 1);
    }
    kept
}

fn is_id(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| is_hex(part))
        && parts[2].starts_with(|c: char| ('1'..='8').contains(&c))
        && parts[3].starts_with(|c: char| "89abAB".contains(c))
}

fn is_hash(word: &str) -> bool {
    // Sixteen hexadecimal digits in a row are decimal once in two thousand times, forty never.
    matches!(word.len(), 32 | 40 | 64)
        && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && word.bytes().filter(|b| b.is_ascii_alphabetic()).count() >= 4
}

/// `2026-11-23T03:45:11.123456Z`
fn is_instant(word: &str) -> bool {
    let Some((date, time)) = word.split_once('T') else { return false };
    let digits = |text: &str, lengths: &[usize], between: char| {
        let parts: Vec<&str> = text.split(between).collect();
        parts.iter().map(|part| part.len()).eq(lengths.iter().copied())
            && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    date.starts_with("20")
        && digits(date, &[4, 2, 2], '-')
        && digits(clock, &[2, 2, 2], ':')
        && fraction.len() <= 9
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && (zone.is_empty() || zone == "Z" || digits(&zone[1..], &[2, 2], ':'))
}

/// Words behind which stands what nobody may see.
const SECRET_NAMES: &[&str] = &[
    "bearer",
    "password",
    "passwd",
    "secret",
    "token",
    "signature",
    "authorization",
    "cookie",
    "api-key",
    "api_key",
    "apikey",
    "credential",
    "otp",
];

/// `Bearer …`, `password=…`, `"token":"…"`.
fn find_secrets(units: &[Unit], gone: &mut Vec<(Range<usize>, &'static str)>) {
    let lower: Vec<char> = units.iter().map(|unit| unit.meant.to_ascii_lowercase()).collect();
    for name in SECRET_NAMES {
        let name_chars: Vec<char> = name.chars().collect();
        let mut at = 0;
        while let Some(found) = position(&lower[at..], &name_chars) {
            let behind = at + found + name_chars.len();
            at = behind;
            let scheme = *name == "bearer";
            let gap = |c: &&char| {
                c.is_ascii_whitespace() || matches!(**c, '"' | '\'' | ':' | '=' | '>' | '(' | '[' | ',')
            };
            let length = lower[behind..].iter().take_while(gap).count();
            let marks = lower[behind..behind + length].iter().any(|c| matches!(c, ':' | '='));
            if length == 0 || (!scheme && !marks) {
                continue;
            }
            let start = behind + length;
            let value = |c: &&char| {
                !c.is_whitespace() && !matches!(**c, '"' | '\'' | ',' | ';' | ')' | ']' | '}' | '>')
            };
            let length = lower[start..].iter().take_while(value).count();
            // The scheme has its own turn.
            let word: String = lower[start..start + length].iter().collect();
            if length > 0 && word != "bearer" {
                gone.push((start..start + length, "[token]"));
            }
        }
    }
}

fn position(text: &[char], part: &[char]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// `?user=…` and `#refresh=…` behind an address.
fn find_queries(units: &[Unit], gone: &mut Vec<(Range<usize>, &'static str)>) {
    let name = |unit: &&Unit| unit.meant.is_ascii_alphanumeric() || "_-.[]".contains(unit.meant);
    for (at, unit) in units.iter().enumerate() {
        if !matches!(unit.meant, '?' | '#' | '&') {
            continue;
        }
        let length = units[at + 1..].iter().take_while(name).count();
        if length == 0 || units.get(at + 1 + length).is_none_or(|unit| unit.meant != '=') {
            continue;
        }
        let rest =
            |unit: &&Unit| !unit.meant.is_whitespace() && !matches!(unit.meant, '"' | '\'' | '>' | ')' | '`');
        let end = at + 1 + units[at + 1..].iter().take_while(rest).count();
        gone.push((at + 1..end, "[query]"));
    }
}

/// E-mail addresses.
fn find_addresses(units: &[Unit], gone: &mut Vec<(Range<usize>, &'static str)>) {
    let local = |c: char| c.is_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(c);
    let domain = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    for (at, unit) in units.iter().enumerate() {
        if unit.meant != '@' {
            continue;
        }
        let before = units[..at].iter().rev().take_while(|unit| local(unit.meant)).count();
        let mut behind = units[at + 1..].iter().take_while(|unit| domain(unit.meant)).count();
        while behind > 0 && matches!(units[at + behind].meant, '.' | '-') {
            behind -= 1;
        }
        if before > 0 && behind > 0 {
            gone.push((at - before..at + 1 + behind, "[e-mail]"));
        }
    }
}

/// JSON Web Tokens, and random text of the alphabet that tokens are spelled in.
fn find_tokens(units: &[Unit], kept: &[bool], gone: &mut Vec<(Range<usize>, &'static str)>) {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut at = 0;
    while at < units.len() {
        let length = units[at..].iter().take_while(|unit| part(unit.meant)).count();
        let end = at + length;
        let word = meaning(&units[at..end]);
        if let Some(jwt) = word.find("eyJ").filter(|start| word.len() - start >= 10) {
            // Its other parts stand behind dots.
            let more = |unit: &&Unit| part(unit.meant) || unit.meant == '.' || unit.meant == '=';
            let end = at + jwt + units[at + jwt..].iter().take_while(more).count();
            let dot = usize::from(units[end - 1].meant == '.');
            let start = if is_random(&word) { at } else { at + jwt };
            gone.push((start..end - dot, "[token]"));
        } else if length >= TOKEN && !kept[at..end].iter().all(|kept| *kept) && is_random(&word) {
            gone.push((at..end, "[token]"));
        }
        at = end.max(at + 1);
    }
}

/// Whether a word has capitals and small letters in no order that a name would have them in. Names, such as
/// `TaskRun-a_part`, are parts of small letters, of capitals, or of humps of three letters and more.
fn is_random(word: &str) -> bool {
    let mixed = word.bytes().any(|b| b.is_ascii_uppercase()) && word.bytes().any(|b| b.is_ascii_lowercase());
    mixed && !word.split(['_', '-']).filter(|part| !part.is_empty()).all(is_name)
}

fn is_name(part: &str) -> bool {
    let digits = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let all = |kind: fn(&u8) -> bool| digits.bytes().all(|b| kind(&b));
    if all(u8::is_ascii_lowercase) || all(u8::is_ascii_uppercase) {
        return true;
    }
    // Humps: a capital, then small letters.
    let mut run = usize::MAX;
    for b in digits.bytes() {
        if b.is_ascii_uppercase() {
            if run < 3 {
                return false;
            }
            run = 1;
        } else if b.is_ascii_lowercase() {
            run = run.saturating_add(1);
        } else {
            return false;
        }
    }
    run >= 3
}

/// Numbers of eight digits and more, with whatever separates their groups.
fn find_numbers(units: &[Unit], kept: &[bool], gone: &mut Vec<(Range<usize>, &'static str)>) {
    let digit = |at: usize| units[at].meant.is_ascii_digit() && !kept[at];
    let between = |at: usize| !kept[at] && !units[at].meant.is_alphanumeric();
    let mut at = 0;
    while at < units.len() {
        if !digit(at) {
            at += 1;
            continue;
        }
        let (start, mut end, mut digits) = (at, at, 0);
        loop {
            while end < units.len() && digit(end) {
                end += 1;
                digits += 1;
            }
            let gap = (end..units.len()).take_while(|at| between(*at)).take(GAP + 1).count();
            if gap > GAP || end + gap >= units.len() || !digit(end + gap) {
                break;
            }
            end += gap;
        }
        let plus = usize::from(start > 0 && units[start - 1].meant == '+');
        if digits >= DIGITS && !is_host(&meaning(&units[start..end])) {
            gone.push((start - plus..end, "[number]"));
        }
        at = end;
    }
}

/// `127.0.0.1` or `127.0.0.1:8080`, and `03:45:11.123456`.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let octet = |part: &str| part.parse::<u8>().is_ok_and(|number| number.to_string() == part);
    // With eight digits it may be a day of birth.
    let long = text.contains(':') || text.bytes().filter(u8::is_ascii_digit).count() > DIGITS;
    let address =
        long && host.split('.').count() == 4 && host.split('.').all(octet) && port.parse::<u16>().is_ok();
    let clock: Vec<&str> = text.split([':', '.']).collect();
    let below =
        |part: &str, limit: u8| part.len() == 2 && part.parse::<u8>().is_ok_and(|number| number < limit);
    let time = text.matches(':').count() == 2
        && (clock.len() == 3 || (clock.len() == 4 && clock[3].len() <= 9))
        && below(clock[0], 24)
        && below(clock[1], 60)
        && below(clock[2], 61);
    address || time
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
