//! Pages of a PDF.

use filot_testkit::Case;

use crate::bombs::page_of_many_strokes;
use crate::program::{Ended, filot, finish, run_with};

/// A PDF with the given objects; number 1 is the catalogue.
pub(crate) fn document(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (i, object) in objects.iter().enumerate() {
        places.push(bytes.len());
        bytes.extend_from_slice(format!("{} 0 obj\n", i + 1).as_bytes());
        bytes.extend_from_slice(object);
        bytes.extend_from_slice(b"\nendobj\n");
    }
    let table = bytes.len();
    bytes.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).as_bytes());
    for place in places {
        bytes.extend_from_slice(format!("{place:010} 00000 n \n").as_bytes());
    }
    let tail = format!("trailer\n<</Size {}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    bytes.extend_from_slice(tail.as_bytes());
    bytes
}

pub(crate) fn stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let mut object = format!("<<{dictionary}/Length {}>>\nstream\n", content.len()).into_bytes();
    object.extend_from_slice(content);
    object.extend_from_slice(b"\nendstream");
    object
}

/// An A4 page with a JPEG picture of the given size laid on it, 400 points wide.
fn page_with_picture(jpeg: &[u8], width: u32, height: u32) -> Vec<u8> {
    picture_behind(0, jpeg, width, height)
}

/// The same behind so many pages of a letter.
fn picture_behind(letters: usize, jpeg: &[u8], width: u32, height: u32) -> Vec<u8> {
    let tall = 400.0 * f64::from(height) / f64::from(width);
    let content = format!("q 400 0 0 {tall:.2} 90 300 cm /P Do Q");
    let picture = format!(
        "/Type/XObject/Subtype/Image/Width {width}/Height {height}/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
    );
    let kids: String = (0..letters).map(|n| format!("{} 0 R ", 7 + n)).collect();
    let letter = "BT /F 16 Tf 60 700 Td (Dengan hormat, bersama surat ini kami lampirkan) Tj 0 -30 Td (salinan kartu.) Tj ET";
    let page =
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F<</Type/Font/Subtype/Type1\
        /BaseFont/Helvetica>>>>>>/Contents 6 0 R>>";
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        format!("<</Type/Pages/Count {}/Kids[{kids}3 0 R]>>", letters + 1).into_bytes(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</P 4 0 R>>>>/Contents 5 0 R>>"
            .to_vec(),
        stream(&picture, jpeg),
        stream("", content.as_bytes()),
        stream("", letter.as_bytes()),
    ];
    objects.extend(std::iter::repeat_n(page.to_vec(), letters));
    document(&objects)
}

fn scan(bytes: &[u8]) -> Ended {
    run_with(bytes, ["scan", "-"])
}

#[test]
fn a_card_on_a_page_is_read() {
    let sample = Case::ktp().long_side(1280).draw(5);
    let size = image::load_from_memory(&sample.jpeg).unwrap();
    let ended = scan(&page_with_picture(&sample.jpeg, size.width(), size.height()));
    let record = ended.json();
    assert_eq!(record["fields"]["nik"]["value"], sample.truth.fields["nik"].as_str(), "{record}");
}

#[test]
fn a_card_behind_a_cover_sheet_is_read_and_its_page_told() {
    let sample = Case::ktp().long_side(1024).draw(5);
    let size = image::load_from_memory(&sample.jpeg).unwrap();
    let (width, height) = (size.width(), size.height());
    for letters in [1, 3] {
        let bytes = picture_behind(letters, &sample.jpeg, width, height);
        let record = run_with(&bytes, ["scan", "--type", "ktp", "-"]).json();
        assert_eq!(record["page"], letters + 1);
        assert_eq!(record["fields"]["nik"]["value"], sample.truth.fields["nik"].as_str(), "{record}");
    }
    // Where none of the first pages shows a card it is the first that is told of.
    let record = scan(&picture_behind(4, &sample.jpeg, width, height)).json();
    assert_eq!((record["page"].as_u64(), &record["type"]), (Some(1), &"OTHER".into()));
}

#[test]
fn a_pdf_that_broke_off_is_no_empty_page() {
    let sample = Case::ktp().long_side(1024).draw(5);
    let size = image::load_from_memory(&sample.jpeg).unwrap();
    let whole = page_with_picture(&sample.jpeg, size.width(), size.height());
    for share in [60, 90, 99] {
        let ended = scan(&whole[..whole.len() * share / 100]);
        assert_eq!(ended.status, 65);
        assert_eq!(ended.json()["error"]["code"], "file_truncated", "{share} %");
    }
}

#[test]
fn what_is_wrong_with_a_pdf_is_told() {
    let no_page =
        document(&[b"<</Type/Catalog/Pages 2 0 R>>".to_vec(), b"<</Type/Pages/Count 0/Kids[]>>".to_vec()]);
    let encrypted = include_bytes!("../data/encrypted.pdf");
    for (bytes, code) in [
        (&encrypted[..], "pdf_encrypted"),
        (&no_page, "pdf_no_page"),
        (b"%PDF-1.7\nand nothing that follows", "pdf_failed"),
    ] {
        let ended = scan(bytes);
        assert_eq!(ended.status, 65);
        assert_eq!(ended.json()["error"]["code"], code);
    }
}

#[test]
fn a_page_that_takes_too_long_is_given_up() {
    let mut command = filot();
    command.env("FILOT_PDF_TIME_LIMIT_S", "1").env("FILOT_PDF_MEMORY_MB", "4096").args(["scan", "-"]);
    let ended = finish(command, &page_of_many_strokes());
    assert_eq!(ended.status, 65);
    assert_eq!(ended.json()["error"]["code"], "decode_timeout");
}
