//! What a KTP and an NPWP are: from the text of a page to fields, checks, a score and a decision.
//!
//! Pure functions: no IO, no clock, no state. The way through is [`assess::read_card`], or, step by step,
//! [`draft::Draft::new`] → [`draft::Draft::weak_regions`] → [`draft::Draft::merge`] → [`assess::assess`].

pub mod assess;
pub mod checks;
mod confidence;
mod confusion;
mod dates;
pub mod decide;
mod digits;
pub mod draft;
pub mod field;
pub mod kind;
mod ktp;
mod layout;
pub mod nik;
pub mod npwp;
mod npwp_card;
mod reading;
pub mod region;
pub mod score;
mod span;
pub mod typed;
mod vocabulary;
