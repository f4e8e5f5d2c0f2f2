//! The reader of this crate: finds the card, detects lines, recognises them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::canvas::{Canvas, Pyramid};
use crate::contrast::{clean, is_noisy, stretch};
use crate::detect::{TextBox, detect, network_size};
use crate::engine::{Alphabet, Error, OcrEngine, Reading, Region, Timing, View};
use crate::geometry::Homography;
use crate::image::Photo;
use crate::large_text;
use crate::layout;
use crate::models::Models;
use crate::outline::{
    BORDER_MM, FoundCard, OutlineSearch, card_canvas, crosses_border, on_card, whole_frame,
};
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Line, Page, Point, Quad, Rect};
use crate::quality;
use crate::recognize::{ReadGlyph, Recognizer, STRIP_HEIGHT};
use crate::rectify::{contains, middle};
use crate::runtime::{Pool, Runtime, RuntimeKind};
use crate::strips::{certainty, line, read_with, recognise_with, weakest};

/// Longer side of the picture in which the detector looks for the direction and the extent of the text, in pixels; and of
/// the straightened one in which it looks for the lines.
const OVERVIEW_SIDE: f32 = 480.0;
const SEARCH_SIDE: f32 = 640.0;
/// With fewer lines than this in the whole photo, it is searched again, at this size and with its contrast evened out.
const FEW_LINES: usize = 7;
const CLOSE_SEARCH_SIDE: f32 = 1280.0;
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
/// Window, in pixels, over which contrast is evened out for the detector: a few lines of text.
const DETECTION_WINDOW: usize = 61;
/// Lines are sought this far beyond the found outline, which may lie a little inside the card.
const CARD_MARGIN_MM: f32 = 1.0;
/// A card with fewer rows than this was hardly seen, and how many pixels of smoothing may help.
const FEW_ON_CARD: usize = 9;
const SMOOTH_SEARCH: f32 = 1.8;
/// With this many lines cut, an outline that does not show all around is wrong.
const MAX_CUT_LINES: usize = 3;
/// Share of the lines seen inside the outline at first that must be found again on the card.
const MIN_TEXT_KEPT: f32 = 0.6;

/// Reads with PP-OCRv6 networks on ONNX Runtime or rten.
pub struct NativeEngine {
    detector: Pool,
    recognizer: Recognizer,
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
        let kind = runtime.kind();
        Ok(Self { detector, recognizer, kind, name: format!("native/{}", kind.name()) })
    }

    /// The same reader with its networks shared by all threads, as on a GPU, until `runs_left` is used up.
    #[cfg(test)]
    pub(crate) fn shared_until(self, runs_left: usize) -> Self {
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(runs_left));
        Self {
            detector: self.detector.shared_until(&left),
            recognizer: self.recognizer.shared_until(&left),
            ..self
        }
    }

    pub fn runtime(&self) -> RuntimeKind {
        self.kind
    }

    /// Detected boxes inside a frame and the `margin` around it, in the frame's coordinates. The longer side is reduced
    /// to `side` pixels.
    fn search(&self, canvas: &Canvas, margin: f32, side: f32) -> Result<Vec<TextBox>, Error> {
        self.search_in(canvas, margin, side, None)
    }

    /// As [`Self::search`]; with `evened`, the picture is smoothed by so many pixels and its contrast evened out even if it
    /// is not noisy.
    fn search_in(
        &self,
        canvas: &Canvas,
        margin: f32,
        side: f32,
        evened: Option<f32>,
    ) -> Result<Vec<TextBox>, Error> {
        let (width, height) = (canvas.frame.width + 2.0 * margin, canvas.frame.height + 2.0 * margin);
        let scale = side / width.max(height);
        let (pixels_x, pixels_y) = network_size(width * scale, height * scale);
        let area = Rect { x0: -margin, y0: -margin, x1: width - margin, y1: height - margin }.to_quad();
        let Some(mut picture) = canvas.cut(&area, pixels_x, pixels_y) else { return Ok(Vec::new()) };
        stretch(&mut picture);
        if evened.is_some() || is_noisy(&picture) {
            picture = clean(&picture, DETECTION_WINDOW, evened.unwrap_or(1.0));
        }
        let mut boxes = detect(&self.detector, &picture)?;
        let (sx, sy) = (width / pixels_x as f32, height / pixels_y as f32);
        for text_box in &mut boxes {
            text_box.quad =
                Quad(text_box.quad.0.map(|p| Point { x: p.x * sx - margin, y: p.y * sy - margin }));
        }
        Ok(boxes)
    }

    /// The straightened card, or the straightened text where no card's outline shows, with its text boxes. `None`
    /// without any text.
    fn straighten(
        &self,
        whole: &Canvas,
        framing: Framing,
        direction: usize,
        timing: &mut Timing,
    ) -> Result<Option<(Canvas, Vec<TextBox>)>, Error> {
        let start = Instant::now();
        let mut overview = self.search(whole, 0.0, OVERVIEW_SIDE)?;
        if overview.len() < FEW_LINES {
            // A small card in a large picture, or one in the dark or behind a veil of light.
            let large = whole.frame.width.max(whole.frame.height) > SEARCH_SIDE;
            let close = if large { CLOSE_SEARCH_SIDE } else { SEARCH_SIDE };
            let ways = [(close, None), (SEARCH_SIDE, Some(1.0)), (close, Some(1.0))];
            for (side, evened) in ways.into_iter().take(if large { 3 } else { 2 }) {
                let again = self.search_in(whole, 0.0, side, evened)?;
                if again.len() > overview.len() {
                    overview = again;
                }
                if overview.len() >= FEW_LINES {
                    break;
                }
            }
        }
        let mut directions = layout::directions(&overview);
        if directions.is_empty() {
            // The outline of a card too dark or too blurred for its text to show; it lies flat or on its side.
            directions = vec![0.0, 90.0];
        }
        timing.find = milliseconds(start);
        if framing == Framing::Card {
            for search in OutlineSearch::ALL {
                let start = Instant::now();
                let card = card_canvas(whole, &overview, &directions, search);
                timing.find += milliseconds(start);
                let Some(found) = card else { continue };
                let start = Instant::now();
                let boxes = self.boxes_on_card(&overview, &found)?;
                timing.detect += milliseconds(start);
                if let Some(boxes) = boxes {
                    return Ok(Some((found.canvas, boxes)));
                }
            }
        }

        let start = Instant::now();
        let Some(&degrees) = directions.get(direction) else { return Ok(None) };
        let Some(canvas) = text_canvas(whole, &overview, degrees) else { return Ok(None) };
        let boxes = self.search(&canvas, 0.0, SEARCH_SIDE)?;
        timing.detect += milliseconds(start);
        Ok(Some((canvas, boxes)))
    }

    /// The text boxes on a card; `None` if what is there shows that the outline was not a card's: most of the text is
    /// lost in it or runs askew, or it cuts through text.
    fn boxes_on_card(&self, overview: &[TextBox], card: &FoundCard) -> Result<Option<Vec<TextBox>>, Error> {
        let canvas = &card.canvas;
        let level = |boxes: &[TextBox]| boxes.iter().filter(|b| layout::is_along(b, 0.0)).count();
        let enough = MIN_TEXT_KEPT * card.lines_expected() as f32;
        let mut boxes = self.search(canvas, BORDER_MM, SEARCH_SIDE)?;
        if level(&boxes) < FEW_ON_CARD {
            // Noise hides the rows: smooth it away before looking again.
            let again = self.search_in(canvas, BORDER_MM, SEARCH_SIDE, Some(SMOOTH_SEARCH))?;
            if level(&again) > level(&boxes) {
                boxes = again;
            }
        }
        // What the first look saw counts too: noise hides text at one size and not at the other.
        if card.clear && (level(&boxes) as f32) < enough {
            let seen: Vec<TextBox> = overview.iter().filter_map(|b| on_card(b, canvas)).collect();
            if level(&seen) > level(&boxes) {
                boxes = seen;
            }
        }
        let cut = boxes.iter().filter(|b| crosses_border(&b.quad, canvas)).count();
        // The portrait has an outline, too, or the gap between two columns.
        let bare = level(&boxes) == 0 && overview.len() >= FEW_LINES;
        if bare || (level(&boxes) as f32) < enough || !card.clear && cut >= MAX_CUT_LINES {
            return Ok(None);
        }
        boxes.retain(|b| contains(&whole_frame(canvas, CARD_MARGIN_MM), middle(&b.quad)));
        Ok(Some(boxes))
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
        self.read_framed(photo, Framing::Card, 0)
    }

    fn read_by_text(&self, photo: &Photo, direction: usize) -> Result<Option<Reading>, Error> {
        let reading = self.read_framed(photo, Framing::Text, direction)?;
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
        boxes.retain(|b| contains(&whole_frame(&canvas, CARD_MARGIN_MM), middle(&b.quad)));
        if boxes.is_empty() {
            return Ok(None);
        }
        let timing = Timing { detect: milliseconds(start), ..Timing::default() };
        self.read_boxes(photo, canvas, &boxes, BTreeMap::new(), timing).map(Some)
    }

    fn read_rows(&self, reading: &Reading, rows: &[Region]) -> Result<Option<Vec<Option<Line>>>, Error> {
        self.reread(reading, rows).map(Some)
    }

    fn large_text(&self, reading: &Reading) -> Result<Option<Vec<Line>>, Error> {
        let mut found = Vec::new();
        for letters in large_text::find(&reading.canvas) {
            let quads: Vec<(Quad, Alphabet)> =
                letters.lines.iter().map(|line| (*line, Alphabet::Any)).collect();
            let read = recognise_with(&self.recognizer, &letters.canvas, &quads, View::Plain)?;
            found.extend(read.into_iter().flatten());
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
    fn read_framed(&self, photo: &Photo, wanted: Framing, direction: usize) -> Result<Reading, Error> {
        let mut timing = Timing::default();
        let whole = whole_photo(photo);
        let Some((mut canvas, mut boxes)) = self.straighten(&whole, wanted, direction, &mut timing)? else {
            let page = Page {
                frame: whole.frame.clone(),
                lines: Vec::new(),
                quality: quality::measure(&whole, &[], photo),
            };
            return Ok(Reading { page, canvas: whole, timing });
        };

        let start = Instant::now();
        let (stands_on_head, known) = self.upside_down(&canvas, &boxes)?;
        if stands_on_head {
            canvas.turn_over();
            let (width, height) = (canvas.frame.width, canvas.frame.height);
            for text_box in &mut boxes {
                let turned = text_box.quad.0.map(|p| Point { x: width - p.x, y: height - p.y });
                text_box.quad = Quad(turned).turned(2);
            }
        }
        timing.recognize = milliseconds(start);
        self.read_boxes(photo, canvas, &boxes, known, timing)
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
        let quality = quality::measure(&canvas, &lines, photo);
        let page = Page { frame: canvas.frame.clone(), lines, quality };
        Ok(Reading { page, canvas, timing })
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

fn text_canvas(whole: &Canvas, boxes: &[TextBox], degrees: f32) -> Option<Canvas> {
    let (width, height, to_base) = layout::text_frame(boxes, degrees)?;
    Some(whole.framed(Framing::Text, width, height, to_base))
}
