//! Papers that people upload.

use crate::dice::Dice;
use crate::ktp;
use crate::lettering::{Face, Style};
use crate::resident::Resident;
use crate::sheet::Sheet;

pub(super) fn receipt(dice: &mut Dice, scale: f32, [width, height]: [f32; 2]) -> Sheet {
    let mut sheet = Sheet::new(width, height, 0.0, scale, [246.0, 246.0, 240.0]);
    let style = Style::new(Face::Mono, width / 24.0, [40.0; 3]);
    let mut baseline = 8.0;
    let shop = dice.word("TOKO SUMBER JAYA|MINIMARKET BERKAH|APOTEK SEHAT|SPBU 34.16");
    sheet.print_centred(width / 2.0, baseline, shop, &style);
    baseline += 10.0;
    let mut total = 0;
    while baseline < height - 26.0 {
        let item = dice
            .word("BERAS 5KG|MINYAK 1L|GULA PASIR|TELUR 1KG|KOPI SACHET|SABUN MANDI|MIE INSTAN|AIR MINERAL");
        let price = dice.int(12, 900) * 100;
        total += price;
        sheet.print(4.0, baseline, &format!("{item:<14}{price:>9}"), &style);
        baseline += style.em * 1.5;
    }
    sheet.print(4.0, baseline + 4.0, &format!("{:<14}{total:>9}", "TOTAL"), &style);
    sheet.print(
        4.0,
        baseline + 10.0,
        &format!("{:<14}{:>9}", "TUNAI", total.div_ceil(50_000) * 50_000),
        &style,
    );
    sheet.print_centred(width / 2.0, height - 6.0, "TERIMA KASIH", &style);
    sheet
}

/// All that a KTP says, but typed on paper.
pub(super) fn form(dice: &mut Dice, person: &Resident, scale: f32, [width, height]: [f32; 2]) -> Sheet {
    let light = dice.range(236.0, 254.0);
    let mut sheet = Sheet::new(width, height, 0.0, scale, [light; 3]);
    let face = *dice.pick(&[Face::Serif, Face::Mono, Face::Sans]);
    let row = height / 20.0;
    let narrow = if face == Face::Mono { 0.52 } else { 0.68 };
    let style = Style::new(face, row * narrow, [25.0; 3]);
    if dice.chance(0.4) {
        let title = dice.word("FORMULIR DATA PENDUDUK|SURAT KETERANGAN|BIODATA");
        sheet.print_centred(width / 2.0, row * 2.0, title, &Style { face, em: row * 0.9, ..style });
    }
    let labels = [
        ("PROVINSI", "provinsi"),
        ("NIK", "nik"),
        ("Nama", "nama"),
        ("Tempat/Tgl Lahir", "tempat_lahir"),
        ("Jenis Kelamin", "jenis_kelamin"),
        ("Alamat", "alamat"),
        ("RT/RW", "rt_rw"),
        ("Kel/Desa", "kel_desa"),
        ("Kecamatan", "kecamatan"),
        ("Agama", "agama"),
        ("Status Perkawinan", "status_perkawinan"),
        ("Pekerjaan", "pekerjaan"),
        ("Kewarganegaraan", "kewarganegaraan"),
        ("Berlaku Hingga", "berlaku_hingga"),
    ];
    let fields = ktp::fields(person);
    for (n, (label, field)) in labels.iter().enumerate() {
        let baseline = row * (4.2 + n as f32 * 1.05);
        let mut value = fields[*field].clone();
        if *field == "tempat_lahir" {
            value = format!("{value}, {}", fields["tanggal_lahir"]);
        }
        sheet.print(width * 0.06, baseline, label, &style);
        sheet.print(width * 0.38, baseline, &format!(": {value}"), &style);
    }
    sheet
}
