//! Setting checkpoints: the trail is followed from the last one to its end, and its end put on record elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::chain::Chain;
use super::checkpoint::Checkpoint;
use super::watch::{self, Verified};
use crate::app::App;
use crate::config::{Process, Service};
use crate::keys::Keys;

/// The task under which a set checkpoint is noted.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Checkpoints fetched at a time.
const AT_A_TIME: usize = 16;

/// Why a place of checkpoints cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the file of checkpoints, audit.checkpoint_file, cannot be read or written")]
    File(#[from] std::io::Error),
    #[error("the bucket of checkpoints, audit.checkpoint_bucket, cannot be read or written")]
    Bucket(#[from] object_store::Error),
}

/// Where checkpoints go.
pub(crate) struct Places {
    file: Option<PathBuf>,
    bucket: Option<(Arc<dyn ObjectStore>, String)>,
}

impl Places {
    /// Those of the configuration.
    ///
    /// # Errors
    /// When the settings make no client for the bucket.
    pub(crate) fn of(config: &Service) -> Result<Self, Error> {
        let audit = &config.audit;
        let bucket = match &audit.checkpoint_bucket {
            Some(name) => {
                let store: Arc<dyn ObjectStore> = Arc::new(crate::blobs::locked_bucket(config, name)?);
                Some((store, audit.checkpoint_prefix.clone()))
            }
            None => None,
        };
        Ok(Self { file: audit.checkpoint_file.clone(), bucket })
    }

    /// Puts a checkpoint to each place. What another process has put into the bucket is not written over.
    async fn put(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        if let Some(path) = self.file.clone() {
            let checkpoint = checkpoint.clone();
            let added = tokio::task::spawn_blocking(move || watch::add(&path, &checkpoint));
            added.await.map_err(std::io::Error::other)??;
        }
        if let Some((store, prefix)) = &self.bucket {
            let start = checkpoint.hash.get(..16).unwrap_or_default();
            let key = Key::from(format!("{prefix}/{:020}-{start}.json", checkpoint.seq));
            let text = serde_json::to_vec(checkpoint).map_err(std::io::Error::other)?;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match store.put_opts(&key, text.into(), options).await {
                Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The latest checkpoint that is signed with the key of `keys`; the trail need not be followed from further back.
    async fn latest(&self, keys: &Keys) -> Result<Option<Checkpoint>, Error> {
        let mut found: Vec<Checkpoint> = Vec::new();
        if let Some(path) = self.file.clone() {
            let last = tokio::task::spawn_blocking(move || Checkpoint::last_of(&path));
            match last.await.map_err(std::io::Error::other)? {
                Ok(last) => found.extend(last),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some((store, _)) = &self.bucket
            && let Some(key) = self.keys_of_bucket().await?.into_iter().max()
        {
            let text = store.get(&key).await?.bytes().await?;
            found.extend(serde_json::from_slice::<Checkpoint>(&text).ok());
        }
        found.retain(|checkpoint| checkpoint.start(keys).is_some());
        Ok(found.into_iter().max_by_key(|checkpoint| checkpoint.seq))
    }

    /// When the latest checkpoint was set, for whoever looks after the service.
    pub(crate) async fn latest_at(&self, keys: &Keys) -> Result<Option<Timestamp>, Error> {
        Ok(self.latest(keys).await?.map(|checkpoint| checkpoint.at))
    }

    async fn keys_of_bucket(&self) -> Result<Vec<Key>, Error> {
        let Some((store, prefix)) = &self.bucket else { return Ok(Vec::new()) };
        let folder = Key::from(prefix.as_str());
        Ok(store.list(Some(&folder)).map_ok(|object| object.location).try_collect().await?)
    }

    /// Everything that lies in these places, as files of one checkpoint a line.
    pub(crate) async fn read_all(&self) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        match self.file.as_ref().map(std::fs::read_to_string) {
            Some(Ok(text)) => texts.push(text),
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        if let Some((store, _)) = &self.bucket {
            let keys = self.keys_of_bucket().await?;
            let fetched = futures_util::stream::iter(keys).map(|key| async move {
                let bytes = store.get(&key).await?.bytes().await?;
                Ok::<_, object_store::Error>(String::from_utf8_lossy(&bytes).into_owned())
            });
            let lines: Vec<String> = fetched.buffer_unordered(AT_A_TIME).try_collect().await?;
            texts.push(lines.join("\n"));
        }
        Ok(texts)
    }
}

/// Follows the trail from the last checkpoint to its end from time to time until `stop`, and puts the end on record. A trail
/// that is broken is not signed; an alarm rings until somebody has seen to it. Nothing if there is no place for checkpoints, or the
/// process is a worker.
pub async fn keep_checkpoints(app: &App, stop: &CancellationToken) {
    let config = &app.config.service;
    // A worker may not know the key that signs.
    if !config.keeps_checkpoints() || config.process != Process::Api {
        return;
    }
    let places = match Places::of(config) {
        Ok(places) => places,
        Err(error) => return error!(%error, "no checkpoints of the audit trail"),
    };
    let every = Duration::from_secs(config.audit.checkpoint_interval_s);
    let mut keeper = Keeper { places, followed: None, signed: None };
    loop {
        keeper.round(app).await;
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

struct Keeper {
    places: Places,
    /// How far the trail was followed.
    followed: Option<Chain>,
    /// What was put on record last.
    signed: Option<Chain>,
}

impl Keeper {
    async fn round(&mut self, app: &App) {
        let broken = metrics::gauge!("filot_audit_broken");
        let start = match &self.followed {
            Some(chain) => chain.clone(),
            None => match self.places.latest(&app.keys).await {
                Ok(last) => last.and_then(|last| last.start(&app.keys)).unwrap_or_default(),
                Err(error) => {
                    return warn!(%error, "no checkpoint of the audit trail: the last one is not known");
                }
            },
        };
        let chain = match watch::verify_from(&app.store, start, &[]).await {
            Ok(Verified::Whole(chain)) => chain,
            Ok(Verified::Broken(cause)) => {
                broken.set(1.0);
                return error!(%cause, "the audit trail is broken and is not signed; see the runbook");
            }
            Err(error) => return warn!(%error, "no checkpoint of the audit trail"),
        };
        broken.set(0.0);
        self.followed = Some(chain.clone());
        if self.signed.as_ref() != Some(&chain) {
            let checkpoint = Checkpoint::sign(&chain, app.clock.now(), &app.keys);
            if let Err(error) = self.places.put(&checkpoint).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                return warn!(%error, cause, "no checkpoint of the audit trail");
            }
            info!(entry = chain.seq(), "audit trail: checkpoint set");
            self.signed = Some(chain);
        }
        if let Err(error) = app.store.note_done(CHECKPOINT).await {
            warn!(%error, "a checkpoint is not noted");
        }
    }
}
