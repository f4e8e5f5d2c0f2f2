//! Two readers as one: the second reads what the first fails at.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Error, OcrEngine, Reading, Region};
use crate::image::Photo;
use crate::page::{Line, Quad};

/// Failures in a row after which the first reader is left alone for a while.
const PATIENCE: u32 = 3;
/// How long it is left alone, unless told otherwise. Then it is tried with one picture.
const REST: Duration = Duration::from_secs(60);

/// Reads with the first engine, and with the second whatever the first fails at. A first engine that fails time after
/// time, such as a GPU that was taken away, rests for a minute before it is asked again.
pub struct FallbackEngine {
    first: Arc<dyn OcrEngine>,
    second: Arc<dyn OcrEngine>,
    failures: AtomicU32,
    rests_until: Mutex<Option<Instant>>,
    rest: Duration,
    on_fallback: Box<dyn Fn(&Error) + Send + Sync>,
}

impl FallbackEngine {
    /// `on_fallback` is told why, each time the first engine was asked and failed.
    pub fn new(
        first: Arc<dyn OcrEngine>,
        second: Arc<dyn OcrEngine>,
        on_fallback: impl Fn(&Error) + Send + Sync + 'static,
    ) -> Self {
        Self {
            first,
            second,
            failures: AtomicU32::new(0),
            rests_until: Mutex::new(None),
            rest: REST,
            on_fallback: Box::new(on_fallback),
        }
    }

    fn resting(&self) -> bool {
        let mut until = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        match *until {
            Some(end) if Instant::now() < end => true,
            Some(_) => {
                // Whoever comes next tries; the others go on as before until it is known how that went.
                *until = Some(Instant::now() + self.rest);
                false
            }
            None => false,
        }
    }

    fn either<T>(&self, ask: impl Fn(&dyn OcrEngine) -> Result<T, Error>) -> Result<T, Error> {
        if self.resting() {
            return ask(&*self.second);
        }
        match ask(&*self.first) {
            Ok(answer) => {
                if self.failures.swap(0, Ordering::Relaxed) >= PATIENCE {
                    *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Ok(answer)
            }
            Err(error) => {
                (self.on_fallback)(&error);
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
                    let end = Instant::now() + self.rest;
                    *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
                }
                ask(&*self.second)
            }
        }
    }
}

impl OcrEngine for FallbackEngine {
    /// The name of the engine that reads at the moment.
    fn name(&self) -> &str {
        let resting = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if resting { self.second.name() } else { self.first.name() }
    }

    fn read(&self, photo: &Photo) -> Result<Reading, Error> {
        self.either(|engine| engine.read(photo))
    }

    fn read_by_text(
        &self,
        photo: &Photo,
        before: &Reading,
        direction: usize,
    ) -> Result<Option<Reading>, Error> {
        self.either(|engine| engine.read_by_text(photo, before, direction))
    }

    fn read_at(&self, photo: &Photo, corners: &Quad) -> Result<Option<Reading>, Error> {
        self.either(|engine| engine.read_at(photo, corners))
    }

    fn read_another(&self, photo: &Photo, before: &Reading) -> Result<Option<Reading>, Error> {
        self.either(|engine| engine.read_another(photo, before))
    }

    fn read_rows(&self, reading: &Reading, rows: &[Region]) -> Result<Option<Vec<Option<Line>>>, Error> {
        self.either(|engine| engine.read_rows(reading, rows))
    }

    fn large_text(&self, reading: &Reading) -> Result<Option<Vec<Line>>, Error> {
        self.either(|engine| engine.large_text(reading))
    }

    fn reread(&self, reading: &Reading, regions: &[Region]) -> Result<Vec<Option<Line>>, Error> {
        self.either(|engine| engine.reread(reading, regions))
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::engine::Timing;
    use crate::native::whole_photo;
    use crate::page::Page;
    use crate::quality;

    /// Reads empty pages; fails while it is told to.
    struct Scripted {
        name: &'static str,
        asked: AtomicU32,
        fails: Mutex<bool>,
    }

    impl Scripted {
        fn new(name: &'static str) -> Arc<Self> {
            Arc::new(Self { name, asked: AtomicU32::new(0), fails: Mutex::new(false) })
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }

        fn break_down(&self, broken: bool) {
            *self.fails.lock().unwrap() = broken;
        }
    }

    impl OcrEngine for Scripted {
        fn name(&self) -> &str {
            self.name
        }

        fn read(&self, photo: &Photo) -> Result<Reading, Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if *self.fails.lock().unwrap() {
                return Err(Error::Failed("the device is gone".into()));
            }
            let canvas = whole_photo(photo);
            let page = Page {
                frame: canvas.frame.clone(),
                lines: Vec::new(),
                quality: quality::measure(&canvas, &[], photo),
            };
            Ok(Reading { page, canvas, located: None, overview: None, timing: Timing::default() })
        }

        fn reread(&self, _: &Reading, regions: &[Region]) -> Result<Vec<Option<Line>>, Error> {
            Ok(vec![None; regions.len()])
        }
    }

    fn pair(rest: Duration) -> (Arc<Scripted>, Arc<Scripted>, FallbackEngine, Arc<AtomicU32>) {
        let (first, second) = (Scripted::new("gpu"), Scripted::new("cpu"));
        let fallen = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&fallen);
        let told = move |_: &Error| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let engines: [Arc<dyn OcrEngine>; 2] = [Arc::clone(&first) as _, Arc::clone(&second) as _];
        let [one, two] = engines;
        let engine = FallbackEngine { rest, ..FallbackEngine::new(one, two, told) };
        (first, second, engine, fallen)
    }

    fn photo() -> Photo {
        let mut png = Vec::new();
        RgbImage::new(64, 40).write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
        Photo::decode(&png, &crate::image::Limits::default()).unwrap()
    }

    #[test]
    fn the_second_reads_what_the_first_fails_at_and_the_first_is_then_left_alone() {
        let (first, second, engine, fallen) = pair(Duration::from_secs(600));
        let photo = photo();
        engine.read(&photo).unwrap();
        assert_eq!((first.asked(), second.asked(), engine.name()), (1, 0, "gpu"));
        first.break_down(true);
        for _ in 0..10 {
            engine.read(&photo).unwrap();
        }
        assert_eq!((first.asked(), second.asked(), engine.name()), (1 + PATIENCE, 10, "cpu"));
        assert_eq!(fallen.load(Ordering::Relaxed), PATIENCE);
    }

    #[test]
    fn a_single_failure_is_forgiven() {
        let (first, second, engine, _) = pair(Duration::from_secs(600));
        let photo = photo();
        for _ in 0..5 {
            first.break_down(true);
            engine.read(&photo).unwrap();
            first.break_down(false);
            engine.read(&photo).unwrap();
        }
        assert_eq!((first.asked(), second.asked(), engine.name()), (10, 5, "gpu"));
    }

    #[test]
    fn after_its_rest_the_first_is_tried_with_one_picture() {
        let (first, _, engine, _) = pair(Duration::from_millis(50));
        let photo = photo();
        first.break_down(true);
        for _ in 0..10 {
            engine.read(&photo).unwrap();
        }
        assert_eq!(first.asked(), PATIENCE);
        std::thread::sleep(Duration::from_millis(60));
        for _ in 0..10 {
            engine.read(&photo).unwrap();
        }
        assert_eq!(first.asked(), PATIENCE + 1, "still broken: tried once");
        first.break_down(false);
        std::thread::sleep(Duration::from_millis(60));
        engine.read(&photo).unwrap();
        assert_eq!((first.asked(), engine.name()), (PATIENCE + 2, "gpu"));
    }

    /// What was read, character by character, with its places.
    fn said(reading: &Reading) -> String {
        serde_json::to_string(&reading.page).unwrap()
    }

    #[test]
    fn shared_networks_read_the_same_and_a_lost_device_loses_no_card() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let models = crate::models::Models::from_dir(&folder).unwrap();
        let load = || {
            crate::native::NativeEngine::load(&models, Some(&folder.join("libonnxruntime.so")), 4).unwrap()
        };
        let photos: Vec<Photo> = (0..6)
            .map(|seed| {
                let jpeg = filot_testkit::Case::ktp().long_side(900).draw(seed).jpeg;
                Photo::decode(&jpeg, &crate::image::Limits::default()).unwrap()
            })
            .collect();
        let alone = load();
        let expected: Vec<String> = photos.iter().map(|photo| said(&alone.read(photo).unwrap())).collect();

        for runs in [usize::MAX, 25] {
            let fallen = Arc::new(AtomicU32::new(0));
            let count = Arc::clone(&fallen);
            let engine =
                FallbackEngine::new(Arc::new(load().shared_until(runs)), Arc::new(load()), move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
            let read: Vec<String> = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    photos.iter().map(|photo| scope.spawn(|| said(&engine.read(photo).unwrap()))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(read == expected, "with {runs} runs");
            assert_eq!(fallen.load(Ordering::Relaxed) > 0, runs == 25);
        }
    }

    #[test]
    fn when_both_fail_the_error_is_the_seconds() {
        let (first, second, engine, _) = pair(REST);
        first.break_down(true);
        second.break_down(true);
        assert!(matches!(engine.read(&photo()), Err(Error::Failed(_))));
    }
}
