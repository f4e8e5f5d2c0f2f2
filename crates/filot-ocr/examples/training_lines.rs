//! Draws lines of cards for training a recogniser: `training_lines SEED PHOTOS OUT`.
//!
//! For every line of OUT: width of the strip (two bytes, little end first), length of the text (one byte), the text, then
//! the strip's 48 rows of red, green and blue. Lines that stand on their head have no text. `scripts/train_recogniser.py`
//! reads this.
#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "a developer's tool")]

use std::io::{BufWriter, Write};

use filot_ocr::engine::View;
use filot_ocr::image::{Limits, Photo};
use filot_ocr::page::{Point, Quad};
use filot_ocr::training::LinePictures;
use filot_testkit::{Case, Medium, NpwpDesign, Print, Subject, Tier};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Pieces further apart than this many heights are never boxed together.
const FAR: f32 = 1.5;
/// A gap wider than this many heights is a blank.
const BLANK: f32 = 0.2;
const STAND_ON_HEAD: f64 = 0.03;
/// Lines with ground after them, and strips of ground alone.
const TAIL: f64 = 0.3;
const GROUND: f64 = 0.06;
/// Ground is taken this many heights far at most.
const MOST_GROUND: f32 = 9.0;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (seed, photos): (u64, u64) = (args[0].parse().unwrap(), args[1].parse().unwrap());
    let mut out = BufWriter::new(std::fs::File::create(&args[2]).unwrap());
    let mut lines = 0u64;
    for number in 0..photos {
        let mut dice = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let sample = case(&mut dice).draw(dice.random());
        let photo = Photo::decode(&sample.jpeg, &Limits::default()).unwrap();
        let pictures = LinePictures::of(&photo);
        for start in 0..sample.prints.len() {
            let (quad, mut text) = boxed(&mut dice, &sample.prints, start);
            let mut quad = loosened(&mut dice, &quad);
            let room = room(&quad, &sample.prints);
            if dice.random_bool(TAIL) && room > 1.0 {
                // Rows are read as far as they may reach: what follows the print is ground.
                quad = reaching(&quad, 0.0, dice.random_range(0.5..room));
            } else if dice.random_bool(GROUND) && room > 1.5 {
                quad = reaching(&quad, width(&quad) + 0.3, dice.random_range(1.2..room));
                text.clear();
            }
            let turned = dice.random_bool(STAND_ON_HEAD);
            let quad = if turned { Quad([quad.0[2], quad.0[3], quad.0[0], quad.0[1]]) } else { quad };
            let view = match dice.random_range(0..100) {
                0..65 => View::Plain,
                65..80 => View::Wide,
                _ => View::Even,
            };
            let Some(strip) = pictures.cut(&quad, view) else { continue };
            let text = if turned { "" } else { text.trim() };
            // A colon by itself looks like a speck.
            if text == ":" {
                continue;
            }
            out.write_all(&(strip.width() as u16).to_le_bytes()).unwrap();
            out.write_all(&[text.len() as u8]).unwrap();
            out.write_all(text.as_bytes()).unwrap();
            out.write_all(strip.as_raw()).unwrap();
            lines += 1;
        }
        if number % 100 == 99 {
            eprintln!("{} photos of {photos}, {lines} lines", number + 1);
        }
    }
}

/// Mostly hard pictures, some easy ones so that what was known stays known.
fn case(dice: &mut StdRng) -> Case {
    let subject = match dice.random_range(0..100) {
        0..64 => Subject::Ktp { foreign: dice.random_bool(0.06) },
        64..78 => Subject::Npwp(NpwpDesign::Old),
        78..88 => Subject::Npwp(NpwpDesign::Blue),
        _ => Subject::Npwp(NpwpDesign::New16),
    };
    let tier = match dice.random_range(0..100) {
        0..65 => Tier::Hard,
        65..90 => Tier::Normal,
        _ => Tier::Clean,
    };
    let medium = match dice.random_range(0..100) {
        0..84 => Medium::Photo,
        84..88 => Medium::Scan,
        88..97 => Medium::Photocopy,
        _ => Medium::Screen,
    };
    let case = Case::of(subject).tier(tier).medium(medium);
    let case = if dice.random_bool(0.6) { case.gibberish() } else { case };
    if dice.random_bool(0.7) { case.long_side(dice.random_range(560..1500)) } else { case }
}

/// A piece of print, often with what follows it in its row, as a detector would box them.
fn boxed(dice: &mut StdRng, prints: &[Print], start: usize) -> (Quad, String) {
    let mut text = prints[start].text.clone();
    let mut corners = prints[start].corners;
    while dice.random_bool(0.7) {
        let next = prints.iter().filter_map(|print| Some((gap(&corners, &print.corners)?, print)));
        let Some((gap, print)) = next.min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        if gap > BLANK {
            text.push(' ');
        }
        text.push_str(&print.text);
        (corners[1], corners[2]) = (print.corners[1], print.corners[2]);
    }
    (Quad(corners.map(|[x, y]| Point { x, y })), text)
}

/// How many heights to the right of `a` the piece `b` begins, if it stands near in the same row.
fn gap(a: &[[f32; 2]; 4], b: &[[f32; 2]; 4]) -> Option<f32> {
    let (along, across) = place(a, b);
    (across.abs() < 0.3 && along > -0.15 && along < FAR).then_some(along)
}

/// How many heights of `a` to the right of it and below its upper edge `b` begins.
fn place(a: &[[f32; 2]; 4], b: &[[f32; 2]; 4]) -> (f32, f32) {
    let between = |p: [f32; 2], q: [f32; 2]| [q[0] - p[0], q[1] - p[1]];
    let down = between(a[1], a[2]);
    let height = down[0].hypot(down[1]);
    let ([dx, dy], right) = (between(a[1], b[0]), [down[1] / height, -down[0] / height]);
    let along = (dx * right[0] + dy * right[1]) / height;
    let across = (dx * down[0] + dy * down[1]) / (height * height);
    (along, across)
}

/// Heights of ground to the right of a box, up to what is printed next in its row.
fn room(quad: &Quad, prints: &[Print]) -> f32 {
    let corners = quad.0.map(|p| [p.x, p.y]);
    let near = |print: &Print| {
        let (along, across) = place(&corners, &print.corners);
        (across.abs() < 1.2 && along > -0.6).then_some(along - 0.3)
    };
    prints.iter().filter_map(near).fold(MOST_GROUND, f32::min)
}

/// Width of a box in heights.
fn width(quad: &Quad) -> f32 {
    let [a, b, c, _] = quad.0;
    (b.x - a.x).hypot(b.y - a.y) / (c.x - b.x).hypot(c.y - b.y)
}

/// The box from `before` heights behind its left side to `after` heights beyond its right one.
fn reaching(quad: &Quad, before: f32, after: f32) -> Quad {
    let [a, b, c, d] = quad.0;
    let height = (c.x - b.x).hypot(c.y - b.y);
    let on = |from: Point, to: Point, start: Point, heights: f32| {
        let length = (to.x - from.x).hypot(to.y - from.y).max(1e-3);
        let share = heights * height / length;
        Point { x: start.x + (to.x - from.x) * share, y: start.y + (to.y - from.y) * share }
    };
    Quad([on(a, b, a, before), on(a, b, b, after), on(d, c, c, after), on(d, c, d, before)])
}

/// The box as loosely as detectors and templates set it.
fn loosened(dice: &mut StdRng, quad: &Quad) -> Quad {
    let [a, b, c, d] = quad.0;
    let down = Point { x: (c.x - b.x + d.x - a.x) / 2.0, y: (c.y - b.y + d.y - a.y) / 2.0 };
    let right = Point { x: down.y, y: -down.x };
    let (above, below) = (dice.random_range(-0.02..0.4), dice.random_range(-0.05..0.35));
    let (before, after) = (dice.random_range(0.0..0.35), dice.random_range(0.0..0.45));
    let mut moved = |p: Point, x: f32, y: f32| {
        let y = y + dice.random_range(-0.05..0.05);
        Point { x: p.x + right.x * x + down.x * y, y: p.y + right.y * x + down.y * y }
    };
    Quad([
        moved(a, -before, -above),
        moved(b, after, -above),
        moved(c, after, below),
        moved(d, -before, below),
    ])
}
