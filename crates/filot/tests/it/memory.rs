//! R13: memory does not grow with the number of documents that went through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use filot::selftest::account::order;
use reqwest::Client;
use serde_json::{Value, json};

use crate::http::server::{PASSWORD, form};
use crate::support::cards::card;
use crate::support::serve::Serve;
use crate::support::{Deployment, eventually};

/// Documents after which memory is first looked at; by then every cache is warm.
const WARM: u32 = 500;
/// What the service may hold at any time, without a reader's networks, in KiB.
const CAP: u64 = 512 << 10;
/// Clients that upload at a time.
const CLIENTS: u32 = 8;

/// Memory of a process in KiB.
fn memory(process: u32) -> u64 {
    in_status(process, "VmRSS:")
}

/// The most that a process has ever held, in KiB.
fn peak(process: u32) -> u64 {
    in_status(process, "VmHWM:")
}

fn in_status(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Uploads the documents of these numbers and looks at each once, as clients do.
async fn upload(serve: &Serve, http: &Client, access: &str, numbers: std::ops::Range<u32>) {
    let next = Arc::new(AtomicU32::new(numbers.start));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (http, access, next) = (http.clone(), access.to_owned(), Arc::clone(&next));
        let (address, end) = (serve.address.clone(), numbers.end);
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return;
                }
                let (_, script, _) = order(number);
                let request = http.post(format!("{address}/documents/upload")).bearer_auth(&access);
                let answer = request.multipart(form(&card(number, script, 0), "KTP")).send().await.unwrap();
                assert_eq!(answer.status().as_u16(), 202);
                let id = answer.json::<Value>().await.unwrap()["documentId"].as_str().unwrap().to_owned();
                let shown = http.get(format!("{address}/documents/{id}")).bearer_auth(&access).send().await;
                assert_eq!(shown.unwrap().status().as_u16(), 200);
            }
        });
    }
    clients.join_all().await;
    eventually("an empty queue", Duration::from_secs(300), || async {
        let request = http.get(format!("{address}/metrics", address = serve.address));
        let numbers: Value =
            request.header("Accept", "application/json").send().await.unwrap().json().await.unwrap();
        let queues = &numbers["metrics"]["queues"];
        queues["cpuQueueLength"] == 0 && queues["cpuActiveJobs"] == 0
    })
    .await;
}

async fn memory_stays(deployment: Deployment, documents: u32) {
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    let settings: Vec<(String, String)> =
        deployment.environment().into_iter().filter(|(name, _)| name != "FILOT_DATA_DIR").collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let serve = Serve::start(&deployment.data_dir(), &http, &["--scripted"], &settings).await;
    let start = Instant::now();
    let account = json!({ "email": "memory@example.com", "password": PASSWORD });
    serve.post(&http, "/auth/register", account.clone()).await;
    let idle = memory(serve.id());
    let (mut begin, mut warm) = (0, 0);
    // In steps, as access tokens live for a quarter of an hour.
    while begin < documents {
        let end = (begin + WARM).min(documents);
        let signed_in = serve.post(&http, "/auth/login", account.clone()).await;
        upload(&serve, &http, signed_in["accessToken"].as_str().unwrap(), begin..end).await;
        if begin == 0 {
            warm = memory(serve.id());
        }
        let now = memory(serve.id());
        println!("after {end} documents: {now} KiB");
        assert!(now <= CAP, "{now} KiB after {end} documents");
        begin = end;
    }
    let (last, peak) = (memory(serve.id()), peak(serve.id()));
    assert!(peak <= CAP, "{peak} KiB at some moment");
    println!(
        "{documents} documents in {:?}: {idle} KiB idle, {warm} KiB after {WARM}, {last} KiB at the end ({:+.1} %)",
        start.elapsed(),
        100.0 * (last as f64 / warm as f64 - 1.0)
    );
    assert!(
        last * 10 <= warm * 11,
        "memory grows: {warm} KiB after {WARM} documents, {last} KiB after {documents}"
    );
}

/// A number that takes a minute or two; the whole one is below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_embedded() {
    memory_stays(Deployment::embedded(), 5000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_full() {
    memory_stays(Deployment::full().await, 5000).await;
}

/// `cargo test --release --package filot --test it -- --ignored --exact memory::ten_thousand --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; five thousand documents are always tried"]
async fn ten_thousand() {
    memory_stays(Deployment::embedded(), 10_000).await;
    memory_stays(Deployment::full().await, 10_000).await;
}
