//! Following the trail in the database, and setting checkpoints.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::chain::{Broken, Chain};
use super::checkpoint::Checkpoint;
use crate::app::App;
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
    match follow(store, checkpoints).await {
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

async fn follow(store: &Store, checkpoints: &[Checkpoint]) -> Result<Chain, Ended> {
    let mut chain = Chain::default();
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

/// Adds a checkpoint to the file of the configuration from time to time until `stop`; nothing if there is none.
pub async fn keep_checkpoints(app: &App, stop: &CancellationToken) {
    let config = &app.config.service.audit;
    let Some(path) = &config.checkpoint_file else { return };
    let every = Duration::from_secs(config.checkpoint_interval_s);
    let mut last = None;
    loop {
        match app.store.audit_head().await {
            Ok(head) if last.as_ref() != Some(&head) => {
                let checkpoint = Checkpoint::sign(&head, app.clock.now(), &app.keys);
                match add(path, &checkpoint) {
                    Ok(()) => {
                        info!(entry = head.seq(), "audit trail: checkpoint set");
                        last = Some(head);
                    }
                    Err(error) => {
                        warn!(%error, "no checkpoint of the audit trail: the file cannot be written")
                    }
                }
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "no checkpoint of the audit trail"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
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
