//! Religions and beliefs: the list, and what the card's form leaves of its longest entries.

use crate::confusion;
use crate::field::Repair;
use crate::reading::{Reading, Standing, from_entry, listed};
use crate::span::Span;
use crate::vocabulary;

/// Similarity to the rest of a belief's name from which a value is that.
const LABELLED_BELIEF: f32 = 0.85;

/// A religion or belief of the list. Where the row's label is `Kepercayaan`, the value goes on from there.
pub(super) fn religion(span: &Span) -> Option<Reading> {
    let rests = vocabulary::RELIGION.iter().filter_map(|entry| entry.strip_prefix("KEPERCAYAAN "));
    let rest =
        rests.filter(|rest| confusion::similarity(&span.glyphs, rest) >= LABELLED_BELIEF).max_by(|a, b| {
            let of = |rest| confusion::similarity(&span.glyphs, rest);
            of(a).total_cmp(&of(b))
        });
    match rest {
        Some(rest) => {
            let distance = confusion::distance(&span.glyphs, rest);
            Some(from_entry(span, &format!("KEPERCAYAAN {rest}"), distance, Repair::Vocabulary))
        }
        None => listed(span, &[vocabulary::RELIGION]).or_else(|| cut_belief(span)),
    }
}

/// The one entry of its list that is too long for its row: its last word lies under the portrait.
fn cut_belief(span: &Span) -> Option<Reading> {
    const BELIEF: &str = "KEPERCAYAAN TERHADAP TUHAN";
    (confusion::similarity(&span.glyphs, BELIEF) >= 0.9).then(|| {
        let value = format!("{BELIEF} YME");
        Reading::new(value, span, Standing::Valid).repaired(Repair::Vocabulary)
    })
}
