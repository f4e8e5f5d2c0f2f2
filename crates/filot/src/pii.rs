//! Keeping personal data out of logs, and short in what people see.

use std::fmt;
use std::io::{self, Write};

/// A value that shows itself only masked, whatever formats it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Masked<T>(pub T);

impl<T: AsRef<str>> fmt::Display for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(self.0.as_ref()))
    }
}

impl<T: AsRef<str>> fmt::Debug for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Masks one value: of an e-mail address three letters and the domain stay, of a long number the first and last four
/// digits, of anything else the first letter.
pub fn mask(value: &str) -> String {
    if let Some((name, domain)) = value.split_once('@') {
        let shown: String = name.chars().take(3.min(name.chars().count().saturating_sub(1))).collect();
        return format!("{shown}***@{domain}");
    }
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let mut seen = 0;
    if digits >= 12 {
        return value
            .chars()
            .map(|c| {
                seen += usize::from(c.is_ascii_digit());
                if c.is_ascii_digit() && seen > 4 && seen <= digits - 4 { '*' } else { c }
            })
            .collect();
    }
    value.chars().enumerate().map(|(n, c)| if n == 0 || c.is_whitespace() { c } else { '*' }).collect()
}

/// Removes what looks like personal data or a token from a line of text: e-mail addresses, numbers of 15 or 16 digits
/// (NIK, NPWP, with or without dots), Indonesian telephone numbers, JSON Web Tokens, bearer tokens. The last barrier:
/// code is written so that such things do not get here.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_bearer = false;
    while !rest.is_empty() {
        // A word, then what separates it from the next.
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let bare = word.trim_end_matches('.');
        match secret(bare).or((after_bearer && !bare.is_empty()).then_some("[token]")) {
            Some(name) => {
                out.push_str(name);
                out.push_str(&word[bare.len()..]);
            }
            None => out.push_str(word),
        }
        if !word.is_empty() {
            after_bearer = word.eq_ignore_ascii_case("bearer");
        }
        let gap = tail.find(is_word).unwrap_or(tail.len());
        out.push_str(&tail[..gap]);
        rest = &tail[gap..];
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+' | '%')
}

/// What a word is, if it has to go.
fn secret(word: &str) -> Option<&'static str> {
    if word.len() < 6 {
        return None;
    }
    if let Some((name, domain)) = word.split_once('@') {
        return (!name.is_empty() && domain.contains('.')).then_some("[e-mail]");
    }
    if word.starts_with("eyJ") && word.split('.').count() == 3 {
        return Some("[token]");
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let plain = digits == word.len();
    let dotted = word.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    if (plain && (15..=16).contains(&digits)) || (dotted && word.contains('.') && digits == 15) {
        return Some("[number]");
    }
    let local =
        word.strip_prefix("+62").or(word.strip_prefix("628").filter(|_| plain)).or(word.strip_prefix("08"));
    let is_phone = local.is_some_and(|local| {
        (8..=12).contains(&local.len()) && local.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    });
    is_phone.then_some("[phone]")
}

/// Passes lines on to `W` redacted. Each call of `write` must bring whole lines, as log formatters do.
pub struct Redacting<W>(pub W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_by_kind() {
        for (value, masked) in [
            ("3171234567890123", "3171********0123"),
            ("09.254.294.3-407.000", "09.25*.***.*-**7.000"),
            ("budi.santoso@example.com", "bud***@example.com"),
            ("b@example.com", "***@example.com"),
            ("SITI RAHAYU", "S*** ******"),
            ("", ""),
        ] {
            assert_eq!(Masked(value).to_string(), masked);
            assert_eq!(format!("{:?}", Masked(value)), masked);
        }
    }

    #[test]
    fn lines_lose_what_is_personal_and_keep_the_rest() {
        for (line, redacted) in [
            ("nik 3171234567890123 read", "nik [number] read"),
            (r#"{"npwp":"09.254.294.3-407.000","n":1}"#, r#"{"npwp":"[number]","n":1}"#),
            ("user budi.santoso@example.com.", "user [e-mail]."),
            ("call +6281234567890 or 081234567890, 6281234567890", "call [phone] or [phone], [phone]"),
            ("Authorization: Bearer abc-DEF_123", "Authorization: Bearer [token]"),
            ("t=eyJhbGciOi.eyJzdWIi.c2ln x", "t=[token] x"),
            (
                "document=01a20679-695d-7667-b5a5-9649bb766fe9 ms=1234 127.0.0.1:8080 2026-11-23T03:45:11.123456Z",
                "document=01a20679-695d-7667-b5a5-9649bb766fe9 ms=1234 127.0.0.1:8080 2026-11-23T03:45:11.123456Z",
            ),
            ("", ""),
        ] {
            assert_eq!(redact(line), redacted);
        }
    }

    #[test]
    fn a_writer_passes_on_redacted_lines() {
        let mut out = Vec::new();
        writeln!(Redacting(&mut out), "a@b.id 3171234567890123").unwrap();
        // `writeln!` may bring a line in several pieces; none of them holds a part of a word.
        assert_eq!(String::from_utf8(out).unwrap(), "[e-mail] [number]\n");
    }
}
