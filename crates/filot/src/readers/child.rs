//! What a reader process does: it loads the reader once, and reads what it is sent until its input ends.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use filot_ocr::image::{DecodedParts, Limits, Photo};
use image::RgbImage;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid, setsid};

use super::wire::{self, Answer, Ask, Start};
use crate::card_reader::{Blame, Failure, File, ReadFile, reads_with};
use crate::config::Config;
use crate::decoded::Decoded;
use crate::reader::Reader;
use crate::selftest::cards;

/// How much sooner than others the system ends this process when memory runs out (`oom_score_adj`).
const FIRST_TO_GO: &str = "700";

/// What can read here.
struct Loaded {
    read: Box<ReadFile>,
    limits: Limits,
    fell_back: Arc<AtomicU64>,
    ready: Answer,
}

/// A file and its picture, on the way to a thread that reads.
struct Job {
    ask: Ask,
    file: Vec<u8>,
    pixels: Vec<u8>,
}

/// Reads cards for the process `parent` until it has no more. Ends with it, however it ends, and whatever is being read.
pub(crate) fn run(parent: u32) -> u8 {
    protect();
    if getppid() != Pid::from_raw(parent.cast_signed()) {
        return 0;
    }
    let mut input = io::stdin().lock();
    let Ok(Some((start, _))) = wire::read_head::<Start>(&mut input) else { return 0 };
    let loaded = match load(&start) {
        Ok(loaded) => loaded,
        Err(reason) => {
            let _ = wire::write(&mut io::stdout().lock(), &Answer::Unable { reason }, &[]);
            return 0;
        }
    };
    if wire::write(&mut io::stdout().lock(), &loaded.ready, &[]).is_err() {
        return 0;
    }
    let (sender, jobs) = mpsc::channel();
    let (loaded, jobs) = (Arc::new(loaded), Arc::new(Mutex::new(jobs)));
    for _ in 0..start.threads.max(1) {
        let (loaded, jobs) = (Arc::clone(&loaded), Arc::clone(&jobs));
        std::thread::spawn(move || {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = job else { return };
                answer(&loaded, job);
            }
        });
    }
    while let Ok(Some(job)) = take(&mut input) {
        if sender.send(job).is_err() {
            break;
        }
    }
    // The parent is gone, or has no more to read. Nobody waits for what is still being read.
    std::process::exit(0);
}

/// Keeps to itself what goes wrong with a stranger's file in here.
fn protect() {
    crate::heap::give_back_large_buffers();
    // A panic's message may hold what was just being read.
    std::panic::set_hook(Box::new(|_| {}));
    // Each of these fails only where the system does not know it. A session of its own: whatever is started in it is found
    // by it. The signals that ask a service to stop are for the service.
    let _ = setsid();
    let mut asked_to_stop = SigSet::empty();
    asked_to_stop.extend([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    let _ = asked_to_stop.thread_block();
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    #[cfg(target_os = "linux")]
    {
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
        let _ = nix::sys::prctl::set_no_new_privs();
        let _ = nix::sys::prctl::set_name(c"filot-reader");
        let _ = std::fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
    }
}

fn load(start: &Start) -> Result<Loaded, String> {
    let config = Config::from_parts(&start.settings, &[]).map_err(|problems| problems.to_string())?;
    let limits = config.limits.clone();
    if start.scripted {
        let ready = Answer::Ready { name: cards::SCRIPTED.into(), notes: Vec::new(), without_gpu: false };
        let read = Box::new(cards::obeying());
        return Ok(Loaded { read, limits, fell_back: Arc::default(), ready });
    }
    let reader = Reader::load(&config, start.threads.max(1)).map_err(|error| error.to_string())?;
    let ready = Answer::Ready {
        name: reader.engine_name().to_owned(),
        notes: reader.notes.clone(),
        without_gpu: reader.without_gpu,
    };
    let fell_back = Arc::clone(&reader.fell_back);
    Ok(Loaded { read: Box::new(reads_with(reader)), limits, fell_back, ready })
}

/// The next file. `None` at the end of the input.
fn take(input: &mut impl Read) -> io::Result<Option<Job>> {
    let Some((ask, body)) = wire::read_head::<Ask>(input)? else { return Ok(None) };
    let mut file = vec![0; ask.file];
    input.read_exact(&mut file)?;
    let rest = usize::try_from(body).unwrap_or(usize::MAX).saturating_sub(ask.file);
    let mut pixels = vec![0; rest];
    input.read_exact(&mut pixels)?;
    Ok(Some(Job { ask, file, pixels }))
}

fn answer(loaded: &Loaded, job: Job) {
    let id = job.ask.id;
    let read = catch_unwind(AssertUnwindSafe(|| read(loaded, job))).unwrap_or(Err(Failure::PANICKED));
    let fell_back = loaded.fell_back.load(Ordering::Relaxed);
    let mut out = io::stdout().lock();
    let written = match &read {
        Ok(reading) => {
            let (result, text) = (reading.result.get().as_bytes(), reading.text.as_bytes());
            let (decision, score) = (reading.decision, reading.score);
            let head = Answer::Read { id, decision, score, result: result.len(), fell_back };
            wire::write(&mut out, &head, &[result, text])
        }
        Err(failure) => {
            let (code, blame) = (failure.code.to_owned(), failure.blame);
            wire::write(&mut out, &Answer::Failed { id, code, blame, fell_back }, &[])
        }
    };
    if written.and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

fn read(loaded: &Loaded, job: Job) -> Result<crate::card_reader::CardReading, Failure> {
    let Job { ask, file, pixels } = job;
    let not_understood = Failure { code: "reader_failed", blame: Blame::Reader };
    let today = ask.today.parse().map_err(|_| not_understood)?;
    let decoded = match ask.photo {
        None => None,
        Some(head) => {
            let pixels = RgbImage::from_raw(head.size.0, head.size.1, pixels).ok_or(not_understood)?;
            let wire::PhotoHead { reduction, width, height, fine_step, .. } = head;
            let parts = DecodedParts { pixels, reduction, width, height, fine_step };
            let photo = Photo::from_decoded(&file, parts, &loaded.limits);
            let photo = photo.map_err(|error| Failure::from(&crate::reader::FileError::from(error)))?;
            Some(Decoded { photo, took: Duration::from_micros(head.took_us) })
        }
    };
    (loaded.read)(File { bytes: &file, decoded }, ask.declared, today).map_err(|error| Failure::from(&error))
}
