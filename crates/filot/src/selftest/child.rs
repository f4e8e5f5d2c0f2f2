//! The service in a process of its own, to be killed. It is told on its standard input what to upload, says on its
//! standard output what was acknowledged, and reads what is uploaded. It ends when its input does, so that none
//! outlives its parent.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cards::{Script, card, scripted};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::document::{CardType, DocumentId, UserId};
use crate::intake::{self, Upload};
use crate::queue::Lane;
use crate::serve;
use crate::worker::run_upkeep;
use crate::workflow::read_documents;

/// The arguments that make the program such a process.
pub const SUBCOMMAND: [&str; 2] = ["selftest", "child"];

/// The signal by which a process dies that aborts.
const SIGABRT: i32 = 6;

/// What a child is told to upload: number, script, milliseconds of reading.
pub type Order = (u32, Script, u16);

/// What a child has acknowledged: number, document, SHA-256 of its file.
pub type Ack = (u32, DocumentId, String);

/// A running child, killed when dropped.
pub struct Service {
    child: Child,
    orders: ChildStdin,
    said: mpsc::UnboundedReceiver<String>,
}

impl Service {
    /// Starts `program` as a child with this environment and no other. It uploads for `user`. `failpoint` is
    /// `name:nth`, where it is to abort. To be called within a runtime.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        program: &Path,
        environment: &[(String, String)],
        user: UserId,
        failpoint: Option<&str>,
        stderr: Stdio,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(SUBCOMMAND).arg(user.to_string());
        if let Some(failpoint) = failpoint {
            command.args(["--failpoint", failpoint]);
        }
        command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn()?;
        let missing = || io::Error::other("a pipe to the child is missing");
        let orders = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stdout = tokio::process::ChildStdout::from_std(stdout)?;
        let (sender, said) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, orders, said })
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the child works. `false` if it died before.
    pub async fn ready(&mut self) -> bool {
        while let Some(line) = self.said.recv().await {
            if line == "READY" {
                return true;
            }
        }
        false
    }

    /// Tells the child to upload a document. Telling a dead child is no error.
    pub fn order(&mut self, (number, script, millis): Order) {
        let _ = writeln!(self.orders, "{number} {} {millis}", script as u8);
    }

    /// The next upload that was acknowledged. `None` when the child is dead.
    pub async fn ack(&mut self) -> Option<Ack> {
        loop {
            let line = self.said.recv().await?;
            // A line that was cut off by the end of the process is no acknowledgement.
            if let Some(rest) = line.strip_prefix("ACK ").and_then(|rest| rest.strip_suffix(" .")) {
                let mut words = rest.split(' ');
                let number = words.next()?.parse().ok()?;
                return Some((number, words.next()?.parse().ok()?, words.next()?.to_owned()));
            }
        }
    }

    /// The next acknowledgement, if it comes in time.
    pub async fn ack_within(&mut self, patience: Duration) -> Option<Ack> {
        tokio::time::timeout(patience, self.ack()).await.ok().flatten()
    }

    /// Kills it with signal 9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop (signal 15), and waits. How long it took, or `None` if it had to be killed.
    pub async fn terminate(&mut self, patience: Duration) -> Option<Duration> {
        let start = Instant::now();
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if self.died(patience).await {
            return Some(start.elapsed());
        }
        self.kill();
        None
    }

    /// Returns whether it is dead by its own abort, as at a fail point.
    pub fn aborted(&mut self) -> bool {
        let ended = self.child.try_wait().ok().flatten();
        ended.is_some_and(|status| std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGABRT))
    }

    /// Waits for its death, at most `patience`.
    pub async fn died(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < patience {
            if !matches!(self.child.try_wait(), Ok(None)) {
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

/// The child itself.
///
/// # Errors
/// When a part of the service is missing, a fail point is asked for that this build does not have, or the settings are
/// those of an installation whose verdicts count.
pub fn run(config: Config, user: UserId, failpoint: Option<&str>) -> anyhow::Result<()> {
    refuse_where_verdicts_count(&config)?;
    if let Some(failpoint) = failpoint {
        arm(failpoint)?;
    }
    serve::in_runtime(Duration::from_millis(100), async move |stop: CancellationToken| {
        let app = App::with_reader(config, scripted(), Clock::default()).await?;
        let worker = tokio::spawn(read_documents(app.clone(), Lane::Cpu, stop.clone()));
        let upkeep = tokio::spawn(run_upkeep(app.clone(), stop.clone()));
        say("READY");
        let orders = tokio::spawn(take_orders(app, user));
        stop.cancelled().await;
        orders.abort();
        let _ = tokio::join!(worker, upkeep);
        Ok(())
    })
}

/// A scripted reader believes whatever a picture says, and a fail point kills the process.
///
/// # Errors
/// In production and staging.
pub(crate) fn refuse_where_verdicts_count(config: &Config) -> anyhow::Result<()> {
    let environment = config.service.server.environment;
    anyhow::ensure!(
        environment.is_for_play(),
        "scripted readers and fail points believe or break whatever a test says and are refused in {}; unset NODE_ENV, \
         and use another database",
        environment.as_str()
    );
    Ok(())
}

#[cfg(debug_assertions)]
fn arm(failpoint: &str) -> anyhow::Result<()> {
    let (name, nth) = failpoint.split_once(':').unwrap_or((failpoint, "1"));
    crate::failpoint::arm(name, nth.parse()?);
    Ok(())
}

#[cfg(not(debug_assertions))]
fn arm(_: &str) -> anyhow::Result<()> {
    anyhow::bail!("only builds with debug assertions have fail points")
}

/// One line in one piece. When nobody listens, the parent is gone and this process ends, too.
fn say(line: &str) {
    let _ = io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

async fn take_orders(app: App, user: UserId) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut uploads = JoinSet::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<u32> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [number, script, millis] = words[..] else { continue };
        let Some(&script) = Script::ALL.get(script as usize) else { continue };
        let card = card(number, script, u16::try_from(millis).unwrap_or(u16::MAX));
        let app = app.clone();
        while uploads.try_join_next().is_some() {}
        uploads.spawn(async move {
            match intake::submit(&app, upload(user, card)).await {
                Ok(document) => say(&format!("ACK {number} {} {} .", document.id, document.content_hash)),
                Err(_) => say(&format!("REFUSED {number} .")),
            }
        });
    }
    // The parent is gone, and with it whoever would stop this process.
    std::process::exit(0);
}

/// A scripted card as `user` would send it.
pub fn upload(user: UserId, bytes: bytes::Bytes) -> Upload {
    Upload { user, card_type: CardType::Ktp, media_type: Some("image/png".into()), bytes, idempotency: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::service::Environment;

    /// O8: what believes a picture, or dies on purpose, has no place where verdicts count.
    #[test]
    fn scripts_and_fail_points_are_refused_where_verdicts_count() {
        let data = tempfile::tempdir().unwrap().path().join("data");
        for environment in [Environment::Production, Environment::Staging] {
            let mut config = Config::from_parts("", &[]).unwrap();
            config.service.server.environment = environment;
            config.service.server.data_dir.clone_from(&data);
            let user = UserId::new();
            let attempts = [
                run(config.clone(), user, None),
                run(config.clone(), user, Some("intake.before_blob")),
                serve::serve(config.clone(), true, true),
                serve::work(config, Lane::Cpu, true),
            ];
            for refused in attempts {
                let told = refused.unwrap_err().to_string();
                assert!(told.contains("are refused in"), "{told}");
            }
        }
        assert!(!data.exists(), "something was made");
    }
}
