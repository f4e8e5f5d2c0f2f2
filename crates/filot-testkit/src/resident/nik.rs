//! The number of a resident (Nomor Induk Kependudukan), put together as the registry does it.

use jiff::civil::Date;

use crate::dice::Dice;

/// `district` (six digits) + DDMMYY with 40 added to a woman's day + serial from 0001.
pub(crate) fn nik(dice: &mut Dice, district: &str, birth: Date, female: bool) -> String {
    let day = birth.day() + if female { 40 } else { 0 };
    // Serials count the people of one birthday and district, so most are small; some offices use other ranges.
    let serial = if dice.chance(0.9) { dice.int(1, 60) } else { dice.int(61, 9899) };
    format!("{district}{day:02}{:02}{:02}{serial:04}", birth.month(), birth.year() % 100)
}
