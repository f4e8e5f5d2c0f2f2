//! The reader that the settings ask for: files to photos, photos to text.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use filot_cards::assess::{self, Assessment, read_card};
use filot_cards::decide::Policy;
use filot_cards::kind::{DeclaredType, DocumentType};
use filot_ocr::engine::{self, OcrEngine, Timing};
use filot_ocr::fallback::FallbackEngine;
use filot_ocr::image::{Format, ImageError, Limits, Photo};
use filot_ocr::models::Models;
use filot_ocr::native::NativeEngine;
use filot_ocr::page::Frame;
use filot_ocr::tesseract::TesseractEngine;
use jiff::civil::Date;

use crate::config::{Config, Engine, Runtime};
use crate::decoded::Decoded;
use crate::models::{ModelError, ModelFolder};
use crate::pdf::PdfRenderer;
use crate::program;

/// Everything it takes to turn a file into an assessment. Shared by all threads.
pub struct Reader {
    engine: Arc<dyn OcrEngine>,
    pdf: PdfRenderer,
    limits: Limits,
    policy: Policy,
    /// What somebody should know, such as that the slower runtime is in use.
    pub notes: Vec<String>,
    /// It was to read on a GPU and reads on the CPU.
    pub without_gpu: bool,
    /// Readings so far in which the GPU failed and the CPU took over.
    pub fell_back: Arc<AtomicU64>,
}

/// Why there is no reader.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    #[error(transparent)]
    Models(#[from] ModelError),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(
        "the ONNX Runtime library is asked for (reader.runtime = \"ort\" or \"cuda\") but not there; `make models` \
         fetches the one for the CPU, `scripts/gpu-runtime.sh FOLDER` the one for the GPU (reader.library)"
    )]
    NoLibrary,
    /// A reader process said so, or did not start.
    #[error("{0}")]
    Process(String),
    #[error("no GPU to read with, and gpu.autofallback (OCR_GPU_AUTOFALLBACK) forbids the CPU: {0}")]
    NoGpu(String),
}

/// Why one file has no assessment.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

/// Pages of a PDF that are looked at: a card lies behind a cover sheet or two, not at the end of a contract, nor in a book of
/// more pages than `MAX_LENGTH`, which take long to go through.
const MAX_PDF_PAGES: u32 = 4;
const MAX_LENGTH: u32 = 50;
/// Time after which no further page is begun: a reading has a limit (`worker.read_timeout_s`), and that of the first page is
/// worth more than none.
const PATIENCE: Duration = Duration::from_secs(15);

/// What [`FileError::code`] can be.
const CODES: [&str; 15] = [
    "file_empty",
    "file_too_large",
    "not_a_picture",
    "unsupported_format",
    "file_truncated",
    "file_corrupt",
    "too_many_pixels",
    "too_many_scans",
    "pdf_encrypted",
    "pdf_no_page",
    "pdf_failed",
    "decode_timeout",
    "reader_unavailable",
    "reader_failed",
    "reader_timeout",
];

impl FileError {
    /// The name of this error for programs. Never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Engine(engine::Error::Unavailable(_)) => "reader_unavailable",
            Self::Engine(engine::Error::Failed(_)) => "reader_failed",
            Self::Engine(engine::Error::TimedOut(_)) => "reader_timeout",
        }
    }

    /// The code as this program spells it, if it is one of these.
    pub fn known_code(text: &str) -> Option<&'static str> {
        CODES.iter().find(|code| **code == text).copied()
    }

    /// Whether the file is to blame, rather than the reader.
    pub fn is_files_fault(&self) -> bool {
        matches!(self, Self::Image(_))
    }
}

/// A file that was read and judged.
pub struct Read {
    pub assessment: Assessment,
    /// Everything that was read, line by line. Personal data.
    pub text: String,
    pub photo: Photo,
    pub frame: Frame,
    /// The page of a PDF that it is, counted from 1.
    pub page: Option<u32>,
    pub timing: Timing,
    /// From the first byte decoded to the decision.
    pub took: Duration,
}

impl Reader {
    /// Loads what the settings ask for, ready for `threads` files at a time.
    ///
    /// # Errors
    /// When the reader cannot work at all; the text says how to mend that.
    pub fn load(config: &Config, threads: usize) -> Result<Self, ReaderError> {
        let mut notes = Vec::new();
        let fell_back = Arc::default();
        let mut without_gpu = false;
        let engine: Arc<dyn OcrEngine> = match config.reader.engine {
            Engine::Native => native(config, threads, &mut notes, &mut without_gpu, &fell_back)?,
            Engine::Tesseract => {
                let settings = &config.reader;
                Arc::new(TesseractEngine::find(&settings.tesseract, settings.tesseract_time_limit())?)
            }
        };
        Ok(Self { without_gpu, fell_back, ..Self::with_engine(config, engine, notes) })
    }

    /// A reader with limits and policy of the settings and a given engine.
    pub fn with_engine(config: &Config, engine: Arc<dyn OcrEngine>, notes: Vec<String>) -> Self {
        let pdf = Self::pdf_renderer(config);
        let (limits, policy) = (config.limits.clone(), config.policy);
        Self { engine, pdf, limits, policy, notes, without_gpu: false, fell_back: Arc::default() }
    }

    /// What draws PDF pages.
    pub(crate) fn pdf_renderer(config: &Config) -> PdfRenderer {
        PdfRenderer::new(
            program::own(),
            Duration::from_secs(config.pdf.time_limit_s),
            Duration::from_secs(config.pdf.cpu_limit_s),
            config.pdf.memory_mb << 20,
        )
    }

    /// Name of the engine, as results show it.
    pub fn engine_name(&self) -> &str {
        self.engine.name()
    }

    /// Largest file that is worth loading.
    pub fn max_bytes(&self) -> usize {
        self.limits.bytes
    }

    /// Reads and judges one file of any accepted format. CPU-bound; one call per thread.
    ///
    /// # Errors
    /// When the file cannot be decoded or the engine fails.
    pub fn read(&self, bytes: &[u8], declared: DeclaredType, today: Date) -> Result<Read, FileError> {
        match Format::of(bytes)? {
            Format::Pdf => self.read_pdf(bytes, declared, today),
            Format::Jpeg | Format::Png | Format::WebP => {
                self.judge(Decoded::of(bytes, &self.limits)?, declared, today)
            }
        }
    }

    /// Reads the first pages of a PDF until one shows what was declared; where none does, the first that shows a card, or
    /// the first.
    fn read_pdf(&self, bytes: &[u8], declared: DeclaredType, today: Date) -> Result<Read, FileError> {
        let begin = Instant::now();
        let mut best: Option<Read> = None;
        let mut pages = 1;
        for number in 0..MAX_PDF_PAGES {
            if number >= pages || pages > MAX_LENGTH || begin.elapsed() > PATIENCE && best.is_some() {
                break;
            }
            let start = Instant::now();
            let photo = match (self.pdf.page(bytes, number, &self.limits), &best) {
                (Ok(page), _) => {
                    pages = page.of;
                    page.photo
                }
                (Err(error), None) => return Err(error.into()),
                (Err(_), Some(_)) => break,
            };
            let read = self.judge(Decoded { photo, took: start.elapsed() }, declared, today)?;
            let read = Read { page: Some(number + 1), took: begin.elapsed(), ..read };
            let found = read.assessment.document_type;
            if found != DocumentType::Other && declared.document().is_none_or(|wanted| wanted == found) {
                return Ok(read);
            }
            let shows_card = |read: &Read| read.assessment.document_type != DocumentType::Other;
            if best.as_ref().is_none_or(|best| shows_card(&read) && !shows_card(best)) {
                best = Some(read);
            }
        }
        Ok(best.ok_or(ImageError::PdfNoPage)?)
    }

    /// The same for a file that is decoded already.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn judge(&self, decoded: Decoded, declared: DeclaredType, today: Date) -> Result<Read, FileError> {
        let Decoded { photo, took: decode } = decoded;
        let start = Instant::now();
        let assess::Reading { assessment, text, timing, frame, .. } =
            read_card(&*self.engine, &photo, declared, &self.policy, today)?;
        let timing = Timing { decode: decode.as_secs_f32() * 1000.0, ..timing };
        Ok(Read { assessment, text, photo, frame, page: None, timing, took: decode + start.elapsed() })
    }
}

/// Loads the networks on the runtime that the settings ask for.
fn native(
    config: &Config,
    threads: usize,
    notes: &mut Vec<String>,
    without_gpu: &mut bool,
    fell_back: &Arc<AtomicU64>,
) -> Result<Arc<dyn OcrEngine>, ReaderError> {
    let folder = ModelFolder::find(&config.reader)?;
    folder.verify()?;
    let models = Models::from_dir(&folder.path)?;
    let library = folder.library(&config.reader)?;
    if config.reader.runtime != Runtime::Cuda {
        return Ok(Arc::new(on_cpu(config.reader.runtime, &models, library.as_deref(), threads, notes)?));
    }
    let fallback = config.service.gpu.autofallback;
    let gpu = match on_gpu(config, &models, library.as_deref(), threads) {
        Ok(gpu) => gpu,
        Err(error) if fallback => {
            *without_gpu = true;
            notes.push(format!("reading on the CPU, not on a GPU: {error}"));
            return Ok(Arc::new(on_cpu(Runtime::Auto, &models, library.as_deref(), threads, notes)?));
        }
        Err(ReaderError::Engine(error)) => return Err(ReaderError::NoGpu(error.to_string())),
        Err(error) => return Err(error),
    };
    if !fallback {
        return Ok(Arc::new(gpu));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = on_cpu(Runtime::Auto, &models, library.as_deref(), threads.min(cores), notes)?;
    let fell_back = Arc::clone(fell_back);
    Ok(Arc::new(FallbackEngine::new(Arc::new(gpu), Arc::new(cpu), move |_| {
        fell_back.fetch_add(1, Ordering::Relaxed);
    })))
}

fn on_gpu(
    config: &Config,
    models: &Models,
    library: Option<&Path>,
    threads: usize,
) -> Result<NativeEngine, ReaderError> {
    // What the container runtime understands as "no GPU for this one".
    let devices = &config.service.gpu.visible_devices;
    if matches!(devices.as_str(), "none" | "void") {
        let reason = format!("NVIDIA_VISIBLE_DEVICES is {devices}");
        return Err(engine::Error::Unavailable(reason).into());
    }
    let library = library.ok_or(ReaderError::NoLibrary)?;
    Ok(NativeEngine::load_on_gpu(models, library, threads, config.service.gpu.streams)?)
}

fn on_cpu(
    runtime: Runtime,
    models: &Models,
    library: Option<&Path>,
    threads: usize,
    notes: &mut Vec<String>,
) -> Result<NativeEngine, ReaderError> {
    let load = |library: Option<&Path>| NativeEngine::load(models, library, threads);
    match (runtime, library) {
        (Runtime::Rten, _) => Ok(load(None)?),
        (Runtime::Ort | Runtime::Cuda, None) => Err(ReaderError::NoLibrary),
        (Runtime::Ort | Runtime::Cuda, Some(library)) => Ok(load(Some(library))?),
        (Runtime::Auto, None) => {
            notes.push(
                "no ONNX Runtime library: reading with the slower built-in runtime (`filot doctor`)".into(),
            );
            Ok(load(None)?)
        }
        (Runtime::Auto, Some(library)) => load(Some(library)).or_else(|error| {
            notes.push(format!("{error}: reading with the slower built-in runtime (`filot doctor`)"));
            Ok(load(None)?)
        }),
    }
}
