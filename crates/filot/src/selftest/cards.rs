//! Documents whose content says what their reader shall do with them: real little PNG files, so that intake takes them
//! for what they are, and a reader that obeys them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use filot_cards::decide::Decision;
use filot_cards::kind::DeclaredType;
use filot_ocr::engine;
use filot_ocr::image::{ImageError, Limits, Photo};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use jiff::civil::Date;
use serde_json::json;

use super::person::Person;
use crate::card_reader::{CardReader, CardReading, File};
use crate::reader::FileError;

/// What a document makes of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Script {
    Approve = 0,
    Review = 1,
    Reject = 2,
    /// Cannot be read, whatever one does.
    Unreadable = 3,
    /// The reader fails, each time.
    Fails = 4,
    /// The reader panics, each time.
    Panics = 5,
    /// The whole process aborts, each time.
    Aborts = 6,
    /// The reader fails the first time that this process reads it, then approves.
    FailsOnce = 7,
    /// The reader sleeps and never ends, each time.
    Hangs = 8,
    /// The reader works and never ends, each time.
    Loops = 9,
    /// The reader makes a fault of memory (signal 11), each time.
    Faults = 10,
    /// The reader takes memory without end, each time.
    Leaks = 11,
    /// The reader writes to its standard output what no reader says, each time.
    Babbles = 12,
}

impl Script {
    /// All of them, each at its own number.
    pub const ALL: [Self; 13] = [
        Self::Approve,
        Self::Review,
        Self::Reject,
        Self::Unreadable,
        Self::Fails,
        Self::Panics,
        Self::Aborts,
        Self::FailsOnce,
        Self::Hangs,
        Self::Loops,
        Self::Faults,
        Self::Leaks,
        Self::Babbles,
    ];
}

/// The third pixel of a card that tells its reader about a person.
const PERSONAL: [u8; 3] = [1, 1, 1];

/// A document that is different for each `number` (below 2^24), takes its reader `millis` and ends as `script` says.
pub fn card(number: u32, script: Script, millis: u16) -> Bytes {
    picture(&told(number, script, millis))
}

/// The same; its reader reads the data of [`Person::of`] the number, and says them aloud when it fails.
pub fn personal_card(number: u32, script: Script, millis: u16) -> Bytes {
    let mut pixels = told(number, script, millis).to_vec();
    pixels.extend_from_slice(&PERSONAL);
    picture(&pixels)
}

fn told(number: u32, script: Script, millis: u16) -> [u8; 6] {
    let [_, a, b, c] = number.to_be_bytes();
    let [high, low] = millis.to_be_bytes();
    [a, b, c, script as u8, high, low]
}

/// One row of pixels as a PNG file.
fn picture(pixels: &[u8]) -> Bytes {
    let mut png = Vec::new();
    let width = u32::try_from(pixels.len() / 3).unwrap_or(0);
    PngEncoder::new(&mut png)
        .write_image(pixels, width, 1, ExtendedColorType::Rgb8)
        .expect("writing a picture of whole pixels to memory cannot fail");
    png.into()
}

/// Name of the reader that obeys such documents.
pub const SCRIPTED: &str = "scripted";

/// The reader that obeys such documents, on threads of this process.
pub fn scripted() -> CardReader {
    CardReader::new(SCRIPTED, obeying())
}

/// Does what such documents say. It reads nothing: what a picture says of itself is believed.
pub(crate) fn obeying()
-> impl Fn(File<'_>, DeclaredType, Date) -> Result<CardReading, FileError> + Send + Sync + 'static {
    let failed = Mutex::new(HashSet::new());
    move |file, _, _| {
        let photo = Photo::decode(file.bytes, &Limits::default())?;
        if photo.pixels.width() < 2 {
            return Err(ImageError::Corrupt("no script in it").into());
        }
        let (number, told) = (photo.pixels.get_pixel(0, 0).0, photo.pixels.get_pixel(1, 0).0);
        let personal = photo.pixels.width() > 2 && photo.pixels.get_pixel(2, 0).0 == PERSONAL;
        let millis = u16::from_be_bytes([told[1], told[2]]);
        std::thread::sleep(Duration::from_millis(millis.into()));
        let script = Script::ALL.get(usize::from(told[0])).copied().unwrap_or(Script::Unreadable);
        let person = personal.then(|| Person::of(u32::from_be_bytes([0, number[0], number[1], number[2]])));
        let said = || person.as_ref().map_or_else(|| "as the script says".to_owned(), Person::to_string);
        let (decision, score) = match script {
            Script::Approve => (Decision::AutoApprove, 95),
            Script::Review => (Decision::NeedsReview, 60),
            Script::Reject => (Decision::AutoReject, 10),
            Script::Unreadable => return Err(ImageError::Corrupt("as the script says").into()),
            Script::FailsOnce if !failed.lock().unwrap_or_else(PoisonError::into_inner).insert(number) => {
                (Decision::AutoApprove, 95)
            }
            Script::Fails | Script::FailsOnce => {
                return Err(FileError::Engine(engine::Error::Failed(said())));
            }
            Script::Panics => panic!("{}", said()),
            Script::Aborts
            | Script::Hangs
            | Script::Loops
            | Script::Faults
            | Script::Leaks
            | Script::Babbles => misbehave(script),
        };
        let number = u32::from_be_bytes([0, number[0], number[1], number[2]]);
        let (result, text) = match &person {
            None => (json!({ "number": number }), "a scripted line".to_owned()),
            Some(person) => (json!({ "number": number, "fields": person }), person.to_string()),
        };
        let result = serde_json::value::to_raw_value(&result)
            .map_err(|error| engine::Error::Failed(error.to_string()))?;
        Ok(CardReading { decision, score, result, text })
    }
}

/// What native code can do to its process.
fn misbehave(script: Script) -> ! {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        match script {
            Script::Hangs => std::thread::sleep(Duration::from_secs(3600)),
            Script::Loops => std::hint::spin_loop(),
            // The runtime's own handler lets the second one through.
            Script::Faults => _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSEGV),
            // Written to, so that it is really there.
            Script::Leaks => {
                taken.push(vec![1; 32 << 20]);
                std::thread::sleep(Duration::from_millis(10));
            }
            Script::Babbles => {
                let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), b"an assertion failed\n");
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => std::process::abort(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_as_it_says() {
        let (reader, today) = (obeying(), jiff::civil::date(2026, 11, 23));
        let read = |bytes: &Bytes| reader(File { bytes, decoded: None }, DeclaredType::Ktp, today);
        for (script, decision) in [
            (Script::Approve, Decision::AutoApprove),
            (Script::Review, Decision::NeedsReview),
            (Script::Reject, Decision::AutoReject),
        ] {
            let reading = read(&card(70_000, script, 0)).unwrap();
            assert_eq!((reading.decision, reading.result.get()), (decision, r#"{"number":70000}"#));
        }
        assert!(read(&card(1, Script::Unreadable, 0)).is_err());
        assert!(read(&card(1, Script::FailsOnce, 0)).is_err());
        assert!(read(&card(1, Script::FailsOnce, 0)).is_ok(), "only once");
        let told = read(&personal_card(9, Script::Approve, 0)).unwrap();
        assert!(told.result.get().contains(&Person::of(9).nik) && told.text.contains(&Person::of(9).name));
    }
}
