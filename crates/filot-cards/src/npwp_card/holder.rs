//! Whose card it is: name and address, by what they are rather than by the order they usually have.
//!
//! Most cards print the name below the number and the address below the name, without labels. Some print the name above the
//! number, some print labels. Where it cannot be told which of them a card is, the fields are the best guess and the layout
//! counts as unknown, so that a person looks at it.

use super::parse::{Kind, Row};
use crate::field::FieldKey;
use crate::ktp::parse::starts_like_address;
use crate::span::{Span, first};

/// Rows farther apart than so many row distances are not of one block.
const GAP: f32 = 2.6;
/// The first row of the block may be so far from the number.
const FIRST_GAP: f32 = 4.5;
/// Rows of the block where nothing stands below it.
const ROWS: usize = 5;
/// Digits that a name does not have; those of companies may hold a number.
const DIGITS: usize = 3;
/// Letters of a name above the number; what is shorter may be a crest.
const LETTERS: usize = 4;

/// What was found, with the heights of its rows.
#[derive(Default)]
pub(super) struct Holder {
    pub(super) name: Vec<Row>,
    pub(super) address: Vec<Row>,
    /// Whether the order of the rows is one that is known.
    pub(super) known: bool,
}

impl Holder {
    pub(super) fn find(rows: &[Row], pitch: f32) -> Self {
        let labelled = |field| rows.iter().any(|row| row.kind == Kind::Labelled(field));
        match (labelled(FieldKey::Name), labelled(FieldKey::Address)) {
            (false, false) => Self::by_place(rows, pitch),
            (name, address) => Self { known: name && address, ..Self::by_label(rows, pitch) },
        }
    }

    /// The rows behind each label, up to the next row that says what it is.
    fn by_label(rows: &[Row], pitch: f32) -> Self {
        let mut holder = Self::default();
        let mut current: Option<(FieldKey, f32)> = None;
        for row in rows {
            current = match (&row.kind, current) {
                (Kind::Labelled(key), _) => Some((*key, row.y)),
                (Kind::Text, Some((key, y))) if row.y - y <= GAP * pitch => Some((key, row.y)),
                _ => None,
            };
            match current {
                Some((FieldKey::Name, _)) => holder.name.push(row.clone()),
                Some((FieldKey::Address, _)) => holder.address.push(row.clone()),
                _ => {}
            }
        }
        holder
    }

    /// The name follows the number, the address the name (and the NIK), up to the tax office or a gap; or the name stands
    /// above the number, and the address follows that.
    fn by_place(rows: &[Row], pitch: f32) -> Self {
        let is_number = |row: &Row| matches!(row.kind, Kind::Number(key) if key != FieldKey::Nik);
        let header = rows.iter().rposition(|row| row.kind == Kind::Header);
        let number = rows.iter().position(is_number);
        let Some(start) = number.or(header).map(|row| row + 1) else { return Self::default() };
        let end = rows[start..]
            .iter()
            .position(|row| matches!(row.kind, Kind::TaxOffice | Kind::Registered | Kind::Website))
            .map_or(rows.len(), |offset| start + offset);
        let bounded = end < rows.len();
        let mut text: Vec<Row> = Vec::new();
        let mut previous = rows[start.saturating_sub(1)].y;
        for row in &rows[start..end] {
            let gap = row.y - previous;
            if gap > GAP * pitch && !text.is_empty() || gap > FIRST_GAP * pitch {
                break;
            }
            previous = row.y;
            if row.kind == Kind::Text {
                text.push(row.clone());
            }
        }
        if !bounded {
            text.truncate(ROWS);
        }
        let above = number.map(|number| above(rows, header.map_or(0, |row| row + 1), number, pitch));
        let above = above.unwrap_or_default();
        let begins_with_address = text.first().is_some_and(|row| is_address(&row.value));
        match (above.is_empty(), begins_with_address) {
            // A long name takes two rows; the address then begins with one of its words in the third.
            (true, false) => {
                let address = text
                    .iter()
                    .position(|row| starts_like_address(&row.value))
                    .filter(|at| (1..=2).contains(at))
                    .unwrap_or(1)
                    .min(text.len());
                let address = text.split_off(address);
                let known = text.iter().all(|row| is_name(&row.value));
                Self { name: text, address, known }
            }
            (false, true) => Self { name: above, address: text, known: true },
            // The name's row was not read.
            (true, true) => Self { name: Vec::new(), address: text, known: false },
            // Both the row above the number and the one below may be the name.
            (false, false) => {
                let address = text.split_off(text.len().min(1));
                Self { name: text, address, known: false }
            }
        }
    }
}

/// The row or rows directly above the number that may be a name.
fn above(rows: &[Row], from: usize, number: usize, pitch: f32) -> Vec<Row> {
    let mut found = Vec::new();
    let mut below = rows[number].y;
    for row in rows[from.min(number)..number].iter().rev() {
        if row.kind != Kind::Text || below - row.y > GAP * pitch || !is_name(&row.value) {
            break;
        }
        below = row.y;
        found.push(row.clone());
    }
    found.reverse();
    found
}

fn count(value: &Span, test: fn(&char) -> bool) -> usize {
    value.glyphs.iter().map(first).filter(test).count()
}

/// Whether a row may be a name: letters, hardly a digit, not the beginning of an address.
fn is_name(value: &Span) -> bool {
    let letters = count(value, char::is_ascii_alphabetic);
    letters > 0 && count(value, char::is_ascii_digit) < DIGITS && !is_address(value)
}

/// Whether a row is the first of an address: its first word, or what stands in addresses only.
fn is_address(value: &Span) -> bool {
    let text = format!(" {} ", value.text().to_ascii_uppercase());
    let marks = [" RT ", " RW ", " RT.", " RW.", "RT/RW", " NO.", " BLOK ", " KAB. ", " KEL. ", " KEC. "];
    starts_like_address(value) || marks.iter().any(|mark| text.contains(mark))
}

/// Whether a row above the number is long enough to be one.
pub(super) fn may_be_name_above(value: &Span) -> bool {
    count(value, char::is_ascii_alphabetic) >= LETTERS && is_name(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::as_read;

    fn rows(texts: &[(Kind, &str)]) -> Vec<Row> {
        let row = |(place, (kind, text)): (usize, &(Kind, &str))| Row {
            y: 10.0 + 3.0 * place as f32,
            kind: kind.clone(),
            value: as_read(text, 0.97),
            labelled: matches!(kind, Kind::Number(_) | Kind::Labelled(_)),
        };
        texts.iter().enumerate().map(row).collect()
    }

    fn found(texts: &[(Kind, &str)]) -> (String, String, bool) {
        let holder = Holder::find(&rows(texts), 3.0);
        let text = |rows: &[Row]| rows.iter().map(|row| row.value.text()).collect::<Vec<_>>().join(" ");
        (text(&holder.name), text(&holder.address), holder.known)
    }

    const NUMBER: (Kind, &str) = (Kind::Number(FieldKey::NpwpNumber), "455796441402000");
    const OFFICE: (Kind, &str) = (Kind::TaxOffice, "KPP PRATAMA SLEMAN");

    fn expected(name: &str, address: &str, known: bool) -> (String, String, bool) {
        (name.to_owned(), address.to_owned(), known)
    }

    #[test]
    fn the_usual_card_has_the_name_below_the_number() {
        let card = [
            NUMBER,
            (Kind::Text, "BUDI SANTOSO"),
            (Kind::Text, "JL. MELATI NO. 1"),
            (Kind::Text, "SOLO"),
            OFFICE,
        ];
        assert_eq!(found(&card), expected("BUDI SANTOSO", "JL. MELATI NO. 1 SOLO", true));
    }

    #[test]
    fn labels_say_what_stands_behind_them() {
        let card = [
            NUMBER,
            (Kind::Labelled(FieldKey::Name), "FITRI SETIAWAN"),
            (Kind::Labelled(FieldKey::Address), "JALAN MELATI RT 001"),
            (Kind::Text, "BUBULAN"),
            OFFICE,
        ];
        assert_eq!(found(&card), expected("FITRI SETIAWAN", "JALAN MELATI RT 001 BUBULAN", true));
        let one = [
            NUMBER,
            (Kind::Labelled(FieldKey::Name), "FITRI SETIAWAN"),
            (Kind::Text, "JALAN MELATI"),
            OFFICE,
        ];
        assert!(!found(&one).2, "the address has none");
    }

    #[test]
    fn a_name_above_the_number_is_the_name() {
        let card = [
            (Kind::Text, "AHMAD NUR"),
            NUMBER,
            (Kind::Text, "PERUMAHAN MUTIARA"),
            (Kind::Text, "SOLO"),
            OFFICE,
        ];
        assert_eq!(found(&card), expected("AHMAD NUR", "PERUMAHAN MUTIARA SOLO", true));
        let unclear =
            [(Kind::Text, "AHMAD NUR"), NUMBER, (Kind::Text, "MELATI"), (Kind::Text, "SOLO"), OFFICE];
        assert!(!found(&unclear).2, "either may be the name");
    }

    #[test]
    fn an_address_is_never_the_name() {
        for street in ["JL. MELATI NO. 1", "SUDIRMAN KAV 5 RT 001 RW 002", "MELATI NO.5"] {
            let card = [NUMBER, (Kind::Text, street), (Kind::Text, "SOLO"), OFFICE];
            assert_eq!(found(&card), expected("", &format!("{street} SOLO"), false), "{street}");
        }
        let digits = [NUMBER, (Kind::Text, "MELATI 12345"), (Kind::Text, "SOLO"), OFFICE];
        assert!(!found(&digits).2);
    }
}
