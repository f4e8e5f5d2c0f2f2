//! Documents whose content says what their reader shall do with them: real little PNG files, so that intake takes them
//! for what they are, and a reader that obeys them.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use filot::card_reader::{CardReader, CardReading};
use filot::reader::FileError;
use filot_cards::decide::Decision;
use filot_ocr::engine;
use filot_ocr::image::{ImageError, Limits, Photo};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// What a document makes of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Script {
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
}

pub(crate) const ALL: [Script; 8] = [
    Script::Approve,
    Script::Review,
    Script::Reject,
    Script::Unreadable,
    Script::Fails,
    Script::Panics,
    Script::Aborts,
    Script::FailsOnce,
];

/// A document that is different for each `number`, takes its reader `millis` and ends as `script` says.
pub(crate) fn card(number: u32, script: Script, millis: u16) -> Bytes {
    let [_, a, b, c] = number.to_be_bytes();
    let [high, low] = millis.to_be_bytes();
    let pixels = [a, b, c, script as u8, high, low];
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&pixels, 2, 1, ExtendedColorType::Rgb8).unwrap();
    png.into()
}

/// The reader that obeys such documents.
pub(crate) fn scripted() -> CardReader {
    let failed = Mutex::new(HashSet::new());
    CardReader::new("scripted", move |bytes, _, _| {
        let photo = Photo::decode(bytes, &Limits::default())?;
        let (number, told) = (photo.pixels.get_pixel(0, 0).0, photo.pixels.get_pixel(1, 0).0);
        let millis = u16::from_be_bytes([told[1], told[2]]);
        std::thread::sleep(Duration::from_millis(millis.into()));
        let script = ALL.get(usize::from(told[0])).copied().unwrap_or(Script::Unreadable);
        let (decision, score) = match script {
            Script::Approve => (Decision::AutoApprove, 95),
            Script::Review => (Decision::NeedsReview, 60),
            Script::Reject => (Decision::AutoReject, 10),
            Script::Unreadable => return Err(ImageError::Corrupt("as the script says").into()),
            Script::FailsOnce if !failed.lock().unwrap().insert(number) => (Decision::AutoApprove, 95),
            Script::Fails | Script::FailsOnce => {
                return Err(FileError::Engine(engine::Error::Failed("as the script says".into())));
            }
            Script::Panics => panic!("as the script says"),
            Script::Aborts => std::process::abort(),
        };
        let number = u32::from_be_bytes([0, number[0], number[1], number[2]]);
        let result = serde_json::value::to_raw_value(&serde_json::json!({ "number": number })).unwrap();
        Ok(CardReading { decision, score, result, text: "a scripted line".to_owned() })
    })
}
