//! Keeping personal data out of logs, and short in what people see.

use std::fmt;

mod redact;

pub use redact::{redact, without_values};

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
}
