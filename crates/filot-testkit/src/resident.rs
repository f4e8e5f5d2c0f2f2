//! Invented residents: everything a KTP prints, consistent with itself.

mod addresses;
mod names;
mod nik;
mod occupations;

use jiff::civil::Date;

use crate::dice::Dice;
use crate::regions::{self, District};
pub(crate) use addresses::{rt_rw, street, village};
pub(crate) use names::Faith;
pub(crate) use nik::nik;

/// What stands on one person's card, in capitals as printed.
#[derive(Clone, Debug)]
pub(crate) struct Resident {
    pub(crate) nik: String,
    pub(crate) name: String,
    pub(crate) birth_place: String,
    pub(crate) birth: Date,
    pub(crate) female: bool,
    pub(crate) blood: String,
    pub(crate) address: String,
    /// Neighbourhood and community number.
    pub(crate) rt_rw: (u32, u32),
    pub(crate) village: String,
    pub(crate) district: District,
    pub(crate) religion: String,
    pub(crate) marital: String,
    pub(crate) occupation: String,
    pub(crate) nationality: String,
    pub(crate) valid_until: String,
    pub(crate) issued: Date,
    /// Words on the card in English, as foreigners have them.
    pub(crate) foreign: bool,
}

/// The day on which the kit's world stands still: nobody is younger than 17 on it, no card is issued after it.
pub(crate) fn today() -> Date {
    Date::constant(2025, 12, 31)
}

/// Day first, as Indonesian documents print it.
pub(crate) fn day_first(date: Date, separator: char) -> String {
    format!("{:02}{separator}{:02}{separator}{:04}", date.day(), date.month(), date.year())
}

impl Resident {
    /// Replaces words by letters of chance, see [`crate::Case::gibberish`].
    pub(crate) fn garble(&mut self, dice: &mut Dice) {
        let District { name, regency, province, .. } = &mut self.district;
        let words = [
            &mut self.name,
            &mut self.birth_place,
            &mut self.address,
            &mut self.village,
            &mut self.occupation,
        ];
        for text in words.into_iter().chain([name, regency, province]) {
            *text = dice.garbled(text);
        }
    }

    /// An Indonesian citizen, or a foreigner with a permanent residence permit.
    pub(crate) fn draw(dice: &mut Dice, foreign: bool) -> Self {
        let female = dice.chance(0.5);
        let issued = random_date(dice, 2011, 2025);
        let birth = birth_date(dice, issued);
        let district = regions::district(dice);
        let (name, faith, nationality) = if foreign {
            let (name, country) = names::draw_foreign(dice, female);
            (name, Faith::Christian, country)
        } else {
            let (name, faith) = names::draw(dice, female);
            (name, faith, "WNI")
        };
        let birth_place = match dice.int(0, 9) {
            _ if foreign => (dice.word("TOKYO|MELBOURNE|AMSTERDAM|MUMBAI|SEOUL|CHICAGO|MUNICH")).into(),
            0..=5 => district.regency_place().to_owned(),
            6 => village(dice),
            _ => regions::any_place(dice),
        };
        let mut resident = Self {
            nik: nik(dice, &district.code, birth, female),
            name,
            birth_place,
            birth,
            female,
            blood: blood(dice),
            address: street(dice),
            rt_rw: rt_rw(dice),
            village: village(dice),
            religion: religion(dice, faith).to_owned(),
            marital: marital(dice, birth, issued).to_owned(),
            occupation: occupations::draw(dice, birth, issued, female),
            nationality: nationality.to_owned(),
            valid_until: "SEUMUR HIDUP".into(),
            issued,
            foreign,
            district,
        };
        if foreign {
            resident.speak_english(dice);
        }
        resident
    }

    /// `LAKI-LAKI`, or `MALE` on a foreigner's card.
    pub(crate) fn gender(&self) -> &'static str {
        match (self.foreign, self.female) {
            (false, false) => "LAKI-LAKI",
            (false, true) => "PEREMPUAN",
            (true, false) => "MALE",
            (true, true) => "FEMALE",
        }
    }

    /// A past date where `SEUMUR HIDUP` would stand: cards issued before 2016, valid for life all the same.
    pub(crate) fn date_validity(&mut self, dice: &mut Dice) {
        self.issued = random_date(dice, 2011, 2013);
        // Such cards ended on the birthday in the fifth year.
        let year = self.issued.year() + 5;
        let end = Date::new(year, self.birth.month(), self.birth.day())
            .unwrap_or_else(|_| Date::constant(2017, 3, 1));
        self.valid_until = day_first(end, '-');
        if self.birth.year() > 1994 {
            self.valid_until = day_first(random_date(dice, 2017, 2020), '-');
        }
    }

    fn speak_english(&mut self, dice: &mut Dice) {
        self.religion = (dice.word("CHRISTIAN|CATHOLIC|ISLAM|HINDU|BUDDHA")).into();
        self.marital = (dice.word("SINGLE|MARRIED|DIVORCED")).into();
        self.occupation = (dice.word("PRIVATE EMPLOYEE|ENTREPRENEUR|HOUSEWIFE|CONSULTANT|LECTURER")).into();
        self.valid_until = day_first(random_date(dice, 2027, 2030), '-');
    }
}

/// Any day of the years `first..=last`.
pub(crate) fn random_date(dice: &mut Dice, first: i16, last: i16) -> Date {
    let year = dice.int(u32::from(first.unsigned_abs()), u32::from(last.unsigned_abs()));
    let year = i16::try_from(year).unwrap_or(first);
    let month = i8::try_from(dice.int(1, 12)).unwrap_or(1);
    let first_day = Date::new(year, month, 1).unwrap_or_else(|_| today());
    let day = dice.int(1, u32::from(first_day.days_in_month().unsigned_abs()));
    Date::new(year, month, i8::try_from(day).unwrap_or(1)).unwrap_or(first_day)
}

/// A birthday of somebody between 17 and 84 on the day of issue, most of them of working age.
fn birth_date(dice: &mut Dice, issued: Date) -> Date {
    loop {
        let (youngest, oldest) =
            *dice.weighted(&[((17, 24), 3.0), ((25, 39), 4.0), ((40, 59), 3.0), ((60, 84), 1.0)]);
        let birth = random_date(dice, issued.year() - oldest, issued.year() - youngest);
        let seventeenth = Date::new(birth.year() + 17, birth.month(), birth.day().min(28));
        if seventeenth.is_ok_and(|day| day < issued) {
            return birth;
        }
    }
}

fn blood(dice: &mut Dice) -> String {
    (*dice.weighted(&[
        ("-", 38.0),
        ("O", 18.0),
        ("A", 13.0),
        ("B", 14.0),
        ("AB", 5.0),
        ("TIDAK TAHU", 4.0),
        ("A+", 2.0),
        ("B+", 2.0),
        ("O+", 2.0),
        ("AB+", 1.0),
        ("B-", 0.5),
        ("O-", 0.5),
    ]))
    .to_owned()
}

fn religion(dice: &mut Dice, faith: Faith) -> &'static str {
    let spelled = |dice: &mut Dice, wish: &str| match wish {
        "KATOLIK" => dice.word("KATHOLIK|KATOLIK"),
        "BUDDHA" => dice.word("BUDHA|BUDDHA"),
        _ => dice.word("KHONGHUCU|KONGHUCU"),
    };
    match faith {
        Faith::Muslim => "ISLAM",
        Faith::Hindu => "HINDU",
        Faith::Christian if dice.chance(0.6) => "KRISTEN",
        Faith::Christian => spelled(dice, "KATOLIK"),
        Faith::Chinese => match dice.int(0, 9) {
            0..=3 => "KRISTEN",
            4..=5 => spelled(dice, "KATOLIK"),
            6..=8 => spelled(dice, "BUDDHA"),
            _ => spelled(dice, "KHONGHUCU"),
        },
        Faith::Any => match dice.int(0, 99) {
            0..=86 => "ISLAM",
            87..=91 => "KRISTEN",
            92..=95 => spelled(dice, "KATOLIK"),
            96 => "KEPERCAYAAN TERHADAP TUHAN YME",
            97..=98 => spelled(dice, "BUDDHA"),
            _ => "HINDU",
        },
    }
}

fn marital(dice: &mut Dice, birth: Date, issued: Date) -> &'static str {
    let age = issued.year() - birth.year();
    match dice.int(0, 99) {
        0..=49 if age < 27 => "BELUM KAWIN",
        0..=12 => "BELUM KAWIN",
        13..=84 => "KAWIN",
        85..=89 => "CERAI HIDUP",
        90..=93 if age > 40 => "CERAI MATI",
        94..=96 => "KAWIN TERCATAT",
        97 => "KAWIN BELUM TERCATAT",
        _ => "KAWIN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residents_are_of_age_and_agree_with_their_nik() {
        for seed in 0..400 {
            let mut dice = Dice::new(seed);
            let person = Resident::draw(&mut dice, seed % 17 == 0);
            assert_eq!(person.nik.len(), 16);
            assert!(person.nik.starts_with(&person.district.code));
            let day: i8 = person.nik[6..8].parse().expect("two digits");
            assert_eq!(day, person.birth.day() + if person.female { 40 } else { 0 });
            assert_eq!(person.nik[8..10], format!("{:02}", person.birth.month()));
            assert_eq!(person.nik[10..12], format!("{:02}", person.birth.year() % 100));
            assert_ne!(&person.nik[12..], "0000");
            assert!(person.issued.year() - person.birth.year() >= 17, "{person:?}");
            assert!(person.issued <= today());
            for text in [&person.name, &person.address, &person.village, &person.birth_place] {
                assert!(text.is_ascii() && text.len() > 1, "{text}");
            }
        }
    }

    #[test]
    fn names_are_varied() {
        let mut dice = Dice::new(5);
        let names: Vec<_> = (0..600).map(|n| names::draw(&mut dice, n % 2 == 0).0).collect();
        assert!(names.iter().all(|name| name.len() <= 60 && !name.is_empty()));
        let share = |test: fn(&str) -> bool| names.iter().filter(|name| test(name)).count();
        assert!(share(|name| name.contains('\'')) > 10, "apostrophes");
        assert!(share(|name| !name.contains(' ')) > 5, "one word");
        assert!(share(|name| name.len() > 30) > 20, "two lines");
        assert!(share(|name| name.contains("S.")) > 5, "titles");
    }
}
