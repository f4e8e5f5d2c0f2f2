//! Reads with the system's Tesseract program: slower and weaker on cards than the native reader, but independent of it.

mod tsv;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use image::{GrayImage, RgbImage};

use crate::canvas::Canvas;
use crate::child::{self, Allowance, ChildError};
use crate::engine::{Alphabet, Error, OcrEngine, Reading, Region, Timing};
use crate::geometry::Homography;
use crate::image::Photo;
use crate::native::whole_photo;
use crate::outline::{OutlineSearch, card_canvas};
use crate::page::{Framing, Line, Page, Rect};
use crate::quality;

/// Language data the cards need, in the order Tesseract is given them.
const LANGUAGES: [&str; 2] = ["ind", "eng"];
/// How to get program and languages, for messages.
const INSTALL: &str = "apt-get install tesseract-ocr tesseract-ocr-ind tesseract-ocr-eng";
/// Width in pixels at which a rectified card is read; its smallest print is then about 35 pixels tall.
const CARD_PIXELS: f32 = 1_400.0;
/// Longer side in pixels at which a photo without a found card is read.
const PHOTO_PIXELS: f32 = 2_000.0;
/// Height of one line in pixels for the second reading.
const LINE_PIXELS: f32 = 48.0;
/// Far more than the table of a page full of words.
const MAX_TABLE: usize = 4 << 20;

/// The program, its languages and how long it may take.
#[derive(Clone, Debug)]
pub struct TesseractEngine {
    program: PathBuf,
    limit: Duration,
    version: String,
}

/// What a picture is taken for (Tesseract's `--psm`).
#[derive(Clone, Copy)]
enum Layout {
    /// Text in no particular order.
    Sparse,
    SingleLine,
}

impl TesseractEngine {
    /// Checks that the program, an absolute path, and its language data are there. `limit` is for one run of the program.
    ///
    /// # Errors
    /// `Unavailable`, with the command that installs what is missing.
    pub fn find(program: impl Into<PathBuf>, limit: Duration) -> Result<Self, Error> {
        let program = program.into();
        if !program.is_absolute() {
            // The system would look for it in the current folder, too, where PATH says so.
            return Err(Error::Unavailable(format!(
                "Tesseract is not in an absolute folder of PATH (looked for {}); {INSTALL}",
                program.display()
            )));
        }
        let ask = |argument: &str| {
            let mut command = Command::new(&program);
            command.arg(argument);
            child::run(command, &[], Allowance { time: Duration::from_secs(10), output: 1 << 16 })
                .map(|output| String::from_utf8_lossy(&output).into_owned())
                .map_err(|error| Error::Unavailable(format!("Tesseract is not usable ({error}); {INSTALL}")))
        };
        let languages = ask("--list-langs")?;
        let missing: Vec<_> =
            LANGUAGES.into_iter().filter(|wanted| !languages.lines().any(|line| line == *wanted)).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Error::Unavailable(format!(
                "Tesseract lacks the language data {missing}; {INSTALL}"
            )));
        }
        let version = ask("--version")?.lines().next().unwrap_or_default().replace("tesseract ", "");
        Ok(Self { program, limit, version })
    }

    /// Version of the program, such as `5.3.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn run(&self, picture: &RgbImage, layout: Layout, alphabet: Alphabet) -> Result<Vec<tsv::Word>, Error> {
        let mut command = Command::new(&self.program);
        command.args(["stdin", "stdout", "-l", &LANGUAGES.join("+"), "--dpi", "300"]);
        command.args([
            "--psm",
            match layout {
                Layout::Sparse => "11",
                Layout::SingleLine => "7",
            },
        ]);
        if let Some(characters) = whitelist(alphabet) {
            command.args(["-c", &format!("tessedit_char_whitelist={characters}")]);
        }
        command.arg("tsv");
        // Its threads fight over one picture and make it five times slower.
        command.env("OMP_THREAD_LIMIT", "1");
        let allowance = Allowance { time: self.limit, output: MAX_TABLE };
        let output = child::run(command, &pgm(picture), allowance).map_err(|error| match error {
            ChildError::Start(_) => {
                Error::Unavailable(format!("Tesseract is not usable ({error}); {INSTALL}"))
            }
            ChildError::TimedOut(limit) => Error::TimedOut(limit.as_secs()),
            ChildError::TooMuchOutput(_) | ChildError::Failed(_) => Error::Failed(error.to_string()),
        })?;
        Ok(tsv::words(&String::from_utf8_lossy(&output)))
    }

    /// Reads the whole canvas.
    fn read_canvas(&self, canvas: &Canvas) -> Result<Vec<Line>, Error> {
        let whole = Rect { x0: 0.0, y0: 0.0, x1: canvas.frame.width, y1: canvas.frame.height };
        let scale = match canvas.frame.framing {
            Framing::Card | Framing::Line => CARD_PIXELS / whole.width(),
            Framing::Text => (PHOTO_PIXELS / whole.width().max(whole.height())).min(canvas.resolution()),
        };
        let Some(picture) = canvas.view(&whole, scale) else { return Ok(Vec::new()) };
        let words = self.run(&picture, Layout::Sparse, Alphabet::Any)?;
        Ok(tsv::lines(words, 1.0 / scale, &whole))
    }
}

impl OcrEngine for TesseractEngine {
    fn name(&self) -> &str {
        "tesseract"
    }

    fn read(&self, photo: &Photo) -> Result<Reading, Error> {
        let start = Instant::now();
        let whole = whole_photo(photo);
        let card = card_canvas(&whole, &[], &[0.0, 90.0], OutlineSearch::Edges).map(|found| found.canvas);
        let mut timing = Timing { find: start.elapsed().as_secs_f32() * 1000.0, ..Timing::default() };

        let start = Instant::now();
        let mut best = Attempt { lines: Vec::new(), certainty: -1.0, canvas: turned(&whole, 0) };
        // It does not see for itself that a picture stands on its head or lies on its side, so likely ways are tried
        // until one reads well.
        let ways = card.iter().flat_map(|card| [(card, 0), (card, 2)]);
        for (canvas, quarter_turns) in ways.chain([(&whole, 0), (&whole, 1), (&whole, 3), (&whole, 2)]) {
            let canvas = turned(canvas, quarter_turns);
            let lines = self.read_canvas(&canvas)?;
            let certainty = certainty(&lines);
            if certainty > best.certainty {
                best = Attempt { lines, certainty, canvas };
            }
            if best.certainty >= ENOUGH {
                break;
            }
        }
        timing.recognize = start.elapsed().as_secs_f32() * 1000.0;
        let Attempt { mut lines, canvas, .. } = best;
        lines.sort_by(|a, b| a.rect.y0.total_cmp(&b.rect.y0).then(a.rect.x0.total_cmp(&b.rect.x0)));
        let quality = quality::measure(&canvas, &lines, photo);
        let page = Page { frame: canvas.frame.clone(), lines, quality };
        Ok(Reading { page, canvas, located: None, overview: None, timing })
    }

    fn reread(&self, reading: &Reading, regions: &[Region]) -> Result<Vec<Option<Line>>, Error> {
        regions
            .iter()
            .map(|region| {
                let scale = LINE_PIXELS / region.rect.height().max(f32::EPSILON);
                let Some(picture) = reading.canvas.view(&region.rect, scale) else { return Ok(None) };
                let words = self.run(&picture, Layout::SingleLine, region.alphabet)?;
                Ok(tsv::one_line(words, 1.0 / scale, &region.rect))
            })
            .collect()
    }
}

/// Characters times confidence from which a picture is taken to be read the right way up.
const ENOUGH: f32 = 60.0;

fn certainty(lines: &[Line]) -> f32 {
    lines.iter().map(|line| line.confidence * line.confidence * line.text.len() as f32).sum()
}

/// A way of holding the picture, and what was read that way.
struct Attempt {
    canvas: Canvas,
    lines: Vec<Line>,
    certainty: f32,
}

/// The frame turned clockwise by quarter turns over the same part of the photo.
fn turned(canvas: &Canvas, quarter_turns: u8) -> Canvas {
    let (w, h) = (canvas.frame.width, canvas.frame.height);
    let (width, height) = if quarter_turns % 2 == 1 { (h, w) } else { (w, h) };
    // Where the turned frame's origin lies in the frame.
    let (x, y) = match quarter_turns {
        1 => (0.0, h),
        2 => (w, h),
        3 => (w, 0.0),
        _ => (0.0, 0.0),
    };
    let back = Homography::rotation(-90.0 * f64::from(quarter_turns), f64::from(x), f64::from(y));
    canvas.framed(canvas.frame.framing, width, height, canvas.to_base.after(&back))
}

/// Binary grey map: the simplest format Tesseract's library takes on standard input.
fn pgm(picture: &RgbImage) -> Vec<u8> {
    let grey: GrayImage = image::imageops::grayscale(picture);
    let mut bytes = Vec::with_capacity(grey.as_raw().len() + 32);
    // Writing to a vector cannot fail.
    let _ = write!(bytes, "P5\n{} {}\n255\n", grey.width(), grey.height());
    bytes.extend_from_slice(grey.as_raw());
    bytes
}

fn whitelist(alphabet: Alphabet) -> Option<&'static str> {
    match alphabet {
        Alphabet::Any => None,
        Alphabet::Digits => Some("0123456789"),
        Alphabet::Numeric => Some("0123456789-/. "),
        Alphabet::Letters => Some("ABCDEFGHIJKLMNOPQRSTUVWXYZ'.,-/ "),
    }
}
