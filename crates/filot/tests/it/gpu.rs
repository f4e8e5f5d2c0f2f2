//! The GPU lane where no GPU answers, and where one is taken away in the middle of the work.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use filot::app::App;
use filot::clock::Clock;
use filot::config::{Config, Runtime};
use filot::document::{Document, Status};
use filot::queue::Lane;
use filot::reader::{Reader, ReaderError};
use filot::store::EventKind;
use filot::worker::{Worker, run_upkeep};
use filot_ocr::engine::{Error, OcrEngine, Reading, Region};
use filot_ocr::fallback::FallbackEngine;
use filot_ocr::image::Photo;
use filot_ocr::models::Models;
use filot_ocr::native::NativeEngine;
use filot_ocr::page::Line;
use filot_testkit::Case;
use tokio_util::sync::CancellationToken;

use crate::support::app::{all_events, make_user, upload};
use crate::support::{Deployment, eventually};

/// Settings of a GPU worker on `deployment`, with the networks of the checkout.
fn gpu_worker(deployment: &Deployment) -> Config {
    let mut config = deployment.config();
    config.reader.models = Some(models());
    config.turn_to_gpu();
    assert_eq!(config.reader.runtime, Runtime::Cuda);
    config
}

fn models() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// Uploads photos of good cards and lets a worker of the GPU lane read them.
async fn read_on_gpu_lane(app: &App, count: u64) -> Vec<Document> {
    let user = make_user(app).await;
    let mut ids = Vec::new();
    for seed in 0..count {
        let photo = Case::ktp().long_side(1000).draw(seed).jpeg;
        let upload =
            filot::intake::Upload { media_type: Some("image/jpeg".into()), ..upload(user, photo.into()) };
        ids.push(filot::intake::submit(app, upload).await.unwrap().id);
    }
    assert_eq!(app.queue.depth(Lane::Gpu).await.unwrap().ready, count);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(Worker::new(app.clone(), Lane::Gpu).run(stop.clone()));
    let upkeep = tokio::spawn(run_upkeep(app.clone(), stop.clone()));
    eventually("all documents read", Duration::from_secs(120), || async {
        app.queue.depth(Lane::Gpu).await.unwrap() == filot::queue::Depth::default()
    })
    .await;
    stop.cancel();
    worker.await.unwrap();
    upkeep.await.unwrap();
    let mut documents = Vec::new();
    for id in ids {
        documents.push(app.store.document(id).await.unwrap());
    }
    documents
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_gpu_its_worker_reads_on_the_cpu_and_says_why() {
    let deployment = Deployment::embedded().with("OCR_GPU_ENABLED", "true");
    let config = gpu_worker(&deployment);
    let reader = Reader::load(&config, 1).unwrap();
    assert!(
        reader.notes.iter().any(|note| note.contains("on the CPU") && note.contains("gpu-runtime.sh")),
        "{:?}",
        reader.notes
    );
    let app = App::with_reader(config, reader.into(), Clock::default()).await.unwrap();
    let documents = read_on_gpu_lane(&app, 1).await;
    assert_eq!(documents[0].status, Status::Completed);
    assert_eq!(documents[0].decision.as_deref(), Some("auto_approve"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_gpu_and_without_permission_to_fall_back_its_worker_does_not_start() {
    let deployment = Deployment::embedded().with("OCR_GPU_AUTOFALLBACK", "false");
    let Err(ReaderError::NoGpu(reason)) = Reader::load(&gpu_worker(&deployment), 1) else {
        panic!("it reads")
    };
    assert!(reason.contains("libonnxruntime_providers_cuda.so"), "{reason}");

    // The worker hears it from its reader process, and says so.
    let withheld = deployment.with("NVIDIA_VISIBLE_DEVICES", "none");
    let refused = crate::program::filot_on(Some(&withheld), &["worker", "--lane", "gpu"]);
    assert_eq!(refused.status, 69, "{}", refused.stderr);
    assert!(refused.stderr.contains("NVIDIA_VISIBLE_DEVICES is none"), "{}", refused.stderr);
}

/// A reader whose device is taken away after some calls.
struct TakenAway {
    engine: NativeEngine,
    calls_left: AtomicU32,
}

impl TakenAway {
    fn call(&self) -> Result<(), Error> {
        let left =
            self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop)
            .map_err(|_| Error::Failed("CUDA failure 100: no CUDA-capable device is detected".into()))
    }
}

impl OcrEngine for TakenAway {
    fn name(&self) -> &str {
        "native/cuda"
    }

    fn read(&self, photo: &Photo) -> Result<Reading, Error> {
        self.call()?;
        self.engine.read(photo)
    }

    fn read_by_text(
        &self,
        photo: &Photo,
        before: &Reading,
        direction: usize,
    ) -> Result<Option<Reading>, Error> {
        self.call()?;
        self.engine.read_by_text(photo, before, direction)
    }

    fn large_text(&self, reading: &Reading) -> Result<Option<Vec<Line>>, Error> {
        self.call()?;
        self.engine.large_text(reading)
    }

    fn reread(&self, reading: &Reading, regions: &[Region]) -> Result<Vec<Option<Line>>, Error> {
        self.call()?;
        self.engine.reread(reading, regions)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gpu_taken_away_in_the_middle_costs_no_document() {
    const DOCUMENTS: u64 = 8;
    let deployment = Deployment::embedded().with("OCR_GPU_ENABLED", "true");
    let config = gpu_worker(&deployment);
    let networks = Models::from_dir(&models()).unwrap();
    let library = models().join("libonnxruntime.so");
    let load = || NativeEngine::load(&networks, Some(&library), 2).unwrap();
    // In the middle of the second or third document, between its readings.
    let gpu = TakenAway { engine: load(), calls_left: AtomicU32::new(4) };
    let fallen = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&fallen);
    let engine = FallbackEngine::new(Arc::new(gpu), Arc::new(load()), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let reader = Reader::with_engine(&config, Arc::new(engine), Vec::new());
    let app = App::with_reader(config, reader.into(), Clock::default()).await.unwrap();
    let documents = read_on_gpu_lane(&app, DOCUMENTS).await;
    for document in &documents {
        assert_eq!(document.status, Status::Completed, "{}", document.id);
    }
    assert!(fallen.load(Ordering::SeqCst) >= 3);
    let verdicts = all_events(&app).await;
    assert_eq!(verdicts.iter().filter(|event| event.kind == EventKind::Completed).count() as u64, DOCUMENTS);
}
