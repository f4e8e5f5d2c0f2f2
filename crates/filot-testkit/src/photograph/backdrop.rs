//! What lies under the card. Positions are millimetres in the plane of the card.

use serde::{Deserialize, Serialize};

use super::surfaces;
use crate::dice::Dice;
use crate::lettering::{Face, Style};
use crate::noise::{Noise, mix, mix3, ramp, wave};
use crate::resident;
use crate::scene::Neighbour;
use crate::sheet::{Extent, Sheet};

/// Kinds of ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    Plain,
    Dark,
    Wood,
    Tiles,
    Cloth,
    Pattern,
    Stone,
    /// A room out of focus, as behind a card held in the hand.
    Room,
    /// Paper with printed text.
    Print,
    /// White paper or the lid of a scanner.
    Paper,
    /// The screen around the picture of the card.
    Screen,
    /// What a phone shows around a picture.
    App,
    /// Keys of a keyboard.
    Keyboard,
    /// Cloth with stripes in two directions.
    Plaid,
    /// A page of tables and lines, which lean as the page does.
    Form,
    /// Lined or squared paper.
    Ruled,
}

/// A ground with its colours and structure drawn.
pub(crate) struct Backdrop {
    kind: Ground,
    noise: Noise,
    colour: [f32; 3],
    other: [f32; 3],
    /// Size of the structure in millimetres.
    grain: f32,
    turn: (f32, f32),
    page: Option<Sheet>,
    mat: Option<Mat>,
    neighbours: Vec<Neighbour>,
}

/// A sheet or a pad that the card lies on, with straight edges of its own.
struct Mat {
    centre: [f32; 2],
    half: [f32; 2],
    turn: (f32, f32),
    colour: [f32; 3],
}

impl Mat {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            centre: [42.8 + dice.range(-30.0, 30.0), 27.0 + dice.range(-25.0, 25.0)],
            half: [dice.range(50.0, 105.0), dice.range(36.0, 80.0)],
            turn: dice.range(-0.6, 0.6).sin_cos(),
            colour: if dice.chance(0.6) {
                [dice.range(222.0, 250.0); 3]
            } else {
                any_colour(dice, 20.0, 230.0)
            },
        }
    }

    fn covers(&self, x: f32, y: f32) -> bool {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let (sin, cos) = self.turn;
        (dx * cos + dy * sin).abs() < self.half[0] && (dy * cos - dx * sin).abs() < self.half[1]
    }
}

impl Backdrop {
    pub(crate) fn draw(dice: &mut Dice, kind: Ground) -> Self {
        let noise = Noise::new(dice);
        let (colour, other, grain) = match kind {
            Ground::Plain => {
                (any_colour(dice, 50.0, 240.0), any_colour(dice, 60.0, 200.0), dice.range(60.0, 150.0))
            }
            Ground::Dark => {
                (any_colour(dice, 8.0, 50.0), any_colour(dice, 10.0, 60.0), dice.range(50.0, 120.0))
            }
            Ground::Wood => {
                let tone = *dice.pick(&[
                    [150.0, 98.0, 54.0],
                    [92.0, 52.0, 28.0],
                    [196.0, 158.0, 108.0],
                    [60.0, 34.0, 22.0],
                    [176.0, 120.0, 74.0],
                ]);
                (tone, tone.map(|c: f32| c * 0.68), dice.range(3.0, 9.0))
            }
            Ground::Tiles => {
                let tone = any_colour(dice, 120.0, 235.0);
                (tone, tone.map(|c| c * 0.6), dice.range(25.0, 110.0))
            }
            Ground::Cloth => {
                let tone = any_colour(dice, 40.0, 215.0);
                (tone, tone.map(|c| c * dice.range(0.55, 0.85)), dice.range(0.7, 2.2))
            }
            Ground::Pattern => {
                (any_colour(dice, 90.0, 235.0), any_colour(dice, 25.0, 190.0), dice.range(4.0, 16.0))
            }
            Ground::Stone => {
                (any_colour(dice, 110.0, 225.0), any_colour(dice, 40.0, 150.0), dice.range(4.0, 30.0))
            }
            Ground::Room => {
                (any_colour(dice, 20.0, 120.0), any_colour(dice, 150.0, 250.0), dice.range(30.0, 90.0))
            }
            Ground::Keyboard => {
                (any_colour(dice, 15.0, 235.0), any_colour(dice, 5.0, 90.0), dice.range(13.0, 20.0))
            }
            Ground::Plaid => {
                (any_colour(dice, 60.0, 240.0), any_colour(dice, 20.0, 200.0), dice.range(6.0, 45.0))
            }
            Ground::Ruled => {
                (any_colour(dice, 215.0, 250.0), any_colour(dice, 90.0, 200.0), dice.range(4.5, 9.0))
            }
            Ground::Print | Ground::Paper | Ground::Form => {
                let light = dice.range(226.0, 252.0);
                ([light, light, light - dice.range(0.0, 10.0)], [light - 6.0; 3], 40.0)
            }
            Ground::Screen => {
                (if dice.chance(0.5) { [12.0, 12.0, 14.0] } else { [236.0, 238.0, 242.0] }, [6.0; 3], 40.0)
            }
            Ground::App => {
                (if dice.chance(0.5) { [14.0, 14.0, 16.0] } else { [244.0, 245.0, 248.0] }, [0.0; 3], 40.0)
            }
        };
        let angle = if matches!(kind, Ground::Screen | Ground::App) { 0.0 } else { dice.range(-1.6, 1.6) };
        let turn = if matches!(kind, Ground::Print | Ground::Form) { dice.range(-0.4, 0.4) } else { angle }
            .sin_cos();
        let page = match kind {
            Ground::Print => Some(printed_page(dice, colour)),
            Ground::Form => Some(surfaces::form(dice, colour)),
            Ground::App | Ground::Screen => Some(shown_app(dice, colour)),
            _ => None,
        };
        let flat = matches!(kind, Ground::Room | Ground::Paper | Ground::Screen | Ground::App);
        let mat = (!flat && dice.chance(0.12)).then(|| Mat::draw(dice));
        Self { kind, noise, colour, other, grain, turn, page, mat, neighbours: Vec::new() }
    }

    /// Lays other things beside the card.
    pub(crate) fn lay(&mut self, neighbours: Vec<Neighbour>) {
        self.neighbours = neighbours;
    }

    /// Colour (0 to 255) of the ground at a position.
    pub(crate) fn colour(&self, x: f32, y: f32) -> [f32; 3] {
        let mut shade = 1.0;
        for neighbour in &self.neighbours {
            let (edge, u, v) = neighbour.reach(x, y);
            if edge < 0.0 {
                return super::sample(&neighbour.sheet, u, v);
            }
            shade *= 1.0 - 0.3 * ramp(1.5, 0.0, edge);
        }
        self.bare(x, y).map(|c| c * shade)
    }

    fn bare(&self, x: f32, y: f32) -> [f32; 3] {
        if let Some(mat) = self.mat.as_ref().filter(|mat| mat.covers(x, y)) {
            return mat.colour.map(|c| c * (1.0 + 0.03 * self.noise.at(x * 0.05, y * 0.05)));
        }
        let (sin, cos) = self.turn;
        let (u, v) = (x * cos + y * sin, y * cos - x * sin);
        let g = 1.0 / self.grain;
        match self.kind {
            Ground::Plain | Ground::Dark | Ground::Paper => {
                let t = 0.14 + 0.12 * self.noise.at(u * g, v * g) + 0.02 * self.noise.at(u * 2.0, v * 2.0);
                mix3(self.colour, self.other, t)
            }
            Ground::Wood => {
                let bend = 2.5 * self.noise.at(u * 0.012, v * 0.05);
                let ring = wave(v * g + bend + 0.4 * self.noise.at(u * 0.05, v * 0.9));
                let fibre = self.noise.at(u * 0.08, v * 3.5);
                let plank = if wave(v / 95.0).abs() < 0.02 { 0.5 } else { 0.0 };
                mix3(self.colour, self.other, (0.4 + 0.3 * ring + 0.28 * fibre + plank).clamp(0.0, 1.3))
            }
            Ground::Tiles => {
                let edge = |t: f32| ((t * g).fract().abs() - 0.5).abs() * 2.0;
                let joint = edge(u).max(edge(v));
                let vein = 0.25 * self.noise.cloud(u * 0.05, v * 0.05);
                mix3(self.colour, self.other, ramp(1.0 - 2.2 * g, 1.0 - 0.8 * g, joint) + vein.max(0.0))
            }
            Ground::Cloth => {
                let weave = wave(u * g) * wave(v * g);
                let fold = self.noise.at(u * 0.02, v * 0.03);
                let t = 0.5 + 0.3 * weave + 0.25 * self.noise.at(u * 1.7, v * 1.7);
                mix3(self.colour, self.other, t).map(|c| c * (1.0 + 0.16 * fold))
            }
            Ground::Pattern => {
                let (a, b) = ((u * g).rem_euclid(2.0) - 1.0, (v * g).rem_euclid(2.0) - 1.0);
                let ring = wave((a * a + b * b).sqrt() * 2.5);
                let lattice = wave((u + v) * g * 0.5) * wave((u - v) * g * 0.5);
                mix3(self.colour, self.other, if ring + lattice > 0.35 { 1.0 } else { 0.12 })
            }
            Ground::Stone => {
                let cloud = self.noise.cloud(u * g, v * g);
                let speck = (self.noise.at(u * 1.3, v * 1.3) - 0.45).max(0.0);
                mix3(self.colour, self.other, (0.4 + 0.55 * cloud + speck).clamp(0.0, 1.0))
            }
            Ground::Room => {
                let (a, b) = (self.noise.at(u * g, v * g), self.noise.at(u * 0.4 * g + 5.0, v * 0.6 * g));
                let shelf = ramp(-0.05, 0.05, wave(v * 0.3 * g + 0.1 * b));
                let tone = mix3(self.colour, self.other, ramp(-0.4, 0.6, a) * (0.35 + 0.65 * shelf));
                [tone[0] * (1.0 + 0.25 * b), tone[1], tone[2] * (1.0 - 0.25 * b)]
            }
            Ground::Keyboard => {
                surfaces::keyboard(&self.noise, [self.colour, self.other], self.grain, [u, v])
            }
            Ground::Plaid => surfaces::plaid(&self.noise, [self.colour, self.other], self.grain, [u, v]),
            Ground::Ruled => surfaces::ruled(&self.noise, [self.colour, self.other], self.grain, [u, v]),
            Ground::Print | Ground::Form => self.page.as_ref().map_or(self.colour, |page| {
                let at = |mm: f32, size: f32, limit: u32| {
                    ((mm.rem_euclid(size) * page.scale) as u32).min(limit.saturating_sub(1))
                };
                let px = at(u + 60.0, page.width, page.pixels.width());
                let py = at(v + 80.0, page.height, page.pixels.height());
                page.pixels.get_pixel(px, py).0.map(f32::from)
            }),
            Ground::Screen => {
                // Beyond the shown picture comes the dark rim of the device.
                let inside = x > -38.0 && x < 124.0 && y > -26.0 && y < 84.0;
                if inside { self.app(x, y) } else { self.other }
            }
            Ground::App => self.app(x, y),
        }
    }

    /// The program around a shown picture; plain beyond what was drawn of it.
    fn app(&self, x: f32, y: f32) -> [f32; 3] {
        let Some(page) = &self.page else { return self.colour };
        let (px, py) = ((x + APP_MARGIN[0]) * page.scale, (y + APP_MARGIN[1]) * page.scale);
        if px < 0.0 || py < 0.0 {
            return self.colour;
        }
        page.pixels
            .get_pixel_checked(px as u32, py as u32)
            .map_or(self.colour, |pixel| pixel.0.map(f32::from))
    }
}

fn any_colour(dice: &mut Dice, low: f32, high: f32) -> [f32; 3] {
    let grey = dice.range(low, high);
    let tint = (high - low) * *dice.pick(&[0.06, 0.18, 0.4]);
    [0; 3].map(|_: i32| (grey + dice.range(-tint, tint)).clamp(low * 0.8, 248.0))
}

/// A page full of words, as newspapers, letters and forms are.
fn printed_page(dice: &mut Dice, paper: [f32; 3]) -> Sheet {
    let mut page = Sheet::new(210.0, 240.0, 0.0, 6.0, paper);
    let em = dice.range(2.6, 5.0);
    let face = *dice.pick(&[Face::Serif, Face::Serif, Face::Sans, Face::Mono]);
    let ink = dice.range(20.0, 90.0);
    let style = Style::new(face, em, [ink; 3]);
    let mut baseline = 6.0;
    while baseline < page.height {
        let mut line = String::new();
        while style.width(&line) < 180.0 {
            let word = match dice.int(0, 3) {
                0 => resident::village(dice),
                1 => resident::street(dice),
                2 => format!("{} {}", dice.word(WORDS), dice.int(1, 2024)),
                _ => format!("{} {}", dice.word(WORDS), dice.word(WORDS)),
            };
            line = format!("{line} {}", word.to_lowercase());
        }
        page.print(mix(6.0, 14.0, dice.unit()), baseline, &line, &style);
        baseline += em * if dice.chance(0.12) { 2.6 } else { 1.4 };
    }
    page
}

/// How far the drawn part of a program reaches beyond the card's left and upper edge, in millimetres.
const APP_MARGIN: [f32; 2] = [9.0, 72.0];

/// What a phone shows above and below a picture: bars, a title, a few words.
fn shown_app(dice: &mut Dice, colour: [f32; 3]) -> Sheet {
    let mut page = Sheet::new(104.0, 198.0, 0.0, 9.0, colour);
    let (ink, bar) = if colour[0] > 128.0 { ([50.0; 3], -22.0) } else { ([214.0; 3], 26.0) };
    let tint = colour.map(|c| c + bar);
    page.fill(Extent { x0: 0.0, y0: 0.0, x1: 104.0, y1: 22.0 }, tint);
    page.fill(Extent { x0: 0.0, y0: 178.0, x1: 104.0, y1: 198.0 }, tint);
    let style = |em: f32| Style::new(Face::Sans, em, ink);
    let clock = format!("{:02}:{:02}", dice.int(0, 23), dice.int(0, 59));
    page.print(8.0, 7.0, &clock, &style(4.0));
    page.print(84.0, 7.0, &format!("{}%", dice.int(5, 100)), &style(4.0));
    page.print(
        14.0,
        17.0,
        dice.word("Foto|IMG_20240312|Galeri|Kirim dokumen|Unggah foto kartu"),
        &style(5.0),
    );
    page.print(
        12.0,
        188.0,
        dice.word("Bagikan    Edit    Hapus|Kirim    Simpan|Balas    Teruskan"),
        &style(4.4),
    );
    if dice.chance(0.5) {
        let line = dice.word(
            "Ini foto kartunya ya|Mohon dicek kembali|Pastikan foto terlihat jelas|Terlampir, terima kasih",
        );
        page.print(14.0, if dice.chance(0.5) { 52.0 } else { 148.0 }, line, &style(4.2));
    }
    page
}

const WORDS: &str = "dengan|perjanjian|pemerintah|dan|yang|untuk|tahun|nomor|laporan|keuangan|sebagaimana|pasal|\
    menurut|kegiatan|masyarakat|pelaksanaan|tanggal|adalah|dalam|kepada|surat|harga|jumlah";
