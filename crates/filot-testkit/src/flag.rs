//! What can be wrong or unusual about a card.

use jiff::civil::Date;

use crate::dice::Dice;
use crate::regions;
use crate::resident::{self, Resident, random_date};
use crate::taxpayer::{Taxpayer, check_digit, dotted};

/// One oddity of a card, under the name it has in `truth.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// Another birth date in the NIK than printed.
    BadNikDob,
    /// The other sex in the NIK than printed.
    BadNikGender,
    /// Serial 0000, which is never given.
    BadNikSerial,
    /// A thirteenth month, or a later one.
    BadNikMonth,
    /// A province that does not exist.
    BadNikProvince,
    /// Fifteen digits.
    BadNikShort,
    /// The ninth digit does not fit the first eight.
    BadNpwpCheck,
    /// A digit too few.
    BadNpwpShort,
    /// The 16-digit tax number of a person is not the NIK on the same card.
    Nik16Mismatch,
    /// `SPECIMEN`, `CONTOH` or the like across the card.
    Specimen,
    /// The NIK was first given elsewhere: normal.
    NikRegionDiffers,
    /// The NIK's district code has been abolished since: normal.
    NikRetiredRegion,
    /// A past date instead of `SEUMUR HIDUP`: valid for life all the same.
    DatedValidity,
    /// A copy, not the card.
    Photocopy,
    /// A photographed screen, not the card.
    Screen,
}

impl Flag {
    /// Flags that a KTP can have.
    pub const KTP: [Self; 10] = [
        Self::BadNikDob,
        Self::BadNikGender,
        Self::BadNikSerial,
        Self::BadNikMonth,
        Self::BadNikProvince,
        Self::BadNikShort,
        Self::Specimen,
        Self::NikRegionDiffers,
        Self::NikRetiredRegion,
        Self::DatedValidity,
    ];

    /// Flags that an NPWP can have; [`Flag::Nik16Mismatch`] on the newest design only.
    pub const NPWP: [Self; 4] = [Self::BadNpwpCheck, Self::BadNpwpShort, Self::Nik16Mismatch, Self::Specimen];

    /// The name in `truth.jsonl`.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadNikDob => "bad_nik_dob",
            Self::BadNikGender => "bad_nik_gender",
            Self::BadNikSerial => "bad_nik_serial",
            Self::BadNikMonth => "bad_nik_month",
            Self::BadNikProvince => "bad_nik_province",
            Self::BadNikShort => "bad_nik_short",
            Self::BadNpwpCheck => "bad_npwp_check",
            Self::BadNpwpShort => "bad_npwp_short",
            Self::Nik16Mismatch => "nik16_mismatch",
            Self::Specimen => "specimen",
            Self::NikRegionDiffers => "nik_region_differs",
            Self::NikRetiredRegion => "nik_retired_region",
            Self::DatedValidity => "dated_validity",
            Self::Photocopy => "photocopy",
            Self::Screen => "screen",
        }
    }

    /// Whether a card with this flag must not be approved.
    pub fn forbids_approval(self) -> bool {
        !matches!(
            self,
            Self::NikRegionDiffers | Self::NikRetiredRegion | Self::DatedValidity | Self::Photocopy
        )
    }

    /// Whether the card's values contradict each other or the rules.
    pub fn inconsistent(self) -> bool {
        self.forbids_approval() && self != Self::Screen
    }

    /// Changes a person's card accordingly.
    pub(crate) fn apply_to_resident(self, person: &mut Resident, dice: &mut Dice) {
        let nik = person.nik.clone();
        person.nik = match self {
            Self::BadNikDob => {
                let other = other_date(dice, person.birth);
                let day = other.day() + if person.female { 40 } else { 0 };
                format!("{}{day:02}{:02}{:02}{}", &nik[..6], other.month(), other.year() % 100, &nik[12..])
            }
            Self::BadNikGender => {
                let day = person.birth.day() + if person.female { 0 } else { 40 };
                format!("{}{day:02}{}", &nik[..6], &nik[8..])
            }
            Self::BadNikSerial => format!("{}0000", &nik[..12]),
            Self::BadNikMonth => format!("{}{:02}{}", &nik[..8], dice.int(13, 99), &nik[10..]),
            Self::BadNikProvince => {
                let nowhere = *dice.pick(&[
                    10, 20, 22, 29, 30, 37, 40, 45, 50, 54, 59, 60, 66, 70, 77, 80, 83, 90, 97, 98, 99,
                ]);
                format!("{nowhere}{}", &nik[2..])
            }
            Self::BadNikShort => {
                let lost = dice.int(6, 15) as usize;
                format!("{}{}", &nik[..lost], &nik[lost + 1..])
            }
            Self::NikRegionDiffers => loop {
                let code = regions::district(dice).code;
                if code[..4] != nik[..4] {
                    break resident::nik(dice, &code, person.birth, person.female);
                }
            },
            Self::NikRetiredRegion => {
                let code = regions::retired_code(dice);
                resident::nik(dice, &code, person.birth, person.female)
            }
            Self::DatedValidity => {
                person.date_validity(dice);
                nik
            }
            _ => nik,
        };
    }

    /// Changes a tax card accordingly.
    pub(crate) fn apply_to_taxpayer(self, payer: &mut Taxpayer, dice: &mut Dice) {
        let digits: String = payer.npwp.chars().filter(char::is_ascii_digit).collect();
        match self {
            Self::BadNpwpCheck => {
                let wrong = (check_digit(&digits[..8]) + dice.int(1, 9)) % 10;
                let bad = format!("{}{wrong}{}", &digits[..8], &digits[9..]);
                if payer.npwp16.as_ref().is_some_and(|number| number.ends_with(&digits)) {
                    payer.npwp16 = Some(format!("0{bad}"));
                    payer.nitku = None;
                }
                payer.npwp = dotted(&bad);
            }
            Self::BadNpwpShort => payer.npwp = dotted(&digits[..14]),
            Self::Nik16Mismatch => {
                let stranger = Resident::draw(dice, false);
                let own =
                    payer.nik.clone().or_else(|| payer.npwp16.clone()).filter(|nik| !nik.starts_with('0'));
                payer.nik = Some(own.unwrap_or_else(|| Resident::draw(dice, false).nik));
                payer.npwp16 = Some(stranger.nik);
                payer.nitku = None;
            }
            _ => {}
        }
    }
}

/// Another date than `birth` as it stands in a NIK.
fn other_date(dice: &mut Dice, birth: Date) -> Date {
    loop {
        let other = random_date(dice, 1946, 2006);
        if (other.day(), other.month(), other.year() % 100)
            != (birth.day(), birth.month(), birth.year() % 100)
        {
            return other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taxpayer::NpwpDesign;

    fn person(seed: u64, flag: Flag) -> Resident {
        let mut dice = Dice::new(seed);
        let mut person = Resident::draw(&mut dice, false);
        flag.apply_to_resident(&mut person, &mut dice);
        person
    }

    /// What the NIK says of birth and sex, `None` where it says nothing possible.
    fn told(nik: &str) -> Option<(i8, i8, i16, bool)> {
        let part = |from: usize| nik.get(from..from + 2)?.parse::<i16>().ok();
        let (day, month, year) = (part(6)?, part(8)?, part(10)?);
        let female = day > 40;
        (month <= 12).then_some(((day % 40) as i8, month as i8, year, female))
    }

    #[test]
    fn inconsistent_people_really_contradict_themselves() {
        for seed in 0..100 {
            let dob = person(seed, Flag::BadNikDob);
            let printed = (dob.birth.day(), dob.birth.month(), dob.birth.year() % 100, dob.female);
            assert_ne!(told(&dob.nik).expect("a possible date"), printed);
            assert_eq!(told(&dob.nik).expect("a possible date").3, dob.female);

            let gender = person(seed, Flag::BadNikGender);
            assert_eq!(told(&gender.nik).expect("a possible date").3, !gender.female);
            assert_eq!(told(&gender.nik).expect("a possible date").0, gender.birth.day());

            assert!(person(seed, Flag::BadNikSerial).nik.ends_with("0000"));
            assert!(told(&person(seed, Flag::BadNikMonth).nik).is_none());
            assert!(!regions::exists(&person(seed, Flag::BadNikProvince).nik[..2]));
            assert_eq!(person(seed, Flag::BadNikShort).nik.len(), 15);
        }
    }

    #[test]
    fn legitimate_oddities_stay_consistent() {
        for seed in 0..100 {
            for flag in [Flag::NikRegionDiffers, Flag::NikRetiredRegion, Flag::DatedValidity] {
                let person = person(seed, flag);
                let printed =
                    (person.birth.day(), person.birth.month(), person.birth.year() % 100, person.female);
                assert_eq!(told(&person.nik), Some(printed));
                assert!(regions::exists(&person.nik[..2]));
                assert_eq!(flag == Flag::DatedValidity, person.valid_until != "SEUMUR HIDUP");
            }
            assert_ne!(
                person(seed, Flag::NikRegionDiffers).nik[..4],
                person(seed, Flag::NikRegionDiffers).district.code[..4]
            );
        }
    }

    #[test]
    fn inconsistent_tax_cards_really_are() {
        for seed in 0..60 {
            let mut dice = Dice::new(seed);
            let payer = Taxpayer::draw(&mut dice, NpwpDesign::New16);
            let digits =
                |payer: &Taxpayer| payer.npwp.chars().filter(char::is_ascii_digit).collect::<String>();

            let mut bad = payer.clone();
            Flag::BadNpwpCheck.apply_to_taxpayer(&mut bad, &mut dice);
            assert_ne!(check_digit(&digits(&bad)[..8]).to_string(), digits(&bad)[8..9]);

            let mut short = payer.clone();
            Flag::BadNpwpShort.apply_to_taxpayer(&mut short, &mut dice);
            assert_eq!(digits(&short).len(), 14);

            let mut mismatch = payer;
            Flag::Nik16Mismatch.apply_to_taxpayer(&mut mismatch, &mut dice);
            assert!(mismatch.nik.is_some() && mismatch.nik != mismatch.npwp16);
        }
    }
}
