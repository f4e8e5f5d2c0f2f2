//! The audit trail: who did what, when and why, in a chain that shows whether anything was changed afterwards.
//!
//! Every entry holds the hash of the one before and a hash over itself. Whoever edits, deletes, inserts or reorders
//! entries breaks the chain. Someone who may write to the database could compute all of it anew, or cut off its end;
//! what shows that is a checkpoint, signed and kept elsewhere. Entries hold no personal data, so the chain outlives the
//! documents it tells of.

mod case;
mod chain;
mod checkpoint;
mod command;
mod commitment;
mod evidence;
mod failures;
pub(crate) mod instant;
mod keeper;
mod reconcile;
mod watch;

pub use case::{Case, Heard};
pub(crate) use chain::DELETION;
pub use chain::{Broken, Chain, Content, Entry, GENESIS};
pub use checkpoint::{Checkpoint, Unfit};
pub use command::{Finding, checkpoint, export, public_key, verify, verify_evidence};
pub(crate) use commitment::commitment;
pub use evidence::{Evidence, Flaw, Proven};
pub use failures::FailedSignIns;
pub use keeper::keep_checkpoints;
pub(crate) use keeper::{CHECKPOINT, Places};
pub(crate) use reconcile::correction_text;
pub use watch::{Verified, verify_trail};
