//! The reader of this crate: finds the card, detects lines, recognises them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

use crate::canvas::{Canvas, Pyramid};
use crate::contrast::{clean, is_noisy, stretch};
use crate::detect::{TextBox, detect, network_size, reading_order};
use crate::engine::{Alphabet, Error, OcrEngine, Reading, Region, Timing, View};
use crate::geometry::Homography;
use crate::image::Photo;
use crate::large_text;
use crate::layout;
use crate::models::Models;
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Glyph, Line, Page, Point, Quad, Rect};
use crate::quality;
use crate::recognize::{MAX_WIDTH, ReadGlyph, Recognizer, STRIP_HEIGHT};
use crate::rectify::{EDGE_SIDE, Finder, contains, middle};
use crate::runtime::{Pool, Runtime, RuntimeKind};

/// Longer side of the picture the detector searches, in pixels.
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
/// Lines whose least certain character is above this are left to the quick recogniser: where it errs, the field that the
/// line becomes is mostly unsure too, and read again with its own alphabet (measured on 200 drawn cards: as many fields
/// come out right as at 0.88).
const SURE: f32 = 0.7;
/// Below this, a cleaned picture of the line may read better.
const FAIRLY_SURE: f32 = 0.6;
/// Characters from which on an unsure line is worth a second and a third look: what is shorter is mostly a speck or part
/// of a portrait, and a field's short value is read again anyway.
const SHORTEST: usize = 2;
const SHORTEST_CLEANED: usize = 4;
/// Windows, in pixels, over which contrast is evened out: a few lines of text for the detector, one for a strip.
const DETECTION_WINDOW: usize = 61;
const STRIP_WINDOW: usize = 97;
/// How much longer than usual the strips of [`View::Wide`] are: two letters `I` side by side then have a step of the
/// recogniser between them.
const WIDE: f32 = 1.4;
/// Deviation of the smoothing of [`View::Even`], in pixels of the photo; at least one pixel of the strip.
const SMOOTHING: f32 = 0.6;
/// Lines are sought this far beyond the found outline, which may lie a little inside the card.
const CARD_MARGIN_MM: f32 = 1.0;
/// Width of the band around the outline that is searched too, to see whether the outline cuts through text.
const BORDER_MM: f32 = 2.5;
/// A card shows at least so many lines of text.
const LEAST_LINES: usize = 4;
/// Half the window, in pixels of the picture in which edges are sought, in which strokes are wiped out.
const STROKE_REACH: usize = 3;
/// With this many lines cut, an outline that does not show all around is wrong.
const MAX_CUT_LINES: usize = 3;
/// A card that is so many pixels wide in the first search is not searched again: the second would show it at 604, about
/// two pixels more to a line.
const CLOSE_ENOUGH: f32 = 540.0;
/// Share of the lines seen inside the outline at first that must be found again on the card.
const MIN_TEXT_KEPT: f32 = 0.6;

/// Reads with PP-OCRv6 networks on ONNX Runtime or rten.
pub struct NativeEngine {
    detector: Pool,
    quick: Recognizer,
    careful: Recognizer,
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
    /// threads share one copy of each network there, and what they ask at the same time is computed together.
    ///
    /// # Errors
    /// When there is no provider, no CUDA, or no GPU that answers; the text says which.
    pub fn load_on_gpu(models: &Models, library: &Path, readers: usize) -> Result<Self, Error> {
        Self::on(&Runtime::cuda(library)?, models, readers)
    }

    fn on(runtime: &Runtime, models: &Models, readers: usize) -> Result<Self, Error> {
        let readers = readers.max(1);
        let (width, height) = network_size(SEARCH_SIDE, SEARCH_SIDE * CARD_HEIGHT_MM / CARD_WIDTH_MM);
        let detector = runtime.load(&models.detector, readers, [1, 3, height as usize, width as usize])?;
        let strip = [1, 3, STRIP_HEIGHT as usize, 320];
        let recognizer =
            |model| Ok(Recognizer::new(runtime.load(model, readers, strip)?, models.charset.clone()));
        let quick = recognizer(&models.quick_recognizer)?;
        let careful = recognizer(&models.careful_recognizer)?;
        let kind = runtime.kind();
        Ok(Self { detector, quick, careful, kind, name: format!("native/{}", kind.name()) })
    }

    /// The same reader with its networks shared by all threads, as on a GPU, until `runs_left` is used up.
    #[cfg(test)]
    pub(crate) fn shared_until(self, runs_left: usize) -> Self {
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(runs_left));
        Self {
            detector: self.detector.shared_until(&left),
            quick: self.quick.shared_until(&left),
            careful: self.careful.shared_until(&left),
            ..self
        }
    }

    pub fn runtime(&self) -> RuntimeKind {
        self.kind
    }

    /// Detected boxes inside a frame and the `margin` around it, in the frame's coordinates. The longer side is reduced
    /// to `side` pixels.
    fn search(&self, canvas: &Canvas, margin: f32, side: f32) -> Result<Vec<TextBox>, Error> {
        self.search_in(canvas, margin, side, false)
    }

    /// As [`Self::search`], in a picture whose contrast is `evened` out even if it is not noisy.
    fn search_in(
        &self,
        canvas: &Canvas,
        margin: f32,
        side: f32,
        evened: bool,
    ) -> Result<Vec<TextBox>, Error> {
        let (width, height) = (canvas.frame.width + 2.0 * margin, canvas.frame.height + 2.0 * margin);
        let scale = side / width.max(height);
        let (pixels_x, pixels_y) = network_size(width * scale, height * scale);
        let area = Rect { x0: -margin, y0: -margin, x1: width - margin, y1: height - margin }.to_quad();
        let Some(mut picture) = canvas.cut(&area, pixels_x, pixels_y) else { return Ok(Vec::new()) };
        stretch(&mut picture);
        if evened || is_noisy(&picture) {
            picture = clean(&picture, DETECTION_WINDOW, 1.0);
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
        timing: &mut Timing,
    ) -> Result<Option<(Canvas, Vec<TextBox>)>, Error> {
        let start = Instant::now();
        let mut overview = self.search(whole, 0.0, SEARCH_SIDE)?;
        if overview.len() < FEW_LINES {
            // A small card in a large picture, or one in the dark or behind a veil of light.
            let large = whole.frame.width.max(whole.frame.height) > SEARCH_SIDE;
            let ways = [(CLOSE_SEARCH_SIDE, false), (SEARCH_SIDE, true), (CLOSE_SEARCH_SIDE, true)];
            for (side, evened) in ways.into_iter().filter(|way| large || way.0 == SEARCH_SIDE) {
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
                let boxes = self.boxes_on_card(whole, &overview, &found)?;
                timing.detect += milliseconds(start);
                if let Some(boxes) = boxes {
                    return Ok(Some((found.canvas, boxes)));
                }
            }
        }

        let start = Instant::now();
        let Some(canvas) = text_canvas(whole, &overview, directions[0]) else { return Ok(None) };
        let boxes = self.search(&canvas, 0.0, SEARCH_SIDE)?;
        timing.detect += milliseconds(start);
        Ok(Some((canvas, boxes)))
    }

    /// The text boxes on a card; `None` if what is there shows that the outline was not a card's: most of the text is
    /// lost in it or runs askew, or it cuts through text.
    fn boxes_on_card(
        &self,
        whole: &Canvas,
        overview: &[TextBox],
        card: &FoundCard,
    ) -> Result<Option<Vec<TextBox>>, Error> {
        let canvas = &card.canvas;
        let level = |boxes: &[TextBox]| boxes.iter().filter(|b| layout::is_along(b, 0.0)).count();
        let enough = MIN_TEXT_KEPT * card.lines_expected() as f32;
        let seen: Vec<TextBox> = overview.iter().filter_map(|b| on_card(b, canvas)).collect();
        let mut boxes = match seen_close(whole, canvas) {
            true => seen,
            false => {
                let close = self.search(canvas, BORDER_MM, SEARCH_SIDE)?;
                // What the first look saw counts too: noise hides text at one size and not at the other.
                if card.clear && (level(&close) as f32) < enough && level(&seen) > level(&close) {
                    seen
                } else {
                    close
                }
            }
        };
        let cut = boxes.iter().filter(|b| crosses_border(&b.quad, canvas)).count();
        if (level(&boxes) as f32) < enough || !card.clear && cut >= MAX_CUT_LINES {
            return Ok(None);
        }
        boxes.retain(|b| contains(&whole_frame(canvas, CARD_MARGIN_MM), middle(&b.quad)));
        Ok(Some(boxes))
    }

    /// Reads boxes of a canvas: all with the quick recogniser, unless it is `known` what that reads there; what it is
    /// unsure of with the careful one, and what that is unsure of once more after cleaning the picture.
    fn recognise(
        &self,
        canvas: &Canvas,
        boxes: &[(Quad, Alphabet)],
        known: BTreeMap<usize, Vec<ReadGlyph>>,
    ) -> Result<Vec<Option<Line>>, Error> {
        let unknown: Vec<usize> = (0..boxes.len()).filter(|i| !known.contains_key(i)).collect();
        let chosen: Vec<(Quad, Alphabet)> = unknown.iter().map(|&i| boxes[i]).collect();
        let mut lines = vec![None; boxes.len()];
        let read = read_with(&self.quick, canvas, &chosen, View::Plain)?;
        for (i, glyphs) in unknown.into_iter().zip(read).chain(known) {
            lines[i] = line(&boxes[i].0, glyphs);
        }
        let unsure = |lines: &[Option<Line>], least: f32, shortest: usize| -> Vec<usize> {
            let below = |line: &Line| line.text.trim().len() >= shortest && weakest(line) < least;
            (0..lines.len()).filter(|&i| lines[i].as_ref().is_some_and(below)).collect()
        };
        let passes = [(SURE, SHORTEST, View::Plain), (FAIRLY_SURE, SHORTEST_CLEANED, View::Even)];
        for (least, shortest, view) in passes {
            let again = unsure(&lines, least, shortest);
            let chosen: Vec<(Quad, Alphabet)> = again.iter().map(|&i| boxes[i]).collect();
            for (line, i) in recognise_with(&self.careful, canvas, &chosen, view)?.into_iter().zip(again) {
                let confidence = |l: &Option<Line>| l.as_ref().map_or(0.0, |l| l.confidence);
                if view == View::Plain || confidence(&line) > confidence(&lines[i]) {
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
            let mut read = read_with(&self.quick, canvas, &both, View::Plain)?.into_iter();
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

/// How much legible text was read, and how surely.
fn certainty(glyphs: &[ReadGlyph]) -> f32 {
    if is_blank(glyphs) { 0.0 } else { mean_confidence(glyphs).powi(2) * glyphs.len() as f32 }
}

impl OcrEngine for NativeEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, photo: &Photo) -> Result<Reading, Error> {
        self.read_framed(photo, Framing::Card)
    }

    fn read_by_text(&self, photo: &Photo) -> Result<Option<Reading>, Error> {
        self.read_framed(photo, Framing::Text).map(Some)
    }

    fn large_text(&self, reading: &Reading) -> Result<Option<Vec<Line>>, Error> {
        let mut found = Vec::new();
        for scale in large_text::SCALES {
            let Some(canvas) = large_text::without_fine_print(&reading.canvas, scale) else { break };
            let (width, height) = canvas.photo.base().dimensions();
            let boxes = self.search(&canvas, 0.0, width.max(height) as f32)?;
            let large = boxes.iter().filter(|b| large_text::is_large(&b.quad, &canvas));
            let quads: Vec<(Quad, Alphabet)> = large.map(|b| (b.quad, Alphabet::Any)).collect();
            found.extend(recognise_with(&self.careful, &canvas, &quads, View::Plain)?.into_iter().flatten());
        }
        Ok(Some(found))
    }

    fn reread(&self, reading: &Reading, regions: &[Region]) -> Result<Vec<Option<Line>>, Error> {
        let mut lines = vec![None; regions.len()];
        for view in [View::Plain, View::Wide, View::Even] {
            let chosen: Vec<usize> = (0..regions.len()).filter(|&i| regions[i].view == view).collect();
            let quads: Vec<(Quad, Alphabet)> =
                chosen.iter().map(|&i| (regions[i].rect.to_quad(), regions[i].alphabet)).collect();
            let read = recognise_with(&self.careful, &reading.canvas, &quads, view)?;
            for (line, i) in read.into_iter().zip(chosen) {
                lines[i] = line;
            }
        }
        Ok(lines)
    }
}

impl NativeEngine {
    /// Reads a photo; a card's outline is sought only if `wanted` says so.
    fn read_framed(&self, photo: &Photo, wanted: Framing) -> Result<Reading, Error> {
        let mut timing = Timing::default();
        let whole = whole_photo(photo);
        let Some((mut canvas, mut boxes)) = self.straighten(&whole, wanted, &mut timing)? else {
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
        let quads: Vec<(Quad, Alphabet)> = boxes.iter().map(|b| (b.quad, Alphabet::Any)).collect();
        let mut lines: Vec<Line> = self.recognise(&canvas, &quads, known)?.into_iter().flatten().collect();
        lines.sort_by(|a, b| {
            (a.rect.centre().y, a.rect.x0)
                .partial_cmp(&(b.rect.centre().y, b.rect.x0))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        timing.recognize = milliseconds(start);
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

/// Ways to look for a card's outline, to be tried in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutlineSearch {
    /// Among all edges, around the text.
    Edges,
    /// In a picture from which fine strokes are wiped out, so that a printed page is plain paper and its lines neither
    /// give edges nor a direction.
    Surfaces,
    /// Among the edges near the lines of text, away from a busy background.
    Nearby,
}

impl OutlineSearch {
    pub(crate) const ALL: [Self; 3] = [Self::Edges, Self::Surfaces, Self::Nearby];
}

/// The card's frame in millimetres.
pub(crate) struct FoundCard {
    pub(crate) canvas: Canvas,
    /// Text lines seen inside it at first; 0 where they were not looked at.
    inside: usize,
    /// Whether it differs from its background all around.
    clear: bool,
    search: OutlineSearch,
}

impl FoundCard {
    /// Lines of text that must be on it, more or less.
    fn lines_expected(&self) -> usize {
        match self.search {
            OutlineSearch::Surfaces => LEAST_LINES,
            _ => self.inside,
        }
    }
}

/// The card's frame, where its outline shows.
pub(crate) fn card_canvas(
    whole: &Canvas,
    text: &[TextBox],
    directions: &[f32],
    search: OutlineSearch,
) -> Option<FoundCard> {
    let scale = EDGE_SIDE / whole.frame.width.max(whole.frame.height);
    let picture =
        whole.view(&Rect { x0: 0.0, y0: 0.0, x1: whole.frame.width, y1: whole.frame.height }, scale)?;
    let (sx, sy) = (picture.width() as f32 / whole.frame.width, picture.height() as f32 / whole.frame.height);
    let finder = match search {
        OutlineSearch::Surfaces => Finder::new(&large_text::closed(&picture, STROKE_REACH)),
        _ => Finder::new(&picture),
    };
    let directions = match search {
        // Edges in all directions: each look spans 14 degrees to either side.
        OutlineSearch::Surfaces => vec![directions[0], directions[0] + 30.0, directions[0] - 30.0],
        _ => directions.to_vec(),
    };
    let found = directions.iter().enumerate().filter_map(|(i, &degrees)| {
        let along = text.iter().filter(|b| match search {
            OutlineSearch::Edges => layout::is_along(b, degrees),
            OutlineSearch::Surfaces => false,
            OutlineSearch::Nearby => layout::is_line_along(b, degrees),
        });
        let along: Vec<Quad> =
            along.map(|b| Quad(b.quad.0.map(|p| Point { x: p.x * sx, y: p.y * sy }))).collect();
        let nearby = i > 0 || search == OutlineSearch::Nearby;
        let outline = finder.outline(&along, degrees, nearby && search != OutlineSearch::Surfaces)?;
        let inside = along.iter().filter(|t| t.0.iter().all(|p| contains(&outline.quad, *p))).count();
        // Text everywhere but inside: the portrait, or a figure of the background.
        let believed = inside > 0 || along.len() < LEAST_LINES;
        believed.then_some((outline, inside))
    });
    let (outline, inside) = found.max_by(|(a, _), (b, _)| a.score.total_cmp(&b.score))?;
    let corners = Quad(outline.quad.0.map(|p| Point { x: p.x / sx, y: p.y / sy }));
    let to_base = Homography::rect_to_quad(CARD_WIDTH_MM, CARD_HEIGHT_MM, &corners)?;
    let canvas = whole.framed(Framing::Card, CARD_WIDTH_MM, CARD_HEIGHT_MM, to_base);
    Some(FoundCard { canvas, inside, clear: outline.clear, search })
}

/// Whether the first search saw the card at about the size at which the second would.
fn seen_close(whole: &Canvas, card: &Canvas) -> bool {
    let scale = SEARCH_SIDE / whole.frame.width.max(whole.frame.height);
    card.size().0 * scale >= CLOSE_ENOUGH
}

/// A box found in the whole photo, in the card's coordinates. `None` for those beyond its border.
fn on_card(found: &TextBox, card: &Canvas) -> Option<TextBox> {
    let quad = reading_order(card.to_base.inverse()?.apply_quad(&found.quad).0);
    contains(&whole_frame(card, BORDER_MM), middle(&quad)).then_some(TextBox { quad })
}

/// The frame of a canvas, grown by `margin`.
fn whole_frame(canvas: &Canvas, margin: f32) -> Quad {
    Rect { x0: -margin, y0: -margin, x1: canvas.frame.width + margin, y1: canvas.frame.height + margin }
        .to_quad()
}

/// Whether a line starts clearly inside the frame and ends clearly outside it.
fn crosses_border(quad: &Quad, canvas: &Canvas) -> bool {
    const CLEARLY_MM: f32 = 0.8;
    let rect = layout::bounds(&quad.0);
    let straddles =
        |low: f32, high: f32, border: f32| low < border - CLEARLY_MM && high > border + CLEARLY_MM;
    let (width, height) = (canvas.frame.width, canvas.frame.height);
    [(rect.x0, rect.x1, 0.0), (rect.x0, rect.x1, width), (rect.y0, rect.y1, 0.0), (rect.y0, rect.y1, height)]
        .into_iter()
        .any(|(low, high, border)| straddles(low, high, border))
}

fn text_canvas(whole: &Canvas, boxes: &[TextBox], degrees: f32) -> Option<Canvas> {
    let (width, height, to_base) = layout::text_frame(boxes, degrees)?;
    Some(whole.framed(Framing::Text, width, height, to_base))
}

/// The probability of the least certain character; blanks and colons, which decide nothing, aside.
fn weakest(line: &Line) -> f32 {
    let telling = line.glyphs.iter().filter(|g| !matches!(g.candidates[0].0, ' ' | ':'));
    telling.map(|g| g.candidates[0].1).fold(1.0, f32::min)
}

/// Recognises boxes of a canvas.
fn recognise_with(
    recognizer: &Recognizer,
    canvas: &Canvas,
    boxes: &[(Quad, Alphabet)],
    view: View,
) -> Result<Vec<Option<Line>>, Error> {
    let read = read_with(recognizer, canvas, boxes, view)?;
    Ok(read.into_iter().zip(boxes).map(|(glyphs, (quad, _))| line(quad, glyphs)).collect())
}

/// The characters in boxes of a canvas, none where a box has no area.
fn read_with(
    recognizer: &Recognizer,
    canvas: &Canvas,
    boxes: &[(Quad, Alphabet)],
    view: View,
) -> Result<Vec<Vec<ReadGlyph>>, Error> {
    let mut strips = Vec::with_capacity(boxes.len());
    let mut owners = Vec::with_capacity(boxes.len());
    for (i, (quad, alphabet)) in boxes.iter().enumerate() {
        if let Some(strip) = strip(canvas, quad, view) {
            strips.push((strip, *alphabet));
            owners.push(i);
        }
    }
    let mut read = vec![Vec::new(); boxes.len()];
    for (glyphs, owner) in recognizer.read(&strips)?.into_iter().zip(owners) {
        read[owner] = glyphs;
    }
    Ok(read)
}

fn is_blank(glyphs: &[ReadGlyph]) -> bool {
    glyphs.iter().all(|g| g.candidates[0].0 == ' ')
}

/// Mean probability of the characters (0..=1), 0 without any.
fn mean_confidence(glyphs: &[ReadGlyph]) -> f32 {
    glyphs.iter().map(|g| g.candidates[0].1).sum::<f32>() / glyphs.len().max(1) as f32
}

/// The pixels of a line at the recogniser's height.
fn strip(canvas: &Canvas, quad: &Quad, view: View) -> Option<RgbImage> {
    let (width, height) = (quad.width(), quad.height());
    if height < 1e-3 || width < 1e-3 {
        return None;
    }
    let stretched = if view == View::Wide { WIDE } else { 1.0 };
    let pixels = (width / height * STRIP_HEIGHT as f32 * stretched).round() as u32;
    let mut strip = canvas.cut(quad, pixels.clamp(8, MAX_WIDTH), STRIP_HEIGHT)?;
    stretch(&mut strip);
    if view == View::Even {
        let enlarged = STRIP_HEIGHT as f32 / (height * canvas.resolution()).max(1.0);
        strip = clean(&strip, STRIP_WINDOW, SMOOTHING * enlarged);
    }
    Some(strip)
}

/// A read strip put back where it stands on the page. `None` when nothing was legible.
fn line(quad: &Quad, glyphs: Vec<ReadGlyph>) -> Option<Line> {
    if is_blank(&glyphs) {
        return None;
    }
    let rect = layout::bounds(&quad.0);
    let [a, b, c, d] = quad.0;
    let (left, right) = ((a.x + d.x) / 2.0, (b.x + c.x) / 2.0);
    let place = |x: f32| left + (right - left) * x;
    let angle = (b.y - a.y + c.y - d.y).atan2(b.x - a.x + c.x - d.x).to_degrees();
    let confidence = mean_confidence(&glyphs);
    let text = glyphs.iter().map(|g| g.candidates[0].0).collect();
    let glyphs = glyphs
        .into_iter()
        .map(|g| Glyph { candidates: g.candidates, x0: place(g.x0), x1: place(g.x1) })
        .collect();
    Some(Line { text, confidence, glyphs, rect, angle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_the_whole_photo_are_moved_onto_the_card() {
        let pyramid = Arc::new(Pyramid::new(Arc::new(RgbImage::new(800, 600))));
        let whole = Canvas::new(pyramid, Framing::Text, 800.0, 600.0, Homography::scale(1.0), 1.0);
        // A card on its side, its text running downwards, ten pixels to the millimetre.
        let at = |x: f32, y: f32| Point { x: 600.0 - 10.0 * y, y: 20.0 + 10.0 * x };
        let corners = Quad([at(0.0, 0.0), at(50.0, 0.0), at(50.0, 40.0), at(0.0, 40.0)]);
        let to_base = Homography::rect_to_quad(50.0, 40.0, &corners).unwrap();
        let card = whole.framed(Framing::Card, 50.0, 40.0, to_base);
        let line = |x0: f32, y0: f32| TextBox {
            quad: Quad([at(x0, y0), at(x0 + 30.0, y0), at(x0 + 30.0, y0 + 2.0), at(x0, y0 + 2.0)]),
        };
        let moved = on_card(&line(5.0, 10.0), &card).unwrap().quad.0;
        for (found, wanted) in moved.iter().zip([(5.0, 10.0), (35.0, 10.0), (35.0, 12.0), (5.0, 12.0)]) {
            assert!((found.x - wanted.0).abs() < 0.01 && (found.y - wanted.1).abs() < 0.01, "{moved:?}");
        }
        assert!(on_card(&line(5.0, -20.0), &card).is_none());
        // 500 of the photo's 800 pixels, searched at 640.
        assert!(!seen_close(&whole, &card));
    }
}
