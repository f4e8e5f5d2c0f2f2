//! Counts of days that are over. They no longer change, so each process counts them once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::store::{Counted, Result, Ruled, Store};

/// A transaction of a day may still commit, and clocks may differ, for so long after its end.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Days that are kept.
const KEPT: usize = 120;

/// What happened on one day. The spans within are all 0.
#[derive(Clone, Debug, Default)]
struct Day {
    events: Vec<Counted>,
    decisions: Vec<Ruled>,
}

/// Days that are over, by their start.
#[derive(Debug, Default)]
pub(in crate::console) struct History(Mutex<BTreeMap<Timestamp, Day>>);

impl History {
    /// Counts events and decisions between the bounds; only what is not known yet is looked up.
    pub(super) async fn count(
        &self,
        store: &Store,
        bounds: &[Timestamp],
        now: Timestamp,
    ) -> Result<(Vec<Counted>, Vec<Ruled>)> {
        let starts = &bounds[..bounds.len().saturating_sub(1)];
        let mut days: Vec<Day> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            starts.iter().map_while(|start| known.get(start).cloned()).collect()
        };
        let first = days.len();
        if first < starts.len() {
            let unknown = &bounds[first..];
            let (events, decisions) =
                tokio::try_join!(store.count_events(unknown), store.count_decisions(unknown))?;
            days.resize(starts.len(), Day::default());
            for event in events {
                days[first + event.span].events.push(Counted { span: 0, ..event });
            }
            for ruled in decisions {
                days[first + ruled.span].decisions.push(Ruled { span: 0, ..ruled });
            }
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for at in first..starts.len() {
                if now.duration_since(bounds[at + 1]) > SETTLED_AFTER {
                    known.insert(bounds[at], days[at].clone());
                }
            }
            while known.len() > KEPT {
                known.pop_first();
            }
        }
        let (mut events, mut decisions) = (Vec::new(), Vec::new());
        for (span, day) in days.into_iter().enumerate() {
            events.extend(day.events.into_iter().map(|event| Counted { span, ..event }));
            decisions.extend(day.decisions.into_iter().map(|ruled| Ruled { span, ..ruled }));
        }
        Ok((events, decisions))
    }
}
