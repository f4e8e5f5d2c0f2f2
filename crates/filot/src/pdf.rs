//! The first page of a PDF as pixels, drawn by a killable child process.
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

/// Name of the hidden subcommand, followed by memory in bytes and CPU seconds.
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

    /// The first page as a photo.
    ///
    /// # Errors
    /// `PdfEncrypted`, `PdfNoPage`, `TimedOut`; `PdfFailed` for everything else, running out of memory included.
    pub fn first_page(&self, bytes: &[u8], limits: &Limits) -> Result<Photo, ImageError> {
        if bytes.len() > limits.bytes {
            return Err(ImageError::TooLarge { bytes: bytes.len(), limit: limits.bytes });
        }
        let mut command = Command::new(&self.program);
        command.arg(SUBCOMMAND).arg(self.memory.to_string()).arg(self.cpu.as_secs().to_string());
        // It needs nothing of what may stand in the environment.
        command.env_clear();
        let side = LONG_SIDE as usize + 1;
        let allowance = Allowance { time: self.time, output: 8 + side * side * 3 };
        let output = child::run(command, bytes, allowance).map_err(|error| match error {
            ChildError::TimedOut(limit) => ImageError::TimedOut(limit.as_secs()),
            ChildError::Failed(status) if status.code() == Some(i32::from(ENCRYPTED)) => {
                ImageError::PdfEncrypted
            }
            ChildError::Failed(status) if status.code() == Some(i32::from(NO_PAGE)) => ImageError::PdfNoPage,
            _ => ImageError::PdfFailed,
        })?;
        let pixels = unpacked(output).ok_or(ImageError::PdfFailed)?;
        Ok(Photo::from_pixels(pixels, Format::Pdf, limits))
    }
}

/// Width and height as little-endian `u32`, then RGB bytes.
fn unpacked(mut output: Vec<u8>) -> Option<RgbImage> {
    let &[w0, w1, w2, w3, h0, h1, h2, h3] = output.first_chunk()?;
    output.drain(..8);
    let (width, height) = (u32::from_le_bytes([w0, w1, w2, w3]), u32::from_le_bytes([h0, h1, h2, h3]));
    (width > 0 && height > 0).then(|| RgbImage::from_raw(width, height, output)).flatten()
}

/// What the child does: standard input to standard output, under limits it sets itself.
pub fn draw_page_as_child(memory: u64, cpu_seconds: u64) -> u8 {
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
    let written = draw(bytes).and_then(|pixels| {
        let mut out = io::stdout().lock();
        let (width, height) = pixels.dimensions();
        out.write_all(&width.to_le_bytes())
            .and_then(|()| out.write_all(&height.to_le_bytes()))
            .and_then(|()| out.write_all(pixels.as_raw()))
            .and_then(|()| out.flush())
            .map_err(|_| BROKEN)
    });
    written.err().unwrap_or(0)
}

/// Draws the first page on white, or gives the exit status that says why not.
fn draw(bytes: Vec<u8>) -> Result<RgbImage, u8> {
    let pdf = Pdf::new(bytes).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => ENCRYPTED,
        _ => BROKEN,
    })?;
    let page = pdf.pages().first().ok_or(NO_PAGE)?;
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
    RgbImage::from_raw(width, height, rgb).ok_or(BROKEN)
}
