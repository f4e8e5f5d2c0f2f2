//! Following the trail in the database.

use std::io::Write;
use std::path::Path;

use super::chain::{Broken, Chain};
use super::checkpoint::Checkpoint;
use crate::store::{self, Store};

/// Entries read in one step.
const STEP: u64 = 1000;

/// What was found of a trail that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Unbroken, up to this end.
    Whole(Chain),
    Broken(Broken),
}

/// Follows the trail from its first entry to its end, and holds it against what checkpoints know of it.
///
/// # Errors
/// When the database does not answer.
pub async fn verify_trail(store: &Store, checkpoints: &[Checkpoint]) -> store::Result<Verified> {
    verify_from(store, Chain::default(), checkpoints).await
}

/// Follows the trail from `start`, whose entry must be there as it was, to its end.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn verify_from(
    store: &Store,
    start: Chain,
    checkpoints: &[Checkpoint],
) -> store::Result<Verified> {
    match follow(store, start, checkpoints).await {
        Ok(chain) => Ok(Verified::Whole(chain)),
        Err(Ended::Broken(broken)) => Ok(Verified::Broken(broken)),
        Err(Ended::Store(error)) => Err(error),
    }
}

enum Ended {
    Broken(Broken),
    Store(store::Error),
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<store::Error> for Ended {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

async fn follow(store: &Store, mut chain: Chain, checkpoints: &[Checkpoint]) -> Result<Chain, Ended> {
    if chain.seq() > 0 {
        let known = chain.seq();
        let entries = store.audit_after(known - 1, 1).await?;
        match entries.first().filter(|entry| entry.seq == known) {
            Some(entry) if entry.hash == chain.hash() && entry.digest() == entry.hash => {}
            Some(_) => return Err(Broken::OtherThanCheckpoint(known).into()),
            None => {
                let last = head(store).await?.seq();
                return Err(Broken::BehindCheckpoint { checkpoint: known, last }.into());
            }
        }
    }
    loop {
        let entries = store.audit_after(chain.seq(), STEP).await?;
        for entry in &entries {
            chain.follow(entry)?;
            if let Some(known) =
                checkpoints.iter().find(|known| known.seq == entry.seq && known.hash != entry.hash)
            {
                return Err(Broken::OtherThanCheckpoint(known.seq).into());
            }
        }
        if !entries.is_empty() {
            continue;
        }
        let head = head(store).await?;
        if head == chain {
            break;
        }
        // The service may have gone on writing; then there is more to read.
        if head.seq() <= chain.seq() || store.audit_after(chain.seq(), 1).await?.is_empty() {
            let (last, head) = (chain.seq(), head.seq());
            return Err(if last == head { Broken::Head } else { Broken::Cut { last, head } }.into());
        }
    }
    match checkpoints.iter().map(|known| known.seq).max() {
        Some(checkpoint) if checkpoint > chain.seq() => {
            Err(Broken::BehindCheckpoint { checkpoint, last: chain.seq() }.into())
        }
        _ => Ok(chain),
    }
}

/// The head; without one the trail has an end that nobody knows.
async fn head(store: &Store) -> Result<Chain, Ended> {
    match store.audit_head().await {
        Err(store::Error::Corrupt(_)) => Err(Broken::Head.into()),
        other => Ok(other?),
    }
}

/// Adds a line in one piece, so that several processes may write to one file.
pub(super) fn add(path: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
    let mut line = serde_json::to_string(checkpoint)?;
    line.push('\n');
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}
