//! Many pictures from one seed, mixed as uploads are: easy ones, hard ones, wrong ones.

use crate::case::{Case, Sample, Subject};
use crate::decoy::Decoy;
use crate::dice::Dice;
use crate::flag::Flag;
use crate::taxpayer::NpwpDesign;
use crate::truth::{Medium, Tier};

/// An endless set of pictures; the picture at an index does not depend on the others.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    seed: u64,
}

impl Set {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// All pictures from the first on. The iterator never ends; take as many as needed.
    pub fn samples(self) -> impl Iterator<Item = Sample> {
        (0..).map(move |index| self.sample(index))
    }

    /// The picture at `index`, named `00000.jpg` and so on.
    pub fn sample(self, index: u64) -> Sample {
        let mut sample = self.case(index).draw(self.seed_of(index));
        sample.truth.file = format!("{index:05}.jpg");
        sample
    }

    /// What the picture at `index` is about.
    pub fn case(self, index: u64) -> Case {
        let mut dice = Dice::new(self.seed_of(index)).branch(99);
        if dice.chance(0.1) {
            return Case::decoy(*dice.weighted(&Decoy::MIX));
        }
        let subject = if dice.chance(0.62) {
            Subject::Ktp { foreign: dice.chance(0.04) }
        } else {
            Subject::Npwp(*dice.weighted(&[
                (NpwpDesign::Old, 4.0),
                (NpwpDesign::Blue, 2.5),
                (NpwpDesign::New16, 3.5),
            ]))
        };
        let tier = *dice.weighted(&[(Tier::Clean, 28.0), (Tier::Normal, 44.0), (Tier::Hard, 28.0)]);
        let mut case = Case::of(subject).tier(tier).medium(medium(&mut dice, tier));
        if dice.chance(0.11) {
            // What is wrong must be there to be seen, so such cards are not photographed badly.
            if tier == Tier::Hard {
                case = case.tier(Tier::Normal).medium(Medium::Photo);
            }
            return case.flag(wrong(&mut dice, subject));
        }
        if subject == (Subject::Ktp { foreign: false }) {
            if dice.chance(0.15) {
                case = case.flag(Flag::DatedValidity);
            }
            match dice.int(0, 99) {
                0..=7 => case = case.flag(Flag::NikRegionDiffers),
                8..=11 => case = case.flag(Flag::NikRetiredRegion),
                _ => {}
            }
        }
        case
    }

    /// Seed of one picture: neighbouring indices and seeds have nothing in common (splitmix64).
    fn seed_of(self, index: u64) -> u64 {
        let mut z = self
            .seed
            .wrapping_mul(0xD134_2543_DE82_EF95)
            .wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

fn medium(dice: &mut Dice, tier: Tier) -> Medium {
    *match tier {
        Tier::Clean => {
            dice.weighted(&[(Medium::Photo, 88.0), (Medium::Scan, 8.0), (Medium::Screenshot, 4.0)])
        }
        Tier::Hard => dice.weighted(&[
            (Medium::Photo, 82.0),
            (Medium::Scan, 4.0),
            (Medium::Photocopy, 10.0),
            (Medium::Screen, 4.0),
        ]),
        _ => dice.weighted(&[
            (Medium::Photo, 78.0),
            (Medium::Scan, 9.0),
            (Medium::Photocopy, 7.0),
            (Medium::Screen, 3.0),
            (Medium::Screenshot, 3.0),
        ]),
    }
}

fn wrong(dice: &mut Dice, subject: Subject) -> Flag {
    *match subject {
        Subject::Npwp(NpwpDesign::New16) => {
            dice.pick(&[Flag::BadNpwpCheck, Flag::BadNpwpShort, Flag::Nik16Mismatch, Flag::Specimen])
        }
        Subject::Npwp(_) => {
            dice.pick(&[Flag::BadNpwpCheck, Flag::BadNpwpCheck, Flag::BadNpwpShort, Flag::Specimen])
        }
        _ => dice.pick(&[
            Flag::BadNikDob,
            Flag::BadNikDob,
            Flag::BadNikGender,
            Flag::BadNikSerial,
            Flag::BadNikMonth,
            Flag::BadNikProvince,
            Flag::BadNikShort,
            Flag::Specimen,
            Flag::Specimen,
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sets_are_mixed_and_reach_every_case() {
        let cases: Vec<_> = (0..4000).map(|index| Set::new(7).case(index)).collect();
        let share =
            |test: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| test(case)).count() as f32 / 4000.0;
        assert!((0.08..0.12).contains(&share(&|case| case.tier == Tier::Negative)));
        assert!((0.22..0.29).contains(&share(&|case| case.tier == Tier::Clean)));
        assert!((0.36..0.46).contains(&share(&|case| case.tier == Tier::Normal)));
        assert!((0.07..0.14).contains(&share(&|case| case.flags.iter().any(|flag| flag.inconsistent()))));
        let decoys: HashSet<_> = cases
            .iter()
            .filter_map(|case| match case.subject {
                Subject::Decoy(decoy) => Some(decoy),
                _ => None,
            })
            .collect();
        assert_eq!(decoys.len(), Decoy::ALL.len());
        let flags: HashSet<_> = cases.iter().flat_map(|case| &case.flags).copied().collect();
        assert!(Flag::KTP.iter().chain(&Flag::NPWP).all(|flag| flags.contains(flag)));
    }

    #[test]
    fn a_picture_does_not_depend_on_the_others() {
        let set = Set::new(11);
        let third = set.samples().nth(2).expect("sets do not end");
        assert_eq!(third, set.sample(2));
        assert_eq!(third.file_name(), "00002.jpg");
        assert_ne!(third.jpeg, Set::new(12).sample(2).jpeg);
    }
}
