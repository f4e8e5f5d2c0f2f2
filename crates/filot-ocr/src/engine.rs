//! The seam between pictures and cards: whoever reads text implements [`OcrEngine`].

use crate::detect::TextBox;
use crate::image::Photo;
use crate::locate::Located;
use crate::page::{Line, Page, Quad, Rect};

/// Characters that a region can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// All printable ASCII.
    Any,
    /// `0-9` only: the number line of a card.
    Digits,
    /// `0-9`, `-`, `/`, `.` and blank: dates, RT/RW, dotted tax numbers.
    Numeric,
    /// `A-Z`, `'`, `.`, `,`, `-`, `/` and blank: names and places.
    Letters,
}

/// How the pixels of a region are prepared before they are read. Readings of different views err differently, so that
/// where two of them agree they are mostly right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// As they are.
    #[default]
    Plain,
    /// Stretched along the line: thin letters that a reader takes for one stand apart.
    Wide,
    /// Smoothed as far as the picture's resolution allows, with the contrast evened out.
    Even,
    /// The same, smoothed further: for print that noise drowns.
    Smooth,
}

/// A place to read again, in page coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    pub rect: Rect,
    pub alphabet: Alphabet,
    pub view: View,
}

/// A page together with the straightened picture that it was read from, for a second, closer look.
pub struct Reading {
    pub page: Page,
    pub(crate) canvas: crate::canvas::Canvas,
    /// The card as the networks located it, where its frame is theirs.
    pub located: Option<Located>,
    /// The text boxes of the whole photo, in pixels of the working picture; `None` where it was not looked over.
    pub(crate) overview: Option<Vec<TextBox>>,
    /// Milliseconds of CPU work by stage.
    pub timing: Timing,
}

impl Reading {
    /// Whether the card's left and right are exchanged in the photo, and the page shows them put right.
    pub fn is_mirrored(&self) -> bool {
        self.located.is_some_and(|card| card.mirrored())
    }
}

/// Milliseconds per stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    pub decode: f32,
    pub find: f32,
    pub detect: f32,
    pub recognize: f32,
    /// Whether the networks that locate the card were unsure, so that it was searched by its edges and its text.
    pub searched: bool,
}

/// Reads text. Synchronous and CPU-bound: call it off the async threads, one call per core.
pub trait OcrEngine: Send + Sync {
    /// Name for results and logs, such as `native/ort` or `tesseract`.
    fn name(&self) -> &str;

    /// Finds the card (or, failing that, the text) and reads every line.
    fn read(&self, photo: &Photo) -> Result<Reading, Error>;

    /// Reads again without trusting an outline: the picture straightened by its text alone. For a first reading that
    /// makes no sense as a card, because something else was taken for its edge. Text may run in several directions, as on
    /// a printed page with a card on it: `direction` 0 is that of most of the text. What the reading `before` saw of the whole
    /// photo is not looked for again. `None` if the engine has no such way, or the text no such direction.
    fn read_by_text(
        &self,
        _photo: &Photo,
        _before: &Reading,
        _direction: usize,
    ) -> Result<Option<Reading>, Error> {
        Ok(None)
    }

    /// Reads again with the card's corners given, in pixels of the upright photo, clockwise from the text's upper left. For
    /// a photo in which something read tells where the card lies, better than its outline did. `None` if the engine has
    /// no such way, or nothing stands there.
    fn read_at(&self, _photo: &Photo, _corners: &Quad) -> Result<Option<Reading>, Error> {
        Ok(None)
    }

    /// Reads another card of ours that lies beside the one that `before` shows. `None` if the engine sees none.
    fn read_another(&self, _photo: &Photo, _before: &Reading) -> Result<Option<Reading>, Error> {
        Ok(None)
    }

    /// Reads rows of a card at places where print must be, dozens at a time, as [`OcrEngine::reread`] does. `None` if each
    /// look costs the engine too much for that.
    fn read_rows(&self, _reading: &Reading, _rows: &[Region]) -> Result<Option<Vec<Option<Line>>>, Error> {
        Ok(None)
    }

    /// Looks for writing far larger than a card's own print, at any angle, such as SPECIMEN across it. `None` if the
    /// engine cannot look for it.
    fn large_text(&self, _reading: &Reading) -> Result<Option<Vec<Line>>, Error> {
        Ok(None)
    }

    /// Reads the given regions of an earlier reading again, as single lines. One entry per region, `None` where
    /// nothing was legible.
    fn reread(&self, reading: &Reading, regions: &[Region]) -> Result<Vec<Option<Line>>, Error>;
}

/// Why a reader could not read at all. A picture without text is not an error but an empty page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The models or the program the engine needs are not there; the text says how to get them.
    #[error("{0}")]
    Unavailable(String),
    /// The engine ran and failed.
    #[error("the recogniser failed: {0}")]
    Failed(String),
    /// It took longer than allowed.
    #[error("reading took longer than {0} s")]
    TimedOut(u64),
}
