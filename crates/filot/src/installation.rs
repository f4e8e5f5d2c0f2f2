//! Database and file store belong together, or nothing is started and nothing erased.
//!
//! The database has an id, the file store a mark with the same id. A database that meets the mark of another one, or files
//! of accounts that it does not know, or none of its own files, is at the wrong place: a typo in an address, an empty
//! database after a failover, a bucket that two share.
//!
//! A database of the right id that does not know the audit entry of the mark was set back to an earlier time, or has a copy
//! that goes on with the same files. It serves, writes its own mark, and takes no file to be forgotten for a day. A copy
//! that went another way does not know that mark, and does the same: while two of them live, neither erases anything. No
//! file comes without an audit entry: whoever knows the other's mark lacks none of the other's files.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tracing::{info, warn};
use uuid::Uuid;

mod command;

pub use command::{adopt_files, adopt_keys, erase_unknown_files};

use crate::app::App;
use crate::blobs::{self, Blobs, Listed, Mark};
use crate::store::{self, Actor, AuditEntry, Installation, Store};

/// Files of the database's documents that are looked for when the store has no mark.
const SAMPLE: u64 = 20;
/// Files whose owners are looked up when the store has no mark.
const MAX_OWNERS: usize = 1000;
/// How long a start waits for the file store. One that is down is no reason not to serve.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the two do not belong together, or why nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{place} belongs to another installation: its files are those of database {store}, and this is database \
         {database}. Mend DATABASE_URL, or name another CF_R2_PREFIX, bucket or FILOT_DATA_DIR. If this database shall \
         take over the files, run `filot files adopt` with these settings"
    )]
    Foreign { place: String, store: Uuid, database: Uuid },
    #[error(
        "{place} holds files of accounts that this database ({database}) does not know: it is another one, or empty. Mend \
         DATABASE_URL, or name another CF_R2_PREFIX, bucket or FILOT_DATA_DIR. If this database shall take over the files, \
         run `filot files adopt` with these settings"
    )]
    Strangers { place: String, database: Uuid },
    #[error(
        "{place} holds none of the files that this database ({database}) knows. Mend CF_R2_BUCKET_NAME, CF_R2_PREFIX or \
         FILOT_DATA_DIR. If the files are lost for good, run `filot files adopt` with these settings"
    )]
    NoFiles { place: String, database: Uuid },
    #[error(
        "the keys are not those that this database ({database}) was used with: second factors of officers and stored \
         answers cannot be opened. Put back the former DATA_DIR/master.key or SESSION_SECRET. To go on with the keys that \
         are here (the former ones are lost, or are to be replaced), run `filot keys adopt` with these settings"
    )]
    Keys { database: Uuid },
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// How database and file store stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Files without a document may be taken to be forgotten.
    Agreed,
    /// Not before then.
    Quiet { until: Timestamp, why: Why },
}

/// Why no file is taken to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The database was made, upgraded or restored a short while ago.
    New,
    /// The file store knew what this database did not: it was set back, or another one goes on with the same files.
    Behind,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New => "the database was made, upgraded or restored less than a day ago",
            Self::Behind => {
                "the file store knows of changes that this database does not: it was set back, or a copy of it goes on \
                 with the same files"
            }
        })
    }
}

/// What a look finds. Nothing is changed by it.
enum Look {
    /// There is no mark, and nothing against making one.
    Unmarked,
    /// The mark is ours, and the trail of this database knows it.
    Known(Mark),
    /// The mark is ours, and this database lacks its entry.
    Unknown(Mark),
}

/// Has database and file store agree, and tells how they stand. A mark is made where none is.
///
/// # Errors
/// See [`Error`].
pub async fn agree(store: &Store, blobs: &Blobs) -> Result<Standing> {
    let (own, mut look) = look(store, blobs).await?;
    if matches!(look, Look::Unmarked) {
        if blobs.make_mark(&mark_of(store, &own).await?).await? {
            info!(installation = %own.id, "the file store is marked as this installation's");
        }
        // Somebody else may have been quicker.
        look = self::look(store, blobs).await?.1;
    }
    match look {
        Look::Known(_) | Look::Unmarked => Ok(quiet(&own, store)),
        Look::Unknown(mark) => claim(store, blobs, &own, &mark).await,
    }
}

/// How they stand, without a change.
///
/// # Errors
/// See [`Error`].
pub async fn standing(store: &Store, blobs: &Blobs) -> Result<Standing> {
    let (own, look) = look(store, blobs).await?;
    Ok(match look {
        Look::Known(_) | Look::Unmarked => quiet(&own, store),
        Look::Unknown(_) => Standing::Quiet { until: store.now_at() + store::QUIET, why: Why::Behind },
    })
}

/// [`agree`] at the start of a process. A file store that does not answer is asked again before anything is erased.
///
/// # Errors
/// When the two do not belong together.
pub async fn agree_at_start(app: &App) -> Result<()> {
    let agreed = tokio::time::timeout(START_TIMEOUT, agree(&app.store, &app.blobs)).await;
    match agreed {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Error::Blobs(error))) if !matches!(error, blobs::Error::Mark) => {
            warn!(%error, "whether the files are those of this database is not known yet");
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            warn!(
                "the file store does not answer; whether its files are those of this database is not known yet"
            );
            Ok(())
        }
    }
}

/// Has database and keys agree. The first keys that a database is used with are its own.
///
/// # Errors
/// `Keys`, and when the database does not answer.
pub async fn agree_on_keys(app: &App) -> Result<()> {
    let own = app.store.installation().await?;
    if let (Some(check), None) = (app.keys.check(own.id), &own.key_check) {
        app.store.note_keys(&check).await?;
    }
    knows_keys(app).await
}

/// The same without a change.
///
/// # Errors
/// See [`agree_on_keys`].
pub async fn knows_keys(app: &App) -> Result<()> {
    let own = app.store.installation().await?;
    match (app.keys.check(own.id), own.key_check) {
        (Some(check), Some(known)) if check != known => Err(Error::Keys { database: own.id }),
        _ => Ok(()),
    }
}

/// Notes in the file store how far the database has come, if it knows what stands there.
///
/// # Errors
/// See [`Error`].
pub async fn note_progress(app: &App) -> Result<()> {
    let (own, look) = look(&app.store, &app.blobs).await?;
    let Look::Known(mark) = look else { return Ok(()) };
    let now = mark_of(&app.store, &own).await?;
    if now.audit_hash != mark.audit_hash {
        app.blobs.write_mark(&now).await?;
    }
    Ok(())
}

/// Has this database take over the files, whosever they were, and the trail tell of it. What it does not know is not taken
/// to be forgotten for a day.
///
/// # Errors
/// When database or file store do not answer.
pub async fn adopt(store: &Store, blobs: &Blobs) -> Result<Uuid> {
    let own = store.installation().await?;
    let former = match blobs.mark().await {
        Ok(mark) => mark.map(|mark| mark.installation.to_string()),
        Err(blobs::Error::Mark) => None,
        Err(error) => return Err(error.into()),
    };
    store.keep_quiet(None).await?;
    let adopted = entry(&own, &Actor::Operator, "files.adopt");
    store.audit(AuditEntry { before: former, after: Some(own.id.to_string()), ..adopted }).await?;
    blobs.write_mark(&mark_of(store, &own).await?).await?;
    Ok(own.id)
}

async fn look(store: &Store, blobs: &Blobs) -> Result<(Installation, Look)> {
    // The mark first: whoever made it had made the row before.
    let mark = blobs.mark().await?;
    let own = store.installation().await?;
    let Some(mark) = mark else {
        could_be_ours(store, blobs, &own).await?;
        return Ok((own, Look::Unmarked));
    };
    if mark.installation != own.id {
        let place = blobs.description();
        return Err(Error::Foreign { place, store: mark.installation, database: own.id });
    }
    let known = store.knows_audit_entry(mark.audit_seq, &mark.audit_hash).await?;
    Ok((own, if known { Look::Known(mark) } else { Look::Unknown(mark) }))
}

/// Whether the files of a store without a mark can be those of this database.
async fn could_be_ours(store: &Store, blobs: &Blobs, own: &Installation) -> Result<()> {
    let (place, database) = (blobs.description(), own.id);
    let (mut wanted, mut found) = (0, 0);
    for key in store.some_blob_keys(SAMPLE).await? {
        if blobs::FileKey::parse(&key).is_none() {
            continue;
        }
        wanted += 1;
        found += u64::from(blobs.has(&key).await?);
    }
    if wanted > 0 && found == 0 {
        return Err(Error::NoFiles { place, database });
    }
    let mut owners = HashSet::new();
    let mut files = blobs.list(Timestamp::MAX).take(MAX_OWNERS);
    while let Some(file) = files.next().await {
        if let Listed::Ours(file) = file? {
            owners.insert(file.owner);
        }
    }
    let known = store.known_users(owners.iter().copied().collect()).await?;
    if owners.is_subset(&known) { Ok(()) } else { Err(Error::Strangers { place, database }) }
}

fn quiet(own: &Installation, store: &Store) -> Standing {
    let why = if own.unknown_head.is_some() { Why::Behind } else { Why::New };
    match own.quiet_until.filter(|until| *until > store.now_at()) {
        Some(until) => Standing::Quiet { until, why },
        None => Standing::Agreed,
    }
}

/// Begins a day of quiet because the database lacks what the mark tells of, and marks the files as its own.
async fn claim(store: &Store, blobs: &Blobs, own: &Installation, mark: &Mark) -> Result<Standing> {
    let until = store.keep_quiet(Some(&mark.audit_hash)).await?;
    blobs.write_mark(&mark_of(store, own).await?).await?;
    metrics::counter!("filot_file_claims_total").increment(1);
    warn!(installation = %own.id, %until, "{}; no file is taken to be forgotten until then", Why::Behind);
    Ok(Standing::Quiet { until, why: Why::Behind })
}

fn entry<'a>(own: &Installation, actor: &'a Actor, action: &'static str) -> AuditEntry<'a> {
    let subject = format!("installation:{}", own.id);
    AuditEntry { actor, action, subject, reason: None, before: None, after: None }
}

/// What the mark says of a database as it is now.
async fn mark_of(store: &Store, own: &Installation) -> Result<Mark> {
    let head = store.audit_head().await?;
    Ok(Mark {
        installation: own.id,
        audit_seq: head.seq(),
        audit_hash: head.hash().to_owned(),
        written_at: store.now_at(),
    })
}
