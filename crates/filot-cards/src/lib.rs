//! What a KTP and an NPWP are: from the text of a page to fields, checks, a score and a decision.
//!
//! Pure functions: no IO, no clock, no state. The way through is [`assess::read_card`], or, step by step,
//! [`draft::Draft::new`] → [`draft::Draft::weak_regions`] → [`draft::Draft::merge`] → [`assess::assess`].

pub mod assess;
pub mod checks;
pub mod decide;
pub mod draft;
pub mod field;
pub mod kind;
pub mod score;
