//! The reader of this crate: finds the card, detects lines, recognises them.

mod straighten;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::canvas::{Canvas, Pyramid};
use crate::detect::{TextBox, network_size};
use crate::engine::{Alphabet, Error, OcrEngine, Reading, Region, Timing, View};
use crate::geometry::Homography;
use crate::image::Photo;
use crate::large_text;
use crate::locate::{Located, Locator};
use crate::models::Models;
use crate::outline::{BORDER_MM, whole_frame};
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Line, Page, Point, Quad};
use crate::presentation::{Presentation, Presenter};
use crate::quality;
use crate::recognize::{ReadGlyph, Recognizer, STRIP_HEIGHT};
use crate::runtime::{Pool, Runtime, RuntimeKind};
use crate::strips::{certainty, line, read_with, recognise_with, weakest};
use straighten::{BESIDE, SEARCH_SIDE, Straightened, keep_inside};

/// Lines read in both directions to tell upright from upside down.
const PROBES: usize = 4;
/// Width of the lines that are read for it, in heights: a dozen characters.
const PROBE_LENGTH: f32 = 6.0;
/// Lead of one direction over the other, as a share of the better one, that settles it.
const CLEAR_LEAD: f32 = 0.4;
/// Lines whose least certain character is above this are not read again: where they err, the field that the line becomes is
/// mostly unsure too, and read again with its own alphabet.
const SURE: f32 = 0.7;
/// Below this, a cleaned picture of the line may read better.
const FAIRLY_SURE: f32 = 0.6;
/// Characters from which on an unsure line is worth a second and a third look: what is shorter is mostly a speck or part
/// of a portrait, and a field's short value is read again anyway.
const SHORTEST: usize = 2;
const SHORTEST_CLEANED: usize = 4;
/// Reads with PP-OCRv6 networks on ONNX Runtime or rten.
pub struct NativeEngine {
    detector: Pool,
    recognizer: Recognizer,
    locator: Locator,
    presenter: Presenter,
    kind: RuntimeKind,
    name: String,
}

impl NativeEngine {
    /// Loads the networks so that `readers` threads can read at a time. With a `library` the networks run on that
    /// ONNX Runtime, without one on rten.
    pub fn load(models: &Models, library: Option<&Path>, readers: usize) -> Result<Self, Error> {
        let runtime = match library {
            Some(path) => Runtime::onnxruntime(path)?,
            None => Runtime::Rten,
        };
        Self::on(&runtime, models, readers)
    }

    /// Loads the networks on the GPU with the ONNX Runtime `library` that has the CUDA provider beside it. All `readers`
    /// threads share `streams` copies of each network there, and what they ask at the same time is computed together.
    ///
    /// # Errors
    /// When there is no provider, no CUDA, or no GPU that answers; the text says which.
    pub fn load_on_gpu(
        models: &Models,
        library: &Path,
        readers: usize,
        streams: usize,
    ) -> Result<Self, Error> {
        Self::on(&Runtime::cuda(library, streams)?, models, readers)
    }

    fn on(runtime: &Runtime, models: &Models, readers: usize) -> Result<Self, Error> {
        let readers = readers.max(1);
        let (width, height) = network_size(SEARCH_SIDE, SEARCH_SIDE * CARD_HEIGHT_MM / CARD_WIDTH_MM);
        let detector = runtime.load(&models.detector, readers, [1, 3, height as usize, width as usize])?;
        let strip = [1, 3, STRIP_HEIGHT as usize, 320];
        let recognizer = runtime.load(&models.recognizer, readers, strip)?;
        let recognizer = Recognizer::new(recognizer, models.charset.clone());
        let locator = Locator::load(runtime, readers)?;
        let presenter = Presenter::load(runtime, readers)?;
        let kind = runtime.kind();
        Ok(Self { detector, recognizer, locator, presenter, kind, name: format!("native/{}", kind.name()) })
    }

    /// The same reader with its networks shared by all threads, as on a GPU, until `runs_left` is used up.
    #[cfg(test)]
    pub(crate) fn shared_until(self, runs_left: usize) -> Self {
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(runs_left));
        Self {
            detector: self.detector.shared_until(&left),
            recognizer: self.recognizer.shared_until(&left),
            locator: self.locator.shared_until(&left),
            presenter: self.presenter.shared_until(&left),
            ..self
        }
    }

    pub fn runtime(&self) -> RuntimeKind {
        self.kind
    }

    /// Looks for the card without reading it. Corners are in pixels of the upright photo.
    pub fn locate(&self, photo: &Photo) -> Result<Option<Located>, Error> {
        let in_photo = |p: Point| Point { x: p.x * photo.reduction, y: p.y * photo.reduction };
        let found = self.locator.locate(&whole_photo(photo))?;
        Ok(found.map(|card| Located { corners: Quad(card.corners.0.map(in_photo)), ..card }))
    }

    /// Judges by the surface whether what was read is the card itself. `None` where the picture is too small.
    pub fn presentation(&self, reading: &Reading) -> Result<Option<Presentation>, Error> {
        self.presenter.judge(&reading.canvas)
    }

    /// Reads boxes of a canvas, unless it is `known` what stands there; what is unsure then in wider strips, and what is
    /// unsure still once more after cleaning the picture.
    fn recognise(
        &self,
        canvas: &Canvas,
        boxes: &[(Quad, Alphabet)],
        known: BTreeMap<usize, Vec<ReadGlyph>>,
    ) -> Result<Vec<Option<Line>>, Error> {
        let unknown: Vec<usize> = (0..boxes.len()).filter(|i| !known.contains_key(i)).collect();
        let chosen: Vec<(Quad, Alphabet)> = unknown.iter().map(|&i| boxes[i]).collect();
        let mut lines = vec![None; boxes.len()];
        let read = read_with(&self.recognizer, canvas, &chosen, View::Plain)?;
        for (i, glyphs) in unknown.into_iter().zip(read).chain(known) {
            lines[i] = line(&boxes[i].0, glyphs);
        }
        let unsure = |lines: &[Option<Line>], least: f32, shortest: usize| -> Vec<usize> {
            let below = |line: &Line| line.text.trim().len() >= shortest && weakest(line) < least;
            (0..lines.len()).filter(|&i| lines[i].as_ref().is_some_and(below)).collect()
        };
        let passes = [(SURE, SHORTEST, View::Wide), (FAIRLY_SURE, SHORTEST_CLEANED, View::Even)];
        for (least, shortest, view) in passes {
            let again = unsure(&lines, least, shortest);
            let chosen: Vec<(Quad, Alphabet)> = again.iter().map(|&i| boxes[i]).collect();
            for (line, i) in recognise_with(&self.recognizer, canvas, &chosen, view)?.into_iter().zip(again) {
                let confidence = |l: &Option<Line>| l.as_ref().map_or(0.0, |l| l.confidence);
                if confidence(&line) > confidence(&lines[i]) {
                    lines[i] = line;
                }
            }
        }
        Ok(lines)
    }

    /// Whether the text of the canvas stands on its head, by reading lines both ways until it is clear; and what was read
    /// the right way round, by box.
    fn upside_down(
        &self,
        canvas: &Canvas,
        boxes: &[TextBox],
    ) -> Result<(bool, BTreeMap<usize, Vec<ReadGlyph>>), Error> {
        let mut probes: Vec<usize> = (0..boxes.len()).collect();
        // Lines of about the wanted length first: shorter ones say little, longer ones cost more than they tell.
        let length = |i: usize| boxes[i].quad.width() / boxes[i].quad.height().max(1e-3);
        probes.sort_by(|&a, &b| {
            let off = |i: usize| (length(i) / PROBE_LENGTH).ln().abs();
            off(a).total_cmp(&off(b))
        });
        let (mut upright, mut turned) = (0.0f32, 0.0f32);
        let (mut read_upright, mut read_turned) = (BTreeMap::new(), BTreeMap::new());
        for i in probes.into_iter().take(PROBES) {
            let quad = boxes[i].quad;
            let both = [(quad, Alphabet::Any), (quad.turned(2), Alphabet::Any)];
            let mut read = read_with(&self.recognizer, canvas, &both, View::Plain)?.into_iter();
            let (one, other) = (read.next().unwrap_or_default(), read.next().unwrap_or_default());
            upright += certainty(&one);
            turned += certainty(&other);
            read_upright.insert(i, one);
            read_turned.insert(i, other);
            if (upright - turned).abs() > CLEAR_LEAD * upright.max(turned) {
                break;
            }
        }
        let stands_on_head = turned > upright;
        Ok((stands_on_head, if stands_on_head { read_turned } else { read_upright }))
    }
}

impl OcrEngine for NativeEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, photo: &Photo) -> Result<Reading, Error> {
        self.read_framed(photo, Framing::Card, 0, None)
    }

    fn read_by_text(
        &self,
        photo: &Photo,
        before: &Reading,
        direction: usize,
    ) -> Result<Option<Reading>, Error> {
        let reading = self.read_framed(photo, Framing::Text, direction, before.overview.clone())?;
        Ok((direction == 0 || !reading.page.lines.is_empty()).then_some(reading))
    }

    fn read_at(&self, photo: &Photo, corners: &Quad) -> Result<Option<Reading>, Error> {
        let start = Instant::now();
        let whole = whole_photo(photo);
        let in_base = |p: Point| Point { x: p.x / photo.reduction, y: p.y / photo.reduction };
        let quad = Quad(corners.0.map(in_base));
        let Some(to_base) = Homography::rect_to_quad(CARD_WIDTH_MM, CARD_HEIGHT_MM, &quad) else {
            return Ok(None);
        };
        let canvas = whole.framed(Framing::Line, CARD_WIDTH_MM, CARD_HEIGHT_MM, to_base);
        let mut boxes = self.search(&canvas, BORDER_MM, SEARCH_SIDE)?;
        keep_inside(&mut boxes, &canvas);
        if boxes.is_empty() {
            return Ok(None);
        }
        let timing = Timing { detect: milliseconds(start), ..Timing::default() };
        self.read_boxes(photo, canvas, &boxes, BTreeMap::new(), timing).map(Some)
    }

    fn read_another(&self, photo: &Photo, before: &Reading) -> Result<Option<Reading>, Error> {
        let mut timing = Timing::default();
        let start = Instant::now();
        let canvas = &before.canvas;
        if canvas.frame.framing != Framing::Card {
            return Ok(None);
        }
        let (width, height) = (canvas.photo.base().width() as f32, canvas.photo.base().height() as f32);
        let whole = canvas.framed(Framing::Text, width, height, Homography::scale(1.0));
        let taken = canvas.to_base.apply_quad(&whole_frame(canvas, 0.0));
        let other = self.locator.locate_beside(&whole, &taken)?.filter(|card| card.kind.is_ours());
        timing.find = milliseconds(start);
        let found = self.straighten_located(&whole, other, BESIDE, &mut timing)?;
        found.map(|found| self.read_straightened(photo, found, timing)).transpose()
    }

    fn read_rows(&self, reading: &Reading, rows: &[Region]) -> Result<Option<Vec<Option<Line>>>, Error> {
        self.reread(reading, rows).map(Some)
    }

    fn large_text(&self, reading: &Reading) -> Result<Option<Vec<Line>>, Error> {
        let mut found = Vec::new();
        for letters in large_text::find(&reading.canvas) {
            for line in &letters.lines {
                let mut looks = vec![(&letters.canvas, View::Plain)];
                // Bold letters are read more surely when they are stretched.
                looks.extend(line.alone.as_ref().map(|alone| (alone, View::Wide)));
                for (canvas, view) in looks {
                    let read = recognise_with(&self.recognizer, canvas, &[(line.quad, Alphabet::Any)], view)?;
                    found.extend(read.into_iter().flatten());
                }
            }
        }
        Ok(Some(found))
    }

    fn reread(&self, reading: &Reading, regions: &[Region]) -> Result<Vec<Option<Line>>, Error> {
        let mut lines = vec![None; regions.len()];
        for view in [View::Plain, View::Wide, View::Even, View::Smooth] {
            let chosen: Vec<usize> = (0..regions.len()).filter(|&i| regions[i].view == view).collect();
            let quads: Vec<(Quad, Alphabet)> =
                chosen.iter().map(|&i| (regions[i].rect.to_quad(), regions[i].alphabet)).collect();
            let read = recognise_with(&self.recognizer, &reading.canvas, &quads, view)?;
            for (line, i) in read.into_iter().zip(chosen) {
                lines[i] = line;
            }
        }
        Ok(lines)
    }
}

impl NativeEngine {
    /// Reads a photo; a card's outline is sought only if `wanted` says so. Without one, the text of the given direction
    /// is straightened, counted from the most frequent one.
    fn read_framed(
        &self,
        photo: &Photo,
        wanted: Framing,
        direction: usize,
        mut overview: Option<Vec<TextBox>>,
    ) -> Result<Reading, Error> {
        let mut timing = Timing::default();
        let whole = whole_photo(photo);
        let start = Instant::now();
        let seen = match wanted {
            Framing::Card => self.locator.locate(&whole)?,
            _ => None,
        };
        timing.find = milliseconds(start);
        let Some(found) = self.straighten(&whole, wanted, direction, seen, &mut overview, &mut timing)?
        else {
            let page = Page {
                frame: whole.frame.clone(),
                lines: Vec::new(),
                quality: quality::measure(&whole, &[], photo),
            };
            return Ok(Reading { page, canvas: whole, located: None, overview, timing });
        };

        Ok(Reading { overview, ..self.read_straightened(photo, found, timing)? })
    }

    /// Reads a straightened card or text, after turning it over if it stands on its head.
    fn read_straightened(
        &self,
        photo: &Photo,
        found: Straightened,
        mut timing: Timing,
    ) -> Result<Reading, Error> {
        let Straightened { mut canvas, mut boxes, upright, located } = found;
        let start = Instant::now();
        let (stands_on_head, known) = match upright {
            true => (false, BTreeMap::new()),
            false => self.upside_down(&canvas, &boxes)?,
        };
        if stands_on_head {
            canvas.turn_over();
            let (width, height) = (canvas.frame.width, canvas.frame.height);
            for text_box in &mut boxes {
                let turned = text_box.quad.0.map(|p| Point { x: width - p.x, y: height - p.y });
                text_box.quad = Quad(turned).turned(2);
            }
        }
        timing.recognize += milliseconds(start);
        let reading = self.read_boxes(photo, canvas, &boxes, known, timing)?;
        Ok(Reading { located, ..reading })
    }

    /// Reads the text boxes of an upright canvas, unless it is `known` what stands there.
    fn read_boxes(
        &self,
        photo: &Photo,
        canvas: Canvas,
        boxes: &[TextBox],
        known: BTreeMap<usize, Vec<ReadGlyph>>,
        mut timing: Timing,
    ) -> Result<Reading, Error> {
        let start = Instant::now();
        let quads: Vec<(Quad, Alphabet)> = boxes.iter().map(|b| (b.quad, Alphabet::Any)).collect();
        let mut lines: Vec<Line> = self.recognise(&canvas, &quads, known)?.into_iter().flatten().collect();
        lines.sort_by(|a, b| {
            (a.rect.centre().y, a.rect.x0)
                .partial_cmp(&(b.rect.centre().y, b.rect.x0))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        timing.recognize += milliseconds(start);
        let mut quality = quality::measure(&canvas, &lines, photo);
        quality.presentation = self.presenter.judge(&canvas)?;
        let page = Page { frame: canvas.frame.clone(), lines, quality };
        Ok(Reading { page, canvas, located: None, overview: None, timing })
    }
}

fn milliseconds(since: Instant) -> f32 {
    since.elapsed().as_secs_f32() * 1000.0
}

/// The photo itself as a frame.
pub(crate) fn whole_photo(photo: &Photo) -> Canvas {
    let pyramid = Arc::new(Pyramid::new(Arc::clone(&photo.pixels)));
    let (width, height) = (pyramid.base().width() as f32, pyramid.base().height() as f32);
    Canvas::new(pyramid, Framing::Text, width, height, Homography::scale(1.0), photo.reduction)
}
