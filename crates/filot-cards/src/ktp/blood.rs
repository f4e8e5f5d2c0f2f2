//! The blood type, the shortest value of the card: a letter or two, a dash, or TIDAK TAHU.

use super::parse;
use crate::confusion;
use crate::field::Repair;
use crate::reading::{Reading, Standing, listed};
use crate::span::{Span, belief, first};
use crate::vocabulary;

/// How often the colon without a value is something else than a dash.
const LONE_DASH_DOUBT: f32 = 0.15;
/// Similarity to the label's second word from which it is that.
const REMNANT: f32 = 0.6;
/// Similarity to TIDAK TAHU from which a text is that: anything longer than a letter would else be taken for it.
const UNKNOWN: f32 = 0.7;
/// Belief below which a lone small letter is a blurred dash.
const SPECK: f32 = 0.7;

/// `A`, `B`, `AB`, `O` with an optional sign, `-`, or TIDAK TAHU.
///
/// A lone small round letter that is hardly believed in is a dash too: there are no small letters here.
///
/// A colon with nothing behind it stands for the dash: the recogniser finds every letter there, but a lone dash hardly
/// ever, and no card leaves the place empty.
pub(super) fn blood_type(span: &Span) -> Option<Reading> {
    let Some(span) = &without_remnant(span) else { return unknown_blood_type(span) };
    if span.text().trim() == ":" {
        let mut reading = Reading::new("-".to_owned(), span, Standing::Valid).repaired(Repair::Vocabulary);
        reading.doubt = LONE_DASH_DOUBT;
        return Some(reading);
    }
    let visible = || span.glyphs.iter().filter(|glyph| first(glyph) != ' ');
    if let [lone] = visible().collect::<Vec<_>>()[..]
        && matches!(first(lone), 'a' | 'o')
        && belief(lone) < SPECK
    {
        let mut reading = Reading::new("-".to_owned(), span, Standing::Valid).repaired(Repair::LookAlike);
        reading.doubt = 1.0 - belief(lone);
        return Some(reading);
    }
    let mut value = String::new();
    let mut look_alike = false;
    for c in span.glyphs.iter().map(first) {
        let read = match c {
            'A' | 'B' | 'O' | '+' | '-' => c,
            'a' | 'b' | 'o' => c.to_ascii_uppercase(),
            '0' | 'Q' | 'D' => 'O',
            '8' => 'B',
            '4' => 'A',
            't' | 'f' if !value.is_empty() => '+',
            '_' | '~' | '=' => '-',
            ' ' | '.' | ',' | ':' | '\'' | '"' => continue,
            // The portrait may cover the second word.
            _ => return unknown_blood_type(span),
        };
        look_alike |= read != c.to_ascii_uppercase();
        value.push(read);
    }
    if !vocabulary::BLOOD_TYPE.contains(&value.as_str()) {
        return None;
    }
    let mut reading = Reading::new(value, span, Standing::Valid);
    reading.doubt = visible().map(|glyph| 1.0 - belief(glyph)).sum();
    Some(if look_alike { reading.repaired(Repair::LookAlike) } else { reading })
}

/// What stands after the last word of the label, where the first was too poor to show that it is one; `None` if that is
/// rather TIDAK TAHU.
fn without_remnant(span: &Span) -> Option<Span> {
    let ends = (0..span.len())
        .filter(|&start| matches!(first(&span.glyphs[start]), 'D' | 'd' | 'O' | '0'))
        .map(|start| (start, confusion::prefix(&span.glyphs[start..], "Darah")))
        .filter(|(_, found)| found.similarity >= REMNANT);
    let Some((start, found)) = ends.max_by(|a, b| a.1.similarity.total_cmp(&b.1.similarity)) else {
        return Some(span.clone());
    };
    let unknown = confusion::similarity(&span.glyphs, "TIDAK TAHU");
    (unknown < found.similarity).then(|| parse::after_colon(&span.slice(start + found.end, usize::MAX)))
}

fn unknown_blood_type(span: &Span) -> Option<Reading> {
    ["TIDAK TAHU", "TIDAK"].into_iter().find(|text| confusion::similarity(&span.glyphs, text) >= UNKNOWN)?;
    let mut reading = listed(span, &[&["TIDAK TAHU", "TIDAK"]])?;
    if reading.value == "TIDAK" {
        reading.value = "TIDAK TAHU".to_owned();
        reading = reading.repaired(Repair::Vocabulary);
    }
    Some(reading)
}
