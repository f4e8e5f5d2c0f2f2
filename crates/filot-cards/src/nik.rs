//! NIK: the 16-digit population number.
//!
//! Two digits each of province, regency, district; day (women: day + 40), month, year of birth; four digits given by the
//! registry, from 0001. There is no check digit. Sources: PP 37/2007 art. 37, PP 40/2019 art. 30.

use std::fmt;

use jiff::civil::Date;
use serde::Serialize;

/// A person's sex as the population registry knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gender {
    Male,
    Female,
}

/// Sixteen digits. Their meaning is asked of the methods: a printed number may well break the rules.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Nik(String);

/// It does not have sixteen digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a NIK has 16 digits, this has {digits} digits and {others} other characters")]
pub struct Malformed {
    pub digits: usize,
    pub others: usize,
}

impl Nik {
    /// Reads sixteen ASCII digits; nothing else is tolerated.
    ///
    /// # Errors
    /// [`Malformed`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let digits = text.chars().filter(char::is_ascii_digit).count();
        let others = text.chars().count() - digits;
        if digits == 16 && others == 0 {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed { digits, others })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Two digits.
    pub fn province(&self) -> &str {
        &self.0[..2]
    }

    /// Four digits, the province's included.
    pub fn regency(&self) -> &str {
        &self.0[..4]
    }

    /// Six digits, the regency's included.
    pub fn district(&self) -> &str {
        &self.0[..6]
    }

    /// Returns whether it is the number of a citizen who lives abroad, given by a mission: it begins with no province.
    pub fn is_of_citizen_abroad(&self) -> bool {
        self.0.starts_with("99") && self.has_birth_date() && self.serial() != 0
    }

    /// The registry's running number; 0 is never given.
    pub fn serial(&self) -> u16 {
        self.number(12, 16)
    }

    /// The sex that the day of birth encodes; `None` where the day is impossible for both.
    pub fn gender(&self) -> Option<Gender> {
        match self.number(6, 8) {
            1..=31 => Some(Gender::Male),
            41..=71 => Some(Gender::Female),
            _ => None,
        }
    }

    /// Whether some century has the encoded day.
    pub fn has_birth_date(&self) -> bool {
        self.born_in(1900).is_some() || self.born_in(2000).is_some()
    }

    /// The date of birth. The number holds two digits of the year only: the later century is taken unless the person
    /// would then be younger than `min_age` on `today`. A printed date knows better; compare with [`Nik::agrees_with`].
    pub fn birth_date(&self, today: Date, min_age: i16) -> Option<Date> {
        self.born_in(2000)
            .filter(|born| crate::dates::age(*born, today) >= min_age)
            .or_else(|| self.born_in(1900))
    }

    /// Whether the encoded day, month and year are those of `date`, in any century.
    pub fn agrees_with(&self, date: Date) -> bool {
        self.born_in(i32::from(date.year()).div_euclid(100) * 100) == Some(date)
    }

    /// Returns whether the encoded date exists and differs from `date` in its day, its month or its year alone, as where
    /// an error of the registry was corrected later: numbers are never changed.
    pub fn differs_in_one_part(&self, date: Date) -> bool {
        let century = i32::from(date.year()).div_euclid(100) * 100;
        let Some(own) = self.born_in(century) else { return false };
        let same = [own.day() == date.day(), own.month() == date.month(), own.year() == date.year()];
        same.into_iter().filter(|same| *same).count() == 2
    }

    /// The number with the person's part hidden, for people who may not see it.
    pub fn masked(&self) -> String {
        format!("{}********{}", &self.0[..4], &self.0[12..])
    }

    fn born_in(&self, century: i32) -> Option<Date> {
        let day = self.number(6, 8);
        let day = if day > 40 { day - 40 } else { day };
        let year = century + i32::from(self.number(10, 12));
        Date::new(year.try_into().ok()?, self.number(8, 10).try_into().ok()?, day.try_into().ok()?).ok()
    }

    fn number(&self, from: usize, to: usize) -> u16 {
        self.0[from..to].bytes().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    }
}

/// Shows the masked form, so that a stray `{:?}` leaks nothing.
impl fmt::Debug for Nik {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nik({})", self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TODAY: Date = date(2026, 8, 1);

    fn nik(text: &str) -> Nik {
        Nik::parse(text).unwrap()
    }

    #[test]
    fn only_sixteen_digits_are_a_nik() {
        assert!(Nik::parse("3512025102020054").is_ok());
        assert_eq!(Nik::parse("351202510202005"), Err(Malformed { digits: 15, others: 0 }));
        assert_eq!(Nik::parse("35120251020200540"), Err(Malformed { digits: 17, others: 0 }));
        assert_eq!(Nik::parse("351202510202005O"), Err(Malformed { digits: 15, others: 1 }));
        assert_eq!(Nik::parse("٣512025102020054"), Err(Malformed { digits: 15, others: 1 }));
        assert_eq!(Nik::parse(""), Err(Malformed { digits: 0, others: 0 }));
    }

    #[test]
    fn numbers_of_citizens_abroad_begin_with_no_province() {
        assert!(nik("9911056001590033").is_of_citizen_abroad());
        assert!(!nik("9999999999999999").is_of_citizen_abroad());
        assert!(!nik("3512025102020054").is_of_citizen_abroad());
    }

    #[test]
    fn parts_are_cut_at_their_places() {
        let nik = nik("3512025102020054");
        assert_eq!((nik.province(), nik.regency(), nik.district()), ("35", "3512", "351202"));
        assert_eq!(nik.serial(), 54);
        assert_eq!(nik.masked(), "3512********0054");
        assert_eq!(format!("{nik:?}"), "Nik(3512********0054)");
    }

    #[test]
    fn women_have_forty_added_to_the_day() {
        assert_eq!(nik("3512025102020054").gender(), Some(Gender::Female));
        assert_eq!(nik("3512025102020054").birth_date(TODAY, 17), Some(date(2002, 2, 11)));
        assert_eq!(nik("3512021102020054").gender(), Some(Gender::Male));
        assert_eq!(nik("3512024101900001").birth_date(TODAY, 17), Some(date(1990, 1, 1)));
        assert_eq!(nik("3512027112900001").birth_date(TODAY, 17), Some(date(1990, 12, 31)));
        for impossible in ["00", "32", "40", "72", "99"] {
            let nik = nik(&format!("351202{impossible}01900001"));
            assert_eq!(nik.gender(), None, "{impossible}");
            assert!(!nik.has_birth_date(), "{impossible}");
        }
    }

    #[test]
    fn century_follows_from_the_age_of_card_holders() {
        // Seventeen on the very day.
        assert_eq!(nik("3512020108090001").birth_date(TODAY, 17), Some(date(2009, 8, 1)));
        assert_eq!(nik("3512020208090001").birth_date(TODAY, 17), Some(date(1909, 8, 2)));
        assert_eq!(nik("3512020101000001").birth_date(TODAY, 17), Some(date(2000, 1, 1)));
        assert_eq!(nik("3512020101270001").birth_date(TODAY, 17), Some(date(1927, 1, 1)));
    }

    #[test]
    fn leap_days_exist_in_leap_years_only() {
        assert_eq!(nik("3512022902040001").birth_date(TODAY, 17), Some(date(2004, 2, 29)));
        assert_eq!(nik("3512026902960001").birth_date(TODAY, 17), Some(date(1996, 2, 29)));
        // 2000 was a leap year, 1900 was not.
        assert!(nik("3512022902000001").agrees_with(date(2000, 2, 29)));
        assert!(!nik("3512022902010001").has_birth_date());
        assert!(!nik("3512023013900001").has_birth_date());
        assert!(!nik("3512023002900001").has_birth_date());
    }

    #[test]
    fn a_corrected_date_differs_in_one_part() {
        let nik = nik("3512020101100001");
        assert!(nik.differs_in_one_part(date(2010, 1, 2)) && nik.differs_in_one_part(date(2010, 7, 1)));
        assert!(nik.differs_in_one_part(date(2011, 1, 1)));
        assert!(!nik.differs_in_one_part(date(2010, 1, 1)) && !nik.differs_in_one_part(date(2011, 1, 2)));
    }

    #[test]
    fn a_printed_date_decides_the_century() {
        assert!(nik("3512020101100001").agrees_with(date(1910, 1, 1)));
        assert!(nik("3512020101100001").agrees_with(date(2010, 1, 1)));
        assert!(!nik("3512020101100001").agrees_with(date(2010, 1, 2)));
        assert!(nik("3512024101100001").agrees_with(date(2010, 1, 1)));
    }
}
