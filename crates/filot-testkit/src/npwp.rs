//! The tax card (NPWP) in its three generations: what is printed on it and where.

use std::collections::BTreeMap;
use std::f32::consts::TAU;

use crate::dice::Dice;
use crate::guilloche::{self, Ground};
use crate::lettering::{Face, Style};
use crate::noise::{mix3, ramp};
use crate::resident::day_first;
use crate::sheet::{CARD_HEIGHT as H, CARD_WIDTH as W, Extent, Sheet};
use crate::taxpayer::{NpwpDesign, Taxpayer, printed_date};

const NAVY: [f32; 3] = [30.0, 58.0, 132.0];
const GOLD: [f32; 3] = [250.0, 206.0, 60.0];

/// The printed values under their Indonesian names.
pub(crate) fn fields(payer: &Taxpayer) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = [
        ("npwp", payer.npwp.clone()),
        ("nama", payer.name.clone()),
        ("alamat", payer.address.join(" ")),
        ("kpp", payer.office.clone()),
        ("tanggal_terdaftar", day_first(payer.registered, '-')),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    for (key, value) in [("npwp16", &payer.npwp16), ("nik", &payer.nik), ("nitku", &payer.nitku)] {
        if let Some(value) = value {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    fields
}

/// Draws the card at `scale` pixels per millimetre.
pub(crate) fn draw(payer: &Taxpayer, design: NpwpDesign, dice: &Dice, scale: f32) -> Sheet {
    let mut sheet = Sheet::card(scale, [200.0; 3]);
    guilloche::print(&mut sheet, &mut dice.branch(1), &ground(&mut dice.branch(2), design));
    let mut dice = dice.branch(3);
    let shift = [dice.range(-0.5, 0.5), dice.range(-0.5, 0.5)];
    heading(&mut sheet, &mut dice, design, shift);
    body(&mut sheet, &mut dice, payer, design, shift);
    sheet
}

fn ground(dice: &mut Dice, design: NpwpDesign) -> Ground {
    let (from, to, line, strength) = match design {
        NpwpDesign::Old => ([248.0, 206.0, 78.0], [238.0, 190.0, 56.0], [206.0, 160.0, 40.0], 0.4),
        NpwpDesign::Blue => ([206.0, 226.0, 250.0], [128.0, 168.0, 222.0], [120.0, 160.0, 216.0], 0.5),
        NpwpDesign::New16 => ([246.0, 248.0, 252.0], [228.0, 234.0, 246.0], [196.0, 208.0, 232.0], 0.3),
    };
    let mut around = |colour: [f32; 3]| colour.map(|c| c + dice.range(-9.0, 7.0));
    Ground { from: around(from), to: around(to), line, strength: strength * dice.range(0.3, 1.3) }
}

fn heading(sheet: &mut Sheet, dice: &mut Dice, design: NpwpDesign, shift: [f32; 2]) {
    let band = H * dice.range(0.20, 0.245);
    let mut ink = NAVY;
    match design {
        NpwpDesign::Old => {
            let grey = [dice.range(110.0, 140.0), dice.range(116.0, 140.0), dice.range(110.0, 150.0)];
            let full = Extent { x0: 0.0, y0: 0.0, x1: W, y1: band * 1.25 };
            sheet.paint(full, |x, y, old| {
                let depth = ramp(1.2, 0.55, (y / band - 0.62).abs() * 2.6);
                mix3(old, grey, depth * (0.35 + 0.5 * (x / W - 0.5).abs()))
            });
            ink = if dice.chance(0.6) { [250.0, 250.0, 246.0] } else { [34.0, 40.0, 70.0] };
            if ink[0] > 200.0 {
                // White letters need a darker ground.
                sheet.paint(Extent { x0: 0.0, y0: 0.0, x1: W, y1: band }, |_, _, old| {
                    mix3(old, grey.map(|c| c * 0.8), 0.55)
                });
            }
        }
        NpwpDesign::New16 => {
            sheet.fill(
                Extent { x0: 0.0, y0: 0.0, x1: W, y1: band },
                NAVY.map(|c| c + dice.range(-14.0, 20.0)),
            );
            sheet.fill(Extent { x0: 0.0, y0: band, x1: W, y1: band + 0.5 }, GOLD);
            ink = [252.0, 252.0, 252.0];
        }
        NpwpDesign::Blue => {}
    }
    crest(sheet, 0.088 * W + shift[0], band * 0.5 + 0.3);
    let mut style = Style::new(
        if dice.chance(0.8) { Face::Bold } else { Face::Sans },
        0.046 * H * dice.range(0.94, 1.06),
        ink,
    );
    style.stretch = dice.range(0.94, 1.03);
    let left = 0.157 * W + shift[0];
    let mut baseline = band * 0.42 + shift[1] * 0.5;
    let short = dice.chance(0.12);
    let first = if short { "KEMENTERIAN KEUANGAN RI" } else { "KEMENTERIAN KEUANGAN REPUBLIK INDONESIA" };
    for line in [first, "DIREKTORAT JENDERAL PAJAK"] {
        sheet.print(left, baseline, line, &style);
        baseline += 0.062 * H;
    }
    if design == NpwpDesign::Blue || dice.chance(0.2) {
        let mut small = Style::new(Face::Sans, 0.036 * H, NAVY);
        small.weight = 0.8;
        sheet.print(0.79 * W + shift[0], 0.945 * H, "www.pajak.go.id", &small);
    }
}

/// A five-sided badge with the office's initials, standing for the crest.
fn crest(sheet: &mut Sheet, x: f32, y: f32) {
    let inside = |px: f32, py: f32, radius: f32| {
        (0..5).all(|side| {
            let angle = (side as f32 + 0.5) / 5.0 * TAU - TAU / 4.0;
            (px - x) * angle.cos() + (py - y) * angle.sin() < radius * 0.81
        })
    };
    let extent = Extent { x0: x - 4.4, y0: y - 4.4, x1: x + 4.4, y1: y + 4.4 };
    sheet.paint(extent, |px, py, old| {
        let disc = ((px - x).powi(2) + (py - y).powi(2)).sqrt();
        if disc < 2.1 {
            GOLD
        } else if inside(px, py, 4.0) {
            NAVY
        } else if inside(px, py, 4.25) {
            GOLD
        } else {
            old
        }
    });
    sheet.print_centred(x, y + 0.55, "DJP", &Style::new(Face::Bold, 1.5, NAVY));
}

fn body(sheet: &mut Sheet, dice: &mut Dice, payer: &Taxpayer, design: NpwpDesign, shift: [f32; 2]) {
    let dark = dice.range(6.0, 44.0);
    let mut plain = Style::new(Face::Sans, 0.045 * H * dice.range(0.92, 1.05), [dark, dark, dark + 4.0]);
    plain.stretch = dice.range(0.93, 1.03);
    plain.weight = dice.range(0.85, 1.25);
    let left = W * dice.range(0.05, 0.075) + shift[0];
    let mut baseline = 0.315 * H + shift[1] + dice.range(-0.5, 0.8);
    let number_face = *dice.weighted(&[(Face::Sans, 4.0), (Face::Bold, 4.0), (Face::Mono, 2.0)]);
    let large = Style { face: number_face, em: 0.062 * H * dice.range(0.9, 1.06), ..plain };
    let large = if number_face == Face::Mono { Style { em: large.em * 0.96, ..large } } else { large };
    let bold =
        Style { face: if dice.chance(0.75) { Face::Bold } else { Face::Sans }, em: plain.em * 1.04, ..plain };
    let row = 0.0585 * H * dice.range(0.95, 1.04);
    let colon = dice.word(" : | : |: ");
    let labelled =
        |sheet: &mut Sheet, baseline: f32, label: &str, field: &'static str, value: &str, style: &Style| {
            let label = format!("{label}{colon}");
            sheet.print(left, baseline, &label, style);
            sheet.print_field(field, left + style.width(&label) + style.tracking, baseline, value, style);
        };
    if let (NpwpDesign::New16, Some(number)) = (design, &payer.npwp16) {
        let label = dice.word("NPWP16|NPWP16|NPWP");
        labelled(sheet, baseline, label, "npwp16", number, &large);
        baseline += row;
        // New printing has digits only, but the dotted form is still seen.
        let digits: String = payer.npwp.chars().filter(char::is_ascii_digit).collect();
        let old_form = if dice.chance(0.7) { &payer.npwp } else { &digits };
        labelled(sheet, baseline, "NPWP15", "npwp", old_form, &plain);
        baseline += row * 1.05;
    } else {
        labelled(sheet, baseline, "NPWP", "npwp", &payer.npwp, &large);
        baseline += row * 1.2;
    }
    for line in bold.wrap(&payer.name, W - left - 6.0) {
        sheet.print_field("nama", left, baseline, &line, &bold);
        baseline += row;
    }
    if let Some(nik) = &payer.nik {
        labelled(sheet, baseline, "NIK", "nik", nik, &plain);
        baseline += row;
    }
    for line in &payer.address {
        for part in plain.wrap(line, W - left - 6.0) {
            sheet.print_field("alamat", left, baseline, &part, &plain);
            baseline += row;
        }
    }
    if let Some(nitku) = &payer.nitku {
        labelled(sheet, baseline, "NITKU", "nitku", nitku, &plain);
        baseline += row;
    }
    let foot = (0.80 * H + shift[1] + dice.range(-1.5, 1.0)).max(baseline + 0.3 * row).min(0.97 * H - row);
    sheet.print_field("kpp", left, foot, &payer.office, &plain);
    let label =
        if design == NpwpDesign::New16 { dice.word("Tanggal Terdaftar|Terdaftar") } else { "Terdaftar" };
    labelled(sheet, foot + row, label, "tanggal_terdaftar", &printed_date(dice, payer.registered), &plain);
}
