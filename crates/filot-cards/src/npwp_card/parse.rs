//! Finds the rows of an NPWP card: header, number lines, name, address, tax office, date of registration.
//!
//! Three designs carry them in the same order. The old yellow and the blue-white card: `NPWP : 15 digits`, name,
//! sometimes `NIK : …`, two or three rows of address; the new one: `NPWP16 : …` and `NPWP15 : …` first. Below, after a gap,
//! `KPP …` and `Terdaftar : date`.

use std::collections::BTreeMap;

use filot_ocr::page::Page;

use super::holder::{Holder, may_be_name_above};
use crate::confusion;
use crate::dates;
use crate::digits::{self, Digit};
use crate::field::FieldKey;
use crate::layout::{Layout, Row as LayoutRow};
use crate::span::{Span, first};

/// A header or label must be at least this similar.
const LABEL: f32 = 0.72;
/// Digits that a number line must have to be one.
const MIN_DIGITS: usize = 10;
/// Rows of the card begin within so many line heights of each other, fingers and perspective included.
const LEFT: f32 = 1.2;
const RIGHT: f32 = 7.0;

/// What a row says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Header,
    /// A name or an address behind its label.
    Labelled(FieldKey),
    Number(FieldKey),
    /// The 22-digit number of a place of business.
    PlaceNumber,
    TaxOffice,
    Registered,
    Website,
    Text,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) y: f32,
    pub(super) kind: Kind,
    /// Without its label where it has one.
    pub(super) value: Span,
    pub(super) labelled: bool,
}

/// What of an NPWP card was found on a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) spans: BTreeMap<FieldKey, Span>,
    /// The ministry's and the directorate's lines that were found (0..=2).
    pub(crate) headers: usize,
    /// A number line with its label.
    pub(crate) labelled_number: bool,
    pub(crate) website: bool,
    /// The order of the rows is one that is known; see [`super::holder`].
    pub(crate) layout_known: bool,
    /// The 22-digit number, if the card carries one.
    pub(crate) nitku: Option<Span>,
    /// Left edge and row distance of the card's text, in page units, for places not read yet.
    pub(crate) left: f32,
    pub(crate) pitch: f32,
    /// Centre lines of the rows found, by field.
    pub(crate) rows: Vec<(FieldKey, f32)>,
}

impl Sheet {
    pub(crate) fn new(page: &Page) -> Self {
        let layout = Layout::new(page);
        let rows = rows(&layout);
        let mut sheet = Self {
            headers: rows.iter().filter(|row| row.kind == Kind::Header).count().min(2),
            website: rows.iter().any(|row| row.kind == Kind::Website),
            pitch: layout.pitch,
            ..Self::default()
        };
        for row in &rows {
            match &row.kind {
                Kind::Number(key) => {
                    sheet.labelled_number |= row.labelled && *key != FieldKey::Nik;
                    sheet.put(*key, row);
                }
                Kind::PlaceNumber => sheet.nitku = Some(row.value.clone()),
                Kind::TaxOffice => sheet.put(FieldKey::TaxOffice, row),
                // A date without a label may be of a stamp or of writing across a copy.
                Kind::Registered if row.labelled => sheet.put(FieldKey::RegisteredDate, row),
                Kind::Header | Kind::Labelled(_) | Kind::Registered | Kind::Website | Kind::Text => {}
            }
        }
        if !sheet.spans.contains_key(&FieldKey::RegisteredDate)
            && let Some(row) = rows.iter().rfind(|row| row.kind == Kind::Registered)
        {
            sheet.put(FieldKey::RegisteredDate, row);
        }
        sheet.name_and_address(&rows);
        sheet.left = sheet.spans.values().map(|span| span.rect().x0).fold(f32::INFINITY, f32::min);
        sheet
    }

    fn put(&mut self, key: FieldKey, row: &Row) {
        self.spans.entry(key).or_insert_with(|| row.value.clone());
        self.rows.push((key, row.y));
    }

    fn name_and_address(&mut self, rows: &[Row]) {
        let holder = Holder::find(rows, self.pitch);
        self.layout_known = holder.known;
        for (key, part) in [(FieldKey::Name, holder.name), (FieldKey::Address, holder.address)] {
            let value = Span::join(part.iter().map(|row| row.value.clone()));
            if !value.is_blank() {
                self.spans.insert(key, value);
                self.rows.extend(part.iter().map(|row| (key, row.y)));
            }
        }
    }
}

fn rows(layout: &Layout) -> Vec<Row> {
    let kinds: Vec<Vec<(Kind, Span, bool)>> = layout.rows.iter().map(row_kinds).collect();
    // The card's left edge, row by row from the first row that can only be the card's.
    let is_landmark = |kind: &Kind| {
        matches!(kind, Kind::Number(_) | Kind::PlaceNumber | Kind::TaxOffice | Kind::Registered)
    };
    let landmark = layout.rows.iter().zip(&kinds).enumerate().find_map(|(index, (row, kinds))| {
        let place = kinds.iter().position(|(kind, ..)| is_landmark(kind))?;
        Some((index, row.pieces[place].span.rect().x0))
    });
    let mut found = Vec::new();
    let mut left = landmark.map(|(_, x)| x);
    for (index, (row, kinds)) in layout.rows.iter().zip(kinds).enumerate() {
        let below = landmark.is_none_or(|(at, _)| index >= at);
        // Some cards print the name above the number, at the same edge.
        let edge = landmark.is_some_and(|(at, x)| {
            index < at
                && row.pieces.first().is_some_and(|piece| (piece.span.rect().x0 - x).abs() < layout.pitch)
        });
        let mut taken: Vec<(Kind, Span, bool, f32)> = Vec::new();
        for (piece, (kind, value, labelled)) in row.pieces.iter().zip(kinds) {
            if value.is_blank() {
                continue;
            }
            let free = matches!(kind, Kind::Header | Kind::Website);
            let x0 = piece.span.rect().x0;
            let aligned = left.is_none_or(|left| {
                let after_another =
                    taken.last().is_some_and(|last| x0 - last.1.rect().x1 < 4.0 * layout.pitch);
                x0 > left - LEFT * layout.pitch && (x0 < left + RIGHT * layout.pitch || after_another)
            });
            let above = edge && (kind != Kind::Text || may_be_name_above(&value));
            if free || (below || above) && aligned {
                taken.push((kind, value, labelled, x0));
            }
        }
        // What stands left of a piece that says what it is does not belong to it.
        let start = taken.iter().position(|part| part.2 || is_landmark(&part.0)).unwrap_or(0);
        taken.drain(..start);
        let Some((kind, _, labelled, x0)) = taken.first().cloned() else { continue };
        // The edge may drift from row to row where the page is bent.
        let near = left.is_some_and(|left| (x0 - left).abs() < 0.6 * layout.pitch);
        if is_landmark(&kind) && labelled || near {
            left = Some(x0);
        }
        let parts =
            taken.into_iter().filter(|part| !matches!(part.0, Kind::Website) || kind == Kind::Website);
        let value = Span::join(parts.map(|part| part.1));
        if !value.is_blank() {
            found.push(Row { y: row.y, kind, value, labelled });
        }
    }
    found
}

/// What the pieces of a row say. A label that stands apart from its number is read together with it.
fn row_kinds(row: &LayoutRow) -> Vec<(Kind, Span, bool)> {
    let mut kinds: Vec<(Kind, Span, bool)> = row.pieces.iter().map(|piece| kind(&piece.span)).collect();
    for place in 1..kinds.len() {
        let label = &row.pieces[place - 1].span;
        if let (Kind::Labelled(key), Kind::Text) = (kinds[place - 1].0.clone(), &kinds[place].0)
            && kinds[place - 1].1.is_blank()
        {
            kinds[place - 1] = (Kind::Labelled(key), std::mem::take(&mut kinds[place].1), true);
            continue;
        }
        if kinds[place].2 || label.len() > 10 || places(&kinds[place].1).is_none() {
            continue;
        }
        let whole = Span::join([label.clone(), row.pieces[place].span.clone()]);
        if let Some((kind, value, true)) = number(&whole) {
            kinds[place - 1] = (kind, value, true);
            kinds[place].1 = Span::default();
        }
    }
    kinds
}

/// What a piece of text says, and the value in it.
fn kind(span: &Span) -> (Kind, Span, bool) {
    let span = &without_colons(span);
    let like = |text: &str| confusion::prefix(&span.glyphs, text).similarity >= LABEL;
    if like("KEMENTERIAN KEUANGAN") || like("DIREKTORAT JENDERAL PAJAK") || like("DEPARTEMEN KEUANGAN") {
        return (Kind::Header, span.clone(), true);
    }
    if like("www.pajak.go.id") {
        return (Kind::Website, span.clone(), true);
    }
    if let Some((kind, value, labelled)) = number(span) {
        return (kind, value, labelled);
    }
    if let Some((key, value)) = labelled_text(span) {
        return (Kind::Labelled(key), value, true);
    }
    for label in ["Tanggal Terdaftar", "Terdaftar", "Tgl Terdaftar"] {
        let found = confusion::prefix(&span.glyphs, label);
        if found.similarity >= LABEL {
            return (
                Kind::Registered,
                crate::ktp::parse::after_colon(&span.slice(found.end, usize::MAX)),
                true,
            );
        }
    }
    let text = span.text();
    let office = confusion::prefix(&span.glyphs, "KPP");
    if text.starts_with("KPP")
        || office.similarity >= 0.85 && ["PRATAMA", "MADYA", "WAJIB"].iter().any(|word| text.contains(word))
        || like("KPP PRATAMA")
        || like("KANTOR PELAYANAN PAJAK")
    {
        return (Kind::TaxOffice, span.clone(), true);
    }
    if dates::find(&span.glyphs).is_some_and(|found| found.range.len() + 2 >= span.len()) {
        return (Kind::Registered, span.clone(), false);
    }
    (Kind::Text, span.clone(), false)
}

/// Labels of name and address on the cards that print them.
const TEXT_LABELS: [(&str, FieldKey); 6] = [
    ("NAMA", FieldKey::Name),
    ("NAMA WP", FieldKey::Name),
    ("NAMA WAJIB PAJAK", FieldKey::Name),
    ("ALAMAT", FieldKey::Address),
    ("ALAMAT WP", FieldKey::Address),
    ("ALAMAT WAJIB PAJAK", FieldKey::Address),
];

/// A label of name or address, with a colon or alone in its piece, and the value behind it.
fn labelled_text(span: &Span) -> Option<(FieldKey, Span)> {
    let colon = span.glyphs.iter().position(|glyph| matches!(first(glyph), ':' | ';'));
    let head = span.slice(0, colon.unwrap_or(usize::MAX));
    let (similarity, key) = TEXT_LABELS
        .iter()
        .map(|(label, key)| (confusion::similarity(&head.glyphs, label), *key))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    let rest = colon.map_or_else(Span::default, |colon| span.slice(colon, usize::MAX));
    (similarity >= LABEL).then(|| (key, crate::ktp::parse::after_colon(&rest)))
}

/// A line without colons at its ends, which no line of the card has: readers see them in specks.
fn without_colons(span: &Span) -> Span {
    let telling = |glyph: &filot_ocr::page::Glyph| !matches!(first(glyph), ':' | ' ');
    let from = span.glyphs.iter().position(telling).unwrap_or(span.len());
    let to = span.glyphs.iter().rposition(telling).map_or(from, |last| last + 1);
    span.slice(from, to)
}

/// Labels of number lines.
const LABELS: [(&str, Label); 8] = [
    ("NPWP", Label::Npwp),
    ("NPWP15", Label::Npwp15),
    ("NPWP 15", Label::Npwp15),
    ("NPWP16", Label::Npwp16),
    ("NPWP 16", Label::Npwp16),
    ("NIK/NPWP16", Label::Npwp16),
    ("NIK", Label::Nik),
    ("NITKU", Label::Nitku),
];

/// A number line: label, colon, digits with points and a dash.
fn number(span: &Span) -> Option<(Kind, Span, bool)> {
    let (label, start) = match number_label(span) {
        (None, _) => cut_label(span).map_or((None, 0), |(label, end)| (Some(label), end)),
        found => found,
    };
    let value = crate::ktp::parse::after_colon(&span.slice(start, usize::MAX));
    let places = places(&value)?;
    let groups = groups(&value);
    // Sixteen digits in few groups are the new number, whatever stands between; the old form has six.
    let dotted = value.glyphs.iter().filter(|glyph| matches!(first(glyph), '.' | '-')).count() >= 2
        && !NEW_GROUPS.contains(&groups.as_slice());
    let kind = match (label, places.len()) {
        (Some(Label::Nitku), _) | (_, 20..=24) => Kind::PlaceNumber,
        (Some(Label::Nik), _) => Kind::Number(FieldKey::Nik),
        (Some(Label::Npwp16), _) => Kind::Number(FieldKey::Npwp16),
        (Some(Label::Npwp15), _) => Kind::Number(FieldKey::NpwpNumber),
        (Some(Label::Npwp), 16..) if !dotted => Kind::Number(FieldKey::Npwp16),
        (Some(Label::Npwp), _) => Kind::Number(FieldKey::NpwpNumber),
        (None, 16) if !dotted => Kind::Number(FieldKey::Npwp16),
        (None, 13..=16) if dotted => Kind::Number(FieldKey::NpwpNumber),
        (None, 15) => Kind::Number(FieldKey::NpwpNumber),
        (None, _) => return None,
    };
    Some((kind, value, label.is_some()))
}

/// How sixteen digits are grouped where they are: evenly, or as the parts of a NIK.
const NEW_GROUPS: [&[usize]; 4] = [&[4, 4, 4, 4], &[6, 6, 4], &[2, 2, 2, 6, 4], &[8, 8]];

/// How many digits stand together, from left to right.
fn groups(value: &Span) -> Vec<usize> {
    let mut groups = vec![0];
    for glyph in &value.glyphs {
        match (digits::digit(glyph), groups.last_mut()) {
            (Some(_), Some(count)) => *count += 1,
            (None, Some(0)) => {}
            _ => groups.push(0),
        }
    }
    groups.retain(|count| *count > 0);
    groups
}

#[derive(Clone, Copy, PartialEq)]
enum Label {
    Npwp,
    Npwp15,
    Npwp16,
    Nik,
    Nitku,
}

/// The label of a number line and where it ends.
fn number_label(span: &Span) -> (Option<Label>, usize) {
    let colon = span.glyphs.iter().position(|glyph| matches!(first(glyph), ':' | ';')).filter(|at| *at <= 12);
    if let Some(colon) = colon {
        // With a colon the label is what stands before it, as a whole.
        let head = span.slice(0, colon);
        let best = LABELS
            .iter()
            .map(|(text, label)| (confusion::similarity(&head.glyphs, text), *label))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        return (best.filter(|best| best.0 >= 0.6).map(|best| best.1), colon + 1);
    }
    let best = LABELS
        .iter()
        .map(|(text, label)| (confusion::prefix(&span.glyphs, text), confusion::weight(text), *label))
        .filter(|(found, ..)| found.similarity >= LABEL)
        .max_by(|a, b| (a.0.similarity * a.1).total_cmp(&(b.0.similarity * b.1)));
    best.map_or((None, 0), |(found, _, label)| (Some(label), found.end))
}

/// The label of which a finger or the picture's edge has left the end, directly before a number of the right length, and
/// where it ends.
fn cut_label(span: &Span) -> Option<(Label, usize)> {
    let text = span.text();
    let ends = LABELS.iter().flat_map(|(label, kind)| {
        label
            .char_indices()
            .map(move |(at, _)| (&label[at..], *kind))
            .filter(|(end, _)| end.starts_with(char::is_alphabetic))
    });
    ends.filter(|(end, kind)| {
        let digits = match kind {
            Label::Nik | Label::Npwp16 => 16..=16,
            Label::Npwp15 => 15..=15,
            Label::Npwp => 15..=16,
            Label::Nitku => 22..=22,
        };
        text.starts_with(end)
            && places(&span.slice(end.len(), usize::MAX)).is_some_and(|read| digits.contains(&read.len()))
    })
    .max_by_key(|(end, _)| end.len())
    .map(|(end, kind)| (kind, end.len()))
}

/// The places of a number, if the text is one.
pub(crate) fn places(value: &Span) -> Option<Vec<Digit>> {
    let mut places = Vec::new();
    let mut strangers = 0;
    for glyph in &value.glyphs {
        match digits::digit(glyph) {
            Some(digit) => places.push(digit),
            None if first(glyph).is_ascii_alphabetic() => strangers += 1,
            None => {}
        }
    }
    let look_alikes = places.iter().filter(|digit| digit.look_alike).count();
    (places.len() >= MIN_DIGITS && strangers == 0 && look_alikes * 4 <= places.len()).then_some(places)
}

/// The text of a piece without the label, for a second reading of a number line or a date.
pub(crate) fn without_label(key: FieldKey, span: &Span) -> Span {
    match kind(span) {
        (Kind::Number(found), value, true) if found == key => value,
        (Kind::Labelled(found), value, true) if found == key && !value.is_blank() => value,
        (Kind::Registered, value, true) if key == FieldKey::RegisteredDate => value,
        _ => span.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::as_read;

    fn kind_of(text: &str) -> (Kind, String) {
        let (kind, value, _) = kind(&as_read(text, 0.95));
        (kind, value.text())
    }

    #[test]
    fn sixteen_digits_in_groups_are_the_new_number() {
        for text in
            ["3503.0502.0452.0019", "3503 0502 0452 0019", "3503-0502-0452-0019", "350305.020452.0019"]
        {
            assert_eq!(kind_of(text).0, Kind::Number(FieldKey::Npwp16), "{text}");
            assert_eq!(kind_of(&format!("NPWP : {text}")).0, Kind::Number(FieldKey::Npwp16), "{text}");
        }
        assert_eq!(kind_of("25.299.178.1-402.000").0, Kind::Number(FieldKey::NpwpNumber));
        // One digit too many in the old form is a misreading of it.
        assert_eq!(kind_of("25.299.1781.1-402.000").0, Kind::Number(FieldKey::NpwpNumber));
    }

    #[test]
    fn labels_of_name_and_address_are_no_part_of_them() {
        let labelled = |key, text: &str| (Kind::Labelled(key), text.to_owned());
        assert_eq!(kind_of("NAMA : FITRI SETIAWAN"), labelled(FieldKey::Name, "FITRI SETIAWAN"));
        assert_eq!(kind_of("Alamat: JALAN MELATI"), labelled(FieldKey::Address, "JALAN MELATI"));
        assert_eq!(kind_of("NAMA"), labelled(FieldKey::Name, ""));
        assert_eq!(kind_of("NAMIRA SALSABILA").0, Kind::Text);
    }

    #[test]
    fn numbers_are_known_by_the_end_of_their_label() {
        let number = |key, text: &str| (Kind::Number(key), text.to_owned());
        assert_eq!(kind_of("K3172010310985820"), number(FieldKey::Nik, "3172010310985820"));
        assert_eq!(kind_of("WP15871410841009000"), number(FieldKey::NpwpNumber, "871410841009000"));
        assert_eq!(kind_of("P6310035405315565"), number(FieldKey::Npwp16, "6310035405315565"));
        assert_eq!(kind_of("X3172010310985820").0, Kind::Text);
        assert_eq!(kind_of("NO 17 RT 010").0, Kind::Text);
        assert_eq!(kind_of(": NPWP : 871410841009000 :"), number(FieldKey::NpwpNumber, "871410841009000"));
        assert_eq!(kind_of(":: BUDI SANTOSO :"), (Kind::Text, "BUDI SANTOSO".to_owned()));
    }
}
