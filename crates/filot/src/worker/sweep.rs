//! Files without a document: what a crash between file and row leaves behind. Each is watched for days before it is
//! erased, and never many at a time: whatever has made more files unknown is no crash, and is told instead.
//!
//! A file is a candidate only if it is called as ours are and its owner is an account of this database. Everything else
//! is somebody else's.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::upkeep::is_due;
use crate::app::App;
use crate::blobs::{self, Listed, StoredFile};
use crate::installation::{self, Standing};
use crate::store::{self, Store};

/// Between two looks at what is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Between two notes in the file store of how far the database has come.
const NOTE_INTERVAL: u32 = 5;
/// Files looked at in one step of a sweep.
const SWEEP_STEP: usize = 1000;
/// Files that a round may erase however few there are, and at most, whatever the share.
const ALWAYS: u64 = 20;
const MAX_ERASED: u64 = 1000;

/// What a search may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Files younger than this may belong to an upload that is still going on.
    pub age: SignedDuration,
    /// How long a file is seen without a document before it is erased.
    pub quarantine: SignedDuration,
    /// How many of a hundred files one round may erase.
    pub percent: f64,
    /// How many one round may erase whatever the share: the operator knows of them.
    pub at_most: Option<u64>,
    /// Whether nothing is erased in the day after the database was made, upgraded, restored or found to be older.
    pub quiet: bool,
}

impl Rules {
    /// Those of the configuration.
    pub fn of(app: &App) -> Self {
        let storage = &app.config.service.storage;
        Self {
            age: SignedDuration::from_hours(1),
            quarantine: storage.quarantine(),
            percent: storage.sweep_percent,
            at_most: None,
            quiet: true,
        }
    }

    /// Everything that is unknown goes at once: for a place in which there is nothing but what a test has made.
    pub const AT_ONCE: Self = Self {
        age: SignedDuration::ZERO,
        quarantine: SignedDuration::ZERO,
        percent: 0.0,
        at_most: Some(u64::MAX),
        quiet: false,
    };

    /// How many of `seen` files one round may erase.
    pub fn allowed(&self, seen: u64) -> u64 {
        let share = (seen as f64 * self.percent / 100.0) as u64;
        self.at_most.unwrap_or(share.clamp(ALWAYS, MAX_ERASED))
    }
}

/// What a search found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files called as ours are.
    pub seen: usize,
    /// Those of them whose owner is an account here and that no document knows.
    pub unknown: usize,
    /// Those of them whose owner is no account here.
    pub strangers: usize,
    /// Files called otherwise.
    pub foreign: usize,
    pub erased: usize,
    /// Files that have been unknown for long, and are too many to be crashes: none of them was erased.
    pub withheld: u64,
}

/// Why a search was not made, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Installation(#[from] installation::Error),
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Searches every hour, in one of all processes, and keeps the mark up to date, until `stop`.
pub(super) async fn run(app: &App, stop: &CancellationToken) {
    let mut looks = 0_u32;
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
        looks = looks.wrapping_add(1);
        if looks % NOTE_INTERVAL == 1
            && let Err(error) = installation::note_progress(app).await
        {
            warn!(%error, "cannot note in the file store how far the database has come");
        }
        if is_due(app, "sweep").await
            && let Err(error) = sweep_files(app, &Rules::of(app)).await
        {
            warn!(%error, "no search for forgotten files");
        }
    }
}

/// Clears what was deleted from the files of the database, until `stop`.
pub(super) async fn clear(app: &App, stop: &CancellationToken) {
    let every = app.store.clearing_interval();
    let mut told = false;
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let cleared = app.store.clear_deleted().await;
        // Once, however long it lasts.
        if let Err(error) = &cleared
            && !told
        {
            warn!(%error, "what was deleted is not cleared from the database's files yet");
        }
        told = cleared.is_err();
    }
}

/// Looks at every file, and erases those that `rules` say are forgotten.
///
/// # Errors
/// When database and file store do not belong together, or one of them does not answer; what was erased by then is erased.
pub async fn sweep_files(app: &App, rules: &Rules) -> Result<Swept, Error> {
    let standing = installation::agree(&app.store, &app.blobs).await?;
    let now = app.clock.now();
    let quiet = match standing {
        Standing::Quiet { until, why } if rules.quiet => Some((until, why)),
        _ => None,
    };
    // Seen in a time in which nothing is what it seems, a file's clock does not begin.
    let mut swept = count(app, rules.age, quiet.is_none().then_some(now)).await?;
    tell(&swept);
    if let Some((until, why)) = quiet {
        if swept.unknown > 0 {
            warn!(unknown = swept.unknown, %until, "files without a document stay for now: {why}");
        }
        return Ok(swept);
    }
    app.store.forget_other_unknown(now).await?;
    erase_ripe(app, rules, now, &mut swept).await?;
    let before = now.saturating_sub(rules.age).unwrap_or(Timestamp::MIN);
    swept.erased += app.blobs.erase_fragments(before).await?;
    if swept.erased > 0 {
        info!(erased = swept.erased, "files without a document erased");
    }
    Ok(swept)
}

/// What a search would find now. Nothing is changed.
///
/// # Errors
/// When database or file store do not answer.
pub async fn look_for_forgotten(app: &App) -> Result<Swept, Error> {
    count(app, Rules::of(app).age, None).await
}

/// Counts all files older than `age`. Those that are unknown are quarantined if this is a `round`.
async fn count(app: &App, age: SignedDuration, round: Option<Timestamp>) -> Result<Swept, Error> {
    let before = app.clock.now().saturating_sub(age).unwrap_or(Timestamp::MIN);
    let mut swept = Swept::default();
    let mut files = app.blobs.list(before).ready_chunks(SWEEP_STEP);
    while let Some(listed) = files.next().await {
        let mut ours = Vec::new();
        for file in listed {
            match file? {
                Listed::Ours(file) => ours.push(file),
                Listed::Foreign => swept.foreign += 1,
            }
        }
        swept.seen += ours.len();
        let (unknown, strangers) = unknown(&app.store, ours).await?;
        swept.unknown += unknown.len();
        swept.strangers += strangers;
        if let Some(round) = round {
            app.store.quarantine(&unknown, round).await?;
        }
    }
    Ok(swept)
}

/// Those of `files` that no document knows and whose owner is an account, and how many have an unknown owner.
async fn unknown(store: &Store, files: Vec<StoredFile>) -> store::Result<(Vec<StoredFile>, usize)> {
    if files.is_empty() {
        return Ok((files, 0));
    }
    let known = store.known_blobs(files.iter().map(|file| file.key.clone()).collect()).await?;
    let unknown: Vec<StoredFile> = files.into_iter().filter(|file| !known.contains(&file.key)).collect();
    if unknown.is_empty() {
        return Ok((unknown, 0));
    }
    let owners = store.known_users(unknown.iter().map(|file| file.owner).collect()).await?;
    let (unknown, strangers): (Vec<_>, Vec<_>) =
        unknown.into_iter().partition(|file| owners.contains(&file.owner));
    Ok((unknown, strangers.len()))
}

async fn erase_ripe(app: &App, rules: &Rules, now: Timestamp, swept: &mut Swept) -> Result<(), Error> {
    let since = now.saturating_sub(rules.quarantine).unwrap_or(Timestamp::MIN);
    let allowed = rules.allowed(swept.seen as u64);
    let (count, keys) = app.store.quarantined_since(since, allowed).await?;
    if count > allowed {
        swept.withheld = count;
        tracing::error!(
            files = count,
            allowed,
            of = swept.seen,
            "more files are without a document than crashes leave: none is erased. If database and file store are the \
             right ones, and these files are to go, run `filot files erase-unknown {count}`"
        );
        return Ok(());
    }
    for key in keys {
        // It may have got its document since.
        if !app.store.known_blobs(vec![key.clone()]).await?.contains(&key) {
            app.blobs.erase(&key).await?;
            swept.erased += 1;
        }
        app.store.forget_unknown(&key).await?;
    }
    Ok(())
}

fn tell(swept: &Swept) {
    for (kind, count) in
        [("unknown", swept.unknown), ("stranger", swept.strangers), ("foreign", swept.foreign)]
    {
        metrics::gauge!("filot_unknown_files", "kind" => kind).set(count as f64);
    }
}
