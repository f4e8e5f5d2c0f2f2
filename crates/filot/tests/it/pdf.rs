//! The first page of a PDF.

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
    let tall = 400.0 * f64::from(height) / f64::from(width);
    let content = format!("q 400 0 0 {tall:.2} 90 300 cm /P Do Q");
    let picture = format!(
        "/Type/XObject/Subtype/Image/Width {width}/Height {height}/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
    );
    document(&[
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</P 4 0 R>>>>/Contents 5 0 R>>"
            .to_vec(),
        stream(&picture, jpeg),
        stream("", content.as_bytes()),
    ])
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
