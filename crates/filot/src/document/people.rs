//! How many people a decision takes, and who may be one of them. The one rule of it, and pure: the store and the desk ask
//! it, and it can be tried with any number of random sequences.
//!
//! One person's no is enough, and so is one person's yes where the machine has only asked for a person. Everything that
//! goes against somebody's word takes two who say the same: the machine's no, BULI2's no, a check that failed or could not
//! run, a card that could not be read, a name, number or date of birth that a person typed.

use std::collections::BTreeMap;

use filot_cards::field::FieldKey;

use super::{Resolution, UserId, spelled};

spelled! {
    /// Whose turn it is with a review.
    Stage {
        /// Anybody's.
        First = "first",
        /// Somebody's who has not decided on it; they are not told that somebody has.
        Second = "second",
        /// The two disagreed: an admin's.
        Admin = "admin",
    }
}

spelled! {
    /// What an officer decides.
    Ruling {
        Approve = "approve",
        Reject = "reject",
        /// This photo will not do; the customer is asked for another one.
        Retake = "retake",
    }
}

impl Ruling {
    /// What it means for the document at hand.
    pub fn resolution(self) -> Resolution {
        match self {
            Self::Approve => Resolution::Approved,
            Self::Reject | Self::Retake => Resolution::Rejected,
        }
    }
}

impl From<Resolution> for Ruling {
    fn from(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Approved => Self::Approve,
            Resolution::Rejected => Self::Reject,
        }
    }
}

/// What stands against approving a card, as it is when somebody wants to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Against {
    /// The machine has rejected it.
    pub rejected: bool,
    /// It could not be read: there is nothing that the approval could be held against.
    pub unread: bool,
    /// A check failed, with the values as the person leaves them.
    pub failed: bool,
    /// A check could not run.
    pub unchecked: bool,
    /// The name, a number or the date of birth is not what was read.
    pub retyped: bool,
    /// BULI2 has said no.
    pub buli2: bool,
}

/// How many have to say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum People {
    One,
    Two,
}

impl Against {
    /// How many it takes to approve all the same.
    pub fn people(self) -> People {
        if self == Self::default() { People::One } else { People::Two }
    }

    /// The same for BULI2, who look at the photo and not at what was read on it: their yes is enough where the machine
    /// has asked for a person, and the first of two where it has said no or could not say anything.
    pub fn as_buli2_sees_it(self) -> Self {
        Self { rejected: self.rejected, unread: self.unread, ..Self::default() }
    }
}

/// Somebody who says something about a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Officer(UserId),
    /// The external reviewers: one person, whoever they are.
    Buli2,
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    pub who: Who,
    pub ruling: Ruling,
    /// The fields that they say read otherwise than was read. Personal data.
    pub typed: BTreeMap<FieldKey, String>,
}

/// Whether a field says who somebody is.
pub fn is_identity(field: FieldKey) -> bool {
    use FieldKey as F;
    matches!(field, F::Name | F::Nik | F::NpwpNumber | F::Npwp16 | F::BirthDate)
}

impl Voice {
    /// What is typed of the fields that say who somebody is.
    fn identity(&self) -> impl Iterator<Item = (&FieldKey, &String)> {
        self.typed.iter().filter(|(field, _)| is_identity(**field))
    }

    /// Whether two people say the same of the same values.
    fn agrees_with(&self, other: &Self) -> bool {
        let same = self.ruling != Ruling::Approve || self.typed == other.typed;
        self.who != other.who && self.ruling == other.ruling && same
    }

    /// Whether another person approves the same person.
    fn is_backed_by(&self, other: &Self) -> bool {
        let both = self.ruling == Ruling::Approve && other.ruling == Ruling::Approve;
        self.who != other.who && both && self.identity().eq(other.identity())
    }
}

/// What a ruling leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It stands.
    Stands,
    /// Somebody else has to look.
    Pass(Stage),
    /// It cannot be: nobody else says the same, and one is not enough.
    Alone,
}

/// What becomes of `act` at `stage`, after what `others` said. `anyway` sends an approval to a second person whatever
/// stands against it.
pub fn next(stage: Stage, act: &Voice, others: &[Voice], against: Against, anyway: bool) -> Next {
    let approves = act.ruling == Ruling::Approve;
    let two = against.people() == People::Two;
    match stage {
        Stage::First if approves && (two || anyway) => Next::Pass(Stage::Second),
        Stage::First => Next::Stands,
        Stage::Second if others.iter().any(|other| act.agrees_with(other)) => Next::Stands,
        Stage::Second => Next::Pass(Stage::Admin),
        Stage::Admin if approves && two && !others.iter().any(|other| act.is_backed_by(other)) => Next::Alone,
        Stage::Admin => Next::Stands,
    }
}

/// Whether an officer may have to do with a review at all: never with what is about themselves, never a second time, and
/// with a disagreement only as an admin.
pub fn may_act(officer: UserId, is_admin: bool, owner: UserId, stage: Stage, spoke: &[UserId]) -> bool {
    let fits = match stage {
        Stage::First => true,
        Stage::Second => !spoke.contains(&officer),
        Stage::Admin => is_admin && !spoke.contains(&officer),
    };
    fits && officer != owner
}

#[cfg(test)]
mod tests;
