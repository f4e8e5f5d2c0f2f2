//! What a running service uses of processors and memory, and what makes it use more.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;

use super::{Scene, now};
use crate::http::server::PASSWORD;

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
pub(super) struct Task {
    /// Time (ms), processors in use since the one before, bytes.
    pub(super) seen: Vec<(i64, f64, f64)>,
    last: Option<(Instant, f64)>,
}

impl Task {
    /// Once a second.
    pub(super) fn look(&mut self, process: u32) {
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

    /// In percent of a task that has twice the processors and two thirds more memory than the first `calm` looks used. A
    /// moment of much memory, as sign-ins and starts have, is not what a calm service uses.
    pub(super) fn percent(&self, calm: usize) -> [(&'static str, Vec<(i64, f64)>); 2] {
        let calm = &self.seen[..calm];
        let cpu = 2.0 * calm.iter().map(|seen| seen.1).sum::<f64>() / calm.len() as f64;
        let mut bytes: Vec<f64> = calm.iter().map(|seen| seen.2).collect();
        bytes.sort_by(f64::total_cmp);
        let memory = bytes[bytes.len() / 2] / 0.6;
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
pub(super) async fn keep_busy(scene: &Scene) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    // One account may take a third of what is set aside for bodies.
    let mut accounts = vec![scene.access.clone()];
    for name in ["second", "third"] {
        let account = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let account = scene.serve.post(&scene.http, "/auth/register", account).await;
        accounts.push(account["accessToken"].as_str().unwrap().to_owned());
    }
    // As many as there is room for.
    for access in accounts.iter().cycle().take(10) {
        let (http, address) = (scene.http.clone(), scene.serve.address.clone());
        let (busy, access) = (access.clone(), access.clone());
        tasks.spawn(async move {
            let upload = http.post(format!("{address}/documents/upload")).bearer_auth(&busy);
            // Each is given up after a while, and sent again.
            loop {
                let _ = upload.try_clone().unwrap().multipart(held()).send().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let (http, address) = (scene.http.clone(), scene.serve.address.clone());
        tasks.spawn(async move {
            loop {
                let _ = http.get(format!("{address}/documents")).bearer_auth(&access).send().await;
            }
        });
    }
    tasks
}

/// A form whose file does not come to its end.
fn held() -> reqwest::multipart::Form {
    let begin =
        futures_util::stream::once(async { Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0; 9 << 20])) });
    let body = reqwest::Body::wrap_stream(begin.chain(futures_util::stream::pending()));
    let part = reqwest::multipart::Part::stream_with_length(body, 10 << 20);
    reqwest::multipart::Form::new().text("type", "KTP").part("file", part)
}
