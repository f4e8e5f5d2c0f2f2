//! The files of documents: in a folder, or in S3 / Cloudflare R2.
//!
//! Keys are generated, begin with the owner's id, and say nothing of the file's own name. Links for downloading expire:
//! on S3 they are presigned there; for the folder FiLot signs them itself, bound to document, user and time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::client::{HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{
    Attribute, AttributeValue, BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutOptions,
    RetryConfig,
};

use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{Service, exposed};
use crate::document::{CardType, Document, DocumentId, UserId};
use crate::keys::{self, Keys};

mod key;
mod mark;
mod versions;

use versions::Versions;

pub use key::FileKey;
pub use mark::{MARK, Mark};

/// Bytes of a file that are read at a time for somebody who takes them one after the other.
const PIECE: u64 = 64 << 10;

/// Why a file could not be stored, found or erased.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// The store cannot be reached or refuses; trying again later may help.
    #[error("the file store is unavailable")]
    Unavailable(#[source] object_store::Error),
    /// The settings name no usable store.
    #[error("the file store cannot be set up")]
    Setup(#[source] object_store::Error),
    #[error("the folder for files cannot be made")]
    Folder(#[source] std::io::Error),
    /// The store holds other bytes than were put in.
    #[error("the stored file is damaged")]
    Damaged,
    /// The mark of the installation is not one.
    #[error(
        "{MARK} in the file store cannot be understood; restore it, or move it away and run `filot files adopt`"
    )]
    Mark,
    /// One version of a file could not be erased.
    #[error("the file store is unavailable")]
    Version(#[source] reqwest::Error),
    /// The store does not let us erase versions.
    #[error(
        "the file store refuses to erase a version of a file (status {0}): the key needs s3:DeleteObjectVersion"
    )]
    Refused(u16),
    /// A file has more versions than we make.
    #[error("a file has too many versions to erase at once")]
    Versions,
    #[error("the HTTP client for the file store cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// A file of ours as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub key: String,
    pub owner: UserId,
    pub byte_size: u64,
    pub changed_at: Timestamp,
}

/// What a listing shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    Ours(StoredFile),
    /// Called otherwise than our files are: never ours to touch.
    Foreign,
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            error => Self::Unavailable(error),
        }
    }
}

/// Why a download link opens nothing. Clients are told no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("the link has expired")]
    Expired,
    #[error("the link is not one that this server made")]
    Invalid,
}

/// Whom a link was given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub user: UserId,
    /// The sign-in in which they asked for it; `None` when it is kept elsewhere.
    pub session: Option<Uuid>,
}

/// What the query of an own link carries, as it came from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkQuery {
    pub holder: Holder,
    /// Seconds since 1970.
    pub expires: i64,
    pub signature: String,
}

/// The files. A clone shares the connections.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Only S3 signs links itself.
    s3: Option<(Arc<AmazonS3>, Versions)>,
    folder: Option<PathBuf>,
    /// What stands before every key in the bucket; empty or with a slash at its end.
    prefix: String,
    keys: Keys,
    clock: Clock,
    public_url: String,
}

impl Blobs {
    /// The store of the configuration: S3 or R2 when an endpoint is set, else a folder in the data folder.
    ///
    /// # Errors
    /// When the settings do not make a store, or the folder cannot be made.
    pub fn open(config: &Service, keys: Keys, clock: Clock) -> Result<Self, Error> {
        let public_url = config.public_url();
        if config.storage.endpoint.is_none() {
            let folder = config.server.data_dir.join("files");
            crate::keys::private_folder(&folder).map_err(Error::Folder)?;
            return Self::in_folder(folder, keys, clock, public_url);
        }
        let s3 = Arc::new(s3(config).map_err(Error::Setup)?);
        let prefix = config.storage.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
        let store = Arc::<AmazonS3>::clone(&s3);
        let s3 = Some((s3, Versions::new().map_err(Error::Client)?));
        Ok(Self { store, s3, folder: None, prefix, keys, clock, public_url })
    }

    fn in_folder(folder: PathBuf, keys: Keys, clock: Clock, public_url: String) -> Result<Self, Error> {
        // An acknowledged upload survives a power cut, hence the syncing.
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(Error::Setup)?.with_fsync(true);
        let (store, prefix) = (Arc::new(store), String::new());
        Ok(Self { store, s3: None, folder: Some(folder), prefix, keys, clock, public_url })
    }

    /// `directory` or `s3`, for health and logs.
    pub fn kind(&self) -> &'static str {
        if self.s3.is_some() { "s3" } else { "directory" }
    }

    /// The key for a new document: `<user>/<type>_<document>.<extension>`.
    pub fn key(user: UserId, card_type: CardType, id: DocumentId, media_type: &str) -> String {
        let extension = key::extension(media_type);
        format!("{user}/{card_type}_{id}.{extension}")
    }

    /// Where the file with this key lies.
    fn place(&self, key: &str) -> Key {
        Key::from(format!("{}{key}", self.prefix))
    }

    /// Stores a file. Once this returns, it survives whatever happens to this process.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn put(&self, key: &str, bytes: Bytes, media_type: &str) -> Result<(), Error> {
        let mut options = PutOptions::default();
        if self.s3.is_some() {
            let media_type = AttributeValue::from(media_type.to_owned());
            options.attributes.insert(Attribute::ContentType, media_type);
        }
        self.store.put_opts(&self.place(key), bytes.into(), options).await?;
        Ok(())
    }

    /// A file.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        Ok(self.store.get(&self.place(key)).await?.bytes().await?)
    }

    /// The length of a file, and the file piece by piece, each read when it is wanted: a slow reader holds one piece, and
    /// no open file.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`; each piece too.
    pub async fn pieces(&self, key: &str) -> Result<(u64, BoxStream<'static, Result<Bytes, Error>>), Error> {
        let (store, place) = (Arc::clone(&self.store), self.place(key));
        let length = store.head(&place).await?.size;
        let next = move |at: u64| {
            let (store, place) = (Arc::clone(&store), place.clone());
            async move {
                let end = length.min(at + PIECE);
                if at == end {
                    return Ok(None);
                }
                Ok(Some((store.get_range(&place, at..end).await?, end)))
            }
        };
        Ok((length, stream::try_unfold(0, next).boxed()))
    }

    /// Erases a file, with all versions that the store keeps of it. One that is not there is no error: erasing may run
    /// twice.
    ///
    /// # Errors
    /// `Unavailable`, or when the store does not let us.
    pub async fn erase(&self, key: &str) -> Result<(), Error> {
        let place = self.place(key);
        if let Some((s3, versions)) = &self.s3 {
            return versions.erase(s3, &place).await;
        }
        match self.store.delete(&place).await.map_err(Error::from) {
            Ok(()) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Everything that was last changed before `before`, in no order, but for the mark. Under a prefix only what is under
    /// it.
    pub fn list(&self, before: Timestamp) -> BoxStream<'static, Result<Listed, Error>> {
        let before = before.as_millisecond();
        let prefix = self.prefix.clone();
        let folder = (!prefix.is_empty()).then(|| Key::from(prefix.as_str()));
        self.store
            .list(folder.as_ref())
            .map_err(Error::from)
            .try_filter_map(move |file| {
                let old = file.last_modified.timestamp_millis() < before;
                let location = file.location.to_string();
                let key = location.strip_prefix(&prefix).unwrap_or_default();
                let listed = (old && key != MARK).then(|| match FileKey::parse(key) {
                    None => Listed::Foreign,
                    Some(FileKey { owner, .. }) => Listed::Ours(StoredFile {
                        key: key.to_owned(),
                        owner,
                        byte_size: file.size,
                        changed_at: Timestamp::from_millisecond(file.last_modified.timestamp_millis())
                            .unwrap_or(Timestamp::MIN),
                    }),
                });
                std::future::ready(Ok(listed))
            })
            .boxed()
    }

    /// Keys of our files last changed before `before`, in no order.
    pub fn older_than(&self, before: Timestamp) -> BoxStream<'static, Result<String, Error>> {
        let ours = self.list(before).try_filter_map(|listed| {
            std::future::ready(Ok(match listed {
                Listed::Ours(file) => Some(file.key),
                Listed::Foreign => None,
            }))
        });
        ours.boxed()
    }

    /// Where the files lie, for whoever runs the service.
    pub fn description(&self) -> String {
        match &self.folder {
            Some(folder) => format!("the folder {}", folder.display()),
            None if self.prefix.is_empty() => "the bucket, which has no prefix".to_owned(),
            None => format!("the bucket under {}", self.prefix),
        }
    }

    /// Erases what interrupted uploads left in the folder under working names, if last changed before `before`. S3 has
    /// no such thing. How many.
    ///
    /// # Errors
    /// When one cannot be erased.
    pub async fn erase_fragments(&self, before: Timestamp) -> Result<usize, Error> {
        let Some(folder) = self.folder.clone() else { return Ok(0) };
        let erased = tokio::task::spawn_blocking(move || erase_fragments(&folder, before));
        erased.await.unwrap_or(Ok(0)).map_err(Error::Folder)
    }

    /// Whether there is a file with this key.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn has(&self, key: &str) -> Result<bool, Error> {
        match self.store.head(&self.place(key)).await.map_err(Error::from) {
            Ok(_) => Ok(true),
            Err(Error::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the store answers. Bounded by the caller.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn ping(&self) -> Result<(), Error> {
        match self.store.head(&self.place("health")).await.map_err(Error::from) {
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A link under which the document's file can be downloaded until it expires. Whoever has the link has the file. An
    /// own link names the sign-in in which it was given out, which is to be looked at, too; one of S3 lives until it
    /// expires, whatever happens.
    ///
    /// # Errors
    /// When S3 gives no signature.
    pub async fn link(
        &self,
        document: &Document,
        holder: Holder,
        expires_in: Duration,
    ) -> Result<String, Error> {
        let name = download_name(document);
        if let Some((s3, _)) = &self.s3 {
            let options = SignedUrlOptions::default().with_query([
                ("response-content-disposition", format!("attachment; filename=\"{name}\"")),
                ("response-content-type", document.media_type.clone()),
                ("response-cache-control", "private, no-store".to_owned()),
            ]);
            let url = s3
                .signed_url_opts(Method::GET, &self.place(&document.blob_key), expires_in, &options)
                .await?;
            return Ok(url.into());
        }
        let expires =
            self.clock.now().as_second() + i64::try_from(expires_in.as_secs()).unwrap_or(i64::MAX / 2);
        let signature =
            self.keys.sign_link(&link_parts(document.id, holder, expires).each_ref().map(|s| &**s));
        let mut url = format!("{}/files/{}", self.public_url, document.id);
        // Writing to a text cannot fail.
        let _ = write!(url, "?user={}&expires={expires}&signature={signature}", holder.user);
        if let Some(session) = holder.session {
            let _ = write!(url, "&session={session}");
        }
        Ok(url)
    }

    /// Checks an own link to the document `id`.
    ///
    /// # Errors
    /// `Expired` for a genuine link whose time is over, `Invalid` for everything else.
    pub fn check_link(&self, id: DocumentId, query: &LinkQuery) -> Result<(), LinkError> {
        let parts = link_parts(id, query.holder, query.expires);
        if self.s3.is_some() || !self.keys.verify_link(&parts.each_ref().map(|s| &**s), &query.signature) {
            return Err(LinkError::Invalid);
        }
        if query.expires <= self.clock.now().as_second() { Err(LinkError::Expired) } else { Ok(()) }
    }
}

/// `object_store` writes a file under its name, `#` and a number, and renames it when it is complete.
fn erase_fragments(folder: &Path, before: Timestamp) -> std::io::Result<usize> {
    let before = SystemTime::from(before);
    let mut erased = 0;
    for entry in walkdir::WalkDir::new(folder).min_depth(1) {
        let entry = entry?;
        let of = entry.path().strip_prefix(folder).ok().and_then(Path::to_str);
        if of.is_some_and(is_fragment)
            && entry.file_type().is_file()
            && entry.metadata()?.modified()? < before
        {
            std::fs::remove_file(entry.path())?;
            erased += 1;
        }
    }
    Ok(erased)
}

/// Whether this is the working name of a file of ours. Whatever else lies in the folder stays.
fn is_fragment(path: &str) -> bool {
    path.rsplit_once('#').is_some_and(|(of, number)| {
        !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
            && (of == MARK || FileKey::parse(of).is_some())
    })
}

/// SHA-256 of a file, lower-case hexadecimal: what the row of a document keeps to know its file again.
pub fn content_hash(bytes: &[u8]) -> String {
    keys::sha256(bytes)
}

/// The name under which a browser saves the file.
pub fn download_name(document: &Document) -> String {
    let extension = document.blob_key.rsplit_once('.').map_or("bin", |(_, extension)| extension);
    format!("{}-{}.{extension}", document.card_type.as_str().to_lowercase(), document.id)
}

fn link_parts(id: DocumentId, holder: Holder, expires: i64) -> [String; 5] {
    let session = holder.session.map(|session| session.to_string()).unwrap_or_default();
    ["download".to_owned(), id.to_string(), holder.user.to_string(), session, expires.to_string()]
}

fn s3(config: &Service) -> object_store::Result<AmazonS3> {
    builder(config, config.storage.bucket.as_deref().unwrap_or_default()).build()
}

/// A bucket of the store that the configuration names, whose objects cannot be changed: S3 asks for a sum with each then.
pub(crate) fn locked_bucket(config: &Service, name: &str) -> object_store::Result<AmazonS3> {
    builder(config, name).with_checksum_algorithm(Checksum::SHA256).build()
}

fn builder(config: &Service, name: &str) -> AmazonS3Builder {
    let storage = &config.storage;
    let endpoint = storage.endpoint.as_deref().unwrap_or_default();
    // A document waits in the queue anyway, so a failing store is not waited for long.
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: 2,
        retry_timeout: Duration::from_secs(8),
    };
    AmazonS3Builder::new()
        .with_endpoint(endpoint.trim_end_matches('/'))
        .with_virtual_hosted_style_request(false)
        .with_region(&storage.region)
        .with_bucket_name(name)
        .with_access_key_id(exposed(&storage.access_key_id).unwrap_or_default())
        .with_secret_access_key(exposed(&storage.secret_access_key).unwrap_or_default())
        // For the signing alone; what sends is [`NoRedirects`].
        .with_client_options(ClientOptions::new().with_allow_http(endpoint.starts_with("http://")))
        .with_http_connector(NoRedirects { allow_http: endpoint.starts_with("http://") })
        .with_retry(retry)
}

/// Makes the client for the file store. An answer must not lead it, and a photo with it, to another address.
#[derive(Debug)]
struct NoRedirects {
    allow_http: bool,
}

impl HttpConnector for NoRedirects {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // A length is that of the file, not of what it was packed to.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .https_only(!self.allow_http)
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(HttpClient::new(client))
    }
}
