//! A page of a PDF as pixels, drawn by a killable child process.
//!
//! A PDF is a program for a large machine: it can ask for any amount of time and memory. So this same binary is run
//! again with a hidden subcommand and limits on its address space and CPU time, takes the file on its standard input
//! and writes raw pixels to its standard output.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use filot_ocr::child::{self, Allowance, ChildError};
use filot_ocr::image::{Format, ImageError, Limits, Photo};
use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings};
use image::RgbImage;
use nix::sys::resource::{Resource, setrlimit};

/// Name of the hidden subcommand, followed by memory in bytes, CPU seconds and the page, counted from 0.
pub const SUBCOMMAND: &str = "draw-pdf-page";
/// The longer side of a drawn page in pixels: A4 at 260 dpi, on which a card of ID-1 size is 870 pixels wide.
const LONG_SIDE: f32 = 3_000.0;
/// Dots per inch at most, for pages as small as a card.
const MAX_DPI: f32 = 600.0;
/// PDF units to an inch.
const POINTS: f32 = 72.0;

/// Exit statuses of the child.
const ENCRYPTED: u8 = 3;
const NO_PAGE: u8 = 4;
const BROKEN: u8 = 5;
const TRUNCATED: u8 = 6;

/// A page, and how many the file has.
pub struct Page {
    pub photo: Photo,
    pub of: u32,
}

/// Draws pages in a child process.
#[derive(Clone, Debug)]
pub struct PdfRenderer {
    /// The `filot` program.
    program: PathBuf,
    time: Duration,
    cpu: Duration,
    memory: u64,
}

impl PdfRenderer {
    /// Limits of the child: wall-clock time, CPU time, address space in bytes.
    pub fn new(program: PathBuf, time: Duration, cpu: Duration, memory: u64) -> Self {
        Self { program, time, cpu, memory }
    }

    /// A page as a photo; `number` counts from 0.
    ///
    /// # Errors
    /// `PdfEncrypted`, `PdfNoPage` also behind the last page, `Truncated`, `TimedOut`; `PdfFailed` for everything else,
    /// running out of memory included.
    pub fn page(&self, bytes: &[u8], number: u32, limits: &Limits) -> Result<Page, ImageError> {
        if bytes.len() > limits.bytes {
            return Err(ImageError::TooLarge { bytes: bytes.len(), limit: limits.bytes });
        }
        let mut command = Command::new(&self.program);
        command.arg(SUBCOMMAND).arg(self.memory.to_string()).arg(self.cpu.as_secs().to_string());
        command.arg(number.to_string());
        // It needs nothing of what may stand in the environment.
        command.env_clear();
        let side = LONG_SIDE as usize + 1;
        let allowance = Allowance { time: self.time, output: HEAD + side * side * 3 };
        let output = child::run(command, bytes, allowance).map_err(|error| match error {
            ChildError::TimedOut(limit) => ImageError::TimedOut(limit.as_secs()),
            ChildError::Failed(status) => match status.code().and_then(|code| u8::try_from(code).ok()) {
                Some(ENCRYPTED) => ImageError::PdfEncrypted,
                Some(NO_PAGE) => ImageError::PdfNoPage,
                Some(TRUNCATED) => ImageError::Truncated,
                _ => ImageError::PdfFailed,
            },
            _ => ImageError::PdfFailed,
        })?;
        let (pixels, of) = unpacked(output).ok_or(ImageError::PdfFailed)?;
        Ok(Page { photo: Photo::from_pixels(pixels, Format::Pdf, limits), of })
    }
}

/// Bytes before the pixels.
const HEAD: usize = 12;

/// Width, height and the number of pages as little-endian `u32`, then RGB bytes.
fn unpacked(mut output: Vec<u8>) -> Option<(RgbImage, u32)> {
    let head: [u8; HEAD] = *output.first_chunk()?;
    output.drain(..HEAD);
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (width, height) = (number(0), number(4));
    let pixels = (width > 0 && height > 0).then(|| RgbImage::from_raw(width, height, output)).flatten()?;
    Some((pixels, number(8)))
}

/// What the child does: standard input to standard output, under limits it sets itself.
pub fn draw_page_as_child(memory: u64, cpu_seconds: u64, number: u32) -> u8 {
    let limited = [
        (Resource::RLIMIT_AS, memory),
        (Resource::RLIMIT_CPU, cpu_seconds),
        // No core files of people's documents.
        (Resource::RLIMIT_CORE, 0),
    ];
    if limited.into_iter().any(|(resource, limit)| setrlimit(resource, limit, limit).is_err()) {
        return BROKEN;
    }
    let mut bytes = Vec::new();
    if io::stdin().lock().read_to_end(&mut bytes).is_err() {
        return BROKEN;
    }
    let written = draw(bytes, number).and_then(|(pixels, pages)| {
        let mut out = io::stdout().lock();
        let (width, height) = pixels.dimensions();
        out.write_all(&width.to_le_bytes())
            .and_then(|()| out.write_all(&height.to_le_bytes()))
            .and_then(|()| out.write_all(&pages.to_le_bytes()))
            .and_then(|()| out.write_all(pixels.as_raw()))
            .and_then(|()| out.flush())
            .map_err(|_| BROKEN)
    });
    written.err().unwrap_or(0)
}

/// Draws a page on white, with the number of pages, or gives the exit status that says why not.
fn draw(bytes: Vec<u8>, number: u32) -> Result<(RgbImage, u32), u8> {
    // What stands at the end of every whole file, behind its last object. One that broke off is put together from its
    // remains, and its page may come out empty.
    let last = |word: &[u8]| memchr::memmem::rfind(&bytes, word);
    let is_whole = last(b"startxref").is_some_and(|end| last(b"endobj").is_none_or(|object| object < end));
    let pdf = Pdf::new(bytes).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => ENCRYPTED,
        _ => BROKEN,
    })?;
    if !is_whole {
        return Err(TRUNCATED);
    }
    let page = pdf.pages().get(number as usize).ok_or(NO_PAGE)?;
    let (width, height) = page.render_dimensions();
    let scale = (LONG_SIDE / width.max(height)).min(MAX_DPI / POINTS);
    let settings = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
    let pixmap = hayro::render(
        page,
        &RenderCache::new(),
        &InterpreterSettings::default(),
        &RenderSettings::default(),
        &settings,
    );
    let (width, height) = (u32::from(pixmap.width()), u32::from(pixmap.height()));
    // On a white ground every pixel is opaque, so the premultiplied colour is the colour.
    let rgb = pixmap.data().iter().flat_map(|p| [p.r, p.g, p.b]).collect();
    let pages = u32::try_from(pdf.pages().len()).unwrap_or(u32::MAX);
    Ok((RgbImage::from_raw(width, height, rgb).ok_or(BROKEN)?, pages))
}
