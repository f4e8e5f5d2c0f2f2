//! The service in a process of its own, to be killed. The process is this very test binary, run again for one test.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use filot::document::{DocumentId, UserId};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

use super::app::{Deployment, upload};
use super::cards::{Script, card, scripted};

/// What a child is told to upload: number, script, milliseconds of reading.
pub(crate) type Order = (u32, Script, u16);

/// A running child. It uploads what it is told, and reads what is uploaded.
pub(crate) struct Service {
    child: Child,
    orders: ChildStdin,
    acks: mpsc::UnboundedReceiver<String>,
}

impl Service {
    /// Starts a child on `deployment`. `failpoint` is `name:nth`, where it is to abort.
    pub(crate) fn start(deployment: &Deployment, user: UserId, failpoint: Option<&str>) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "support::child::serve", "--ignored", "--nocapture", "--test-threads", "1"]);
        command.envs(deployment.environment()).env("FILOT_TEST_USER", user.to_string());
        if let Some(failpoint) = failpoint {
            command.env("FILOT_TEST_FAILPOINT", failpoint);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let stdout = tokio::process::ChildStdout::from_std(child.stdout.take().unwrap()).unwrap();
        let (sender, acks) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = sender.send(line);
            }
        });
        Self { child, orders, acks }
    }

    /// Waits until the child works. `false` if it died before.
    pub(crate) async fn ready(&mut self) -> bool {
        while let Some(line) = self.acks.recv().await {
            if line.ends_with("READY") {
                return true;
            }
        }
        false
    }

    /// Tells the child to upload a document. Telling a dead child is no error.
    pub(crate) fn order(&mut self, (number, script, millis): Order) {
        let _ = writeln!(self.orders, "{number} {} {millis}", script as u8);
    }

    /// The next upload that was acknowledged: number, document, hash of its file. `None` when the child is dead.
    pub(crate) async fn ack(&mut self) -> Option<(u32, DocumentId, String)> {
        loop {
            let line = self.acks.recv().await?;
            // A line that was cut off by the end of the process is no acknowledgement.
            if let Some(rest) = line.strip_prefix("ACK ").and_then(|rest| rest.strip_suffix(" .")) {
                let mut words = rest.split(' ');
                let number = words.next()?.parse().ok()?;
                return Some((number, words.next()?.parse().ok()?, words.next()?.to_owned()));
            }
        }
    }

    /// An acknowledgement that is there already.
    pub(crate) async fn ack_within(&mut self, patience: Duration) -> Option<(u32, DocumentId, String)> {
        tokio::time::timeout(patience, self.ack()).await.ok().flatten()
    }

    /// Kills it with signal 9.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, and waits. How long it took, or `None` if it had to be killed.
    pub(crate) async fn terminate(&mut self, patience: Duration) -> Option<Duration> {
        let start = std::time::Instant::now();
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        while start.elapsed() < patience {
            if self.child.try_wait().unwrap().is_some() {
                return Some(start.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        None
    }

    /// Waits for its death at a fail point.
    pub(crate) async fn died(&mut self, patience: Duration) -> bool {
        let start = std::time::Instant::now();
        while start.elapsed() < patience {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The child itself: not a test of its own.
#[test]
#[ignore = "run by other tests as a process to be killed"]
#[expect(clippy::disallowed_methods, reason = "a child learns from its parent through the environment")]
fn serve() {
    use filot::worker::run_upkeep;
    use filot::workflow::read_documents;
    let Ok(user) = std::env::var("FILOT_TEST_USER") else { return };
    if let Ok(failpoint) = std::env::var("FILOT_TEST_FAILPOINT") {
        let (name, nth) = failpoint.split_once(':').unwrap();
        filot::failpoint::arm(name, nth.parse().unwrap());
    }
    let user: UserId = user.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = filot::config::Config::load(None).unwrap();
        let clock = filot::clock::Clock::default();
        let app = filot::app::App::with_reader(config, scripted(), clock).await.unwrap();
        let stop = tokio_util::sync::CancellationToken::new();
        let worker = tokio::spawn(read_documents(app.clone(), filot::queue::Lane::Cpu, stop.clone()));
        let upkeep = tokio::spawn(run_upkeep(app.clone(), stop.clone()));
        println!("READY");
        let orders = tokio::spawn(take_orders(app, user));
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        terminate.recv().await;
        orders.abort();
        stop.cancel();
        let _ = tokio::join!(worker, upkeep);
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
}

async fn take_orders(app: filot::app::App, user: UserId) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<u32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let [number, script, millis] = words[..] else { continue };
        let script = super::cards::ALL[script as usize];
        let app = app.clone();
        tokio::spawn(async move {
            let card = card(number, script, u16::try_from(millis).unwrap());
            if let Ok(document) = filot::intake::submit(&app, upload(user, card)).await {
                println!("ACK {number} {} {} .", document.id, document.content_hash);
            } else {
                println!("REFUSED {number} .");
            }
        });
    }
}
