//! Other cards that people carry.

use crate::dice::Dice;
use crate::guilloche::{self, Ground};
use crate::lettering::{Face, Style};
use crate::noise::{mix3, ramp};
use crate::portrait;
use crate::resident::{Resident, day_first};
use crate::sheet::{CARD_HEIGHT as H, CARD_WIDTH as W, Extent, Sheet};

fn colour(dice: &mut Dice, low: f32, high: f32) -> [f32; 3] {
    [dice.range(low, high), dice.range(low, high), dice.range(low, high)]
}

/// Prints `label : value` lines below each other and returns the next baseline.
fn list(
    sheet: &mut Sheet,
    x: f32,
    mut baseline: f32,
    gap: f32,
    style: &Style,
    lines: &[(&str, String)],
) -> f32 {
    for (label, value) in lines {
        let text = if label.is_empty() { value.clone() } else { format!("{label} : {value}") };
        sheet.print(x, baseline, &text, style);
        baseline += gap;
    }
    baseline
}

pub(super) fn health(dice: &mut Dice, person: &Resident, scale: f32) -> Sheet {
    let mut sheet = Sheet::card(scale, [244.0, 250.0, 244.0]);
    sheet.paint(Extent { x0: 0.0, y0: 0.0, x1: W, y1: H }, |x, y, c| {
        mix3(c, [190.0, 226.0, 190.0], ramp(20.0, 85.0, x + y * 0.5))
    });
    let green = [20.0, 130.0, 60.0];
    let title = dice.word("KARTU INDONESIA SEHAT|Kartu Indonesia Sehat|BPJS KESEHATAN");
    sheet.print(5.0, 8.5, title, &Style::new(Face::Bold, 4.2, green));
    let style = Style::new(Face::Sans, dice.range(2.0, 2.5), [30.0; 3]);
    let number: String =
        (0..13).map(|n| if n < 3 { '0' } else { char::from(b'0' + dice.int(0, 9) as u8) }).collect();
    let place = format!("{} {}", person.village, person.district.name);
    let lines = [
        ("Nomor Kartu", number),
        ("Nama", person.name.clone()),
        ("Alamat", person.address.clone()),
        ("", place),
        ("Tanggal Lahir", day_first(person.birth, '-')),
        ("NIK", person.nik.clone()),
        ("Faskes Tingkat I", (dice.word("KLINIK SEHAT|PUSKESMAS KOTA|KLINIK MEDIKA")).to_owned()),
    ];
    list(&mut sheet, 5.0, 16.0, dice.range(4.2, 5.2), &style, &lines);
    sheet
}

pub(super) fn licence(dice: &mut Dice, person: &Resident, scale: f32) -> Sheet {
    let mut sheet = Sheet::card(scale, [230.0; 3]);
    let ground = Ground {
        from: [240.0, 232.0, 214.0],
        to: [206.0, 224.0, 206.0],
        line: [200.0, 170.0, 120.0],
        strength: 0.4,
    };
    guilloche::print(&mut sheet, dice, &ground);
    let ink = [24.0, 24.0, 30.0];
    sheet.print_centred(
        W / 2.0 + 6.0,
        6.5,
        "KEPOLISIAN NEGARA REPUBLIK INDONESIA",
        &Style::new(Face::Bold, 2.6, ink),
    );
    sheet.print_centred(
        W / 2.0 + 6.0,
        10.5,
        "SURAT IZIN MENGEMUDI",
        &Style::new(Face::Bold, 3.0, [150.0, 20.0, 20.0]),
    );
    sheet.print(6.0, 10.0, dice.word("A|C|B I"), &Style::new(Face::Bold, 8.0, [150.0, 20.0, 20.0]));
    let photo = Extent { x0: 5.0, y0: 16.0, x1: 24.0, y1: 41.0 };
    portrait::photo(&mut sheet, &mut dice.branch(1), photo, person.female, [190.0, 40.0, 40.0]);
    let style = Style::new(Face::Sans, 2.2, ink);
    let lines = [
        ("1. Nama", person.name.clone()),
        ("2. Tempat/Tgl Lahir", format!("{}, {}", person.birth_place, day_first(person.birth, '-'))),
        (
            "3. Gol. Darah / Jenis Kelamin",
            if person.female { "- / WANITA".into() } else { "O / PRIA".into() },
        ),
        ("4. Alamat", person.address.clone()),
        ("", format!("   {} {}", person.village, person.district.name)),
        ("5. Pekerjaan", person.occupation.clone()),
        ("6. Berlaku s/d", day_first(person.issued, '-')),
        (
            "No. SIM",
            format!("{:04}-{:04}-{:06}", dice.int(1000, 9999), dice.int(1000, 9999), dice.int(1, 999_999)),
        ),
    ];
    list(&mut sheet, 27.0, 17.0, 4.1, &style, &lines);
    sheet
}

pub(super) fn student(dice: &mut Dice, person: &Resident, scale: f32) -> Sheet {
    let paper = colour(dice, 210.0, 250.0);
    let mut sheet = Sheet::card(scale, paper);
    let band = colour(dice, 20.0, 140.0);
    sheet.fill(Extent { x0: 0.0, y0: 0.0, x1: W, y1: 13.0 }, band);
    let school =
        format!("{} {}", dice.word("UNIVERSITAS|SMA NEGERI 3|POLITEKNIK"), person.district.regency_place());
    sheet.print_centred(W / 2.0, 6.0, &school, &Style::new(Face::Bold, 3.4, [250.0; 3]));
    let title = dice.word("KARTU TANDA MAHASISWA|KARTU PELAJAR");
    sheet.print_centred(W / 2.0, 10.8, title, &Style::new(Face::Sans, 2.8, [250.0; 3]));
    let photo = Extent { x0: 63.0, y0: 17.0, x1: 81.0, y1: 41.0 };
    portrait::photo(&mut sheet, &mut dice.branch(1), photo, person.female, [60.0, 110.0, 190.0]);
    let style = Style::new(Face::Sans, 2.5, [20.0; 3]);
    let lines = [
        ("NIM", format!("{}{:06}", dice.int(2015, 2024), dice.int(1, 99_999))),
        ("Nama", person.name.chars().take(28).collect()),
        ("Tempat Lahir", person.birth_place.clone()),
        ("Tanggal Lahir", day_first(person.birth, '-')),
        ("Jurusan", (dice.word("TEKNIK INFORMATIKA|IPA|AKUNTANSI")).to_owned()),
        ("Alamat", person.address.chars().take(26).collect()),
    ];
    list(&mut sheet, 5.0, 20.0, 4.8, &style, &lines);
    sheet
}

pub(super) fn business(dice: &mut Dice, person: &Resident, scale: f32, [width, height]: [f32; 2]) -> Sheet {
    let paper = colour(dice, 225.0, 254.0);
    let mut sheet = Sheet::new(width, height, 0.0, scale, paper);
    let accent = colour(dice, 10.0, 170.0);
    sheet.fill(Extent { x0: 0.0, y0: height - 4.0, x1: width, y1: height }, accent);
    let face = *dice.pick(&[Face::Sans, Face::Serif]);
    sheet.print(8.0, 14.0, &person.name, &Style::new(Face::Bold, 4.0, accent));
    sheet.print(
        8.0,
        19.0,
        dice.word("Sales Manager|Direktur Utama|Konsultan Pajak"),
        &Style::new(face, 2.8, [70.0; 3]),
    );
    let style = Style::new(face, 2.5, [40.0; 3]);
    let lines = [
        ("", person.address.clone()),
        ("", person.district.regency.clone()),
        ("HP", format!("08{}-{:04}-{:04}", dice.int(11, 89), dice.int(0, 9999), dice.int(0, 9999))),
        ("Email", "halo@contoh.co.id".to_owned()),
    ];
    list(&mut sheet, 8.0, 31.0, 4.4, &style, &lines);
    sheet
}

pub(super) fn nik_only(dice: &mut Dice, person: &Resident, scale: f32) -> Sheet {
    let paper = *dice.pick(&[[250.0, 250.0, 250.0], [180.0, 212.0, 232.0], [240.0, 236.0, 200.0]]);
    let mut sheet = Sheet::card(scale, paper);
    let face = *dice.pick(&[Face::Ocr, Face::Sans, Face::Mono, Face::Serif]);
    let text = if dice.chance(0.5) { format!("NIK : {}", person.nik) } else { person.nik.clone() };
    let style = Style::new(face, dice.range(3.2, 5.0), [20.0; 3]);
    let baseline = H * dice.range(0.25, 0.75);
    sheet.print_centred(W / 2.0, baseline, &text, &style);
    sheet
}
