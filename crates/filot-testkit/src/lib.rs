//! Invented cards with known truth.
//!
//! Draws Indonesian identity cards (KTP) and tax cards (NPWP) of people who do not exist, photographs them as phones,
//! scanners and copiers do, and states exactly what is printed and what can be seen. Also draws what is not such a card, and
//! cards that contradict themselves. Everything follows from a seed: the same seed gives the same bytes.
//!
//! ```
//! use filot_testkit::Set;
//! let sample = Set::new(1).samples().next().expect("sets do not end");
//! assert_eq!(sample.file_name(), "00000.jpg");
//! ```

pub mod accuracy;
mod case;
mod decoy;
mod dice;
mod flag;
mod guilloche;
mod jpeg;
mod ktp;
mod lettering;
mod noise;
mod npwp;
mod overprint;
mod photograph;
mod portrait;
mod pose;
mod regions;
mod resident;
mod scene;
mod set;
mod sheet;
mod taxpayer;
mod truth;
mod wear;

pub use case::{Case, Print, Sample, Subject};
pub use decoy::Decoy;
pub use flag::Flag;
pub use photograph::Ground;
pub use scene::{Scene, Stock};
pub use set::Set;
pub use taxpayer::NpwpDesign;
pub use truth::{Capture, CardType, Expect, Medium, Tier, Truth};
