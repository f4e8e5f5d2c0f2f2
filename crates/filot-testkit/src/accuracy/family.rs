//! Families of pictures, to be held out from training and reported on.

use crate::truth::Truth;

/// What sets of pictures are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// What lies under the card.
    Ground,
    Design,
    Medium,
}

impl Family {
    pub const ALL: [Self; 3] = [Self::Ground, Self::Design, Self::Medium];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ground => "ground",
            Self::Design => "design",
            Self::Medium => "medium",
        }
    }

    /// The family that a picture belongs to, as `truth.jsonl` calls it.
    pub(super) fn of(self, truth: &Truth) -> Option<String> {
        let name = match self {
            Self::Ground => serde_json::to_value(truth.capture.background?),
            Self::Design => return truth.design.clone(),
            Self::Medium => serde_json::to_value(truth.capture.medium),
        };
        name.ok()?.as_str().map(str::to_owned)
    }
}
