//! CloudWatch's embedded metric format: lines of JSON on standard output from which CloudWatch Logs makes metrics.
//!
//! The numbers are those that Prometheus gets: this recorder stands beside that one and hears the same. [`TABLE`] says
//! which of them CloudWatch gets, under which name, unit and dimensions. No dimension names a document or a person.
//!
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit as DescribedUnit,
};
use metrics_util::registry::{AtomicStorage, Registry};
use serde_json::{Map, Value, json};

/// Values in one line; more than CloudWatch takes (100) go into further lines.
const VALUES: usize = 100;

/// Unit names of CloudWatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Count,
    Milliseconds,
    Percent,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Percent => "Percent",
        }
    }
}

/// One metric of CloudWatch.
struct Row {
    /// The name here.
    source: &'static str,
    /// The name there.
    name: &'static str,
    unit: Unit,
    /// Label here, dimension there.
    dimensions: &'static [(&'static str, &'static str)],
}

const TABLE: &[Row] = &[
    Row {
        source: "filot_queue_length",
        name: "filot.queue_length",
        unit: Unit::Count,
        dimensions: &[("lane", "QueueType")],
    },
    Row {
        source: "filot_gpu_active_jobs",
        name: "filot.gpu.active_jobs",
        unit: Unit::Count,
        dimensions: &[],
    },
    Row {
        source: "filot_buli2_retry_count",
        name: "filot.buli2.retry_count",
        unit: Unit::Count,
        dimensions: &[],
    },
    Row {
        source: "filot_reading_seconds",
        name: "filot.gpu.processing_time_ms",
        unit: Unit::Milliseconds,
        dimensions: &[("lane", "ProcessorType")],
    },
    Row {
        source: "filot_verdict_seconds",
        name: "filot.verification.latency_ms",
        unit: Unit::Milliseconds,
        dimensions: &[("outcome", "Outcome")],
    },
    Row {
        source: "filot_readings_succeeded_total",
        name: "filot.ocr.success_count",
        unit: Unit::Count,
        dimensions: &[("lane", "ProcessorType")],
    },
    Row {
        source: "filot_readings_failed_total",
        name: "filot.ocr.failure_count",
        unit: Unit::Count,
        dimensions: &[("lane", "ProcessorType")],
    },
    Row {
        source: "filot_evaluations_total",
        name: "filot.ai.evaluation_count",
        unit: Unit::Count,
        dimensions: &[("decision", "Decision"), ("score", "ScoreBucket")],
    },
    Row {
        source: "filot_buli2_calls_total",
        name: "filot.buli2.forward_count",
        unit: Unit::Count,
        dimensions: &[("outcome", "Success")],
    },
    Row { source: "filot_readers_unable", name: "filot.readers.unable", unit: Unit::Count, dimensions: &[] },
    Row {
        source: "filot_reader_restarts_total",
        name: "filot.readers.restart_count",
        unit: Unit::Count,
        dimensions: &[("reason", "Reason")],
    },
    Row {
        source: "filot_gpu_fallback_total",
        name: "filot.gpu.fallback_count",
        unit: Unit::Count,
        dimensions: &[("reason", "Reason")],
    },
    Row { source: "filot_dead_documents", name: "filot.dead_documents", unit: Unit::Count, dimensions: &[] },
    Row {
        source: "filot_buli2_forged_total",
        name: "filot.buli2.forged_count",
        unit: Unit::Count,
        dimensions: &[],
    },
    Row {
        source: "filot_unauthorized_total",
        name: "filot.unauthorized_count",
        unit: Unit::Count,
        dimensions: &[],
    },
    Row {
        source: "filot_reviews_overdue",
        name: "filot.reviews_overdue",
        unit: Unit::Count,
        dimensions: &[],
    },
    Row {
        source: "filot_checkpoint_overdue",
        name: "filot.checkpoint_overdue",
        unit: Unit::Count,
        dimensions: &[],
    },
    Row { source: "filot_audit_broken", name: "filot.audit_broken", unit: Unit::Count, dimensions: &[] },
    Row { source: "filot_backup_overdue", name: "filot.backup_overdue", unit: Unit::Count, dimensions: &[] },
    Row {
        source: "filot_disk_used_percent",
        name: "filot.disk_used_percent",
        unit: Unit::Percent,
        dimensions: &[],
    },
    Row {
        source: "filot_queue_may_evict",
        name: "filot.queue_may_evict",
        unit: Unit::Count,
        dimensions: &[],
    },
];

impl Row {
    fn of(key: &Key) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.source == key.name())
    }
}

/// What is collected between two flushes. A clone is the same.
#[derive(Clone)]
pub struct Emf {
    registry: Arc<Registry<Key, AtomicStorage>>,
    namespace: String,
    environment: &'static str,
}

/// Metrics of one line: those with the same dimensions.
#[derive(Default)]
struct Line {
    metrics: BTreeMap<&'static str, (Unit, Vec<f64>)>,
}

impl Emf {
    /// For metrics of `namespace`; every one has the dimension Environment.
    pub fn new(namespace: &str, environment: &'static str) -> Self {
        Self { registry: Arc::new(Registry::atomic()), namespace: namespace.to_owned(), environment }
    }

    /// The part that listens.
    pub fn recorder(&self) -> impl Recorder + Sync + 'static {
        Listener(Arc::clone(&self.registry))
    }

    /// Writes what was collected since the last time, as of `now_ms` since 1970.
    ///
    /// # Errors
    /// When it cannot be written. What was collected is lost then: CloudWatch shows a gap rather than a wrong sum.
    pub fn flush(&self, now_ms: i64, out: &mut impl Write) -> io::Result<()> {
        let mut lines: BTreeMap<Vec<(&'static str, String)>, Line> = BTreeMap::new();
        let mut add = |key: &Key, values: Vec<f64>| {
            let Some(row) = Row::of(key) else { return };
            let mut dimensions = vec![("Environment", self.environment.to_owned())];
            for (label, dimension) in row.dimensions {
                let value = key.labels().find(|own| own.key() == *label).map_or("none", |own| own.value());
                dimensions.push((dimension, value.to_owned()));
            }
            let line = lines.entry(dimensions).or_default();
            let (_, known) = line.metrics.entry(row.name).or_insert((row.unit, Vec::new()));
            known.extend(values);
        };
        self.registry.visit_counters(|key, counter| {
            let count = counter.swap(0, Ordering::AcqRel);
            if count > 0 {
                add(key, vec![count as f64]);
            }
        });
        self.registry.visit_gauges(|key, gauge| {
            add(key, vec![f64::from_bits(gauge.load(Ordering::Acquire))]);
        });
        self.registry.visit_histograms(|key, histogram| {
            let mut samples = Vec::new();
            histogram.clear_with(|chunk| samples.extend_from_slice(chunk));
            if !samples.is_empty() {
                // Seconds here, milliseconds there; nothing is known to better than a microsecond.
                let milliseconds = |seconds: f64| (seconds * 1e6).round() / 1e3;
                add(key, samples.into_iter().map(milliseconds).collect());
            }
        });
        for (dimensions, line) in lines {
            self.write(now_ms, &dimensions, line, out)?;
        }
        out.flush()
    }

    /// One line, or several when there are more values than fit.
    fn write(
        &self,
        now_ms: i64,
        dimensions: &[(&'static str, String)],
        line: Line,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let parts = line.metrics.values().map(|(_, values)| values.len().div_ceil(VALUES)).max().unwrap_or(0);
        for part in 0..parts {
            let (mut definitions, mut object) = (Vec::new(), Map::new());
            for (name, (unit, values)) in &line.metrics {
                let Some(chunk) = values.chunks(VALUES).nth(part) else { continue };
                definitions.push(json!({ "Name": name, "Unit": unit.as_str() }));
                let value = if let [one] = chunk { json!(one) } else { json!(chunk) };
                object.insert((*name).to_owned(), value);
            }
            for (name, value) in dimensions {
                object.insert((*name).to_owned(), Value::String(value.clone()));
            }
            let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
            let about = json!({
                "Timestamp": now_ms,
                "CloudWatchMetrics": [
                    { "Namespace": self.namespace, "Dimensions": [names], "Metrics": definitions }
                ],
            });
            object.insert("_aws".to_owned(), about);
            serde_json::to_writer(&mut *out, &object)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// Keeps what the table asks for and drops the rest.
struct Listener(Arc<Registry<Key, AtomicStorage>>);

impl Recorder for Listener {
    fn describe_counter(&self, _: KeyName, _: Option<DescribedUnit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<DescribedUnit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<DescribedUnit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match Row::of(key) {
            Some(_) => self.0.get_or_create_counter(key, |counter| Counter::from_arc(Arc::clone(counter))),
            None => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match Row::of(key) {
            Some(_) => self.0.get_or_create_gauge(key, |gauge| Gauge::from_arc(Arc::clone(gauge))),
            None => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match Row::of(key) {
            Some(_) => {
                self.0.get_or_create_histogram(key, |histogram| Histogram::from_arc(Arc::clone(histogram)))
            }
            None => Histogram::noop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flushed(emf: &Emf) -> Vec<Value> {
        let mut out = Vec::new();
        emf.flush(1_795_000_000_123, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_metric_of_the_table_comes_out_with_its_unit_and_dimensions() {
        let emf = Emf::new("FiLot", "staging");
        metrics::with_local_recorder(&emf.recorder(), || {
            for row in TABLE {
                let labels: Vec<_> =
                    row.dimensions.iter().map(|(label, _)| metrics::Label::new(*label, "x")).collect();
                match row.unit {
                    Unit::Milliseconds => metrics::histogram!(row.source, labels).record(0.25),
                    Unit::Count if row.source.ends_with("_total") => {
                        metrics::counter!(row.source, labels).increment(3);
                    }
                    Unit::Count | Unit::Percent => metrics::gauge!(row.source, labels).set(7.0),
                }
            }
            metrics::counter!("filot_http_requests_total").increment(1);
        });
        let lines = flushed(&emf);
        for row in TABLE {
            let line = lines.iter().find(|line| line.get(row.name).is_some()).unwrap();
            let about = &line["_aws"];
            assert_eq!(about["Timestamp"], 1_795_000_000_123_i64, "an integer, milliseconds since 1970");
            let set = &about["CloudWatchMetrics"][0];
            assert_eq!(set["Namespace"], "FiLot");
            let defined = set["Metrics"].as_array().unwrap();
            let own = defined.iter().find(|metric| metric["Name"] == row.name).unwrap();
            assert_eq!(own["Unit"], row.unit.as_str());
            let wanted = match row.unit {
                Unit::Milliseconds => 250.0,
                Unit::Count if row.source.ends_with("_total") => 3.0,
                Unit::Count | Unit::Percent => 7.0,
            };
            assert_eq!(line[row.name], wanted, "{}", row.name);
            let names: Vec<&str> =
                std::iter::once("Environment").chain(row.dimensions.iter().map(|d| d.1)).collect();
            assert_eq!(set["Dimensions"], json!([names]));
            assert!(names.iter().all(|name| line[*name].is_string()), "{line}");
        }
        assert!(!lines.iter().any(|line| line.to_string().contains("http")), "only what the table names");
    }

    #[test]
    fn counts_and_samples_are_told_once_and_gauges_each_time() {
        let emf = Emf::new("FiLot", "production");
        metrics::with_local_recorder(&emf.recorder(), || {
            metrics::counter!("filot_gpu_fallback_total", "reason" => "no_gpu").increment(2);
            metrics::gauge!("filot_gpu_active_jobs").set(4.0);
            let seconds = metrics::histogram!("filot_reading_seconds", "lane" => "cpu");
            (0..250).for_each(|nth| seconds.record(f64::from(nth) / 1000.0));
        });
        let first = flushed(&emf);
        let samples: usize = first
            .iter()
            .filter_map(|line| line.get("filot.gpu.processing_time_ms")?.as_array())
            .map(|values| {
                assert!(values.len() <= VALUES);
                values.len()
            })
            .sum();
        assert_eq!(samples, 250);
        let second = flushed(&emf);
        assert_eq!(second.len(), 1);
        assert_eq!(second[0]["filot.gpu.active_jobs"], 4.0);
    }
}
