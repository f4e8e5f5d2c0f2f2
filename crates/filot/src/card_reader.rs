//! What the pipeline reads with: a file in, a decision with its reasons out. The service's own reader is a set of processes
//! ([`crate::readers`]); a function of the file stands in for it where only its surroundings matter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use filot_cards::assess::Assessment;
use filot_cards::decide::Decision;
use filot_cards::kind::DeclaredType;
use filot_ocr::engine;
use filot_ocr::image::ImageError;
use filot_ocr::page::Frame;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use crate::decoded::Decoded;
use crate::reader::{FileError, Reader};
use crate::readers::{Condition, Readers};

/// What a reading gave, ready to be stored.
#[derive(Clone, Debug)]
pub struct CardReading {
    pub decision: Decision,
    /// 0..=100.
    pub score: u8,
    /// The assessment as JSON. Personal data.
    pub result: Box<RawValue>,
    /// Everything that was read, line by line; empty when the picture has no text. Personal data.
    pub text: String,
}

/// The assessment as it is stored and given out.
#[derive(Serialize)]
struct Stored<'a> {
    #[serde(flatten)]
    assessment: &'a Assessment,
    /// Size of the upright photo in pixels, to which all boxes refer.
    photo: PhotoSize,
    /// Where the card lies in it.
    frame: &'a Frame,
}

#[derive(Serialize)]
struct PhotoSize {
    width: u32,
    height: u32,
    /// Which page of a PDF it is, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
}

/// A file to read.
pub struct File<'a> {
    pub bytes: &'a [u8],
    /// Its picture, if it was decoded before.
    pub decoded: Option<Decoded>,
}

/// The same on its way to whoever reads it.
pub struct Request {
    pub bytes: Bytes,
    pub decoded: Option<Decoded>,
    pub declared: DeclaredType,
    pub today: Date,
}

/// Reads a file on the thread that calls it.
pub type ReadFile = dyn Fn(File<'_>, DeclaredType, Date) -> Result<CardReading, FileError> + Send + Sync;

/// Reads files. A clone shares the reader.
#[derive(Clone)]
pub struct CardReader {
    name: Arc<str>,
    by: By,
}

#[derive(Clone)]
enum By {
    /// On threads of this process. One that hangs stays, but holds nobody up.
    Threads(Arc<ReadFile>),
    Processes(Readers),
}

impl CardReader {
    /// A reader that is a function of the file; what stands in for real reading where only its surroundings matter.
    pub fn new(
        name: &str,
        read: impl Fn(File<'_>, DeclaredType, Date) -> Result<CardReading, FileError> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), by: By::Threads(Arc::new(read)) }
    }

    /// Name for results, logs and health.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads and judges one file within `limit`. The permit is let go when the reading is over or its process is dead, also
    /// when nobody waits for it any longer.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn read(
        &self,
        request: Request,
        limit: Duration,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Result<CardReading, Failure> {
        let read = match &self.by {
            By::Processes(readers) => return readers.read(request, permit).await,
            By::Threads(read) => Arc::clone(read),
        };
        let reading = tokio::task::spawn_blocking(move || {
            let Request { bytes, decoded, declared, today } = request;
            read(File { bytes: &bytes, decoded }, declared, today)
        });
        let read = tokio::time::timeout(limit, reading).await;
        drop(permit);
        match read {
            Ok(Ok(read)) => read.map_err(|error| Failure::from(&error)),
            // The message may hold anything and stays out of the log.
            Ok(Err(_)) => Err(Failure::PANICKED),
            Err(_) => Err(Failure::TIMED_OUT),
        }
    }

    /// Returns whether a reading that kills its process kills this one.
    pub fn is_in_this_process(&self) -> bool {
        matches!(self.by, By::Threads(_))
    }

    /// Returns whether readings share a process, so that one that kills it takes others along.
    pub fn shares_a_process(&self) -> bool {
        match &self.by {
            By::Threads(_) => true,
            By::Processes(readers) => readers.shares_a_process(),
        }
    }

    /// Returns how long a reading can take at the very most; `limit` is what it should.
    pub fn longest(&self, limit: Duration) -> Duration {
        match &self.by {
            By::Threads(_) => limit,
            By::Processes(readers) => readers.longest(),
        }
    }

    /// Returns whether documents can be taken on: not while no reader can be started.
    pub async fn can_read(&self) -> bool {
        match &self.by {
            By::Threads(_) => true,
            By::Processes(readers) => readers.can_read().await,
        }
    }

    /// How its processes are; `None` where it has none.
    pub fn condition(&self) -> Option<Condition> {
        match &self.by {
            By::Threads(_) => None,
            By::Processes(readers) => Some(readers.condition()),
        }
    }
}

impl From<Readers> for CardReader {
    fn from(readers: Readers) -> Self {
        Self { name: readers.name().into(), by: By::Processes(readers) }
    }
}

impl From<Reader> for CardReader {
    fn from(reader: Reader) -> Self {
        let name = reader.engine_name().to_owned();
        Self::new(&name, reads_with(reader))
    }
}

/// Turns files into what is stored of them.
pub fn reads_with(
    reader: Reader,
) -> impl Fn(File<'_>, DeclaredType, Date) -> Result<CardReading, FileError> + Send + Sync + 'static {
    move |file, declared, today| {
        let read = match file.decoded {
            Some(decoded) => reader.judge(decoded, declared, today),
            None => reader.read(file.bytes, declared, today),
        }?;
        let stored = Stored {
            assessment: &read.assessment,
            photo: PhotoSize { width: read.photo.width, height: read.photo.height, page: read.page },
            frame: &read.frame,
        };
        let result = serde_json::value::to_raw_value(&stored)
            .map_err(|error| engine::Error::Failed(format!("the result has no JSON form: {error}")))?;
        Ok(CardReading {
            decision: read.assessment.decision,
            score: read.assessment.score,
            result,
            text: read.text,
        })
    }
}

impl fmt::Debug for CardReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CardReader").field(&self.name).finish()
    }
}

/// What a failed reading means for the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// Another try would end the same way.
    File,
    /// Another try may end better.
    Reader,
    /// The reader cannot work at all at the moment, whatever the file.
    Installation,
    /// Another file ended the process that read both.
    Neighbour,
}

/// Why a file was not read: a word that never changes, and who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: &'static str,
    pub blame: Blame,
}

impl Failure {
    /// It took longer than it may.
    pub const TIMED_OUT: Self = Self { code: "reader_timeout", blame: Blame::Reader };
    /// Its process died, or said what no reader says.
    pub const CRASHED: Self = Self { code: "reader_crash", blame: Blame::Reader };
    /// Its process took more memory than it may.
    pub const TOO_MUCH_MEMORY: Self = Self { code: "reader_memory", blame: Blame::Reader };
    /// It panicked, which its process outlived.
    pub const PANICKED: Self = Self { code: "reader_failed", blame: Blame::Reader };
    /// No reader can be started.
    pub const UNAVAILABLE: Self = Self { code: "reader_unavailable", blame: Blame::Installation };
    /// Its process was ended for another document's sake.
    pub const INTERRUPTED: Self = Self { code: "reader_interrupted", blame: Blame::Neighbour };
}

impl From<&FileError> for Failure {
    fn from(error: &FileError) -> Self {
        let blame = match error {
            // Drawing a PDF runs out of time on a busy machine, too.
            FileError::Image(ImageError::TimedOut(_)) => Blame::Reader,
            FileError::Image(_) => Blame::File,
            FileError::Engine(engine::Error::Unavailable(_)) => Blame::Installation,
            FileError::Engine(_) => Blame::Reader,
        };
        Self { code: error.code(), blame }
    }
}
