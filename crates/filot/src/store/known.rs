//! What was read on the documents that their owners have asked for lately.
//!
//! What was read is most of a document, and PostgreSQL spends more time on writing it out than on all the rest. The row
//! is asked each time, and is asked for these columns only when it has changed since they were last given out.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::entity::{RawJson, documents};

/// What all of them may take together, in bytes.
const ROOM: u64 = 16 << 20;
/// Those that nobody asks for are forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// The long columns of a row as they were in one version of it.
pub(super) struct Reading {
    pub(super) version: i32,
    result: Option<RawJson>,
    text: Option<String>,
}

/// The readings by document.
#[derive(Clone)]
pub(super) struct KnownReadings(Cache<uuid::Uuid, Arc<Reading>>);

impl KnownReadings {
    pub(super) fn new() -> Self {
        let weight = |_: &uuid::Uuid, reading: &Arc<Reading>| {
            let result = reading.result.as_ref().map_or(0, |json| json.0.get().len());
            let text = reading.text.as_ref().map_or(0, String::len);
            u32::try_from(size_of::<Reading>() + result + text).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(ROOM).weigher(weight).time_to_idle(IDLE).build())
    }

    /// What is known of a document.
    pub(super) fn get(&self, id: uuid::Uuid) -> Option<Arc<Reading>> {
        self.0.get(&id)
    }

    /// Forgets what was read on a document: it is deleted.
    pub(super) fn forget(&self, id: uuid::Uuid) {
        self.0.invalidate(&id);
    }

    /// Completes a row that was asked for without these columns if its version was that of `known`; otherwise it has
    /// them, and they are remembered.
    pub(super) fn complete(&self, row: &mut documents::Model, known: Option<&Reading>) {
        if let Some(known) = known.filter(|known| known.version == row.version) {
            row.result_json.clone_from(&known.result);
            row.ocr_text.clone_from(&known.text);
        } else if row.result_json.is_some() {
            let (version, result, text) = (row.version, row.result_json.clone(), row.ocr_text.clone());
            self.0.insert(row.id, Arc::new(Reading { version, result, text }));
        }
    }
}
