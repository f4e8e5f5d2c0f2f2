//! The catalogue of checks: code, category, and the sentences for the customer and the officer in both languages.
//!
//! The customer's sentences say what to do and never voice a suspicion; the officer's say what was found.

use super::{Category, CheckCode, Outcome, Sentence};

/// What the catalogue holds for one check.
struct Entry {
    category: Category,
    customer: Sentence,
    officer: Sentence,
    passed: Sentence,
    not_run: Sentence,
}

/// Builds the catalogue. Per check: category; its subject; the customer's and the officer's sentence when something is
/// wrong; each in Bahasa Indonesia and English.
macro_rules! catalogue {
    ($($code:ident: $category:ident
        ($subject_id:literal, $subject_en:literal)
        ($customer_id:literal, $customer_en:literal)
        ($officer_id:literal, $officer_en:literal);)*) => {
        /// All codes, in the order of results.
        pub(super) const ALL: &[CheckCode] = &[$(CheckCode::$code),*];

        fn entry(code: CheckCode) -> Entry {
            match code {
                $(CheckCode::$code => Entry {
                    category: Category::$category,
                    customer: Sentence { id: $customer_id, en: $customer_en },
                    officer: Sentence { id: $officer_id, en: $officer_en },
                    passed: Sentence {
                        id: concat!("Sesuai: ", $subject_id, "."),
                        en: concat!("In order: ", $subject_en, "."),
                    },
                    not_run: Sentence {
                        id: concat!("Tidak dapat diperiksa: ", $subject_id, "."),
                        en: concat!("Could not be checked: ", $subject_en, "."),
                    },
                },)*
            }
        }
    };
}

pub(super) fn category(code: CheckCode) -> Category {
    entry(code).category
}

/// The customer's and the officer's sentence.
pub(super) fn sentences(code: CheckCode, outcome: Outcome) -> (Sentence, Sentence) {
    const NOTHING_TO_DO: Sentence =
        Sentence { id: "Tidak ada yang perlu Anda lakukan.", en: "There is nothing you need to do." };
    const CLEARER_PHOTO: Sentence = Sentence {
        id: "Bagian ini belum terbaca. Foto yang lebih jelas akan membantu.",
        en: "We could not read this part. A clearer photo would help.",
    };
    let entry = entry(code);
    match outcome {
        Outcome::Pass => (NOTHING_TO_DO, entry.passed),
        Outcome::Warn | Outcome::Fail => (entry.customer, entry.officer),
        Outcome::NotRun => (CLEARER_PHOTO, entry.not_run),
    }
}

catalogue! {
    DocumentType: Fraud
        ("jenis dokumen", "kind of document")
        ("Foto ini tidak menampilkan KTP atau kartu NPWP. Kirim foto kartu aslinya.",
         "This photo does not show a KTP or NPWP card. Please send a photo of the card itself.")
        ("Tidak ada ciri KTP atau kartu NPWP yang cukup pada gambar.",
         "The picture does not show enough of what makes a KTP or NPWP card.");
    DeclaredType: Fraud
        ("jenis yang dinyatakan", "declared kind")
        ("Kartu pada foto bukan jenis yang Anda pilih. Kirim foto kartu yang diminta.",
         "The card in the photo is not the kind you chose. Please send a photo of the card asked for.")
        ("Kartu pada gambar berbeda dari jenis yang dinyatakan saat unggah.",
         "The card in the picture is not of the kind declared at upload.");
    TypedForm: Fraud
        ("tata letak kartu", "layout of the card")
        ("Foto ini tidak menampilkan kartu asli. Kirim foto kartu aslinya.",
         "This photo does not show the original card. Please send a photo of the card itself.")
        ("Label tersusun seperti formulir yang diketik, bukan seperti cetakan KTP.",
         "The labels are set out like a typed form, not as a KTP is printed.");
    SeveralCards: Quality
        ("satu kartu dalam foto", "one card in the photo")
        ("Ada lebih dari satu kartu pada foto. Kirim foto dengan satu kartu saja.",
         "There is more than one card in the photo. Please send a photo with one card only.")
        ("Terbaca dua kartu sejenis pada satu gambar; periksa kartu mana yang dimaksud.",
         "Two cards of a kind were read in one picture; see which one is meant.");
    CardLayout: Semantic
        ("susunan baris kartu", "order of the card's rows")
        ("Kami perlu memeriksa kartu Anda lebih lanjut.",
         "We need to look at your card more closely.")
        ("Susunan baris tidak dikenal pasti; bandingkan nama dan alamat dengan gambar.",
         "The order of the rows is not known for sure; compare name and address with the picture.");
    Overprint: Fraud
        ("tidak ada tulisan tambahan", "no overprint")
        ("Ada tulisan lain di atas kartu. Kirim foto kartu tanpa tulisan tambahan.",
         "There is other writing across the card. Please send a photo of the card without it.")
        ("Ada tulisan melintang atau kata seperti SPECIMEN atau CONTOH di atas kartu.",
         "There is writing across the card, or a word such as SPECIMEN or CONTOH.");
    Photocopy: Fraud
        ("kartu berwarna", "card in colour")
        ("Foto tampak tanpa warna. Kirim foto berwarna dari kartu aslinya.",
         "The photo has no colour. Please send a colour photo of the card itself.")
        ("Gambar hampir tanpa warna: fotokopi atau pemindaian abu-abu.",
         "The picture has hardly any colour: a photocopy or a grey scan.");
    Screen: Fraud
        ("bukan foto layar", "not a photo of a screen")
        ("Foto tampak diambil dari layar. Foto langsung kartu aslinya.",
         "The photo seems to be taken from a screen. Please photograph the card itself.")
        ("Pola garis berulang, atau kartu bersinar di tengah gelap, seperti pada foto layar.",
         "There is a repeating pattern, or the card shines in the dark, as in a photo of a screen.");
    Mirrored: Quality
        ("gambar tidak tercermin", "picture not mirrored")
        ("Foto tercermin. Matikan mode cermin atau pakai kamera belakang, lalu foto ulang.",
         "The photo is mirrored. Please turn mirroring off or use the rear camera, and retake it.")
        ("Gambar tercermin, seperti dari kamera depan.",
         "The picture is mirrored, as by a front camera.");
    CardComplete: Quality
        ("kartu utuh dalam foto", "whole card in the photo")
        ("Sebagian kartu berada di luar foto. Foto ulang dengan seluruh kartu terlihat.",
         "Part of the card is outside the photo. Please retake it with the whole card in view.")
        ("Sebagian kartu terpotong oleh tepi foto.",
         "Part of the card is cut off by the edge of the photo.");
    Resolution: Quality
        ("resolusi", "resolution")
        ("Kartu terlalu kecil pada foto. Dekatkan kamera, lalu foto ulang.",
         "The card is too small in the photo. Please move closer and retake it.")
        ("Kartu hanya menempati sedikit piksel.",
         "The card covers few pixels.");
    Sharpness: Quality
        ("ketajaman", "sharpness")
        ("Foto kabur. Tahan kamera dengan stabil, lalu foto ulang.",
         "The photo is blurred. Please hold the camera still and retake it.")
        ("Gambar kabur atau goyang.",
         "The picture is out of focus or shaken.");
    Glare: Quality
        ("tanpa silau", "no glare")
        ("Ada pantulan cahaya pada kartu. Miringkan kartu sedikit, lalu foto ulang.",
         "Light reflects from the card. Please tilt the card a little and retake the photo.")
        ("Pantulan cahaya menutupi sebagian kartu.",
         "A reflection covers part of the card.");
    Darkness: Quality
        ("pencahayaan", "lighting")
        ("Foto terlalu gelap. Foto ulang di tempat yang lebih terang.",
         "The photo is too dark. Please retake it in better light.")
        ("Gambar terlalu gelap atau kontrasnya terlalu rendah.",
         "The picture is too dark or has too little contrast.");
    Legibility: Quality
        ("keterbacaan", "legibility")
        ("Banyak tulisan pada kartu tidak terbaca. Foto ulang dengan lebih jelas.",
         "Much of the card cannot be read. Please retake the photo more clearly.")
        ("Kurang dari separuh isi kartu terbaca dengan yakin.",
         "Less than half of the card's fields were read with confidence.");
    RequiredFields: Semantic
        ("kelengkapan isian", "completeness")
        ("Ada bagian kartu yang tidak terbaca. Foto ulang dengan seluruh tulisan terlihat jelas.",
         "Some parts of the card could not be read. Please retake the photo with all writing clearly visible.")
        ("Isian wajib tidak terbaca.",
         "Required fields were not read.");
    FieldConfidence: Semantic
        ("keyakinan bacaan", "confidence of the reading")
        ("Ada bagian kartu yang kurang jelas. Foto yang lebih tajam akan membantu.",
         "Some parts of the card are unclear. A sharper photo would help.")
        ("Isian penting dibaca dengan keyakinan di bawah batas.",
         "Important fields were read with a confidence below the threshold.");
    NumberRepaired: Semantic
        ("angka terbaca tanpa koreksi", "numbers read without correction")
        ("Angka pada kartu kurang jelas. Foto yang lebih tajam akan membantu.",
         "A number on the card is unclear. A sharper photo would help.")
        ("Satu angka dikoreksi berdasarkan isian lain; bandingkan dengan gambar.",
         "A digit was corrected from other fields; compare it with the picture.");
    NumberOfZeros: Semantic
        ("nomor bukan nol semua", "number not of zeros")
        ("Kami perlu memeriksa nomor pada kartu Anda lebih lanjut.",
         "We need to look at the number on your card more closely.")
        ("Nomor hanya berisi nol; nomor seperti itu tidak pernah diberikan.",
         "The number consists of zeros; such a number is never given.");
    CitizenAbroad: Semantic
        ("nomor penduduk di dalam negeri", "number of a resident")
        ("Kami perlu memeriksa nomor pada kartu Anda lebih lanjut.",
         "We need to look at the number on your card more closely.")
        ("Nomor berawalan 99: nomor identitas tunggal (NIT) warga negara di luar negeri, bukan NIK.",
         "The number begins with 99: the number (NIT) of a citizen who lives abroad, not a NIK.");
    NikFormat: Semantic
        ("format NIK", "NIK format")
        ("NIK tidak terbaca lengkap. Pastikan ke-16 angka NIK terlihat jelas.",
         "The NIK was not read in full. Please make sure all its 16 digits are clearly visible.")
        ("NIK tidak terdiri atas 16 angka.",
         "The NIK does not have 16 digits.");
    NikProvince: Semantic
        ("kode provinsi NIK", "province code of the NIK")
        ("Kami perlu memeriksa NIK Anda lebih lanjut.",
         "We need to look at your NIK more closely.")
        ("Dua angka pertama NIK bukan kode provinsi yang dikenal.",
         "The first two digits of the NIK are no known province code.");
    NikRegion: Semantic
        ("kode wilayah NIK", "region code of the NIK")
        ("Kami perlu memeriksa NIK Anda lebih lanjut.",
         "We need to look at your NIK more closely.")
        ("Kode kabupaten/kota atau kecamatan dalam NIK tidak ada di daftar, juga tidak di daftar lama.",
         "The regency or district code in the NIK is in no list, current or retired.");
    NikBirthDate: Semantic
        ("tanggal lahir dalam NIK", "birth date in the NIK")
        ("Kami perlu memeriksa NIK Anda lebih lanjut.",
         "We need to look at your NIK more closely.")
        ("Angka 7-12 NIK bukan tanggal yang ada.",
         "Digits 7 to 12 of the NIK are not a date that exists.");
    NikSerial: Semantic
        ("nomor urut NIK", "serial number of the NIK")
        ("Kami perlu memeriksa NIK Anda lebih lanjut.",
         "We need to look at your NIK more closely.")
        ("Nomor urut NIK 0000 tidak pernah diberikan.",
         "The serial number 0000 is never given.");
    NikMatchesBirthDate: Semantic
        ("NIK dan tanggal lahir", "NIK and birth date")
        ("Kami perlu memeriksa data kartu Anda lebih lanjut.",
         "We need to look at your card's data more closely.")
        ("Tanggal lahir dalam NIK berbeda dari yang tercetak. Bisa sah, tetapi harus diperiksa.",
         "The birth date in the NIK differs from the printed one. That can be lawful but must be looked at.");
    BirthDateCorrected: Semantic
        ("tanggal lahir tidak dibetulkan", "birth date not corrected")
        ("Kami perlu memeriksa data kartu Anda lebih lanjut.",
         "We need to look at your card's data more closely.")
        ("Tanggal lahir tercetak berbeda satu bagian dari NIK, seperti setelah pembetulan yang sah; NIK tidak ikut berubah.",
         "The printed birth date differs from the NIK in one part, as after a lawful correction, which leaves the NIK as it was.");
    NikMatchesGender: Semantic
        ("NIK dan jenis kelamin", "NIK and sex")
        ("Kami perlu memeriksa data kartu Anda lebih lanjut.",
         "We need to look at your card's data more closely.")
        ("Jenis kelamin dalam NIK berbeda dari yang tercetak.",
         "The sex in the NIK differs from the printed one.");
    NikMatchesRegion: Semantic
        ("NIK dan wilayah tercetak", "NIK and printed region")
        ("Tidak ada yang perlu Anda lakukan.", "There is nothing you need to do.")
        ("Wilayah dalam NIK berbeda dari yang tercetak; wajar setelah pindah atau pemekaran.",
         "The region in the NIK differs from the printed one; usual after moving or when regions were split.");
    BirthDate: Semantic
        ("tanggal lahir", "birth date")
        ("Tanggal lahir tidak terbaca dengan benar. Foto ulang dengan lebih jelas.",
         "The birth date was not read properly. Please retake the photo more clearly.")
        ("Tanggal lahir tercetak ada di masa depan atau lebih dari 120 tahun lalu.",
         "The printed birth date lies in the future or more than 120 years back.");
    Age: Semantic
        ("usia pemegang kartu", "age of the holder")
        ("Kami perlu memeriksa data kartu Anda lebih lanjut.",
         "We need to look at your card's data more closely.")
        ("Pemegang kartu di bawah usia minimum dan belum kawin.",
         "The holder is below the minimum age and not married.");
    Validity: Semantic
        ("masa berlaku", "validity")
        ("Masa berlaku kartu perlu kami periksa.",
         "We need to look at your card's period of validity.")
        ("Kartu WNA sudah lewat masa berlakunya, atau masa berlakunya tidak wajar.",
         "A foreigner's card is past its date, or the date makes no sense.");
    Vocabulary: Semantic
        ("isian baku", "fields with fixed values")
        ("Ada isian yang kurang jelas. Foto yang lebih tajam akan membantu.",
         "Some fields are unclear. A sharper photo would help.")
        ("Isian berisi kata di luar daftar baku.",
         "A field holds a word outside its list.");
    RegionNames: Semantic
        ("nama wilayah", "names of regions")
        ("Nama wilayah kurang jelas. Foto yang lebih tajam akan membantu.",
         "The names of regions are unclear. A sharper photo would help.")
        ("Provinsi, kabupaten/kota, dan kecamatan tercetak tidak cocok dengan daftar wilayah.",
         "The printed province, regency and district do not fit the table of regions.");
    NpwpFormat: Semantic
        ("format NPWP", "NPWP format")
        ("Nomor NPWP tidak terbaca lengkap. Pastikan semua angkanya terlihat jelas.",
         "The NPWP number was not read in full. Please make sure all its digits are clearly visible.")
        ("NPWP tidak terdiri atas 15 angka, atau NPWP16 tidak terdiri atas 16 angka.",
         "The NPWP does not have 15 digits, or the NPWP16 not 16.");
    NpwpCheckDigit: Semantic
        ("angka pemeriksa NPWP", "check digit of the NPWP")
        ("Kami perlu memeriksa nomor NPWP Anda lebih lanjut.",
         "We need to look at your NPWP number more closely.")
        ("Angka pemeriksa NPWP (Luhn) tidak cocok: salah baca atau bukan nomor sah.",
         "The check digit of the NPWP (Luhn) does not fit: misread, or not a valid number.");
    Npwp16Matches: Semantic
        ("NPWP16 dan nomor lain pada kartu", "NPWP16 and the card's other numbers")
        ("Kami perlu memeriksa nomor pada kartu Anda lebih lanjut.",
         "We need to look at the numbers on your card more closely.")
        ("NPWP16 tidak sama dengan NIK, NPWP lama, atau NITKU pada kartu yang sama.",
         "The NPWP16 is not the NIK, old NPWP or NITKU printed on the same card.");
    SpouseNumber: Semantic
        ("nomor satu orang", "numbers of one person")
        ("Kami perlu memeriksa nomor pada kartu Anda lebih lanjut.",
         "We need to look at the numbers on your card more closely.")
        ("NIK seorang istri di samping NPWP suaminya, seperti pada NPWP gabungan; periksa nama pemegang.",
         "A wife's NIK stands beside her husband's NPWP, as where spouses are taxed together; see whose name it is.");
    RegisteredDate: Semantic
        ("tanggal terdaftar", "date of registration")
        ("Tanggal terdaftar tidak terbaca dengan benar. Foto ulang dengan lebih jelas.",
         "The date of registration was not read properly. Please retake the photo more clearly.")
        ("Tanggal terdaftar ada di masa depan atau sebelum NPWP ada.",
         "The date of registration lies in the future or before there were NPWP numbers.");
    SecondReading: System
        ("bacaan kedua", "second reading")
        ("Tidak ada yang perlu Anda lakukan.", "There is nothing you need to do.")
        ("Bagian yang kurang jelas tidak dibaca ulang.",
         "Unclear parts were not read a second time.");
}
