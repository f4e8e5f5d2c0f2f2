//! The NPWP card: its rows have hardly any labels, so they are told apart by position and pattern.

mod holder;
pub(crate) mod parse;
pub(crate) mod regions;
pub(crate) mod repair;
pub(crate) mod rows;

use std::collections::BTreeMap;

use crate::draft::choose;
use crate::field::FieldKey;
use crate::reading::Reading;
use crate::span::Span;

/// The meaning of all fields from a first reading and closer ones, held against each other.
pub(crate) fn readings(
    first: &BTreeMap<FieldKey, Span>,
    further: &[BTreeMap<FieldKey, Span>],
) -> BTreeMap<FieldKey, Reading> {
    let mut readings = BTreeMap::new();
    for key in FieldKey::NPWP {
        let of =
            |spans: &BTreeMap<FieldKey, Span>| spans.get(&key).and_then(|span| repair::interpret(key, span));
        let chosen = further.iter().fold(of(first), |best, spans| {
            choose(best, of(spans), |base, places| repair::from_places(key, &base.span, places))
        });
        if let Some(reading) = chosen {
            readings.insert(key, reading);
        }
    }
    repair::reconcile(&mut readings);
    readings
}
