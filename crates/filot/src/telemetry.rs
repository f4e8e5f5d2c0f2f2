//! Logs, metrics and traces.

use std::io::{self, IsTerminal};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::layers::FanoutBuilder;
use opentelemetry_otlp::ExporterBuildError;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use self::lines::Lines;
use self::traces::Traces;
use crate::config::service::{LogFormat, Service};

pub mod emf;
pub mod gauges;
mod levels;
mod lines;
pub mod traces;

pub(crate) use levels::log_level;

/// Why there are no logs or metrics.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("log.level is neither a level nor a filter")]
    Filter(#[from] ParseError),
    #[error("logging is set up already")]
    Logs(#[source] TryInitErrorBox),
    #[error("traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT")]
    Traces(#[from] ExporterBuildError),
    #[error("the HTTP client for traces cannot be set up")]
    Client(#[from] reqwest::Error),
    #[error("metrics cannot be set up")]
    Metrics(#[from] BuildError),
    #[error("metrics are set up already")]
    MetricsTwice,
}

type TryInitErrorBox = Box<TryInitError>;

/// Starts logging to standard error: JSON lines, or text on a terminal. [`lines`] says what they show. Traces are sent, if there
/// is a collector, for as long as what is returned is kept.
///
/// # Errors
/// When the filter does not parse, or logging was started before.
pub fn start(config: &Service) -> Result<Traces, Error> {
    let log = &config.log;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    // What the libraries below tell of themselves is not for operators, and may hold values of queries.
    let filter = format!(
        "{},sqlx=warn,sea_orm=warn,sea_orm_migration=warn,hyper=warn,h2=warn,{}=off",
        log.level,
        traces::TARGET
    );
    let filter = EnvFilter::try_new(filter)?;
    let lines = Lines { json };
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(lines)
        .event_format(lines)
        .with_writer(io::stderr)
        // It would complain to standard error of what it could not write there, and that ends the process: a log on a
        // full disk is no reason to stop.
        .log_internal_errors(false);
    let traces = Traces::start(config)?;
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.layer());
    subscriber.try_init().map_err(|error| Error::Logs(Box::new(error)))?;
    keep_panics_quiet();
    Ok(traces)
}

/// A panic is logged by its place alone: its message may hold what was just being read.
fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic; what it did is undone or tried again");
    }));
}

/// Starts collecting metrics. The handle gives them out in Prometheus' text format; `emf`, if there is one, hears the same.
///
/// # Errors
/// When it was started before.
pub fn start_metrics(emf: Option<&emf::Emf>) -> Result<PrometheusHandle, Error> {
    const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .build_recorder();
    let handle = prometheus.handle();
    let recorders = FanoutBuilder::default().add_recorder(prometheus);
    let recorders = match emf {
        Some(emf) => recorders.add_recorder(emf.recorder()),
        None => recorders,
    };
    metrics::set_global_recorder(recorders.build()).map_err(|_| Error::MetricsTwice)?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("filot_documents_received_total", "Documents accepted, by type");
    describe_counter!("filot_documents_finished_total", "Documents finished, by verdict or failure");
    describe_counter!(
        "filot_gpu_fallback_total",
        "Documents read on the CPU that should have been read on a GPU, and starts without one"
    );
    describe_counter!("filot_temporal_started_total", "Documents whose workflow was started");
    describe_counter!(
        "filot_temporal_fallback_total",
        "Documents given to the queue because Temporal took them not"
    );
    describe_counter!("filot_temporal_refused_total", "Times that a document had to wait for Temporal");
    describe_counter!("filot_readings_succeeded_total", "Readings that came to a decision, by lane");
    describe_counter!("filot_readings_failed_total", "Readings that failed, by lane");
    describe_counter!("filot_evaluations_total", "Decisions, by decision and range of the score");
    describe_gauge!(
        "filot_buli2_retry_count",
        "Reviews that BULI2 has not taken yet and that are tried again"
    );
    describe_gauge!("filot_buli2_breaker", "1 for the state that the circuit breaker of this process is in");
    describe_gauge!(
        "filot_buli2_next_retry_timestamp_seconds",
        Unit::Seconds,
        "When the next try is; 0 for none"
    );
    describe_counter!("filot_buli2_calls_total", "Reviews handed to BULI2, by outcome");
    describe_counter!("filot_buli2_answers_total", "Signed answers of BULI2, by outcome");
    describe_counter!("filot_buli2_forged_total", "Answers whose signature was refused, by code");
    describe_gauge!("filot_dead_documents", "Documents given up, on all lanes");
    describe_counter!("filot_unauthorized_total", "Requests answered with 401");
    describe_counter!("filot_failed_sign_ins_total", "Sign-ins with a wrong e-mail or password");
    describe_gauge!("filot_reviews_overdue", "Reviews that the desk has had for longer than desk.late_s");
    describe_gauge!("filot_checkpoint_overdue", "1 when no checkpoint was set for two intervals");
    describe_gauge!("filot_audit_broken", "1 when the audit trail was found to be changed");
    describe_gauge!("filot_backup_overdue", "1 when no backup was noted for server.backup_interval_s");
    describe_gauge!("filot_disk_used_percent", "How full the disk of the data folder is");
    describe_gauge!("filot_queue_may_evict", "1 when Redis may throw jobs away: maxmemory-policy");
    describe_counter!(
        "filot_reader_restarts_total",
        "Reader processes that ended and were replaced, by reason"
    );
    describe_gauge!("filot_readers_alive", "Reader processes of this process that run");
    describe_gauge!(
        "filot_readers_unable",
        "1 when no reader can be started or a reading does not end, else 0"
    );
    describe_histogram!("filot_reading_seconds", Unit::Seconds, "Time from begin to decision of one reading");
    describe_histogram!("filot_verdict_seconds", Unit::Seconds, "Time from upload to the end of the reading");
}
