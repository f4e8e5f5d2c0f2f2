//! `filot bench-gpu`: how many cards a second the GPU reader manages, and whether it reads what the CPU reads.
//!
//! From the bytes of JPEG files to decisions, as a worker on the GPU lane does it: every thread decodes, finds and
//! straightens its own card, and what the threads ask of the networks at the same time is computed in one run.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Cursor};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use filot_cards::kind::DeclaredType;
use filot_testkit::accuracy::{Report, comparison};
use filot_testkit::{CardType, Set, Truth};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::DAY;
use super::reader::cpu_ms;
use crate::config::{Config, Engine, Runtime};
use crate::reader::Reader;
use crate::scan;

/// Sizes of the photos, in megapixels: what phones take, and what an app may reduce it to before it uploads.
const MEGAPIXELS: [f64; 2] = [12.0, 1.5];
const QUALITY: u8 = 90;
/// Threads to a core: most of them wait for the GPU.
const THREADS_PER_CORE: usize = 4;
/// How long cards are read before they are counted.
const WARM_UP: Duration = Duration::from_secs(15);
/// How often the GPU is asked how busy it is.
const GLANCE_MS: &str = "200";

/// What to measure.
pub struct GpuOrder {
    /// Cards of each size.
    pub cards: u64,
    pub seed: u64,
    /// How long cards are read to count them.
    pub seconds: u64,
    /// Cards at a time; chosen by the number of cores when there is none.
    pub threads: Option<usize>,
    /// Numbers of copies of each network to try, one after the other.
    pub streams: Vec<usize>,
    /// Where the tables go; standard output when there is none.
    pub report: Option<PathBuf>,
}

struct Card {
    truth: Truth,
    jpeg: Vec<u8>,
}

/// What was counted with one number of copies of each network.
struct Counted {
    streams: usize,
    /// Cards a second.
    rate: f64,
    /// Milliseconds of processor time to a card, all of it: decoding, finding, parsing, and feeding the GPU.
    processor_ms: f64,
    /// Per cent of the time in which the GPU did something, median; `None` if nobody tells.
    busy: Option<f64>,
    accuracy: Report,
    /// Files of which it says something else than the CPU.
    differing: Vec<String>,
}

struct Measured {
    megapixels: f64,
    cpu_rate: f64,
    cpu: Report,
    counted: Vec<Counted>,
}

/// Measures and writes the table.
///
/// # Errors
/// When there is no GPU to measure, or the table cannot be written.
pub fn run(config: &Config, order: &GpuOrder) -> anyhow::Result<()> {
    let cores = scan::default_jobs();
    let threads = order.threads.unwrap_or(cores * THREADS_PER_CORE);
    let mut config = config.clone();
    config.reader.engine = Engine::Native;
    config.reader.runtime = Runtime::Cuda;
    // A GPU that fails has to show, not to be made up for.
    config.service.gpu.autofallback = false;
    let on_gpu = |streams: usize| {
        let mut config = config.clone();
        config.service.gpu.streams = streams;
        Ok((streams, Reader::load(&config, threads)?))
    };
    let gpus = order.streams.iter().map(|streams| on_gpu(*streams)).collect::<anyhow::Result<Vec<_>>>()?;
    config.reader.runtime = Runtime::Ort;
    let cpu = Reader::load(&config, cores)?;

    let mut measured = Vec::new();
    for megapixels in MEGAPIXELS {
        let cards = draw(order, megapixels, cores)?;
        measured.push(measure(&gpus, &cpu, &cards, megapixels, threads, cores, order)?);
    }
    let text = write(&measured, order, threads, cores);
    match &order.report {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        None => Ok(std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?),
    }
}

fn measure(
    gpus: &[(usize, Reader)],
    cpu: &Reader,
    cards: &[Card],
    megapixels: f64,
    threads: usize,
    cores: usize,
    order: &GpuOrder,
) -> anyhow::Result<Measured> {
    let title = |reader: &str| format!("{megapixels} MP, {reader}");
    let start = Instant::now();
    let by_cpu = read_all(cpu, cards, cores, &title("CPU"))?;
    let cpu_rate = cards.len() as f64 / start.elapsed().as_secs_f64();
    let mut counted = Vec::new();
    for (streams, gpu) in gpus {
        let by_gpu = read_all(gpu, cards, threads, &title(&format!("GPU × {streams}")))?;
        // Meets nearly every shape of run there is, so that the counted round measures reading alone.
        count(gpu, cards, threads, WARM_UP)?;
        let (watch, before) = (Watch::start(), cpu_ms()?);
        let (read, took) = count(gpu, cards, threads, Duration::from_secs(order.seconds))?;
        let processor_ms = (cpu_ms()? - before) / read.max(1) as f64;
        counted.push(Counted {
            streams: *streams,
            rate: read as f64 / took.as_secs_f64(),
            processor_ms,
            busy: watch.and_then(Watch::median),
            accuracy: accuracy(cards, &by_gpu),
            differing: differing(cards, &by_cpu, &by_gpu),
        });
    }
    Ok(Measured { megapixels, cpu_rate, cpu: accuracy(cards, &by_cpu), counted })
}

fn accuracy(cards: &[Card], read: &[Value]) -> Report {
    let mut report = Report::default();
    for (card, record) in cards.iter().zip(read) {
        report.add(&card.truth, record);
    }
    report
}

fn differing(cards: &[Card], by_cpu: &[Value], by_gpu: &[Value]) -> Vec<String> {
    let read = cards.iter().zip(by_cpu).zip(by_gpu);
    let others = read.filter(|((_, one), two)| said(one) != said(two));
    others.map(|((card, _), _)| card.truth.file.clone()).collect()
}

/// What a result says of a card: the decision and the values of all fields. Confidences differ in their last digits.
fn said(record: &Value) -> (Value, Vec<(String, Value)>) {
    let fields = record["fields"].as_object().into_iter().flatten();
    (record["decision"].clone(), fields.map(|(key, field)| (key.clone(), field["value"].clone())).collect())
}

/// Draws cards and photographs them in the given size.
fn draw(order: &GpuOrder, megapixels: f64, threads: usize) -> anyhow::Result<Vec<Card>> {
    let set = Set::new(order.seed);
    let bar = progress(order.cards, &format!("{megapixels} MP, drawing"));
    let cards = in_parallel(order.cards as usize, threads, |i| {
        let sample = set.sample(i as u64);
        let photo = image::load_from_memory(&sample.jpeg)?.into_rgb8();
        let scale = (megapixels * 1e6 / f64::from(photo.width() * photo.height())).sqrt();
        let side = |pixels: u32| (f64::from(pixels) * scale).round() as u32;
        let photo = resize(&photo, side(photo.width()), side(photo.height()), FilterType::CatmullRom);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(Cursor::new(&mut jpeg), QUALITY).encode_image(&photo)?;
        bar.inc(1);
        Ok(Card { truth: sample.truth, jpeg })
    });
    bar.finish_and_clear();
    cards
}

fn read_all(reader: &Reader, cards: &[Card], threads: usize, title: &str) -> anyhow::Result<Vec<Value>> {
    let bar = progress(cards.len() as u64, title);
    let read = in_parallel(cards.len(), threads, |i| {
        let record = read(reader, &cards[i]);
        bar.inc(1);
        record
    });
    bar.finish_and_clear();
    read
}

fn read(reader: &Reader, card: &Card) -> anyhow::Result<Value> {
    let declared = match card.truth.declared {
        CardType::Ktp => DeclaredType::Ktp,
        CardType::Npwp => DeclaredType::Npwp,
        CardType::Other => DeclaredType::Auto,
    };
    let record = scan::record(reader, &card.truth.file, &card.jpeg, declared, DAY)?;
    if let Some(error) = record.get("error") {
        bail!("{}: {}", card.truth.file, error["message"]);
    }
    Ok(record)
}

/// Reads cards over and over for `time`; how many, and how long it took.
fn count(
    reader: &Reader,
    cards: &[Card],
    threads: usize,
    time: Duration,
) -> anyhow::Result<(usize, Duration)> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(None);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < time {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    match read(reader, &cards[i % cards.len()]) {
                        Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    let took = start.elapsed();
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok((done.into_inner(), took)),
    }
}

/// `f(0)`, `f(1)` … on several threads; the results stand in order.
fn in_parallel<T: Send>(
    count: usize,
    threads: usize,
    f: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        break;
                    }
                    let result = f(i);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

fn progress(count: u64, title: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:20} {bar:32} {pos}/{len}, {eta} left");
    let bar = ProgressBar::new(count).with_message(title.to_owned());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Asks the driver's own program from time to time how busy the GPU is.
struct Watch {
    child: Child,
    seen: JoinHandle<Vec<f64>>,
}

impl Watch {
    fn start() -> Option<Self> {
        let mut child = Command::new("nvidia-smi")
            .args([
                "--query-gpu=utilization.gpu",
                "--format=csv,noheader,nounits",
                "--id=0",
                "-lms",
                GLANCE_MS,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let output = child.stdout.take()?;
        let seen = thread::spawn(move || {
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .filter_map(|l| l.trim().parse().ok())
                .collect()
        });
        Some(Self { child, seen })
    }

    fn median(mut self) -> Option<f64> {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut seen = self.seen.join().ok()?;
        seen.sort_by(f64::total_cmp);
        seen.get(seen.len() / 2).copied()
    }
}

/// The GPU's name as its driver gives it.
fn gpu_name() -> Option<String> {
    let arguments = ["--query-gpu=name", "--format=csv,noheader", "--id=0"];
    let output = Command::new("nvidia-smi").args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|name| !name.is_empty())
}

/// Everything that was measured. Writing to a string cannot fail, so those results are dropped.
fn write(measured: &[Measured], order: &GpuOrder, threads: usize, cores: usize) -> String {
    let gpu = gpu_name().unwrap_or_else(|| "a GPU".to_owned());
    let mut out = String::from("# The reader on a GPU\n\n");
    let _ = write!(
        out,
        "Written by `make bench-gpu`; do not edit. One {gpu}, {cores} processor cores, {threads} cards at a time. From the \
         bytes of JPEG photos of {} drawn cards (seed {}) to decisions, counted for {} s after a first round. The CPU \
         reads the same photos with one reader to a core. Streams are copies of each network on the GPU (`gpu.streams`); \
         processor time is that of all cores to one card, with what it takes to feed the GPU.\n\n\
         | photos | streams | GPU, cards/s | CPU alone, cards/s | ratio | GPU busy, median | processor, ms a card | \
         same values and decision |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|\n",
        order.cards, order.seed, order.seconds
    );
    for m in measured {
        for counted in &m.counted {
            let same = order.cards as usize - counted.differing.len();
            let busy = counted.busy.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.0} %"));
            let _ = writeln!(
                out,
                "| {} MP | {} | {:.0} | {:.1} | {:.1} | {busy} | {:.1} | {same} of {} |",
                m.megapixels,
                counted.streams,
                counted.rate,
                m.cpu_rate,
                counted.rate / m.cpu_rate,
                counted.processor_ms,
                order.cards
            );
        }
    }
    for m in measured {
        let _ = write!(out, "\n## Accuracy, {} MP\n\n", m.megapixels);
        let names: Vec<String> =
            m.counted.iter().map(|counted| format!("GPU × {}", counted.streams)).collect();
        let gpus = names.iter().map(String::as_str).zip(m.counted.iter().map(|counted| &counted.accuracy));
        out += &comparison(&gpus.chain([("CPU", &m.cpu)]).collect::<Vec<_>>());
        for (name, counted) in
            names.iter().zip(&m.counted).filter(|(_, counted)| !counted.differing.is_empty())
        {
            let _ = writeln!(out, "\n{name} reads differently: {}.", counted.differing.join(", "));
        }
    }
    out
}
