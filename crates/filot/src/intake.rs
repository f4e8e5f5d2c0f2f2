//! From bytes to a stored document with a job: limits, content, file, row, dispatch, in this order.
//!
//! The file is stored before the row, and the row before the job is dispatched. Whatever dies in between leaves at most
//! a file without a row, which the sweeper erases, or a row without a job, which the reaper dispatches.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use filot_ocr::image::{Format, ImageError, without_side_data};
use tracing::{Instrument, info, warn};

use crate::app::App;
use crate::blobs::{self, Blobs};
use crate::decoded::Decoded;
use crate::document::{CardType, Document, DocumentId, Status, UserId};
use crate::store::{self, Actor, IdempotencyKey, NewDocument, Replaced};
use crate::telemetry::traces;

/// A file that someone sends.
#[derive(Clone, Debug)]
pub struct Upload {
    pub user: UserId,
    pub card_type: CardType,
    /// The media type that the client states; `None` if it states none.
    pub media_type: Option<String>,
    pub bytes: Bytes,
    /// Names the request, so that its repetition finds the same document.
    pub idempotency: Option<IdempotencyKey>,
}

/// Why an upload was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not one that can be read. The text tells the client what to do.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The client says one thing and the file another.
    #[error("The file is {found}, but was sent as something else. Send it with its own media type.")]
    MediaType { found: &'static str },
    /// The account has stored all that it may in a day.
    #[error("The daily limit of this account is reached. Try again tomorrow.")]
    Quota,
    /// Too many uploads at once.
    #[error("Too many uploads at the moment. Try again in a few seconds.")]
    Busy,
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Spent => Self::Quota,
            error => Self::Store(error),
        }
    }
}

impl Error {
    /// The name of this error for programs, if it is the client's to know. Never changes.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Image(error) => Some(error.code()),
            Self::MediaType { .. } => Some("media_type_mismatch"),
            Self::Quota => Some("quota_exceeded"),
            Self::Busy => Some("busy"),
            Self::Blobs(_) | Self::Store(_) => None,
        }
    }
}

/// What the bytes turned out to be.
struct Checked {
    format: Format,
    /// What is stored.
    bytes: Bytes,
    content_hash: String,
    /// `None` for a PDF, which is drawn by the reader's own process.
    decoded: Option<Decoded>,
}

/// Accepts a file. When this returns, the document is stored for good and will be read.
///
/// # Errors
/// See [`Error`]; nothing is stored then, but for a file that the sweeper erases.
pub async fn submit(app: &App, upload: Upload) -> Result<Document, Error> {
    let (new, bytes) = stored(app, upload).await?;
    let (id, key) = (new.id, new.blob_key.clone());
    let created = app.store.create_document(new, app.makes_jobs_with_rows()).await;
    let document = match created {
        Err(error) => return Err(refused(app, id, &key, error).await),
        Ok(document) => document,
    };
    Ok(received(app, document, bytes).await)
}

/// The same for a photo that comes by a link, in place of the document that the link is about.
///
/// # Errors
/// As [`submit`]; the link then still works.
pub async fn submit_retake(app: &App, upload: Upload, token_hash: &str) -> Result<Replaced, Error> {
    let (new, bytes) = stored(app, upload).await?;
    let (id, key) = (new.id, new.blob_key.clone());
    let limit = app.config.service.desk.retakes;
    let replaced = app.store.replace_document(new, app.makes_jobs_with_rows(), token_hash, limit).await;
    let replaced = match replaced {
        Err(error) => return Err(refused(app, id, &key, error).await),
        Ok(replaced) => replaced,
    };
    Ok(match replaced {
        Replaced::By(document) => Replaced::By(Box::new(received(app, *document, bytes).await)),
        other => other,
    })
}

/// A file for which there is no allowance is not kept until it is searched for. Of any other error nobody knows whether the
/// row is there after all.
async fn refused(app: &App, id: DocumentId, key: &str, error: store::Error) -> Error {
    if matches!(error, store::Error::Spent) {
        drop(app.decoded.take(id));
        if let Err(error) = app.blobs.erase(key).await {
            warn!(%error, "a file over the daily limit is left to the sweeper");
        }
    }
    error.into()
}

/// Looks at the file and stores it, without what it tells beside its picture; what is left is its row.
async fn stored(app: &App, upload: Upload) -> Result<(NewDocument, u64), Error> {
    // Spares those who have used up their allowance the rest; whether there is any is decided with the row.
    app.store.may_store(upload.user, 1).await?;
    let checked = check(app, &upload).await?;

    let id = DocumentId::new();
    let media_type = checked.format.media_type();
    let key = Blobs::key(upload.user, upload.card_type, id, media_type);
    let byte_size = checked.bytes.len() as u64;
    crate::failpoint::hit("intake.before_blob");
    app.blobs.put(&key, checked.bytes, media_type).instrument(traces::part("store file")).await?;
    crate::failpoint::hit("intake.after_blob");
    // Before the row: its job may be claimed the moment it is there.
    if let Some(decoded) = checked.decoded {
        app.decoded.keep(id, decoded);
    }

    let new = NewDocument {
        id,
        user_id: upload.user,
        card_type: upload.card_type,
        blob_key: key,
        content_hash: checked.content_hash,
        media_type: media_type.to_owned(),
        byte_size,
        lane: app.lane(),
        idempotency: upload.idempotency,
    };
    Ok((new, byte_size))
}

/// The row is there: the document will be read.
async fn received(app: &App, document: Document, bytes: u64) -> Document {
    crate::failpoint::hit("intake.after_row");
    metrics::counter!("filot_documents_received_total", "type" => document.card_type.as_str()).increment(1);
    info!(document = %document.id, bytes, "document received");
    dispatch(app, &document).instrument(traces::brought(document.id)).await;
    crate::failpoint::hit("intake.after_dispatch");
    document
}

/// Asks for the reading of a document: again if it failed, at once if it waits. Harmless in any other state.
///
/// # Errors
/// `NotFound`.
pub async fn trigger(app: &App, id: DocumentId, actor: &Actor) -> store::Result<Document> {
    let document = app.store.document(id).await?;
    let document = match document.status {
        Status::Failed => match app.store.reprocess(id, actor, app.makes_jobs_with_rows()).await {
            Ok(document) => document,
            // Someone else was quicker, or a person decides on it: it stays as it is.
            Err(store::Error::Illegal(_) | store::Error::Conflict) => app.store.document(id).await?,
            Err(error) => return Err(error),
        },
        _ => document,
    };
    if document.status == Status::Pending {
        dispatch(app, &document).await;
        app.changes.announce(&document).await;
    }
    Ok(document)
}

/// Hands a stored document on. A failure is no error: the reaper finds the document by its row.
async fn dispatch(app: &App, document: &Document) {
    let (id, account) = (document.id, document.user_id);
    if let Err(error) = app.workflow.dispatch(&*app.queue, app.lane(), id, account).await {
        warn!(document = %id, %error, "not handed on now; the reaper will");
    }
}

/// Looks at the bytes off the async threads: format, size, whether the picture decodes, hash.
async fn check(app: &App, upload: &Upload) -> Result<Checked, Error> {
    let limit = app.config.service.upload.max_bytes;
    let bytes = upload.bytes.clone();
    if bytes.len() > limit {
        return Err(ImageError::TooLarge { bytes: bytes.len(), limit }.into());
    }
    // The cheap looks come first: most bad files end here.
    let format = Format::of(&bytes)?;
    if !upload.media_type.as_deref().is_none_or(|stated| may_mean(stated, format)) {
        return Err(Error::MediaType { found: format.media_type() });
    }
    let limits = app.config.limits.clone();
    let turn = tokio::time::timeout(Duration::from_secs(10), app.decoders.clone().acquire_owned());
    // The semaphore is never closed, so only the time can run out.
    let Ok(Ok(turn)) = turn.await else { return Err(Error::Busy) };
    let checked = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        // First, so that what is decoded here is what is stored and read.
        let plain = match without_side_data(&bytes, format) {
            Cow::Borrowed(_) => None,
            Cow::Owned(plain) => Some(plain),
        };
        let bytes = plain.map_or(bytes, Bytes::from);
        let decoded = (format != Format::Pdf).then(|| Decoded::of(&bytes, &limits)).transpose()?;
        Ok::<_, ImageError>(Checked { format, content_hash: blobs::content_hash(&bytes), decoded, bytes })
    });
    checked.await.unwrap_or(Err(ImageError::Corrupt("the decoder gave up"))).map_err(Error::from)
}

/// Whether a stated media type says `format`, or nothing definite.
fn may_mean(media_type: &str, format: Format) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" | "application/octet-stream" | "image/*" => true,
        // Phones that convert a picture while they send it keep its old name: `image/heic` for a JPEG.
        picture if picture.starts_with("image/") => format != Format::Pdf,
        "application/pdf" | "application/x-pdf" => format == Format::Pdf,
        _ => false,
    }
}
