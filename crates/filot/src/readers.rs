//! The readers of a worker: processes that can be killed. A file that hangs, crashes or bloats its reader costs that process
//! and no other; the service itself runs no code that looks at what stands in a picture.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tracing::{error, info, warn};

use crate::card_reader::{CardReading, Failure, Request};
use crate::config::{Config, Runtime};
use crate::program;

mod child;
mod proc;
mod process;
mod wire;

pub(crate) use child::run as run_child;
use process::{Allowance, Process, Starter};

/// Name of the hidden subcommand, followed by the number of the process that reads are for.
pub const SUBCOMMAND: &str = "read-cards";
/// After a reader could not be started, before the next try.
const COOLDOWN: Duration = Duration::from_secs(1);
/// What a process on a GPU takes beside its readings: CUDA, cuDNN and the copies of the networks.
const GPU_MEMORY: u64 = 8 << 30;

/// The readers. A clone is the same.
#[derive(Clone)]
pub struct Readers(Arc<Pool>);

struct Pool {
    name: String,
    /// What the first of them said that somebody should know.
    notes: Vec<String>,
    command: Settings,
    allowance: Allowance,
    starter: Starter,
    /// Their processes are started when they are first needed, but for the first.
    places: Vec<Place>,
    /// Indices of places whose process can take a reading, the one used last at the end.
    free: Mutex<Vec<usize>>,
    /// When and why the latest start failed, if none has worked since.
    failed: Mutex<Option<(Instant, String)>>,
}

/// Where a process runs, one after the other.
#[derive(Default)]
struct Place {
    /// Held by whoever looks for the process, and starts it if need be.
    starting: tokio::sync::Mutex<()>,
    process: Mutex<Option<Arc<Process>>>,
}

impl Place {
    /// The process, if it runs.
    fn running(&self) -> Option<Arc<Process>> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).clone();
        process.filter(|process| process.is_alive())
    }

    fn put(&self, process: Option<Arc<Process>>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }
}

/// What a process is started with.
struct Settings {
    environment: Vec<(String, String)>,
    start: wire::Start,
}

/// How the readers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Processes that run.
    pub alive: usize,
    /// Why none can be started.
    pub unable: Option<String>,
    /// A reading goes on for longer than any may.
    pub stalled: bool,
}

impl Condition {
    /// Whether documents get read.
    pub fn is_well(&self) -> bool {
        self.unable.is_none() && !self.stalled
    }
}

impl Readers {
    /// Starts the first reader that the settings ask for; others follow when there is more to read at a time. With
    /// `scripted` they believe what the pixels of a test picture say.
    ///
    /// # Errors
    /// When it cannot work; the text says how to mend that.
    pub async fn start(config: &Config, scripted: bool) -> Result<Self, String> {
        let slots = config.service.worker.readers();
        let on_gpu = config.reader.runtime == Runtime::Cuda;
        // A GPU is held once, and computes for several cards at a time.
        let (count, each) = if on_gpu { (1, slots) } else { (slots, 1) };
        let worker = &config.service.worker;
        let memory = (worker.reader_memory_mb << 20) * each as u64 + if on_gpu { GPU_MEMORY } else { 0 };
        let time = Duration::from_secs(worker.read_timeout_s);
        let start = wire::Start { settings: config.for_readers(), threads: each, scripted };
        let command = Settings { environment: config.child_environment.clone(), start };
        let starter = Starter::new().map_err(|error| format!("readers cannot be started: {error}"))?;
        let mut pool = Pool {
            name: String::new(),
            notes: Vec::new(),
            command,
            allowance: Allowance { time, memory, shared: each > 1 },
            starter,
            places: (0..count).map(|_| Place::default()).collect(),
            free: Mutex::new((0..count).rev().flat_map(|index| vec![index; each]).collect()),
            failed: Mutex::default(),
        };
        let (first, ready) = pool.start_one().await?;
        for note in &ready.notes {
            warn!("{note}");
        }
        (pool.name, pool.notes) = (ready.name, ready.notes);
        pool.places[0].put(Some(first));
        pool.measure();
        Ok(Self(Arc::new(pool)))
    }

    /// Name of the reader, as results show it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What somebody should know, such as that the slower runtime is in use.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// Returns whether readings share a process.
    pub fn shares_a_process(&self) -> bool {
        self.0.allowance.shared
    }

    /// Returns how long a reading can take at the very most, start of its process included.
    pub fn longest(&self) -> Duration {
        self.0.allowance.longest()
    }

    /// Returns whether documents can be taken on. While no reader could be started this tries to start one, now and then.
    pub async fn can_read(&self) -> bool {
        let since = self.0.failed().as_ref().map(|(since, _)| *since);
        match since {
            None => true,
            Some(_) if !self.0.alive().is_empty() => true,
            Some(since) if since.elapsed() < COOLDOWN => false,
            Some(_) => self.0.running(0).await.is_some(),
        }
    }

    /// How they are.
    pub fn condition(&self) -> Condition {
        self.0.condition()
    }

    /// Has a file read. The permit is kept until the reading is over or its process is dead, also when nobody waits for
    /// it any longer; there must not be more permits than readers.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn read(
        &self,
        request: Request,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Result<CardReading, Failure> {
        let pool = Arc::clone(&self.0);
        let reading = tokio::spawn(async move {
            let _permit = permit;
            let slot = Slot::take(&pool).ok_or(Failure::UNAVAILABLE)?;
            let process = pool.running(slot.index).await.ok_or(Failure::UNAVAILABLE)?;
            let read = process.read(request, pool.allowance).await;
            pool.measure();
            read
        });
        reading.await.unwrap_or(Err(Failure::CRASHED))
    }
}

/// A place in a process, given back when dropped.
struct Slot<'a> {
    pool: &'a Pool,
    index: usize,
}

impl<'a> Slot<'a> {
    fn take(pool: &'a Pool) -> Option<Self> {
        let index = pool.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Self { pool, index })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}

impl Pool {
    /// The process at `index`, started if it does not run. `None` when that fails or has just failed.
    async fn running(&self, index: usize) -> Option<Arc<Process>> {
        let place = &self.places[index];
        let _starting = place.starting.lock().await;
        if let Some(process) = place.running() {
            return Some(process);
        }
        if self.failed().as_ref().is_some_and(|(since, _)| since.elapsed() < COOLDOWN) {
            return None;
        }
        let process = match self.start_one().await {
            Ok((process, _)) => {
                if self.failed().take().is_some() {
                    info!("readers can be started again");
                }
                Some(process)
            }
            Err(reason) => {
                let mut failed = self.failed();
                // It is tried again and again; once is enough to be told.
                if failed.as_ref().is_none_or(|(_, known)| *known != reason) {
                    error!(reason, "no reader can be started; documents wait. See `filot doctor`");
                }
                *failed = Some((Instant::now(), reason));
                None
            }
        };
        place.put(process.clone());
        self.measure();
        process
    }

    async fn start_one(&self) -> Result<(Arc<Process>, process::Ready), String> {
        let Settings { environment, start } = &self.command;
        let command = process::command(&program::own(), environment);
        let (process, ready) = Process::start(&self.starter, command, start).await?;
        if ready.without_gpu {
            metrics::counter!("filot_gpu_fallback_total", "reason" => "no_gpu").increment(1);
        }
        Ok((process, ready))
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Vec<Arc<Process>> {
        self.places.iter().filter_map(Place::running).collect()
    }

    fn condition(&self) -> Condition {
        let alive = self.alive();
        let longest = self.allowance.longest();
        let stalled =
            alive.iter().filter_map(|process| process.oldest()).any(|since| since.elapsed() > longest);
        // While some run, documents are read, if fewer at a time.
        let unable = self.failed().as_ref().map(|(_, reason)| reason.clone()).filter(|_| alive.is_empty());
        Condition { alive: alive.len(), unable, stalled }
    }

    fn measure(&self) {
        let condition = self.condition();
        metrics::gauge!("filot_readers_alive").set(condition.alive as f64);
        metrics::gauge!("filot_readers_unable").set(f64::from(u8::from(!condition.is_well())));
    }
}
