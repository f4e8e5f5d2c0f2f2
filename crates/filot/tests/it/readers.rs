//! R16: a reader that hangs, loops, crashes or leaks costs itself, never the worker, its neighbours or the service; and none
//! outlives the service that started it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use filot::document::{Document, DocumentId, Status, Verification};
use reqwest::Client;
use serde_json::{Value, json};

use crate::http::server::{PASSWORD, form};
use crate::support::alarm::{Alarm, metrics_in};
use crate::support::cards::{Script, card};
use crate::support::serve::Serve;
use crate::support::{Deployment, TestApp, eventually};

/// For what must happen at all; a bound against hanging on a busy machine, not a measure.
const PATIENCE: Duration = Duration::from_secs(90);

/// A service with scripted readers in processes of their own, limits that need little waiting, and an observer beside it.
struct Scene {
    observer: TestApp,
    deployment: Deployment,
    http: Client,
}

impl Scene {
    async fn new(deployment: Deployment, settings: &[(&str, &str)]) -> Self {
        // A busy machine must not make the limits of readings count as lost leases.
        let mut deployment =
            deployment.with("FILOT_WORKER_LEASE_S", "6").with("FILOT_WORKER_READ_TIMEOUT_S", "1");
        for (name, value) in settings {
            deployment = deployment.with(name, value);
        }
        let observer = TestApp::new(&deployment).await;
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Self { observer, deployment, http }
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.deployment.environment().into_iter().filter(|(name, _)| name != "FILOT_DATA_DIR").collect()
    }

    async fn serve(&self, arguments: &[&str]) -> Serve {
        let settings = self.settings();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        Serve::start(&self.deployment.data_dir(), &self.http, arguments, &settings).await
    }

    async fn upload(&self, number: u32, script: Script, millis: u16) -> DocumentId {
        self.observer.upload(card(number, script, millis)).await.unwrap().id
    }

    /// Waits for the end of all; each of them.
    async fn ends(&self, ids: &[DocumentId]) -> Vec<Document> {
        eventually("every document has ended", PATIENCE, || async {
            for id in ids {
                if !self.observer.document(*id).await.is_terminal() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    return false;
                }
            }
            true
        })
        .await;
        let mut ended = Vec::new();
        for id in ids {
            ended.push(self.observer.document(*id).await);
        }
        ended
    }
}

/// The reader processes of a service, by what stands in their command line.
fn readers_of(service: u32) -> Vec<u32> {
    let wanted = format!("read-cards\0{service}\0");
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = processes.filter_map(|name| name.parse::<u32>().ok());
    numbers
        .filter(|number| {
            std::fs::read(format!("/proc/{number}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).ends_with(&wanted))
        })
        .collect()
}

fn signal(signal: &str, processes: &[u32]) {
    let processes = processes.iter().map(ToString::to_string);
    assert!(Command::new("kill").arg(format!("-{signal}")).args(processes).status().unwrap().success());
}

/// Four kinds of misbehaviour, twenty of each among five hundred.
const GUILTY: [(Script, &str); 6] = [
    (Script::Hangs, "reader_timeout"),
    (Script::Loops, "reader_timeout"),
    (Script::Faults, "reader_crash"),
    (Script::Leaks, "reader_memory"),
    (Script::Aborts, "reader_crash"),
    (Script::Babbles, "reader_crash"),
];

async fn readers_that_misbehave_cost_themselves_alone(deployment: Deployment) {
    let limits = [
        // On a busy machine one that loops takes four times its limit.
        ("FILOT_WORKER_CONCURRENCY", "8"),
        ("FILOT_WORKER_MAX_ATTEMPTS", "2"),
        ("FILOT_WORKER_READER_MEMORY_MB", "160"),
        ("CLOUDWATCH_ENABLED", "true"),
        ("METRICS_FLUSH_INTERVAL_MS", "1000"),
    ];
    let scene = Scene::new(deployment, &limits).await;
    let mut serve = scene.serve(&["--scripted"]).await;
    let (mut ids, mut scripts) = (Vec::new(), Vec::new());
    for number in 0..500_u32 {
        // Every sixth is one of the guilty: twenty of each of the four kinds, the crashes in three ways.
        let script = match (number / 6) % 4 {
            _ if number % 6 != 0 || number >= 480 => Script::Approve,
            2 => [Script::Faults, Script::Aborts, Script::Babbles][(number / 24) as usize % 3],
            kind => [Script::Hangs, Script::Loops, Script::Approve, Script::Leaks][kind as usize],
        };
        ids.push(scene.upload(number, script, 1).await);
        scripts.push(script);
    }
    let (mut slowest, mut ends) = (Duration::ZERO, BTreeMap::<String, u32>::new());
    for (document, script) in scene.ends(&ids).await.iter().zip(scripts) {
        match GUILTY.iter().find(|(guilty, _)| *guilty == script) {
            Some((_, code)) => {
                assert_eq!(
                    (document.status, document.failure_code.as_deref()),
                    (Status::Failed, Some(*code)),
                    "{script:?}"
                );
                *ends.entry((*code).to_owned()).or_default() += 1;
            }
            None => {
                assert_eq!(document.verification, Verification::AutoApproved, "{document:?}");
                let took = document.processed_at.unwrap().duration_since(document.created_at);
                slowest = slowest.max(took.unsigned_abs());
            }
        }
    }
    println!("slowest of the others: {slowest:?}; {ends:?}");
    assert!(slowest < Duration::from_secs(60), "{slowest:?}");
    assert_eq!(
        ends,
        BTreeMap::from([
            ("reader_crash".into(), 20),
            ("reader_memory".into(), 20),
            ("reader_timeout".into(), 40)
        ])
    );
    let ready = scene.http.get(format!("{}/ready", serve.address)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 200);
    let numbers =
        scene.http.get(format!("{}/metrics", serve.address)).send().await.unwrap().text().await.unwrap();
    for (reason, least) in [("timeout", 80.0), ("crash", 40.0), ("memory", 40.0)] {
        let line = format!("filot_reader_restarts_total{{reason=\"{reason}\"}} ");
        let count = numbers.lines().find_map(|text| text.strip_prefix(&line)?.parse::<f64>().ok());
        assert!(count.is_some_and(|count| count >= least), "{reason}: {count:?}");
    }
    assert!(serve.terminate(Duration::from_secs(15)).await);
    let alarm = Alarm::all().into_iter().find(|alarm| alarm.name == "readers-timing-out").unwrap();
    let points = alarm.points(&metrics_in(&[serve.stdout.clone()]));
    let last = points.iter().map(|(at, _)| *at).max().unwrap();
    assert!(
        points.iter().any(|(at, _)| alarm.rings(&points, at + 1)),
        "nobody was told of so many: {points:?}"
    );
    assert!(!alarm.rings(&points, last + 2 * alarm.looks_back()));
    // What came of it is no secret, what stands in the documents is.
    let log = std::fs::read_to_string(&serve.log).unwrap();
    assert!(log.contains("signal: 11") && log.contains("signal: 6"), "how a reader died is told");
    assert!(!log.contains("an assertion failed"), "what it said is not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_misbehave_cost_themselves_alone_embedded() {
    readers_that_misbehave_cost_themselves_alone(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_misbehave_cost_themselves_alone_full() {
    readers_that_misbehave_cost_themselves_alone(Deployment::full().await).await;
}

/// S6: one that is frozen as a whole, which no code of its own can notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_reader_is_replaced_and_what_it_had_is_read_again() {
    let scene =
        Scene::new(Deployment::embedded(), &[("JWT_SECRET", "kV7q0y2mBz5nXw8rTj1uLd4sHf6gAc9e")]).await;
    let mut serve = scene.serve(&["--scripted"]).await;
    let first = scene.upload(1, Script::Approve, 0).await;
    scene.ends(&[first]).await;
    let frozen = readers_of(serve.id());
    assert!(!frozen.is_empty());
    for reader in &frozen {
        // Nothing that it could tell a stranger, and no core file of somebody's card.
        let environment = std::fs::read(format!("/proc/{reader}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        assert!(!environment.contains("kV7q0y2m") && !environment.contains("FILOT"), "{environment}");
        let limits = std::fs::read_to_string(format!("/proc/{reader}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert!(core.split_whitespace().any(|word| word == "0"), "{core}");
    }
    signal("STOP", &frozen);
    let mut ids = Vec::new();
    for number in 2..9 {
        ids.push(scene.upload(number, Script::Approve, 5).await);
    }
    for document in scene.ends(&ids).await {
        assert_eq!(document.verification, Verification::AutoApproved);
    }
    let left = readers_of(serve.id());
    assert!(frozen.iter().all(|reader| !left.contains(reader)), "{frozen:?} {left:?}");
    assert!(serve.terminate(Duration::from_secs(15)).await);
}

/// Neither one that sleeps, nor one that works, nor one that is frozen stays when the service is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_outlives_its_service() {
    let limits = [("FILOT_WORKER_CONCURRENCY", "3"), ("FILOT_WORKER_READ_TIMEOUT_S", "60")];
    let scene = Scene::new(Deployment::embedded(), &limits).await;
    let mut serve = scene.serve(&["--scripted"]).await;
    for (number, script) in [(1, Script::Hangs), (2, Script::Loops), (3, Script::Hangs)] {
        scene.upload(number, script, 0).await;
    }
    let service = serve.id();
    eventually("three readers", PATIENCE, || async { readers_of(service).len() == 3 }).await;
    signal("STOP", &readers_of(service)[..1]);
    serve.kill();
    eventually("no reader is left", PATIENCE, || async { readers_of(service).is_empty() }).await;
}

/// On the GPU lane readings share a process; one that hangs takes the others along, which are read again, uncounted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_in_one_process_are_read_again_and_not_counted() {
    let settings = [
        ("OCR_GPU_ENABLED", "true"),
        ("OCR_GPU_CONCURRENCY", "4"),
        ("OCR_GPU_MAX_RETRIES", "1"),
        ("OCR_GPU_POLL_INTERVAL", "50"),
        ("OCR_GPU_AUTOFALLBACK", "false"),
        ("FILOT_WORKER_READ_TIMEOUT_S", "3"),
    ];
    let scene = Scene::new(Deployment::embedded(), &settings).await;
    let settings = scene.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut ids = vec![scene.upload(0, Script::Hangs, 0).await];
    for number in 1..12 {
        ids.push(scene.upload(number, Script::Approve, 400).await);
    }
    let mut worker = Serve::worker(&scene.deployment.data_dir(), &["--lane", "gpu", "--scripted"], &settings);
    eventually("a reader", PATIENCE, || async { !readers_of(worker.id()).is_empty() }).await;
    assert_eq!(readers_of(worker.id()).len(), 1, "a GPU is held once");
    let ended = scene.ends(&ids).await;
    assert_eq!(ended[0].failure_code.as_deref(), Some("reader_timeout"));
    for document in &ended[1..] {
        assert_eq!(document.verification, Verification::AutoApproved, "{:?}", document.failure_code);
    }
    assert!(worker.terminate(Duration::from_secs(15)).await);
}

fn networks(at: &Path) -> PathBuf {
    let models = crate::program::models();
    std::fs::create_dir(at).unwrap();
    for name in ["det-tiny.onnx", "rec-tiny.onnx", "charset.txt"] {
        std::fs::copy(models.join(name), at.join(name)).unwrap();
    }
    at.to_owned()
}

/// A worker that cannot start readers takes no documents, says so, rings, and goes on when it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_cannot_be_started_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let models = networks(&folder.path().join("models"));
    let settings = [
        ("FILOT_READER_MODELS", models.to_str().unwrap()),
        ("FILOT_READER_RUNTIME", "rten"),
        ("FILOT_WORKER_READ_TIMEOUT_S", "60"),
        ("CLOUDWATCH_ENABLED", "true"),
        ("METRICS_FLUSH_INTERVAL_MS", "1000"),
    ];
    let scene = Scene::new(Deployment::embedded(), &settings).await;
    let mut serve = scene.serve(&[]).await;
    let account = json!({ "email": "readers@example.com", "password": PASSWORD });
    let access = serve.post(&scene.http, "/auth/register", account).await["accessToken"].clone();
    let health = async |path: &str| {
        let answer = scene.http.get(format!("{}{path}", serve.address)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap()["checks"]["readers"]["ok"].clone())
    };
    assert_eq!(health("/ready").await, (200, json!(true)));
    let alarm = Alarm::all().into_iter().find(|alarm| alarm.name == "readers-unable").unwrap();
    let rings = || {
        alarm.rings(
            &alarm.points(&metrics_in(&[serve.stdout.clone()])),
            jiff::Timestamp::now().as_millisecond(),
        )
    };

    std::fs::rename(&models, folder.path().join("away")).unwrap();
    signal("KILL", &readers_of(serve.id()));
    let upload = || async {
        let request = scene.http.post(format!("{}/documents/upload", serve.address));
        let form = form(&card(1, Script::Approve, 0), "KTP");
        let answer = request.bearer_auth(access.as_str().unwrap()).multipart(form).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 202, "an upload waits for readers");
        answer.json::<Value>().await.unwrap()["documentId"].as_str().unwrap().parse::<DocumentId>().unwrap()
    };
    let id = upload().await;
    eventually("that they cannot be started is told", PATIENCE, || async {
        health("/ready").await == (503, json!(false))
    })
    .await;
    assert_eq!(health("/health").await, (200, json!(false)));
    eventually("it is given back, and no try counted", PATIENCE, || async {
        let document = scene.observer.document(id).await;
        document.status == Status::Pending && document.attempts == 0
    })
    .await;
    eventually("the alarm rings", PATIENCE, || async { rings() }).await;
    let log = std::fs::read_to_string(&serve.log).unwrap();
    assert!(log.contains("no reader can be started"), "{log}");

    std::fs::rename(folder.path().join("away"), &models).unwrap();
    eventually("that they can is told", PATIENCE, || async { health("/ready").await == (200, json!(true)) })
        .await;
    eventually("the alarm is silent", PATIENCE, || async { !rings() }).await;
    eventually("it is read", PATIENCE, || async { scene.observer.document(id).await.is_terminal() }).await;
    assert!(serve.terminate(Duration::from_secs(15)).await);
}

/// A reader that hangs on a thread of the service itself, as tests have them, keeps no permit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_hangs_keeps_no_permit() {
    let deployment = Deployment::embedded()
        .with("FILOT_WORKER_READ_TIMEOUT_S", "1")
        .with("FILOT_WORKER_MAX_ATTEMPTS", "2");
    let mut it = TestApp::new(&deployment).await;
    let start = Instant::now();
    // Six seconds are for ever here, and let the test end.
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(
            it.upload(card(number, Script::Approve, if number < 2 { 6_000 } else { 5 })).await.unwrap().id,
        );
    }
    it.work();
    for (number, id) in ids.iter().enumerate() {
        let ended = it.finished(*id).await;
        let code = (number < 2).then_some("reader_timeout");
        assert_eq!(ended.failure_code.as_deref(), code, "{number}");
    }
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
    it.rest().await;
}
