//! Every alarm of `deploy/alarms.json` is rung: its condition is brought about in a running service, and its rule is
//! evaluated on what the service really emits. In the normal state it is silent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use filot::selftest::cards::{Script, card};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::http::server::{PASSWORD, form};
use crate::support::alarm::{Alarm, FASTER, Metric, metrics_in};
use crate::support::buli2::{FakeBuli2, Faults, configured};
use crate::support::disk::{Disk, Fault};
use crate::support::serve::Serve;
use crate::support::{Deployment, eventually};

mod load;
mod standing;

use self::load::{Task, keep_busy};
use self::standing::STANDING;

/// Until an alarm rings or falls silent, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// Settings of a service whose metrics CloudWatch hears.
const HEARD: [(&str, &str); 12] = [
    ("FILOT_AUTH_REGISTRATION", "open"),
    ("NODE_ENV", "development"),
    ("FILOT_SERVER_RELAXED", "secrets,metrics,checkpoints"),
    ("FILOT_SERVER_BACKUP_INTERVAL_S", "0"),
    ("DATABASE_CREATE", "true"),
    ("CLOUDWATCH_ENABLED", "true"),
    ("METRICS_FLUSH_INTERVAL_MS", "1000"),
    ("OCR_GPU_ENABLED", "true"),
    ("OCR_GPU_POLL_INTERVAL", "100"),
    ("FILOT_WORKER_CONCURRENCY", "2"),
    ("FILOT_WORKER_REAPER_INTERVAL_MS", "200"),
    ("FILOT_WORKER_RETRY_BASE_MS", "50"),
];

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn client() -> Client {
    Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().unwrap()
}

/// A running service, its clients, and what they saw of it.
struct Scene {
    http: Client,
    serve: Serve,
    access: String,
    settings: Vec<(String, String)>,
    data: PathBuf,
    next: u32,
}

impl Scene {
    async fn start(deployment: &Deployment, arguments: &[&str], more: &[(&str, &str)]) -> Self {
        let data = deployment.data_dir();
        let mut settings: Vec<(String, String)> =
            deployment.environment().into_iter().filter(|(name, _)| name != "FILOT_DATA_DIR").collect();
        settings
            .extend(HEARD.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        let http = client();
        let serve = Serve::start(&data, &http, arguments, &pairs).await;
        let account = json!({ "email": "alarm@example.com", "password": PASSWORD });
        let access = serve.post(&http, "/auth/register", account).await;
        let access = access["accessToken"].as_str().unwrap().to_owned();
        Self { http, serve, access, settings, data, next: 0 }
    }

    /// A worker of the GPU lane beside the service.
    fn worker(&self) -> Serve {
        let pairs: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        Serve::worker(&self.data, &["--lane", "gpu", "--scripted"], &pairs)
    }

    /// Uploads a document; the status of the answer and how long it took.
    async fn upload(&mut self, script: Script, millis: u16, prefer: Option<&str>) -> (u16, Duration) {
        let form = form(&card(self.next, script, millis), "KTP");
        self.next += 1;
        let mut request = self.http.request(Method::POST, format!("{}/documents/upload", self.serve.address));
        if let Some(prefer) = prefer {
            request = request.header("Prefer", prefer);
        }
        let start = Instant::now();
        let answer = request.bearer_auth(&self.access).multipart(form).send().await.unwrap();
        (answer.status().as_u16(), start.elapsed())
    }

    async fn upload_many(&mut self, count: u32, script: Script, millis: u16) {
        for _ in 0..count {
            assert_eq!(self.upload(script, millis, None).await.0, 202);
        }
    }
}

/// The alarms on FiLot's own metrics, and the files that the metrics are read from.
struct Watch {
    alarms: Vec<Alarm>,
    files: Vec<PathBuf>,
}

impl Watch {
    fn new(files: Vec<PathBuf>) -> Self {
        Self { alarms: Alarm::all().into_iter().filter(|alarm| alarm.namespace == "FiLot").collect(), files }
    }

    /// The names of those that ring at this moment.
    fn ringing(&self) -> Vec<String> {
        let metrics = metrics_in(&self.files);
        let rings = |alarm: &&Alarm| alarm.rings(&alarm.points(&metrics), now());
        let mut names: Vec<String> =
            self.alarms.iter().filter(rings).map(|alarm| alarm.name.clone()).collect();
        if idle_with_queue(&metrics, now()) {
            names.push("gpu-idle-with-queue".to_owned());
        }
        names
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&[String]) -> bool) {
        eventually(what, PATIENCE, || {
            let so = holds(&self.ringing());
            async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                so
            }
        })
        .await;
    }
}

/// The rule of `deploy/terraform/observability.tf`, which two metrics take part in: three periods in each of which
/// documents waited on the GPU lane all the time and no reader had one.
fn idle_with_queue(metrics: &[Metric], now: i64) -> bool {
    let values = |name: &str, queue: Option<&str>, from: i64, to: i64| -> Vec<f64> {
        let own = |metric: &&Metric| {
            metric.name == name
                && metric.dimensions.get("QueueType").map(String::as_str) == queue
                && (from..to).contains(&metric.at)
        };
        metrics.iter().filter(own).map(|metric| metric.value).collect()
    };
    (0..3).all(|back| {
        let period = 300_000 / FASTER;
        let (from, to) = (now - (back + 1) * period, now - back * period);
        let waiting = values("filot.queue_length", Some("gpu"), from, to);
        let active = values("filot.gpu.active_jobs", None, from, to);
        !waiting.is_empty()
            && !active.is_empty()
            && waiting.iter().all(|&count| count > 0.0)
            && active.iter().all(|&count| count < 1.0)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_on_own_metrics_ring_and_fall_silent() {
    let buli2 = FakeBuli2::start(3).await;
    let deployment = configured(Deployment::embedded(), buli2.port);
    // Longer waits than the reviews of this test need, so that those that failed once stay in the count.
    let deployment =
        deployment.with("FILOT_BULI2_RETRY_BASE_MS", "5000").with("FILOT_BULI2_RETRY_MAX_MS", "5000");
    let more = [("OCR_GPU_AUTOFALLBACK", "false")];
    let mut scene = Scene::start(&deployment, &["--scripted", "--no-worker"], &more).await;
    let mut worker = scene.worker();
    let watch = Watch::new(vec![scene.serve.stdout.clone(), worker.stdout.clone()]);
    let silent = |ringing: &[String]| ringing.is_empty();
    let rings = |name: &'static str| move |ringing: &[String]| ringing.iter().any(|own| own == name);

    // The normal state: some documents, read at once; nothing rings over all the time that rules look back.
    watch.until("metrics come in", silent).await;
    let calm = watch.alarms.iter().map(Alarm::looks_back).max().unwrap() + 3000;
    let end = now() + calm;
    while now() < end {
        scene.upload_many(2, Script::Approve, 20).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(watch.ringing(), Vec::<String>::new());
    }

    // The GPU readers are gone, and documents come.
    worker.kill();
    scene.upload_many(30, Script::Approve, 0).await;
    watch.until("gpu-queue-depth-high", rings("gpu-queue-depth-high")).await;
    assert!(!rings("queue-depth-high")(&watch.ringing()), "thirty are not two hundred");
    watch.until("gpu-idle-with-queue", rings("gpu-idle-with-queue")).await;
    scene.upload_many(180, Script::Approve, 0).await;
    watch.until("queue-depth-high", rings("queue-depth-high")).await;

    // They are back.
    let mut worker = scene.worker();
    let watch = Watch::new(vec![scene.serve.stdout.clone(), worker.stdout.clone()]);
    watch.until("silence", silent).await;

    // They have become slow.
    scene.upload_many(30, Script::Approve, 2400).await;
    watch.until("gpu-processing-slow", rings("gpu-processing-slow")).await;
    watch.until("silence", silent).await;

    // BULI2 takes nothing.
    buli2.set(Faults { only: Some(503), ..Faults::default() });
    scene.upload_many(14, Script::Review, 0).await;
    watch.until("buli2-retry-queue-high", rings("buli2-retry-queue-high")).await;
    buli2.set(Faults::default());
    watch.until("silence", silent).await;

    // Nobody is there to say how things are.
    worker.kill();
    scene.serve.kill();
    watch.until("metrics-silent", rings("metrics-silent")).await;
    let others = STANDING.map(|(name, _)| name);
    let named = watch.alarms.iter().map(|alarm| alarm.name.as_str());
    // Those about readers are rung where readers misbehave (`readers`).
    let named =
        named.filter(|name| !others.contains(name) && !name.starts_with("readers-")).collect::<Vec<_>>();
    let rung = [
        "gpu-queue-depth-high",
        "queue-depth-high",
        "metrics-silent",
        "gpu-processing-slow",
        "buli2-retry-queue-high",
    ];
    assert_eq!(named, rung, "an alarm that nothing here rings");
}

/// What the load balancer and ECS measure themselves, measured here on the running service: whether it answers, with
/// what, how fast, whether its tasks run, and what they use of processors and memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_on_the_platforms_metrics_ring_and_fall_silent() {
    let deployment = Deployment::embedded();
    let disk = Disk::below(deployment.folder.path());
    let environment = disk.environment();
    let mut more = environment.to_vec();
    more.extend([("OCR_GPU_ENABLED", "false"), ("FILOT_WORKER_CONCURRENCY", "8")]);
    let mut scene = Scene::start(&deployment, &["--scripted"], &more).await;
    let alarms: BTreeMap<String, Alarm> = Alarm::all()
        .into_iter()
        .filter(|alarm| alarm.namespace != "FiLot")
        .map(|alarm| (alarm.name.clone(), alarm))
        .collect();
    let points = Arc::new(Mutex::new(BTreeMap::<&str, Vec<(i64, f64)>>::new()));
    let note = {
        let points = Arc::clone(&points);
        move |name: &'static str, value: f64| {
            points.lock().unwrap().entry(name).or_default().push((now(), value));
        }
    };
    // The health check of the target group, and the count of running tasks.
    let (http, url, process) =
        (scene.http.clone(), format!("{}/health", scene.serve.address), scene.serve.id());
    let probe = {
        let note = note.clone();
        tokio::spawn(async move {
            loop {
                let answered =
                    http.get(&url).send().await.is_ok_and(|answer| answer.status().as_u16() == 200);
                let runs = std::fs::read_dir(format!("/proc/{process}/task")).is_ok();
                note("backend-unhealthy-hosts", f64::from(u8::from(answered)));
                note("gpu-worker-no-tasks", f64::from(u8::from(runs)));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    };

    // Each phase lasts as long as the slowest rule looks back, and a little.
    let length = alarms.values().map(Alarm::looks_back).max().unwrap() + 1000;
    let (mut task, mut calm, mut busy) = (Task::default(), 0, None);
    for phase in ["calm", "full", "slow", "busy", "dead"] {
        match phase {
            "full" => disk.fail(Fault::Full, 0),
            "slow" => disk.mend(),
            "busy" => busy = Some(keep_busy(&scene).await),
            "dead" => {
                busy = None;
                scene.serve.kill();
            }
            _ => {}
        }
        let end = now() + length;
        while now() < end {
            task.look(process);
            if !["busy", "dead"].contains(&phase) {
                let (millis, prefer) = if phase == "slow" { (2300, Some("wait=10")) } else { (0, None) };
                let (status, took) = scene.upload(Script::Approve, millis, prefer).await;
                note("backend-high-latency", took.as_secs_f64());
                note("backend-5xx-rate", f64::from(u8::from(status >= 500)));
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        if phase == "calm" {
            calm = task.seen.len();
        }
        let mut points = points.lock().unwrap().clone();
        points.extend(task.percent(calm));
        let rings = |name: &&str| alarms[*name].rings(points.get(*name).map_or(&[], Vec::as_slice), now());
        let ringing: Vec<&str> = alarms.keys().map(String::as_str).filter(rings).collect();
        let wanted: &[&str] = match phase {
            "calm" => &[],
            "full" => &["backend-5xx-rate"],
            "busy" => &["backend-high-cpu", "backend-high-memory"],
            "slow" => &["backend-high-latency"],
            _ => &["backend-unhealthy-hosts", "gpu-worker-no-tasks"],
        };
        assert_eq!(ringing, wanted, "{phase}: {:?}", task.seen);
    }
    drop(busy);
    probe.abort();
    assert_eq!(alarms.len(), 6, "an alarm that nothing here rings: {:?}", alarms.keys());
}

/// A dimension and all values that it may have.
type Dimension = (&'static str, &'static [&'static str]);

/// The metrics of the earlier service, each with its unit and the dimensions beside Environment.
const METRICS: [(&str, &str, &[Dimension]); 12] = [
    ("filot.queue_length", "Count", &[("QueueType", &["cpu", "gpu", "total"])]),
    ("filot.gpu.active_jobs", "Count", &[]),
    ("filot.buli2.retry_count", "Count", &[]),
    ("filot.gpu.processing_time_ms", "Milliseconds", &[("ProcessorType", &["cpu", "gpu"])]),
    (
        "filot.verification.latency_ms",
        "Milliseconds",
        &[(
            "Outcome",
            &[
                "auto_approved",
                "auto_rejected",
                "pending_manual_review",
                "file_corrupt",
                "reader_failed",
                "reader_crash",
            ],
        )],
    ),
    ("filot.ocr.success_count", "Count", &[("ProcessorType", &["cpu", "gpu"])]),
    ("filot.ocr.failure_count", "Count", &[("ProcessorType", &["cpu", "gpu"])]),
    (
        "filot.ai.evaluation_count",
        "Count",
        &[
            ("Decision", &["auto_approved", "auto_rejected", "pending_manual_review"]),
            ("ScoreBucket", &["high", "medium", "low", "very_low"]),
        ],
    ),
    ("filot.buli2.forward_count", "Count", &[("Success", &["taken", "failed", "refused"])]),
    ("filot.gpu.fallback_count", "Count", &[("Reason", &["no_gpu_reader"])]),
    ("filot.readers.unable", "Count", &[]),
    ("filot.readers.restart_count", "Count", &[("Reason", &["crash"])]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_emitted() {
    let buli2 = FakeBuli2::start(5).await;
    let deployment = configured(Deployment::embedded(), buli2.port);
    let more = [("OCR_GPU_STUCK_TIMEOUT", "1000")];
    let mut scene = Scene::start(&deployment, &["--scripted"], &more).await;
    // Nobody reads on the GPU lane: these fall back to the CPU.
    buli2.set(Faults { fails: 0.5, ..Faults::default() });
    for script in [Script::Approve, Script::Review, Script::Reject, Script::Unreadable, Script::Fails] {
        scene.upload_many(3, script, 5).await;
    }
    scene.upload_many(1, Script::Aborts, 5).await;
    let began = now();
    let files = [scene.serve.stdout.clone()];
    eventually("every metric", PATIENCE, || {
        let metrics = metrics_in(&files);
        let there = METRICS.iter().all(|(name, ..)| metrics.iter().any(|metric| metric.name == *name));
        async move { there }
    })
    .await;
    // Then on the lane itself.
    let worker = scene.worker();
    scene.upload_many(2, Script::Approve, 5).await;
    let files = [scene.serve.stdout.clone(), worker.stdout.clone()];
    let gpu = |metric: &Metric| metric.dimensions.get("ProcessorType").is_some_and(|lane| lane == "gpu");
    eventually("a reading on the GPU lane", PATIENCE, || {
        let there = metrics_in(&files).iter().any(gpu);
        async move { there }
    })
    .await;
    let ids: Value = scene
        .http
        .get(format!("{}/documents?limit=100", scene.serve.address))
        .bearer_auth(&scene.access)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let ids: Vec<String> =
        ids["documents"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 18);
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert!(ids.iter().all(|id| !text.contains(id)), "a document's id among the metrics");
    for metric in metrics_in(&files) {
        if STANDING.iter().any(|(_, name)| metric.name == *name) {
            assert!(["Count", "Percent"].contains(&metric.unit.as_str()), "{metric:?}");
            assert_eq!(metric.dimensions.len(), 1, "{metric:?}");
            continue;
        }
        let known = METRICS.iter().find(|(name, ..)| metric.name == *name);
        let (_, unit, dimensions) = known.unwrap_or_else(|| panic!("{} is not on the list", metric.name));
        assert_eq!((metric.unit.as_str(), metric.namespace.as_str()), (*unit, "FiLot"));
        assert!(
            (began - 60_000..now() + 1000).contains(&metric.at),
            "milliseconds since 1970: {}",
            metric.at
        );
        let mut own = metric.dimensions.clone();
        assert_eq!(own.remove("Environment").as_deref(), Some("development"));
        assert_eq!(own.len(), dimensions.len(), "{metric:?}");
        for (name, values) in *dimensions {
            assert!(values.contains(&own[*name].as_str()), "{metric:?}");
        }
    }
}
