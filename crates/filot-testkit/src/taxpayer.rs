//! Invented taxpayers: everything an NPWP card prints, consistent with itself.

use jiff::civil::Date;

use crate::dice::Dice;
use crate::regions;
use crate::resident::{self, Resident, random_date, rt_rw, street, village};

/// Generation of the card, which decides what is printed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NpwpDesign {
    /// Yellow, to about 2019: 15 digits.
    Old,
    /// Blue and white, about 2013 to 2022: 15 digits.
    Blue,
    /// From 2022: 16 digits first, the 15 below.
    New16,
}

impl NpwpDesign {
    /// The name in `truth.jsonl`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Blue => "blue",
            Self::New16 => "new16",
        }
    }
}

/// What stands on one tax card, as printed.
#[derive(Clone, Debug)]
pub(crate) struct Taxpayer {
    /// 15 digits with dots and dash.
    pub(crate) npwp: String,
    /// 16 digits: the NIK of a person, `0` and the 15 digits for everyone else. On `New16` cards only.
    pub(crate) npwp16: Option<String>,
    pub(crate) nik: Option<String>,
    pub(crate) name: String,
    /// The printed lines.
    pub(crate) address: Vec<String>,
    pub(crate) office: String,
    pub(crate) registered: Date,
    /// Number of the place of business, 22 digits, on some new cards.
    pub(crate) nitku: Option<String>,
}

/// Tax offices with their codes, as far as they are generally known; the others are drawn.
const OFFICES: &[(&str, &str)] = &[
    ("JAKARTA MATRAMAN", "001"),
    ("JAKARTA KRAMAT JATI", "005"),
    ("JAKARTA PASAR REBO", "009"),
    ("BEKASI UTARA", "407"),
    ("BOGOR", "404"),
    ("CIBINONG", "403"),
    ("TANGERANG BARAT", "402"),
    ("MEDAN BARAT", "111"),
    ("SEMARANG BARAT", "503"),
    ("SLEMAN", "542"),
    ("MAKASSAR SELATAN", "804"),
    ("SURABAYA GUBENG", "606"),
    ("DENPASAR TIMUR", "903"),
];

impl Taxpayer {
    /// Replaces words by letters of chance, see [`crate::Case::gibberish`].
    pub(crate) fn garble(&mut self, dice: &mut Dice) {
        for text in self.address.iter_mut().chain([&mut self.name, &mut self.office]) {
            *text = dice.garbled(text);
        }
    }

    /// A person or a company with a card of the given generation.
    pub(crate) fn draw(dice: &mut Dice, design: NpwpDesign) -> Self {
        let company = dice.chance(0.22);
        let person = Resident::draw(dice, false);
        let (office, code) = office(dice);
        let kind = if company { *dice.pick(&[1, 2, 3, 21, 31, 43, 61]) } else { person_prefix(dice) };
        let branch = if dice.chance(0.86) { 0 } else { dice.int(1, 9) };
        let digits = number(dice, kind, &code, branch);
        let registered = match design {
            NpwpDesign::Old => random_date(dice, 2004, 2019),
            NpwpDesign::Blue => random_date(dice, 2012, 2022),
            NpwpDesign::New16 => random_date(dice, 2005, 2025),
        };
        let npwp16 = (design == NpwpDesign::New16)
            .then(|| if company { format!("0{digits}") } else { person.nik.clone() });
        let nik = (!company && dice.chance(0.55)).then(|| person.nik.clone());
        let nitku = npwp16
            .as_ref()
            .filter(|_| dice.chance(0.2))
            .map(|number| format!("{number}{:06}", if branch == 0 { 0 } else { branch }));
        Self {
            npwp: dotted(&digits),
            npwp16,
            nik,
            name: if company { company_name(dice) } else { person.name.clone() },
            address: address(dice, &person),
            office,
            registered,
            nitku,
        }
    }
}

/// Check digit over the first eight digits: Luhn, weights 1 and 2 in turn from the left.
pub(crate) fn check_digit(first_eight: &str) -> u32 {
    let sum: u32 = first_eight
        .chars()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    (10 - sum % 10) % 10
}

fn number(dice: &mut Dice, kind: u32, office: &str, branch: u32) -> String {
    let eight = format!("{kind:02}{:06}", dice.int(1_000, 999_999));
    format!("{eight}{}{office}{branch:03}", check_digit(&eight))
}

fn person_prefix(dice: &mut Dice) -> u32 {
    *dice.pick(&[4, 5, 6, 7, 8, 9, 24, 25, 36, 45, 47, 48, 58, 66, 67, 68, 72, 77, 79, 83, 87, 89, 92, 94])
}

/// `XX.XXX.XXX.X-XXX.XXX`; shorter numbers keep the shape as far as they go.
pub(crate) fn dotted(digits: &str) -> String {
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        match place {
            2 | 5 | 8 | 12 => out.push('.'),
            9 => out.push('-'),
            _ => {}
        }
        out.push(digit);
    }
    out
}

fn office(dice: &mut Dice) -> (String, String) {
    match dice.int(0, 19) {
        0..=10 => {
            let (name, code) = dice.pick(OFFICES);
            (format!("KPP PRATAMA {name}"), (*code).to_owned())
        }
        11..=16 => {
            let place = regions::any_place(dice);
            (format!("KPP PRATAMA {place}"), format!("{:03}", dice.int(10, 990)))
        }
        17..=18 => {
            let place = dice.word("BANDUNG|JAKARTA TIMUR|BEKASI|SURABAYA|MEDAN|DUA JAKARTA BARAT");
            (format!("KPP MADYA {place}"), format!("{:03}", dice.int(10, 990)))
        }
        _ => {
            let name = dice.word("WAJIB PAJAK BESAR SATU|PENANAMAN MODAL ASING TIGA|PERUSAHAAN MASUK BURSA");
            (format!("KPP {name}"), format!("{:03}", dice.int(51, 99)))
        }
    }
}

fn company_name(dice: &mut Dice) -> String {
    let form = *dice.weighted(&[
        ("PT", 3.0),
        ("PT.", 3.0),
        ("CV", 2.0),
        ("CV.", 1.0),
        ("KOPERASI", 1.0),
        ("YAYASAN", 1.0),
        ("UD", 0.6),
    ]);
    let first = dice
        .word("SUMBER|MITRA|KARYA|CAHAYA|PUTRA|ANUGERAH|BINTANG|GLOBAL|NUSA|INDO|SINAR|MULTI|EKA|TRI|BUMI");
    let second = dice
        .word("MANDIRI|ABADI|SEJAHTERA|PRATAMA|UTAMA|LESTARI|GEMILANG|TEKNIK|SAMUDERA|AGRO|LOGISTIK|MEDIKA");
    let mut name = format!("{form} {first} {second}");
    if dice.chance(0.6) {
        name =
            format!("{name} {}", dice.word("INDONESIA|NUSANTARA|SENTOSA|JAYA|PERSADA|MAKMUR|INTERNASIONAL"));
    }
    if dice.chance(0.05) { format!("{name} TBK") } else { name }
}

fn address(dice: &mut Dice, person: &Resident) -> Vec<String> {
    let (rt, rw) = rt_rw(dice);
    let street = street(dice);
    let village = village(dice);
    let regency = person.district.regency.replace("KABUPATEN ", "KAB. ");
    let first = match dice.int(0, 9) {
        0..=6 => format!("{street} RT {rt:03} RW {rw:03}"),
        7..=8 => format!("{street} RT.{rt:03} RW.{rw:03}"),
        _ => street,
    };
    let mut lines = vec![first];
    match dice.int(0, 9) {
        0..=5 => lines.push(format!("{village} {} {regency}", person.district.name)),
        6..=7 => {
            lines.push(format!("{village} {}", person.district.name));
            lines.push(format!("{regency} {}", person.district.province));
        }
        _ => {
            lines.push(format!("{village} {}", person.district.name));
            lines.push(format!("{regency} {:05}", dice.int(10_110, 98_990)));
        }
    }
    lines
}

/// The date in one of the two printed styles.
pub(crate) fn printed_date(dice: &mut Dice, date: Date) -> String {
    let separator = if dice.chance(0.6) { '-' } else { '/' };
    resident::day_first(date, separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digit_of_a_published_number() {
        // Printed in a telecommunication company's public invoices: 01.000.013.1.
        assert_eq!(check_digit("01000013"), 1);
        assert_eq!(check_digit("12345678"), 2);
    }

    #[test]
    fn dots_and_dash() {
        assert_eq!(dotted("010000131093000"), "01.000.013.1-093.000");
        assert_eq!(dotted("0100001310930"), "01.000.013.1-093.0");
    }

    #[test]
    fn taxpayers_are_consistent() {
        for seed in 0..200 {
            for design in [NpwpDesign::Old, NpwpDesign::Blue, NpwpDesign::New16] {
                let payer = Taxpayer::draw(&mut Dice::new(seed), design);
                let digits: String = payer.npwp.chars().filter(char::is_ascii_digit).collect();
                assert_eq!(digits.len(), 15);
                assert_eq!(check_digit(&digits[..8]).to_string(), digits[8..9]);
                if let Some(number) = &payer.npwp16 {
                    assert_eq!(number.len(), 16);
                    assert!(number.ends_with(&digits) || payer.nik.as_ref().is_none_or(|nik| nik == number));
                }
                assert_eq!(payer.npwp16.is_some(), design == NpwpDesign::New16);
            }
        }
    }
}
