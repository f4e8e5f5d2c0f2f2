//! The decision rule. Nothing else compares a score.

use serde::{Deserialize, Serialize};

/// What happens with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    AutoApprove,
    NeedsReview,
    AutoReject,
}

/// The thresholds that turn a score into a decision, and what they presuppose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Scores from here on are approved.
    pub auto_approve: u8,
    /// Scores below are rejected.
    pub auto_reject: u8,
    /// Fields that decide who a person is must be read with at least this confidence to be approved.
    pub min_confidence: f32,
    /// Years of age from which a person holds a KTP; married people may be younger.
    pub min_age: i16,
}

impl Default for Policy {
    fn default() -> Self {
        Self { auto_approve: 85, auto_reject: 35, min_confidence: 0.80, min_age: 17 }
    }
}

impl Policy {
    /// The highest score that is not approved.
    pub(crate) fn review_cap(&self) -> u8 {
        self.auto_approve.saturating_sub(1)
    }

    /// The highest score that is rejected. With `auto_reject` at 0 nothing is ever rejected.
    pub(crate) fn reject_cap(&self) -> u8 {
        self.auto_reject.saturating_sub(1)
    }

    /// The lowest score that is not rejected.
    pub(crate) fn review_floor(&self) -> u8 {
        self.auto_reject
    }
}

/// Turns a score into a decision.
pub fn decide(score: u8, policy: &Policy) -> Decision {
    if score < policy.auto_reject {
        Decision::AutoReject
    } else if score >= policy.auto_approve.max(1) {
        Decision::AutoApprove
    } else {
        Decision::NeedsReview
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_inclusive_for_approval_and_exclusive_for_rejection() {
        let policy = Policy::default();
        let at = |score| decide(score, &policy);
        assert_eq!(at(100), Decision::AutoApprove);
        assert_eq!(at(85), Decision::AutoApprove);
        assert_eq!(at(84), Decision::NeedsReview);
        assert_eq!(at(35), Decision::NeedsReview);
        assert_eq!(at(34), Decision::AutoReject);
        assert_eq!(at(0), Decision::AutoReject);
    }

    #[test]
    fn caps_and_floor_lie_on_their_side_of_every_threshold() {
        for (auto_approve, auto_reject) in [(85, 35), (100, 0), (60, 59), (1, 1), (0, 0)] {
            let policy = Policy { auto_approve, auto_reject, ..Policy::default() };
            assert_ne!(decide(policy.review_cap(), &policy), Decision::AutoApprove);
            assert_ne!(decide(policy.review_floor(), &policy), Decision::AutoReject);
            if auto_reject > 0 {
                assert_eq!(decide(policy.reject_cap(), &policy), Decision::AutoReject);
            }
        }
    }
}
