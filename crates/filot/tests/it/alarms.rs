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
use crate::support::backends::Server;
use crate::support::buli2::{FakeBuli2, Faults, configured};
use crate::support::disk::{Disk, Fault};
use crate::support::serve::Serve;
use crate::support::{Deployment, eventually};

/// Until an alarm rings or falls silent, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// Settings of a service whose metrics CloudWatch hears.
const HEARD: [(&str, &str); 10] = [
    ("NODE_ENV", "development"),
    ("FILOT_SERVER_RELAXED", "secrets,metrics,checkpoints"),
    ("FILOT_SERVER_BACKUP_INTERVAL_S", "0"),
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

    /// The same service started anew, after it died; its output begins anew.
    async fn again(self) -> Self {
        let pairs: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        let serve = Serve::start(&self.data, &self.http, &["--scripted"], &pairs).await;
        let account = json!({ "email": "alarm@example.com", "password": PASSWORD });
        let access = serve.post(&self.http, "/auth/login", account).await;
        let access = access["accessToken"].as_str().unwrap().to_owned();
        Self { serve, access, ..self }
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

/// What a process used at a moment: seconds of processors so far, and bytes of memory.
fn used(process: u32) -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Hundredths of a second in user and in system mode; pages of 4 KiB.
    let ticks = fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?;
    Some((ticks / 100.0, fields[21].parse::<f64>().ok()? * 4096.0))
}

/// What ECS tells of a task: the shares of its processors and of its memory that are in use.
#[derive(Default)]
struct Task {
    /// Time (ms), processors in use since the one before, bytes.
    seen: Vec<(i64, f64, f64)>,
    last: Option<(Instant, f64)>,
}

impl Task {
    /// Once a second.
    fn look(&mut self, process: u32) {
        let Some((cpu, bytes)) = used(process) else { return };
        let Some((at, before)) = self.last else {
            self.last = Some((Instant::now(), cpu));
            return;
        };
        if at.elapsed() > Duration::from_secs(1) {
            self.seen.push((now(), (cpu - before) / at.elapsed().as_secs_f64(), bytes));
            self.last = Some((Instant::now(), cpu));
        }
    }

    /// In percent of a task that has twice what the first `calm` looks used.
    fn percent(&self, calm: usize) -> [(&'static str, Vec<(i64, f64)>); 2] {
        let calm = &self.seen[..calm];
        let cpu = 2.0 * calm.iter().map(|seen| seen.1).sum::<f64>() / calm.len() as f64;
        let memory = calm.iter().map(|seen| seen.2).fold(0.0, f64::max) / 0.6;
        let share = |of: fn(&(i64, f64, f64)) -> f64, all: f64| -> Vec<(i64, f64)> {
            self.seen.iter().map(|seen| (seen.0, 100.0 * of(seen) / all)).collect()
        };
        [
            ("backend-high-cpu", share(|seen| seen.1, cpu.max(0.02))),
            ("backend-high-memory", share(|seen| seen.2, memory)),
        ]
    }
}

/// Keeps a service busy until it is dropped: uploads that are held in the middle, and requests without end.
fn keep_busy(scene: &Scene) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (http, address, access) = (scene.http.clone(), scene.serve.address.clone(), scene.access.clone());
        tasks.spawn(async move {
            if n % 2 == 0 {
                use futures_util::StreamExt;
                let begin = futures_util::stream::once(async {
                    Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0; 9 << 20]))
                });
                let body = reqwest::Body::wrap_stream(begin.chain(futures_util::stream::pending()));
                let part = reqwest::multipart::Part::stream_with_length(body, 10 << 20);
                let form = reqwest::multipart::Form::new().text("type", "KTP").part("file", part);
                let upload = http.post(format!("{address}/documents/upload")).bearer_auth(&access);
                let _ = upload.multipart(form).send().await;
                std::future::pending::<()>().await;
            }
            loop {
                let _ = http.get(format!("{address}/documents")).bearer_auth(&access).send().await;
            }
        });
    }
    tasks
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
            "busy" => busy = Some(keep_busy(&scene)),
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
        assert_eq!(ringing, wanted, "{phase}");
    }
    drop(busy);
    probe.abort();
    assert_eq!(alarms.len(), 6, "an alarm that nothing here rings: {:?}", alarms.keys());
}

/// The alarms on how the installation stands, each with its metric, in the order in which they are rung here.
const STANDING: [(&str, &str); 9] = [
    ("backup-overdue", "filot.backup_overdue"),
    ("unauthorized-burst", "filot.unauthorized_count"),
    ("buli2-forged-callbacks", "filot.buli2.forged_count"),
    ("redis-may-evict", "filot.queue_may_evict"),
    ("reviews-overdue", "filot.reviews_overdue"),
    ("disk-nearly-full", "filot.disk_used_percent"),
    ("dead-documents", "filot.dead_documents"),
    ("checkpoint-overdue", "filot.checkpoint_overdue"),
    ("audit-broken", "filot.audit_broken"),
];

/// What was not done, is running out, or is being tried by somebody: each brought about in a running service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_on_how_the_installation_stands_ring_and_fall_silent() {
    let buli2 = FakeBuli2::start(9).await;
    let deployment = Deployment { redis: Some(Server::redis()), ..Deployment::embedded() };
    let redis = deployment.redis.as_ref().unwrap().port;
    let deployment = configured(deployment, buli2.port);
    let disk = Disk::below(deployment.folder.path());
    let checkpoints = deployment.folder.path().join("elsewhere");
    std::fs::create_dir(&checkpoints).unwrap();
    let file = checkpoints.join("checkpoints.jsonl").display().to_string();
    let key = "t8Fj2Lw5Kq9Xr3Mz7Vb1Nc6Dy4Hs0Gp_";
    let mut more = disk.environment().to_vec();
    more.extend([
        ("OCR_GPU_ENABLED", "false"),
        ("SERVICE_INTERNAL_KEY", key),
        ("FILOT_AUDIT_CHECKPOINT_FILE", &*file),
        ("FILOT_AUDIT_CHECKPOINT_INTERVAL_S", "1"),
        ("FILOT_SERVER_BACKUP_INTERVAL_S", "600"),
        ("FILOT_DESK_SOON_S", "1"),
        ("FILOT_DESK_LATE_S", "1"),
        ("FILOT_WORKER_MAX_ATTEMPTS", "1"),
    ]);
    let mut scene = Scene::start(&deployment, &["--scripted"], &more).await;
    let watch = Watch::new(vec![scene.serve.stdout.clone()]);
    let silent = |ringing: &[String]| ringing.is_empty();
    let mut rung = Vec::new();
    let mut ring = async |name: &'static str, watch: &Watch| {
        watch.until(name, |ringing| ringing.iter().any(|own| own == name)).await;
        assert_eq!(watch.ringing(), [name], "nothing else");
        rung.push(name);
    };

    // Nobody has ever made a backup.
    ring("backup-overdue", &watch).await;
    let mut command = crate::program::filot();
    command.env("FILOT_DATA_DIR", &scene.data).args(["backup", "--note"]);
    assert!(command.status().unwrap().success());
    watch.until("silence", silent).await;

    // Somebody tries tokens.
    for _ in 0..310 {
        let request = scene.http.get(format!("{}/profile", scene.serve.address)).bearer_auth("x").send();
        assert_eq!(request.await.unwrap().status().as_u16(), 401);
    }
    ring("unauthorized-burst", &watch).await;
    watch.until("silence", silent).await;

    // Somebody has the service key and no signature secret. Each is 401 as well, but they are few.
    for n in 0..8 {
        let request = scene.http.post(format!("{}/internal/reviews", scene.serve.address));
        let request = request.bearer_auth(key).header("Content-Type", "application/json");
        let request = request.header("X-Filot-Timestamp", jiff::Timestamp::now().as_second().to_string());
        let request = request.header("X-Filot-Event-Id", format!("event-{n}"));
        let request = request.header("X-Filot-Signature", "0".repeat(64)).body("{}");
        assert_eq!(request.send().await.unwrap().status().as_u16(), 401);
    }
    ring("buli2-forged-callbacks", &watch).await;
    watch.until("silence", silent).await;

    // Redis is set up as a cache.
    let policy = |policy: &'static str| {
        let port = redis.to_string();
        let args = ["-p", &port, "CONFIG", "SET", "maxmemory-policy", policy];
        assert!(std::process::Command::new("redis-cli").args(args).status().unwrap().success());
    };
    policy("allkeys-lru");
    ring("redis-may-evict", &watch).await;
    policy("noeviction");
    watch.until("silence", silent).await;

    // BULI2 refuses, and nobody sits at the desk.
    buli2.set(Faults { only: Some(404), ..Faults::default() });
    scene.upload_many(1, Script::Review, 0).await;
    ring("reviews-overdue", &watch).await;
    let db = filot_database(&scene.data).await;
    sql(&db, "UPDATE reviews SET status = 'approved'").await;
    watch.until("silence", silent).await;

    // The disk fills up. Nothing is written meanwhile.
    disk.fill();
    ring("disk-nearly-full", &watch).await;
    disk.mend();
    watch.until("silence", silent).await;

    // A document that its reader died over.
    scene.upload_many(1, Script::Aborts, 0).await;
    let dead = scene.serve.wait().await;
    assert!(!dead, "the process died over it");
    let mut scene = scene.again().await;
    let watch = Watch::new(vec![scene.serve.stdout.clone()]);
    ring("dead-documents", &watch).await;
    policy("noeviction");
    let port = redis.to_string();
    let args = ["-p", &port, "FLUSHALL"];
    assert!(std::process::Command::new("redis-cli").args(args).status().unwrap().success());
    watch.until("silence", silent).await;

    // Checkpoints have nowhere to go.
    let away = checkpoints.with_extension("away");
    std::fs::rename(&checkpoints, &away).unwrap();
    scene.upload_many(1, Script::Approve, 0).await;
    ring("checkpoint-overdue", &watch).await;
    std::fs::rename(&away, &checkpoints).unwrap();
    watch.until("silence", silent).await;

    // Somebody has cut entries off the trail's end.
    sql(&db, "UPDATE audit_head SET seq = seq + 1").await;
    watch.until("audit-broken", |ringing| ringing.iter().any(|own| own == "audit-broken")).await;
    rung.push("audit-broken");
    scene.serve.kill();
    assert_eq!(rung, STANDING.map(|(name, _)| name));
}

async fn filot_database(data: &std::path::Path) -> sea_orm::DatabaseConnection {
    let url = format!("sqlite://{}", data.join("filot.db").display());
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = sea_orm::Database::connect(options).await.unwrap();
    sql(&db, "PRAGMA busy_timeout = 10000").await;
    db
}

async fn sql(db: &sea_orm::DatabaseConnection, sql: &str) {
    sea_orm::ConnectionTrait::execute_unprepared(db, sql).await.unwrap();
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
