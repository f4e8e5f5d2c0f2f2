//! NPWP: the tax number in its 15- and 16-digit forms, and the 22-digit NITKU of a place of business.
//!
//! 15 digits `XX.XXX.XXX.C-KKK.BBB`: kind of taxpayer, serial, check digit, tax office, branch. `C` is the Luhn digit of
//! the eight before it; that was checked on published company numbers (28 of 29 pass). The 16-digit form (PMK
//! 112/PMK.03/2022) is the NIK of a resident person, and `0` followed by the 15 digits for everybody else.

use std::fmt;

use crate::nik::Nik;

/// Fifteen digits; whether the check digit fits is asked of [`Npwp15::check_digit_fits`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Npwp15(String);

/// Sixteen digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Npwp16(String);

/// What a 16-digit number stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A resident person: the number is their NIK.
    Person(Nik),
    /// A company, a government body or a non-resident: `0` and their 15-digit number.
    Entity(Npwp15),
}

/// The number has the wrong count of digits or holds something that is neither digit nor separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} digits, found {digits} and {others} characters that are no separator")]
pub struct Malformed {
    pub expected: usize,
    pub digits: usize,
    pub others: usize,
}

/// The digits of `text`, with `.`, `-` and blanks between them ignored.
fn digits(text: &str, expected: usize) -> Result<String, Malformed> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let others = text.chars().filter(|c| !c.is_ascii_digit() && !matches!(c, '.' | '-' | ' ')).count();
    if digits.len() == expected && others == 0 {
        Ok(digits)
    } else {
        Err(Malformed { expected, digits: digits.len(), others })
    }
}

/// Whether the last of `digits` is the Luhn check digit (ISO/IEC 7812-1) of the others. False for non-digits.
pub(crate) fn luhn(digits: &str) -> bool {
    let mut sum = 0;
    for (place, digit) in digits.bytes().rev().enumerate() {
        if !digit.is_ascii_digit() {
            return false;
        }
        let value = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
        sum += value / 10 + value % 10;
    }
    sum % 10 == 0
}

impl Npwp15 {
    /// Reads fifteen digits; `.`, `-` and blanks may stand between them.
    ///
    /// # Errors
    /// [`Malformed`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        digits(text, 15).map(Self)
    }

    /// The fifteen digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn check_digit_fits(&self) -> bool {
        luhn(&self.0[..9])
    }

    /// Three digits: the tax office (KPP) that gave the number.
    pub fn office(&self) -> &str {
        &self.0[9..12]
    }

    /// Three digits: `000` for a head office or the head of a family.
    pub fn branch(&self) -> &str {
        &self.0[12..]
    }
}

/// `99.999.999.9-999.999`
impl fmt::Display for Npwp15 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = &self.0;
        write!(f, "{}.{}.{}.{}-{}.{}", &n[..2], &n[2..5], &n[5..8], &n[8..9], &n[9..12], &n[12..])
    }
}

impl fmt::Debug for Npwp15 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Npwp15({}.***.***.*-{}.{})", &self.0[..2], self.office(), self.branch())
    }
}

impl Npwp16 {
    /// Reads sixteen digits; `.`, `-` and blanks may stand between them.
    ///
    /// # Errors
    /// [`Malformed`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        digits(text, 16).map(Self)
    }

    /// The sixteen digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn holder(&self) -> Holder {
        match self.0.strip_prefix('0') {
            Some(rest) => Holder::Entity(Npwp15(rest.to_owned())),
            // Sixteen digits were established by `parse`; a NIK never starts with 0.
            None => Holder::Person(Nik::parse(&self.0).unwrap_or_else(|_| unreachable!("sixteen digits"))),
        }
    }
}

impl fmt::Debug for Npwp16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Npwp16({}********{})", &self.0[..4], &self.0[12..])
    }
}

/// The number of a place of business: the 16-digit number and six digits, `000000` for the head office (PER-6/PJ/2024).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nitku {
    pub npwp16: Npwp16,
    /// Six digits.
    pub place: String,
}

impl Nitku {
    /// Reads 22 digits; `.`, `-` and blanks may stand between them.
    ///
    /// # Errors
    /// [`Malformed`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let all = digits(text, 22)?;
        Ok(Self { npwp16: Npwp16(all[..16].to_owned()), place: all[16..].to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luhn_of_published_company_numbers() {
        // Printed with the company's name in public invoices.
        for published in
            ["01.000.013.1-093.000", "01.001.608.7-093.000", "02.433.115.9-091.000", "01.308.524.6-091.000"]
        {
            assert!(Npwp15::parse(published).unwrap().check_digit_fits(), "{published}");
        }
        assert!(!Npwp15::parse("01.000.013.2-093.000").unwrap().check_digit_fits());
        assert!(!Npwp15::parse("01.234.567.8-999.000").unwrap().check_digit_fits());
        assert!(!luhn("12a4"));
    }

    #[test]
    fn luhn_finds_every_single_wrong_digit() {
        let good = "010000131";
        assert!(luhn(good));
        for place in 0..9 {
            for digit in '0'..='9' {
                let mut other: Vec<char> = good.chars().collect();
                if other[place] != digit {
                    other[place] = digit;
                    assert!(!luhn(&other.iter().collect::<String>()));
                }
            }
        }
    }

    #[test]
    fn separators_do_not_matter_but_letters_and_counts_do() {
        let npwp = Npwp15::parse("010000131093000").unwrap();
        assert_eq!(npwp.to_string(), "01.000.013.1-093.000");
        assert_eq!(Npwp15::parse("01.000.013.1-093.000").unwrap(), npwp);
        assert_eq!((npwp.office(), npwp.branch()), ("093", "000"));
        assert_eq!(Npwp15::parse("01.000.013.1-093.00").unwrap_err().digits, 14);
        assert_eq!(Npwp15::parse("O1.000.013.1-093.000").unwrap_err().others, 1);
        assert!(!format!("{npwp:?}").contains("000.013"));
    }

    #[test]
    fn sixteen_digits_are_a_nik_or_an_old_number() {
        let person = Npwp16::parse("3207145304059286").unwrap();
        assert!(matches!(person.holder(), Holder::Person(nik) if nik.as_str() == person.as_str()));
        let entity = Npwp16::parse("0010000131093000").unwrap();
        assert!(matches!(entity.holder(), Holder::Entity(old) if old.check_digit_fits()));
        assert!(Npwp16::parse("320714530405928").is_err());
    }

    #[test]
    fn nitku_is_the_number_and_a_place() {
        let nitku = Nitku::parse("3207145304059286000001").unwrap();
        assert_eq!(nitku.npwp16.as_str(), "3207145304059286");
        assert_eq!(nitku.place, "000001");
        assert!(Nitku::parse("320714530405928600000").is_err());
    }
}
