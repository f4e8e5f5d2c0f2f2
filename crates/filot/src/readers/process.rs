//! One reader process, as the service sees it: started, asked, watched, killed and reaped.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::proc;
use super::wire::{self, Answer, Ask, PhotoHead, Start};
use crate::card_reader::{CardReading, Failure, Request};
use crate::reader::FileError;

/// From the start of a process until it can read: loading networks, and on a GPU planning them.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two looks at a process that reads.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A reading that is still at work when its time is over may take so many times as long: others had the processor.
const GRACE: u32 = 4;
/// At work is who has had this share of a processor lately.
const AT_WORK: f64 = 0.02;

/// What readings of a process may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) time: Duration,
    /// Bytes of the process.
    pub(super) memory: u64,
    /// Whether it reads several at a time: then nobody can tell whose the processor time is.
    pub(super) shared: bool,
}

impl Allowance {
    /// Returns how long a reading can take at the very most, start of its process included.
    pub(super) fn longest(self) -> Duration {
        self.time * GRACE + START_TIMEOUT
    }
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By itself, or by saying what no reader says.
    Crash,
    TimedOut,
    TooMuchMemory,
    /// It is no longer needed.
    Closed,
}

impl End {
    /// As metrics call it.
    fn reason(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::TimedOut => "timeout",
            Self::TooMuchMemory => "memory",
            Self::Closed => "closed",
        }
    }

    fn failure(self) -> Failure {
        match self {
            Self::Crash => Failure::CRASHED,
            Self::TimedOut => Failure::TIMED_OUT,
            Self::TooMuchMemory => Failure::TOO_MUCH_MEMORY,
            Self::Closed => Failure::INTERRUPTED,
        }
    }
}

/// What a process said when it could read.
pub(super) struct Ready {
    pub(super) name: String,
    pub(super) notes: Vec<String>,
    pub(super) without_gpu: bool,
}

/// Starts processes, on one thread that lives as long as this: they are bound to the thread that started them.
pub(super) struct Starter {
    sender: mpsc::Sender<(Command, oneshot::Sender<std::io::Result<Child>>)>,
}

impl Starter {
    pub(super) fn new() -> std::io::Result<Self> {
        let (sender, orders) = mpsc::channel::<(Command, oneshot::Sender<std::io::Result<Child>>)>();
        std::thread::Builder::new().name("reader-starter".into()).spawn(move || {
            while let Ok((mut command, told)) = orders.recv() {
                if let Err(Ok(mut unwanted)) = told.send(command.spawn()) {
                    let _ = unwanted.kill();
                    let _ = unwanted.wait();
                }
            }
        })?;
        Ok(Self { sender })
    }

    async fn start(&self, command: Command) -> std::io::Result<Child> {
        let (told, started) = oneshot::channel();
        let gone = || std::io::Error::other("nobody starts processes any longer");
        self.sender.send((command, told)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// The readings that go on, by their number: since when, and who waits for the answer.
type Asked = HashMap<u64, (Instant, oneshot::Sender<(Answer, Vec<u8>)>)>;

/// A running reader process. It is killed when this is dropped.
pub(super) struct Process {
    id: u32,
    input: tokio::sync::Mutex<ChildStdin>,
    child: Mutex<Option<Child>>,
    asked: Mutex<Asked>,
    next: AtomicU64,
    fell_back: AtomicU64,
    /// Why it ended, and by whose fault if that is known.
    ended: OnceLock<(End, Option<u64>)>,
}

impl Process {
    /// Starts one and waits until it can read.
    ///
    /// # Errors
    /// Why it cannot, for people.
    pub(super) async fn start(
        starter: &Starter,
        command: Command,
        start: &Start,
    ) -> Result<(Arc<Self>, Ready), String> {
        let mut child = starter
            .start(command)
            .await
            .map_err(|error| format!("a reader process does not start: {error}"))?;
        let pipes =
            (child.stdin.take().map(ChildStdin::from_std), child.stdout.take().map(ChildStdout::from_std));
        let id = child.id();
        let (Some(Ok(input)), Some(Ok(mut output))) = pipes else {
            reap(child, id, End::Crash);
            return Err("a reader process has no pipes".to_owned());
        };
        let process = Arc::new(Self {
            id,
            input: tokio::sync::Mutex::new(input),
            child: Mutex::new(Some(child)),
            asked: Mutex::default(),
            next: AtomicU64::new(1),
            fell_back: AtomicU64::new(0),
            ended: OnceLock::new(),
        });
        let greeted = tokio::time::timeout(START_TIMEOUT, async {
            wire::send(&mut *process.input.lock().await, start, &[]).await?;
            wire::receive(&mut output).await
        });
        let said = match greeted.await {
            Ok(Ok((Answer::Ready { name, notes, without_gpu }, _))) => {
                tokio::spawn(listen(Arc::downgrade(&process), output));
                return Ok((process, Ready { name, notes, without_gpu }));
            }
            Ok(Ok((Answer::Unable { reason }, _))) => reason,
            Ok(_) => "a reader process ended before it could read".to_owned(),
            Err(_) => format!("a reader process could not read after {} s", START_TIMEOUT.as_secs()),
        };
        process.end(End::Closed, None);
        Err(said)
    }

    /// Whether it can be asked.
    pub(super) fn is_alive(&self) -> bool {
        self.ended.get().is_none()
    }

    /// Since when the oldest of its readings goes on.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.asked().values().map(|(since, _)| *since).min()
    }

    /// Has a file read.
    ///
    /// # Errors
    /// See [`Failure`]. When the time is over, or too much memory is used, the process is dead afterwards.
    pub(super) async fn read(&self, request: Request, allowance: Allowance) -> Result<CardReading, Failure> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.asked().insert(id, (Instant::now(), sender));
        let answered = async {
            if self.ask(id, &request).await.is_err() {
                self.end(End::Crash, None);
            }
            answer.await.ok()
        };
        let answered = tokio::select! {
            biased;
            answered = answered => answered,
            end = self.watch(allowance) => {
                // Of several readings nobody can tell whose the memory is.
                let by = (end == End::TimedOut || !allowance.shared).then_some(id);
                self.end(end, by);
                None
            }
        };
        let Some((answer, body)) = answered else { return Err(self.failure_of(id)) };
        self.understood(answer, body).unwrap_or_else(|| {
            self.end(End::Crash, Some(id));
            Err(Failure::CRASHED)
        })
    }

    async fn ask(&self, id: u64, request: &Request) -> std::io::Result<()> {
        let photo = request.decoded.as_ref().map(|decoded| {
            let photo = &decoded.photo;
            PhotoHead {
                size: photo.pixels.dimensions(),
                reduction: photo.reduction,
                width: photo.width,
                height: photo.height,
                fine_step: photo.fine_step,
                took_us: u64::try_from(decoded.took.as_micros()).unwrap_or(u64::MAX),
            }
        });
        let pixels = request.decoded.as_ref().map_or(&[][..], |decoded| decoded.photo.pixels.as_raw());
        let (declared, today) = (request.declared, request.today.to_string());
        let ask = Ask { id, declared, today, file: request.bytes.len(), photo };
        wire::send(&mut *self.input.lock().await, &ask, &[&request.bytes, pixels]).await
    }

    /// What an answer says; `None` if no reader says so.
    fn understood(&self, answer: Answer, mut body: Vec<u8>) -> Option<Result<CardReading, Failure>> {
        match answer {
            Answer::Read { decision, score, result, fell_back, .. } => {
                self.note_fallbacks(fell_back);
                if score > 100 || result > body.len() {
                    return None;
                }
                let text = String::from_utf8(body.split_off(result)).ok()?;
                let result = RawValue::from_string(String::from_utf8(body).ok()?).ok()?;
                Some(Ok(CardReading { decision, score, result, text }))
            }
            Answer::Failed { code, blame, fell_back, .. } => {
                self.note_fallbacks(fell_back);
                let code = FileError::known_code(&code)?;
                Some(Err(Failure { code, blame }))
            }
            Answer::Ready { .. } | Answer::Unable { .. } => None,
        }
    }

    fn note_fallbacks(&self, so_far: u64) {
        let more = so_far.saturating_sub(self.fell_back.fetch_max(so_far, Ordering::Relaxed));
        if more > 0 {
            metrics::counter!("filot_gpu_fallback_total", "reason" => "gpu_failed").increment(more);
            warn!(count = more, "the GPU failed: reading on the CPU");
        }
    }

    /// Ends when the process has to be killed, and says why.
    async fn watch(&self, allowance: Allowance) -> End {
        let began = Instant::now();
        // Nothing that it started runs yet.
        let before = proc::own_processor_time(self.id);
        // How long a reader that works may be seen without processor time, on a machine where many want it.
        let pause = (allowance.time / 4).clamp(Duration::from_millis(250), Duration::from_secs(5));
        let mut seen: Option<(Instant, Duration)> = None;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if proc::memory(self.id).is_some_and(|bytes| bytes > allowance.memory) {
                return End::TooMuchMemory;
            }
            let took = began.elapsed();
            if took + pause < allowance.time {
                continue;
            }
            let is_due = took >= allowance.time;
            if is_due && (allowance.shared || took >= allowance.time * GRACE) {
                return End::TimedOut;
            }
            // Looking at all that it started costs more, so it is done once in a pause.
            if seen.is_some_and(|(since, _)| since.elapsed() < pause) {
                continue;
            }
            let work = proc::processor_time(self.id).saturating_sub(before);
            let lately = seen
                .map(|(since, then)| work.saturating_sub(then).as_secs_f64() / since.elapsed().as_secs_f64());
            // It had the time that it may take and a processor for itself, or it does nothing.
            if is_due && (work.mul_f64(1.1) >= allowance.time || lately.is_some_and(|share| share < AT_WORK))
            {
                return End::TimedOut;
            }
            seen = Some((Instant::now(), work));
        }
    }

    fn failure_of(&self, id: u64) -> Failure {
        match self.ended.get() {
            Some((_, Some(guilty))) if *guilty != id => Failure::INTERRUPTED,
            Some((end, _)) => end.failure(),
            None => Failure::CRASHED,
        }
    }

    /// Kills it and all that it started. The first reason counts.
    fn end(&self, end: End, by: Option<u64>) {
        if self.ended.set((end, by)).is_err() {
            return;
        }
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(child) = child {
            reap(child, self.id, end);
        }
        if end != End::Closed {
            metrics::counter!("filot_reader_restarts_total", "reason" => end.reason()).increment(1);
        }
        // Whoever waits for an answer learns that there is none.
        self.asked().clear();
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(End::Closed, None);
    }
}

/// Hands answers to whoever asked, until the process ends.
async fn listen(process: Weak<Process>, mut output: ChildStdout) {
    loop {
        let said = wire::receive(&mut output).await;
        let Some(process) = process.upgrade() else { return };
        let id = match &said {
            Ok((Answer::Read { id, .. } | Answer::Failed { id, .. }, _)) => *id,
            _ => return process.end(End::Crash, None),
        };
        let asker = process.asked().remove(&id);
        match (asker, said) {
            (Some((_, asker)), Ok(said)) => _ = asker.send(said),
            _ => return process.end(End::Crash, None),
        }
    }
}

/// Kills and reaps, on a thread of its own: a process that hangs in the system may take a while to die.
fn reap(mut child: Child, id: u32, end: End) {
    // Before it is reaped its number is nobody else's. One that ended by itself keeps its status.
    proc::kill_session(id);
    std::thread::spawn(move || match child.wait() {
        Ok(status) if end != End::Closed => {
            let reason = end.reason();
            warn!(process = id, reason, ended = %status, "a reader process ended; another takes its place");
        }
        Ok(_) => debug!(process = id, "a reader process ended"),
        Err(error) => warn!(process = id, %error, "a reader process was not reaped"),
    });
}

/// A command with pipes and nothing of the environment but what is given.
pub(super) fn command(program: &std::path::Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    command.arg(super::SUBCOMMAND).arg(std::process::id().to_string());
    command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}
