//! Pictures that uploads decoded to check them, kept for the reader in the same process: none is decoded twice.
//!
//! Nothing depends on one being kept. A picture that is not here is decoded from the stored file.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use filot_ocr::image::{ImageError, Limits, Photo};

use crate::document::DocumentId;

/// What all kept pictures may take together, in bytes: some 14 photos of 1.5 megapixels.
const ROOM: usize = 64 << 20;
/// Readers that have not come by then read somewhere else, or much later.
const KEPT: Duration = Duration::from_secs(60);

/// A picture and what it took to decode it, which is part of reading it.
pub struct Decoded {
    pub photo: Photo,
    pub took: Duration,
}

impl Decoded {
    /// Decodes JPEG, PNG or WebP. CPU-bound.
    ///
    /// # Errors
    /// As [`Photo::decode`].
    pub fn of(bytes: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        let start = Instant::now();
        let photo = Photo::decode(bytes, limits)?;
        Ok(Self { photo, took: start.elapsed() })
    }
}

/// The pictures that are kept. When there is no room a new one is not kept: the older ones are read first.
#[derive(Default)]
pub struct DecodedPhotos {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether there is a reader in this process.
    open: bool,
    /// In the order in which they came.
    kept: VecDeque<(DocumentId, Instant, Decoded)>,
}

impl DecodedPhotos {
    /// From now on there is a reader in this process.
    pub fn open(&self) {
        self.state().open = true;
    }

    /// From now on there is none, so nothing is kept.
    pub fn close(&self) {
        *self.state() = State::default();
    }

    /// Keeps the picture of a document if there is room.
    pub fn keep(&self, id: DocumentId, decoded: Decoded) {
        let mut state = self.state();
        state.forget_old();
        let used: usize = state.kept.iter().map(|(.., decoded)| decoded.photo.memory()).sum();
        if state.open && used + decoded.photo.memory() <= ROOM {
            state.kept.push_back((id, Instant::now(), decoded));
        }
    }

    /// The picture of a document, which is no longer kept then.
    pub fn take(&self, id: DocumentId) -> Option<Decoded> {
        let mut state = self.state();
        let place = state.kept.iter().position(|(kept, ..)| *kept == id)?;
        state.kept.remove(place).map(|(.., decoded)| decoded)
    }

    /// Drops what nobody came for.
    pub fn forget_old(&self) {
        self.state().forget_old();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_old(&mut self) {
        while self.kept.front().is_some_and(|(_, since, _)| since.elapsed() > KEPT) {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use filot_ocr::image::Format;
    use image::RgbImage;

    use super::*;

    fn decoded(side: u32) -> Decoded {
        let photo = Photo::from_pixels(RgbImage::new(side, side), Format::Png, &Limits::default());
        Decoded { photo, took: Duration::ZERO }
    }

    #[test]
    fn each_is_taken_once() {
        let photos = DecodedPhotos::default();
        let (first, second) = (DocumentId::new(), DocumentId::new());
        photos.keep(first, decoded(4));
        assert!(photos.take(first).is_none(), "kept though nobody reads here");
        photos.open();
        photos.keep(first, decoded(4));
        photos.keep(second, decoded(5));
        assert_eq!(photos.take(second).unwrap().photo.width, 5);
        assert!(photos.take(second).is_none());
        assert_eq!(photos.take(first).unwrap().photo.width, 4);
        photos.keep(first, decoded(4));
        photos.close();
        assert!(photos.take(first).is_none());
    }

    #[test]
    fn the_first_stay_when_there_is_no_more_room() {
        let photos = DecodedPhotos::default();
        photos.open();
        let ids: Vec<_> = (0..20).map(|_| DocumentId::new()).collect();
        for id in &ids {
            photos.keep(*id, decoded(1400));
        }
        let kept = ids.iter().take_while(|id| photos.take(**id).is_some()).count();
        assert_eq!(kept, ROOM / (1400 * 1400 * 3));
        assert!(ids.iter().all(|id| photos.take(*id).is_none()));
    }
}
