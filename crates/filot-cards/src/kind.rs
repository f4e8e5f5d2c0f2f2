//! Which card is it?
//!
//! The words on it say so. Evidence is counted in points: the header lines and the labels that only this card carries
//! weigh more than words like `Nama` that many papers carry. Three answers per card: clearly, partly (a poor photo of it,
//! or something that shares some words), not at all.

use filot_ocr::page::{Framing, Page, Quality};
use serde::{Deserialize, Serialize};

use crate::confusion;
use crate::field::FieldKey;
use crate::ktp::align::Sheet as KtpSheet;
use crate::ktp::template::Slot;
use crate::layout::is_level;
use crate::npwp_card::parse::Sheet as NpwpSheet;
use crate::span::{Span, first};

/// What the customer says the photo shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclaredType {
    Ktp,
    Npwp,
    /// Nothing declared: find out.
    #[default]
    Auto,
}

impl DeclaredType {
    /// The document it names.
    pub fn document(self) -> Option<DocumentType> {
        match self {
            Self::Ktp => Some(DocumentType::Ktp),
            Self::Npwp => Some(DocumentType::Npwp),
            Self::Auto => None,
        }
    }
}

/// What the photo shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DocumentType {
    #[serde(rename = "KTP")]
    Ktp,
    #[serde(rename = "NPWP")]
    Npwp,
    #[serde(rename = "OTHER")]
    Other,
}

/// How strongly the text speaks for a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    None,
    Partial,
    Clear,
}

/// A label counts from this similarity on.
const LABEL: f32 = 0.75;
const PARTIAL: f32 = 1.5;
const KTP_CLEAR: f32 = 6.0;
const NPWP_CLEAR: f32 = 4.0;
/// Text of a photo is sharp if it has so many letters in lines of this confidence.
const SHARP_LETTERS: usize = 50;
const SHARP_CONFIDENCE: f32 = 0.9;

/// Titles of other documents.
const OTHER_TITLES: [&str; 24] = [
    "KARTU INDONESIA SEHAT",
    "BPJS KESEHATAN",
    "BPJS KETENAGAKERJAAN",
    "SURAT IZIN MENGEMUDI",
    "DRIVING LICENSE",
    "DRIVING LICENCE",
    "KARTU KELUARGA",
    "KARTU IDENTITAS ANAK",
    "KARTU TANDA MAHASISWA",
    "KARTU MAHASISWA",
    "KARTU PELAJAR",
    "KARTU TANDA ANGGOTA",
    "KARTU PEGAWAI",
    "KARTU INDONESIA PINTAR",
    "KARTU KELUARGA SEJAHTERA",
    "REPUBLIK INDONESIA PASPOR",
    "PASSPORT",
    "SURAT TANDA NOMOR KENDARAAN",
    "SURAT KETERANGAN",
    "SURAT PERNYATAAN",
    "FORMULIR",
    "STRUK PEMBELIAN",
    "KARTU ATM",
    "Faskes Tingkat",
];

/// What the text says about the kind of document.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    ktp: f32,
    /// Points from words that only a KTP carries.
    ktp_own: f32,
    npwp: f32,
    npwp_own: f32,
    /// Laid out as somebody types a form, not as the card is printed.
    pub(crate) typed_form: bool,
    /// The title of another document was read.
    pub(crate) other_title: Option<&'static str>,
    /// Much text was read sharply that neither card accounts for.
    foreign_text: bool,
    /// Hardly anything but a number stands on a well-lit thing.
    bare_number: bool,
    /// Nothing was read, but the picture may hold a card that is too poor to read.
    pub(crate) perhaps_unreadable: bool,
}

impl Evidence {
    pub(crate) fn new(page: &Page, ktp: &KtpSheet, npwp: &NpwpSheet) -> Self {
        let (mut ktp_points, mut ktp_own) = ktp_points(ktp);
        let (mut npwp_points, mut npwp_own) = npwp_points(npwp);
        // Text that was not straightened cannot be laid out, but its words still tell.
        let leaning = leaning_words(page);
        for (points, words) in [(&mut ktp_points, leaning.0), (&mut ktp_own, leaning.0)] {
            *points += words;
        }
        for (points, words) in [(&mut npwp_points, leaning.1), (&mut npwp_own, leaning.1)] {
            *points += words;
        }
        Self {
            ktp: ktp_points,
            ktp_own,
            npwp: npwp_points,
            npwp_own,
            typed_form: typed_form(ktp),
            other_title: other_title(page),
            foreign_text: foreign_text(page, ktp, npwp),
            bare_number: bare_number(page),
            perhaps_unreadable: perhaps_unreadable(page),
        }
    }

    /// Whether nothing that was read makes a document of another kind.
    pub(crate) fn is_nonsense(&self) -> bool {
        !self.typed_form && self.other_title.is_none() && !self.foreign_text && !self.bare_number
    }

    /// How strongly the text speaks for `document`; never for [`DocumentType::Other`].
    pub(crate) fn strength(&self, document: DocumentType) -> Strength {
        let (points, own, clear) = match document {
            DocumentType::Ktp => (self.ktp, self.ktp_own, KTP_CLEAR),
            DocumentType::Npwp => (self.npwp, self.npwp_own, NPWP_CLEAR),
            DocumentType::Other => return Strength::None,
        };
        let another = self.other_title.is_some() && own < 4.0
            || self.typed_form && (document == DocumentType::Ktp || own < 4.0)
            || (self.foreign_text || self.bare_number) && own < 1.0;
        match points {
            _ if another => Strength::None,
            points if points >= clear => Strength::Clear,
            points if points >= PARTIAL => Strength::Partial,
            _ => Strength::None,
        }
    }

    /// The card that the text speaks for most; what was declared breaks ties.
    pub(crate) fn document_type(&self, declared: DeclaredType) -> DocumentType {
        let (ktp, npwp) = (self.strength(DocumentType::Ktp), self.strength(DocumentType::Npwp));
        if ktp.max(npwp) == Strength::None {
            return DocumentType::Other;
        }
        if ktp.max(npwp) == Strength::Partial
            && self.ktp_own.max(self.npwp_own) == 0.0
            && let Some(declared) = declared.document()
        {
            // Sixteen digits and the like stand on either card.
            return declared;
        }
        let (ktp, npwp) = ((ktp, self.ktp / KTP_CLEAR), (npwp, self.npwp / NPWP_CLEAR));
        if ktp.0 == npwp.0 && (ktp.1 - npwp.1).abs() < 0.25 {
            return declared.document().unwrap_or(DocumentType::Ktp);
        }
        if ktp > npwp { DocumentType::Ktp } else { DocumentType::Npwp }
    }
}

fn ktp_points(sheet: &KtpSheet) -> (f32, f32) {
    let mut all = 0.0;
    let mut own = 0.0;
    let province = sheet.placed.iter().any(|placed| placed.slot == Slot::Province && placed.label >= LABEL);
    for placed in sheet.placed.iter().filter(|placed| !placed.continued) {
        let labelled = placed.label >= LABEL;
        let (points, only_here) = match placed.slot {
            Slot::Province if labelled && !placed.colon => (2.0, true),
            // KABUPATEN or KOTA alone stands on many papers.
            Slot::Regency if labelled && !placed.colon && province => (1.5, true),
            Slot::Regency if labelled => (0.5, false),
            Slot::Province | Slot::Regency => (0.0, false),
            Slot::Nik => {
                let digits = placed.value.glyphs.iter().filter(|glyph| first(glyph).is_ascii_digit()).count();
                let points = match (labelled, digits) {
                    (true, 12..) => 1.5,
                    (false, 14..) => 1.0,
                    (true, _) => 0.5,
                    (false, _) => 0.0,
                };
                (points, false)
            }
            Slot::Name | Slot::Address | Slot::Religion | Slot::Occupation | Slot::District if labelled => {
                (0.5, false)
            }
            Slot::Birth
            | Slot::Gender
            | Slot::RtRw
            | Slot::Village
            | Slot::MaritalStatus
            | Slot::Nationality
            | Slot::ValidUntil
                if labelled =>
            {
                (1.0, true)
            }
            // The label is illegible, but the value is one that this row holds.
            slot if crate::ktp::parse::plausibility(slot, &placed.value) >= 2.0 => (0.5, true),
            _ => (0.0, false),
        };
        all += points;
        own += if only_here { points } else { 0.0 };
    }
    let blood = if sheet.blood_label { 1.0 } else { 0.0 };
    (all + blood, own + blood)
}

/// Points for words of the KTP's and the NPWP card's own in lines that lean; never enough to be clear.
fn leaning_words(page: &Page) -> (f32, f32) {
    const KTP_WORDS: [&str; 9] = [
        "PROVINSI",
        "KABUPATEN",
        "Tempat/Tgl Lahir",
        "Jenis Kelamin",
        "Kecamatan",
        "Kel/Desa",
        "Status Perkawinan",
        "Kewarganegaraan",
        "Berlaku Hingga",
    ];
    const NPWP_WORDS: [&str; 4] =
        ["KEMENTERIAN KEUANGAN", "DIREKTORAT JENDERAL PAJAK", "KPP PRATAMA", "www.pajak.go.id"];
    let spans: Vec<Span> =
        page.lines.iter().take(400).filter(|line| !is_level(line)).map(Span::from_line).collect();
    let count = |words: &[&str]| {
        let read =
            |word: &&&str| spans.iter().any(|span| confusion::prefix(&span.glyphs, word).similarity >= LABEL);
        words.iter().filter(read).count() as f32
    };
    (count(&KTP_WORDS).min(KTP_CLEAR - 1.0), count(&NPWP_WORDS).min(NPWP_CLEAR - 1.0))
}

fn npwp_points(sheet: &NpwpSheet) -> (f32, f32) {
    let has = |key: FieldKey| sheet.spans.contains_key(&key);
    let number = has(FieldKey::NpwpNumber) || has(FieldKey::Npwp16);
    let own = 2.0 * sheet.headers as f32
        + if number && sheet.labelled_number { 2.0 } else { 0.0 }
        + if has(FieldKey::TaxOffice) { 1.5 } else { 0.0 }
        + if sheet.website { 1.0 } else { 0.0 };
    let shared = if number && !sheet.labelled_number { 1.5 } else { 0.0 }
        + if has(FieldKey::RegisteredDate) { 0.5 } else { 0.0 };
    (own + shared, own)
}

/// Somebody typed the labels of a KTP in a list: PROVINSI is a label like the others, nothing is indented, and the
/// number takes a row like any other.
fn typed_form(sheet: &KtpSheet) -> bool {
    let of = |slot: Slot| sheet.placed.iter().find(|placed| placed.slot == slot && !placed.continued);
    let y = |slot: Slot| of(slot).map(|placed| sheet.layout.rows[placed.row].y);
    let labels = sheet.placed.iter().filter(|placed| placed.label >= LABEL).count();
    if labels < 5 {
        return false;
    }
    let listed_province = province_in_list(sheet);
    let province_as_label =
        listed_province || of(Slot::Province).is_some_and(|placed| placed.label >= LABEL && placed.colon);
    let province_at_left =
        listed_province || of(Slot::Province).and_then(|placed| placed.label_mm).is_some_and(|mm| mm < 8.0);
    let indents: Vec<f32> = [Slot::RtRw, Slot::Village, Slot::District]
        .into_iter()
        .filter_map(|slot| of(slot).filter(|placed| placed.label >= LABEL).and_then(|placed| placed.label_mm))
        .collect();
    let not_indented = indents.len() >= 2 && indents.iter().all(|mm| *mm < 4.8);
    let no_regency = of(Slot::Regency).is_none_or(|placed| placed.label < LABEL);
    let number_like_any =
        y(Slot::Nik).zip(y(Slot::Name)).is_some_and(|(nik, name)| sheet.columns.rows(name - nik) < 1.5);
    let signs = [province_as_label, province_at_left, not_indented, no_regency, number_like_any];
    let strong = province_as_label || not_indented;
    strong && signs.into_iter().filter(|sign| *sign).count() >= 3
}

/// PROVINSI stands at the left like the other labels, with a colon after it.
fn province_in_list(sheet: &KtpSheet) -> bool {
    sheet.layout.rows.iter().any(|row| {
        let Some(piece) = row.pieces.first() else { return false };
        let label = confusion::prefix(&piece.span.glyphs, "PROVINSI");
        let rest = Span::join(row.pieces.iter().map(|piece| piece.span.clone())).slice(label.end, usize::MAX);
        let colon = rest.glyphs.iter().map(first).find(|c| *c != ' ') == Some(':');
        label.similarity >= LABEL && colon && sheet.columns.mm(piece.span.rect().x0, row.y) < 8.0
    })
}

fn other_title(page: &Page) -> Option<&'static str> {
    page.lines.iter().take(120).find_map(|line| {
        let span = Span::from_line(line);
        let starts = (0..span.len()).filter(|&at| at == 0 || first(&span.glyphs[at - 1]) == ' ');
        starts
            .flat_map(|at| OTHER_TITLES.iter().map(move |title| (at, *title)))
            .filter(|(at, title)| {
                title.chars().next().is_some_and(|c| confusion::alike(first(&span.glyphs[*at]), c))
            })
            .find(|(at, title)| confusion::prefix(&span.glyphs[*at..], title).similarity >= 0.85)
            .map(|(_, title)| title)
    })
}

fn foreign_text(page: &Page, ktp: &KtpSheet, npwp: &NpwpSheet) -> bool {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).count();
    let sharp: usize = page
        .lines
        .iter()
        .filter(|line| line.confidence >= SHARP_CONFIDENCE)
        .map(|line| letters(&line.text))
        .sum();
    let by_ktp: usize = ktp
        .placed
        .iter()
        .filter(|placed| placed.label >= LABEL)
        .map(|placed| placed.value.len() + placed.slot.labels()[0].len())
        .sum();
    let by_npwp: usize = npwp.spans.values().map(Span::len).sum();
    sharp >= SHARP_LETTERS && by_ktp.max(by_npwp) * 2 < sharp
}

/// A picture that shows its one or two lines sharply, and would show the others if there were any.
fn bare_number(page: &Page) -> bool {
    const LINES: usize = 2;
    const DIGITS: usize = 14;
    let Quality { card_width_px, brightness, contrast, edge_width_px, glare, .. } = page.quality;
    let telling: Vec<_> =
        page.lines.iter().filter(|line| line.text.chars().any(|c| c.is_ascii_alphanumeric())).collect();
    let number = telling.iter().any(|line| {
        let digits = line.text.chars().filter(char::is_ascii_digit).count();
        digits >= DIGITS && line.confidence >= SHARP_CONFIDENCE
    });
    let legible = brightness > 0.4 && contrast > 0.3 && glare < 0.1 && card_width_px > 400.0;
    let sharp = edge_width_px < 0.005 * card_width_px;
    telling.len() <= LINES && number && legible && sharp
}

/// Brightness below which a picture is dim.
const DIM: f32 = 0.28;
/// Contrast of a dim picture in which neither outline nor text shows although a card may be there. Bare surfaces have
/// less; with more, a card would show.
const VEILED: std::ops::Range<f32> = 0.08..0.15;
/// Brightness, and pixels across the thing, from which on text would show.
const BRIGHT: f32 = 0.7;
const LARGE_PX: f32 = 350.0;

/// The picture is too dark, blurred or small to read, and a card's frame was found in it or could not be: better ask again
/// than reject.
fn perhaps_unreadable(page: &Page) -> bool {
    let Quality { card_width_px, brightness, contrast, glare, .. } = page.quality;
    let measured = card_width_px > 0.0;
    // A veil of light takes the contrast; a bright, large and even thing without a line of text is a photo or a wall.
    let veiled = contrast < 0.25 && !(brightness > BRIGHT && card_width_px > LARGE_PX);
    let poor = brightness < DIM || veiled || card_width_px < 250.0 || glare > 0.25;
    let framed = page.frame.framing == Framing::Card && has_card_shape(page);
    measured && (poor && framed || brightness < DIM && VEILED.contains(&contrast))
}

/// Whether the frame in the photo is about as oblong as an ID-1 card; prints of portraits are not.
fn has_card_shape(page: &Page) -> bool {
    let rect = filot_ocr::page::Rect { x0: 0.0, y0: 0.0, x1: page.frame.width, y1: page.frame.height };
    let [a, b, c, d] = page.frame.photo_quad(&rect).0;
    let side = |p: filot_ocr::page::Point, q: filot_ocr::page::Point| (p.x - q.x).hypot(p.y - q.y);
    let ratio = (side(a, b) + side(c, d)) / (side(b, c) + side(d, a));
    let ratio = if ratio < 1.0 { 1.0 / ratio } else { ratio };
    (1.42..1.80).contains(&ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use filot_ocr::page::Frame;

    #[test]
    fn a_number_alone_on_a_sharp_picture_is_no_card() {
        let seen = |brightness, text: &str| {
            let rect = filot_ocr::page::Rect { x0: 0.0, y0: 0.0, x1: 10.0, y1: 2.0 };
            let line = |text: &str| filot_ocr::page::Line {
                text: text.to_owned(),
                confidence: 0.98,
                glyphs: Vec::new(),
                rect,
                angle: 0.0,
            };
            let to_photo = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
            let frame = Frame { framing: Framing::Text, width: 800.0, height: 600.0, to_photo, turned: 0 };
            let quality = Quality {
                card_width_px: 800.0,
                brightness,
                contrast: 0.6,
                edge_width_px: 2.0,
                ..Quality::default()
            };
            bare_number(&Page { frame, lines: text.lines().map(line).collect(), quality })
        };
        assert!(seen(0.8, "NIK : 3171014501900003"));
        assert!(!seen(0.1, "NIK : 3171014501900003"), "the rest may be in the dark");
        assert!(!seen(0.8, "PROVINSI BALI\nKOTA DENPASAR\nNIK : 3171014501900003"));
        assert!(!seen(0.8, "3171 0145"));
    }

    #[test]
    fn a_picture_too_dark_to_show_an_outline_may_hold_a_card_and_a_bare_one_does_not() {
        let seen = |brightness, contrast| {
            let to_photo = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
            let frame = Frame { framing: Framing::Text, width: 800.0, height: 600.0, to_photo, turned: 0 };
            let quality = Quality { card_width_px: 800.0, brightness, contrast, ..Quality::default() };
            perhaps_unreadable(&Page { frame, lines: Vec::new(), quality })
        };
        assert!(seen(0.15, 0.10));
        assert!(!seen(0.09, 0.02), "a lens cap");
        assert!(!seen(0.60, 0.10), "a bright table");
        assert!(!seen(0.20, 0.50), "a legible picture");
    }
}
