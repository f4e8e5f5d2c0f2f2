//! The identity card (KTP): what is printed on it and where.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::guilloche::{self, Ground};
use crate::lettering::{Face, Style};
use crate::portrait;
use crate::resident::{Resident, day_first};
use crate::sheet::{CARD_HEIGHT as H, CARD_WIDTH as W, Extent, Sheet};

/// The printed values under their Indonesian names.
pub(crate) fn fields(person: &Resident) -> BTreeMap<String, String> {
    let (rt, rw) = person.rt_rw;
    [
        ("provinsi", person.district.province.clone()),
        ("kota", person.district.regency.clone()),
        ("nik", person.nik.clone()),
        ("nama", person.name.clone()),
        ("tempat_lahir", person.birth_place.clone()),
        ("tanggal_lahir", day_first(person.birth, '-')),
        ("jenis_kelamin", person.gender().into()),
        ("gol_darah", person.blood.clone()),
        ("alamat", person.address.clone()),
        ("rt_rw", format!("{rt:03}/{rw:03}")),
        ("kel_desa", person.village.clone()),
        ("kecamatan", person.district.name.clone()),
        ("agama", person.religion.clone()),
        ("status_perkawinan", person.marital.clone()),
        ("pekerjaan", person.occupation.clone()),
        ("kewarganegaraan", person.nationality.clone()),
        ("berlaku_hingga", person.valid_until.clone()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// How one office's printer sets its cards.
struct Layout {
    labels: Style,
    values: Style,
    /// Offset of everything printed, and of the values against the labels.
    shift: [f32; 2],
    value_shift: [f32; 2],
    first_row: f32,
    row: f32,
    colon: f32,
    value: f32,
}

impl Layout {
    fn draw(dice: &mut Dice) -> Self {
        let dark = dice.range(8.0, 52.0);
        let ink = [dark, dark + dice.range(-4.0, 6.0), dark + dice.range(-4.0, 12.0)];
        let mut values = Style::new(if dice.chance(0.06) { Face::Bold } else { Face::Sans }, 0.038 * H, ink);
        values.em *= dice.range(0.96, 1.04);
        values.stretch = dice.range(0.93, 1.04);
        values.weight = dice.range(0.85, 1.3);
        let mut labels = Style { face: Face::Sans, ..values };
        if dice.chance(0.15) {
            labels.stretch *= 0.96;
        }
        let value = 0.242 + dice.range(-0.004, 0.006);
        Self {
            labels,
            values,
            shift: [dice.range(-0.5, 0.5), dice.range(-0.5, 0.5)],
            value_shift: [dice.range(-0.25, 0.35), dice.range(-0.25, 0.25)],
            first_row: 0.30 * H,
            row: 0.0462 * H * dice.range(0.985, 1.015),
            colon: value - dice.range(0.009, 0.013),
            value,
        }
    }
}

/// Draws the card at `scale` pixels per millimetre.
pub(crate) fn draw(person: &Resident, dice: &Dice, scale: f32) -> Sheet {
    let mut sheet = Sheet::card(scale, [200.0; 3]);
    guilloche::print(&mut sheet, &mut dice.branch(1), &ground(&mut dice.branch(2), person.foreign));
    let mut dice = dice.branch(3);
    let layout = Layout::draw(&mut dice);
    heading(&mut sheet, &mut dice, &layout, person);
    number(&mut sheet, &mut dice, &layout, &person.nik);
    rows(&mut sheet, &mut dice, &layout, person);
    photo(&mut sheet, &mut dice, &layout, person);
    sheet
}

fn ground(dice: &mut Dice, foreign: bool) -> Ground {
    let around = |dice: &mut Dice, colour: [f32; 3]| colour.map(|c| c + dice.range(-10.0, 10.0));
    let (from, to, line) = if foreign {
        ([250.0, 206.0, 178.0], [244.0, 190.0, 184.0], [216.0, 140.0, 120.0])
    } else {
        *dice.pick(&[
            ([186.0, 222.0, 236.0], [166.0, 206.0, 230.0], [112.0, 170.0, 206.0]),
            ([176.0, 212.0, 236.0], [190.0, 220.0, 240.0], [120.0, 160.0, 214.0]),
            ([196.0, 226.0, 232.0], [160.0, 204.0, 222.0], [110.0, 178.0, 190.0]),
            ([168.0, 204.0, 226.0], [196.0, 216.0, 236.0], [132.0, 158.0, 200.0]),
        ])
    };
    Ground { from: around(dice, from), to: around(dice, to), line, strength: dice.range(0.15, 0.6) }
}

fn heading(sheet: &mut Sheet, dice: &mut Dice, layout: &Layout, person: &Resident) {
    let mut style = Style { em: 0.053 * H * dice.range(0.96, 1.04), ..layout.values };
    style.face = if dice.chance(0.3) { Face::Bold } else { Face::Sans };
    let centre = W * dice.range(0.485, 0.505) + layout.shift[0];
    let mut second = style;
    if dice.chance(0.15) {
        second.face = Face::Bold;
    }
    let lines = [
        ("provinsi", "PROVINSI ", &person.district.province, 0.075, style),
        ("kota", "", &person.district.regency, 0.132, second),
    ];
    for (field, prefix, name, y, mut style) in lines {
        let text = format!("{prefix}{name}");
        style.stretch *= (80.0 / style.width(&text)).min(1.0);
        let x = centre - style.width(&text) / 2.0;
        let baseline = y * H + layout.shift[1] + 0.36 * style.em;
        let start = x + style.width(prefix);
        sheet.print(x, baseline, prefix, &style);
        sheet.print_field(field, start, baseline, name, &style);
    }
}

fn number(sheet: &mut Sheet, dice: &mut Dice, layout: &Layout, nik: &str) {
    let mut style = Style::new(Face::Ocr, 3.0, layout.values.ink.map(|c| c * 0.7))
        .with_capitals(0.042 * H * dice.range(0.95, 1.05));
    style.weight = dice.range(0.95, 1.6);
    let baseline = 0.21 * H + layout.shift[1] + 0.021 * H;
    let left = layout.shift[0];
    if dice.chance(0.75) {
        sheet.print(0.030 * W + left, baseline, "NIK", &style.pitched(0.0262 * W));
    } else {
        let bold = Style { face: Face::Bold, em: 0.058 * H, ..layout.labels };
        sheet.print(0.030 * W + left, baseline, "NIK", &bold);
    }
    sheet.print(0.187 * W + left, baseline, ":", &style);
    let style = style.pitched(0.0262 * W * dice.range(0.985, 1.015));
    sheet.print_field("nik", (0.223 + dice.range(-0.004, 0.006)) * W + left, baseline, nik, &style);
}

/// A printed row: label, whether it is set in, and the field's value.
type Row<'a> = (&'a str, bool, &'static str, String);

fn rows(sheet: &mut Sheet, dice: &mut Dice, layout: &Layout, person: &Resident) {
    let (rt, rw) = person.rt_rw;
    let rt_rw = if dice.chance(0.75) { format!("{rt:03}/{rw:03}") } else { format!("{rt:03} / {rw:03}") };
    let rows: [Row<'_>; 12] = [
        ("Nama", false, "nama", person.name.clone()),
        (
            "Tempat/Tgl Lahir",
            false,
            "tempat_lahir",
            format!("{}, {}", person.birth_place, day_first(person.birth, '-')),
        ),
        (dice.word("Jenis Kelamin|Jenis kelamin"), false, "jenis_kelamin", person.gender().into()),
        ("Alamat", false, "alamat", person.address.clone()),
        ("RT/RW", true, "rt_rw", rt_rw),
        (dice.word("Kel/Desa|Kel/Desa|Kel/ Desa"), true, "kel_desa", person.village.clone()),
        ("Kecamatan", true, "kecamatan", person.district.name.clone()),
        ("Agama", false, "agama", person.religion.clone()),
        ("Status Perkawinan", false, "status_perkawinan", person.marital.clone()),
        ("Pekerjaan", false, "pekerjaan", person.occupation.clone()),
        ("Kewarganegaraan", false, "kewarganegaraan", person.nationality.clone()),
        ("Berlaku Hingga", false, "berlaku_hingga", person.valid_until.clone()),
    ];
    let room = (0.703 - layout.value) * W;
    let mut values = layout.values;
    // The card has room for three further lines; more text is set narrower.
    let broken = |style: &Style| -> usize { rows.iter().map(|row| style.wrap(&row.3, room).len() - 1).sum() };
    while broken(&values) > 3 {
        values.stretch *= 0.96;
    }
    let jitter = dice.range(0.0, 0.12);
    let mut line = 0;
    for (label, indented, field, value) in &rows {
        let y = |line: i32, dice: &mut Dice| {
            layout.first_row
                + line as f32 * layout.row
                + layout.shift[1]
                + dice.range(-jitter, jitter)
                + 0.36 * values.em
        };
        let baseline = y(line, dice);
        let x = if *indented { 0.082 } else { 0.030 } * W + layout.shift[0];
        sheet.print(x, baseline, label, &layout.labels);
        sheet.print(layout.colon * W + layout.shift[0], baseline, ":", &layout.labels);
        if *field == "jenis_kelamin" {
            blood(sheet, dice, layout, baseline, &person.blood);
        }
        let left = layout.value * W + layout.shift[0] + layout.value_shift[0] + dice.range(-jitter, jitter);
        for (n, text) in values.wrap(value, room).iter().enumerate() {
            let baseline = if n == 0 { baseline } else { y(line, dice) } + layout.value_shift[1];
            if *field == "tempat_lahir" {
                birth(sheet, left, baseline, text, &values);
            } else {
                sheet.print_field(field, left, baseline, text, &values);
            }
            line += 1;
        }
    }
}

/// One line of `PLACE, DD-MM-YYYY`, whose two fields are marked apart.
fn birth(sheet: &mut Sheet, x: f32, baseline: f32, text: &str, style: &Style) {
    let starts_with_digit = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let (place, date) = match text.rsplit_once(' ') {
        Some((place, date)) if starts_with_digit(date) => (place, date),
        _ if starts_with_digit(text) => ("", text),
        _ => (text, ""),
    };
    if !place.is_empty() {
        sheet.print_field("tempat_lahir", x, baseline, place, style);
    }
    if !date.is_empty() {
        let gap = if place.is_empty() { 0.0 } else { style.width(&format!("{place} ")) + style.tracking };
        sheet.print_field("tanggal_lahir", x + gap, baseline, date, style);
    }
}

fn blood(sheet: &mut Sheet, dice: &mut Dice, layout: &Layout, baseline: f32, value: &str) {
    let label = dice.word("Gol. Darah|Gol. Darah|Gol Darah");
    // The long value would run into the photo.
    let back = if value.len() > 3 { 0.105 } else { 0.0 };
    let left = layout.shift[0] + dice.range(-0.4, 0.4);
    sheet.print((0.498 - back) * W + left, baseline, label, &layout.labels);
    sheet.print((0.637 - back) * W + left, baseline, ":", &layout.labels);
    sheet.print_field(
        "gol_darah",
        (0.649 - back) * W + left,
        baseline + layout.value_shift[1],
        value,
        &layout.values,
    );
}

fn photo(sheet: &mut Sheet, dice: &mut Dice, layout: &Layout, person: &Resident) {
    let (dx, dy) = (layout.shift[0] + dice.range(-0.4, 0.4), layout.shift[1] + dice.range(-0.4, 0.4));
    let extent = Extent { x0: 0.713 * W + dx, y0: 0.189 * H + dy, x1: 0.942 * W + dx, y1: 0.644 * H + dy };
    // Red for odd years of birth, blue for even ones.
    let ground = if person.birth.year() % 2 == 1 {
        [dice.range(160.0, 205.0), dice.range(10.0, 45.0), dice.range(15.0, 45.0)]
    } else {
        [dice.range(10.0, 50.0), dice.range(50.0, 110.0), dice.range(150.0, 205.0)]
    };
    portrait::photo(sheet, &mut dice.branch(9), extent, person.female, ground);
    let centre = 0.825 * W + dx;
    let mut style = Style { face: Face::Sans, ..layout.values };
    let place = person.district.regency_place().to_owned();
    let place = if person.district.regency.starts_with("KOTA ") && dice.chance(0.7) {
        format!("KOTA {place}")
    } else {
        place
    };
    let mut baseline = 0.684 * H + dy + 0.36 * style.em;
    let lines = style.wrap(&place, 24.0);
    let longest = lines.iter().map(|line| style.width(line)).fold(1.0, f32::max);
    style.stretch *= (24.0 / longest).min(1.0);
    for line in &lines {
        sheet.print_centred(centre, baseline, line, &style);
        baseline += 0.04 * H;
    }
    sheet.print_centred(centre, baseline, &day_first(person.issued, '-'), &style);
    let top = baseline + 0.012 * H;
    let extent =
        Extent { x0: 0.745 * W + dx, y0: top, x1: 0.91 * W + dx, y1: (top + 0.11 * H).min(0.93 * H) };
    portrait::signature(sheet, dice, extent, [14.0, 14.0, 20.0]);
}
