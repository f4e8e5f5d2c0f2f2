//! What a piece of text on a KTP looks like, and where in it the value is.

use filot_ocr::page::Glyph;

use super::columns::Columns;
use super::template::{NIK_X, Slot, VALUE_X};
use crate::confusion::{self, Prefix};
use crate::dates;
use crate::region;
use crate::span::{Span, belief, first};
use crate::vocabulary;

/// Words that addresses begin with.
const ADDRESS_WORDS: [&str; 25] = [
    "JL",
    "JLN",
    "JALAN",
    "GG",
    "GANG",
    "PERUM",
    "PERUMAHAN",
    "PRM",
    "KOMP",
    "KOMPLEK",
    "KOMPLEKS",
    "BLOK",
    "DUSUN",
    "DSN",
    "DK",
    "DUKUH",
    "KP",
    "KAMPUNG",
    "LINGK",
    "LINGKUNGAN",
    "BR",
    "BANJAR",
    "JORONG",
    "GAMPONG",
    "NAGARI",
];

/// The text without the colon in front of it and the blanks around it.
pub(crate) fn after_colon(span: &Span) -> Span {
    let start =
        span.glyphs.iter().position(|glyph| !matches!(first(glyph), ':' | ';' | ' ')).unwrap_or(span.len());
    span.slice(start, usize::MAX)
}

/// Returns whether what was found as a label is rather a value: KEPERCAYAAN is a religion, `Kepercayaan` the label of its
/// row, and labels are printed in small letters.
pub(crate) fn is_value(label: &str, found: &[Glyph]) -> bool {
    let also_a_value = vocabulary::RELIGION.iter().any(|entry| entry.eq_ignore_ascii_case(label));
    also_a_value && !found.iter().any(|glyph| first(glyph).is_ascii_lowercase())
}

/// Cuts the value out of a row: what stands after the label and the colon. Where no label was recognised, what stands
/// in the value column. Also says whether a colon was read.
pub(crate) fn value_of(
    slot: Slot,
    text: &Span,
    label: Option<Prefix>,
    y: f32,
    columns: &Columns,
) -> (Span, bool) {
    let number = slot == Slot::Nik;
    let column = columns.x(if number { NIK_X } else { VALUE_X }, y);
    let tolerance = 0.6 * columns.unit();
    let mut start = label.map_or(0, |found| found.end);
    if label.is_none_or(|found| found.similarity < 0.75) && columns.anchored {
        // What lies left of the column is label, read or not.
        let in_column = text
            .glyphs
            .iter()
            .position(|glyph| (glyph.x0 + glyph.x1) / 2.0 > column - tolerance)
            .unwrap_or(text.len());
        start = start.max(in_column);
    }
    let colon_at = text.glyphs.iter().skip(start).take(3).position(|glyph| matches!(first(glyph), ':' | ';'));
    let colon_before =
        start > 0 && text.glyphs.get(start - 1).is_some_and(|glyph| matches!(first(glyph), ':' | ';'));
    if let Some(at) = colon_at {
        start += at + 1;
    }
    let value = after_colon(&text.slice(start, usize::MAX));
    let colon = colon_at.is_some() || colon_before;
    // The number has its own way of telling its colon.
    let value = if colon || number { value } else { without_misread_colon(value, column, columns.unit()) };
    (value, colon)
}

/// Removes a colon that was read as some thin letter or mark: a first character left of the value column.
fn without_misread_colon(value: Span, column: f32, unit: f32) -> Span {
    let (Some(head), Some(next)) = (value.glyphs.first(), value.glyphs.get(1)) else { return value };
    let centre = (head.x0 + head.x1) / 2.0;
    let mark = !first(head).is_ascii_alphanumeric() && !matches!(first(head), '-' | '+' | '(');
    let thin = matches!(first(head), '1' | 'I' | 'l' | 'i' | 'J' | 'T' | 't' | 'f' | 'r');
    let as_colon = head.candidates.iter().any(|candidate| matches!(candidate.0, ':' | ';'));
    let apart = first(next) == ' ';
    let left = centre < column - 0.15 * unit;
    let far_left = centre < column - 0.7 * unit;
    let dropped = mark
        || left && thin && (as_colon || apart || belief(head) < 0.8)
        || far_left && thin && belief(head) < 0.95;
    if dropped { value.slice(1, usize::MAX) } else { value }
}

/// The digits of the NIK row without its colon, which the OCR-A face turns into a `1` at times: it stands farther from the
/// first digit than the digits from each other.
pub(crate) fn nik_digits(value: &Span) -> Span {
    let visible: Vec<usize> = (0..value.len()).filter(|&i| first(&value.glyphs[i]) != ' ').collect();
    let centre = |i: usize| (value.glyphs[i].x0 + value.glyphs[i].x1) / 2.0;
    let [head, next, .., last] = visible[..] else { return value.clone() };
    let digits = visible.len() - 1;
    // Sixteen characters are the number, unless the first is a lonely stroke before a number that is one short.
    let stroke = matches!(first(&value.glyphs[head]), '1' | 'I' | 'l' | '|' | '!' | ':' | '.');
    let step = (centre(last) - centre(next)) / (digits - 1) as f32;
    let apart = (centre(next) - centre(head)) / step.max(1e-6);
    let colon = match digits {
        16.. => apart > 1.15 || stroke,
        15 => stroke && apart > 1.4,
        _ => false,
    };
    if colon { value.slice(next, usize::MAX) } else { value.clone() }
}

/// Similarity of a header row that says what it is without KABUPATEN or KOTA, as the cities of Jakarta do.
pub(crate) fn bare_header(slot: Slot, text: &Span) -> f32 {
    if slot != Slot::Regency {
        return 0.0;
    }
    let names = region::names("31", 4).filter(|name| region::split_kind(&name.printed).0.is_empty());
    names.map(|name| confusion::similarity(&text.glyphs, &name.printed)).fold(0.0, f32::max) - 0.05
}

/// How much a value looks like what a slot holds, about -2..=3.
pub(crate) fn plausibility(slot: Slot, value: &Span) -> f32 {
    if value.is_blank() {
        return 0.0;
    }
    let glyphs = &value.glyphs;
    let listed = |list: &[&'static str]| vocabulary::closest(glyphs, list).is_some();
    let like = |word: &str| confusion::similarity(glyphs, word) >= 0.6;
    let shape = Shape::of(value);
    match slot {
        Slot::Province | Slot::Regency => 0.0,
        Slot::Nik => match (shape.digits, shape.letters) {
            (12..=20, 0..=4) => 3.0,
            (9.., 0..=6) => 1.0,
            _ => -2.0,
        },
        Slot::Name => match () {
            () if shape.digits > 3 => -1.5,
            () if like(vocabulary::FOR_LIFE)
                || listed(&vocabulary::GENDER)
                || listed(vocabulary::RELIGION) =>
            {
                -2.0
            }
            () if shape.letters >= 2 => 0.3,
            () => -0.3,
        },
        Slot::Birth => match dates::find(glyphs) {
            Some(found) if found.range.start > 2 => 2.5,
            Some(_) => 0.5,
            None if shape.letters >= 2 => -0.3,
            None => -1.0,
        },
        Slot::Gender => {
            if listed(&vocabulary::GENDER) {
                2.5
            } else {
                -1.0
            }
        }
        Slot::Address => match () {
            () if like(vocabulary::FOR_LIFE)
                || listed(&vocabulary::GENDER)
                || listed(vocabulary::RELIGION) =>
            {
                -2.0
            }
            () if starts_like_address(value) => 1.2,
            () if dates::find(glyphs).is_some() => -1.5,
            () => 0.2,
        },
        Slot::RtRw if half_of_rt_rw(value).is_some() => 2.0,
        Slot::RtRw | Slot::Religion | Slot::MaritalStatus | Slot::Occupation if is_dash(value) => 0.2,
        Slot::RtRw => match rt_rw(value) {
            Some([rt, rw]) if rt.len() == 3 && rw.len() == 3 => 2.5,
            Some(_) => 0.5,
            None => -1.0,
        },
        Slot::Village | Slot::District => match () {
            () if shape.digits > 3 || like(vocabulary::FOR_LIFE) || listed(vocabulary::RELIGION) => -1.5,
            () if starts_like_address(value) => -0.5,
            () if shape.letters >= 2 => 0.3,
            () => -0.5,
        },
        Slot::Religion => {
            if listed(vocabulary::RELIGION) {
                2.5
            } else {
                -0.7
            }
        }
        Slot::MaritalStatus => {
            if listed(vocabulary::MARITAL_STATUS) {
                2.5
            } else {
                -0.7
            }
        }
        Slot::Occupation => {
            if listed(vocabulary::OCCUPATION) {
                2.0
            } else {
                -0.2
            }
        }
        Slot::Nationality => {
            if confusion::similarity(glyphs, vocabulary::CITIZEN) >= 0.6
                || listed(vocabulary::CITIZENS)
                || listed(vocabulary::COUNTRY)
            {
                2.0
            } else {
                -0.7
            }
        }
        Slot::ValidUntil => match dates::find(glyphs) {
            _ if like(vocabulary::FOR_LIFE) => 2.5,
            Some(found) if found.range.start <= 2 => 1.5,
            _ => -0.7,
        },
    }
}

/// How much a row looks like the second row of a slot's value, about -3..=2.
pub(crate) fn continuation(slot: Slot, value: &Span) -> f32 {
    let shape = Shape::of(value);
    let foreign =
        [Slot::Gender, Slot::RtRw, Slot::Religion, Slot::MaritalStatus, Slot::Nationality, Slot::ValidUntil]
            .into_iter()
            .any(|other| plausibility(other, value) >= 2.0);
    let date = dates::find(&value.glyphs).is_some();
    match slot {
        _ if foreign => -3.0,
        Slot::Birth if date => 2.0,
        Slot::Birth => -1.0,
        _ if date => -2.0,
        Slot::Name if shape.digits > 1 => -1.5,
        Slot::Name if starts_like_address(value) => -1.0,
        Slot::Occupation => -0.8,
        _ => 0.0,
    }
}

/// Counts of what kinds of characters there are.
struct Shape {
    digits: usize,
    letters: usize,
}

impl Shape {
    fn of(value: &Span) -> Self {
        let count = |test: fn(&char) -> bool| value.glyphs.iter().map(first).filter(test).count();
        Self { digits: count(char::is_ascii_digit), letters: count(char::is_ascii_alphabetic) }
    }
}

pub(crate) fn starts_like_address(value: &Span) -> bool {
    let text = value.text();
    let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    ADDRESS_WORDS.contains(&word.as_str())
        || ["JL.", "JLN.", "GG.", "KP.", "DSN.", "DK.", "BR."].iter().any(|start| text.starts_with(start))
}

fn is_dash(value: &Span) -> bool {
    crate::reading::dash(value).is_some()
}

/// Neighbourhood numbers of which one is a dash, as printed: `005/-`. Both need to be read surely, as the other may only
/// have been too poor to read.
pub(crate) fn half_of_rt_rw(value: &Span) -> Option<String> {
    const SURE: f32 = 0.6;
    let visible: Vec<_> = value.glyphs.iter().filter(|glyph| !matches!(first(glyph), ' ' | '.')).collect();
    let slash = visible.iter().position(|glyph| first(glyph) == '/')?;
    let (rt, rw) = (&visible[..slash], &visible[slash + 1..]);
    let number = |part: &[&Glyph]| {
        let digits: String = part.iter().map(|glyph| first(glyph)).collect();
        let digits_only = digits.chars().all(|c| c.is_ascii_digit());
        ((1..=3).contains(&part.len()) && digits_only).then(|| format!("{digits:0>3}"))
    };
    let dash = |part: &[&Glyph]| match part {
        [mark] => crate::reading::is_dash(first(mark)) && belief(mark) >= SURE,
        _ => false,
    };
    match (number(rt), number(rw)) {
        (Some(rt), None) if dash(rw) => Some(format!("{rt}/-")),
        (None, Some(rw)) if dash(rt) => Some(format!("-/{rw}")),
        _ => None,
    }
}

/// Neighbourhood numbers: two groups of up to three digits. The slash may be missing or misread.
pub(crate) fn rt_rw(value: &Span) -> Option<[Vec<crate::digits::Digit>; 2]> {
    let mut groups: Vec<Vec<crate::digits::Digit>> = vec![Vec::new()];
    let visible: Vec<_> = value.glyphs.iter().filter(|glyph| first(glyph) != ' ').collect();
    if visible.len() > 9 {
        return None;
    }
    let bare = visible.len() == 7;
    for (place, glyph) in visible.into_iter().enumerate() {
        let c = first(glyph);
        // Between two groups of three digits stands the slash, whatever thin thing it was read as.
        let slash = if bare {
            place == 3
                && (!c.is_ascii_alphanumeric() || matches!(c, '1' | '7' | 'I' | 'l' | 'J' | 'f' | 't' | 'i'))
        } else {
            !c.is_ascii_alphanumeric()
        };
        if slash {
            groups.push(Vec::new());
        } else if let (Some(digit), Some(group)) = (crate::digits::digit(glyph), groups.last_mut()) {
            group.push(digit);
        } else {
            return None;
        }
    }
    groups.retain(|group| !group.is_empty());
    if let [six] = groups.as_mut_slice()
        && six.len() == 6
    {
        let second = six.split_off(3);
        groups.push(second);
    }
    let true_digits: usize = groups.iter().flatten().filter(|digit| !digit.look_alike).count();
    let [rt, rw] = <[Vec<_>; 2]>::try_from(groups).ok()?;
    (rt.len() <= 3 && rw.len() <= 3 && true_digits >= 2).then_some([rt, rw])
}
