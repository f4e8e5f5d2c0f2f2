//! What the pipeline reads with: a file in, a decision with its reasons out.

use std::fmt;
use std::sync::Arc;

use filot_cards::assess::Assessment;
use filot_cards::decide::Decision;
use filot_cards::kind::DeclaredType;
use filot_ocr::engine;
use filot_ocr::image::ImageError;
use filot_ocr::page::Frame;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::decoded::Decoded;
use crate::reader::{FileError, Reader};

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
}

/// A file to read.
pub struct File<'a> {
    pub bytes: &'a [u8],
    /// Its picture, if it was decoded before.
    pub decoded: Option<Decoded>,
}

type ReadFile = dyn Fn(File<'_>, DeclaredType, Date) -> Result<CardReading, FileError> + Send + Sync;

/// Reads files. A clone shares the reader.
#[derive(Clone)]
pub struct CardReader {
    name: Arc<str>,
    read: Arc<ReadFile>,
}

impl CardReader {
    /// A reader that is a function of the file; what stands in for real reading where only its surroundings matter.
    pub fn new(
        name: &str,
        read: impl Fn(File<'_>, DeclaredType, Date) -> Result<CardReading, FileError> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), read: Arc::new(read) }
    }

    /// Name for results, logs and health.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads and judges one file. CPU-bound: off the async threads, one call per core.
    ///
    /// # Errors
    /// When the file cannot be decoded or the reader fails.
    pub fn read(
        &self,
        file: File<'_>,
        declared: DeclaredType,
        today: Date,
    ) -> Result<CardReading, FileError> {
        (self.read)(file, declared, today)
    }
}

impl From<Reader> for CardReader {
    fn from(reader: Reader) -> Self {
        let name = reader.engine_name().to_owned();
        Self::new(&name, move |file, declared, today| {
            let decoded = file.decoded.map_or_else(|| reader.decode(file.bytes), Ok)?;
            let read = reader.judge(decoded, declared, today)?;
            let stored = Stored {
                assessment: &read.assessment,
                photo: PhotoSize { width: read.photo.width, height: read.photo.height },
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
        })
    }
}

impl fmt::Debug for CardReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CardReader").field(&self.name).finish()
    }
}

/// What a failed reading means for the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Another try would end the same way.
    File,
    /// Another try may end better.
    Reader,
    /// The reader cannot work at all at the moment, whatever the file.
    Installation,
}

/// Who is to blame for a failure.
pub fn blame(error: &FileError) -> Blame {
    match error {
        // Drawing a PDF runs out of time on a busy machine, too.
        FileError::Image(ImageError::TimedOut(_)) => Blame::Reader,
        FileError::Image(_) => Blame::File,
        FileError::Engine(engine::Error::Unavailable(_)) => Blame::Installation,
        FileError::Engine(_) => Blame::Reader,
    }
}
