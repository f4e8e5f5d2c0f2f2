//! A card's fields between the first reading and the verdict.

use filot_ocr::engine::Region;
use filot_ocr::page::{Line, Page};

use crate::field::FieldKey;
use crate::kind::DeclaredType;

/// What one or two readings of a page gave so far.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) page: Page,
    pub(crate) declared: DeclaredType,
}

impl Draft {
    /// Parses a first reading.
    pub fn new(page: &Page, declared: DeclaredType) -> Self {
        Self { page: page.clone(), declared }
    }

    /// Places worth a second look, in page coordinates: fields that are unsure, that fail their own rules, or that are
    /// missing although their neighbours say where they must be. A field on two rows comes twice, the upper row first.
    pub fn weak_regions(&self) -> Vec<(FieldKey, Region)> {
        Vec::new()
    }

    /// Takes in a second reading, field by field, where it is better supported than the first. Rows of the same field
    /// come in the order of [`Draft::weak_regions`].
    pub fn merge(&mut self, second: Vec<(FieldKey, Option<Line>)>) {
        drop(second);
    }
}
