//! CloudWatch in small: takes lines of the embedded metric format as CloudWatch Logs does, and evaluates the rules of
//! `deploy/alarms.json` on them as its alarms do, in a time that passes faster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// How much faster: a period of 300 s is 6 s here.
pub(crate) const FASTER: i64 = 50;

/// A rule, as Terraform reads it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Alarm {
    pub(crate) name: String,
    pub(crate) namespace: String,
    metric: String,
    #[serde(default)]
    dimensions: BTreeMap<String, String>,
    statistic: String,
    comparison: String,
    threshold: f64,
    /// Seconds.
    period: i64,
    periods: i64,
    missing: String,
}

impl Alarm {
    /// All rules of the deployment.
    pub(crate) fn all() -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/alarms.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Milliseconds that the rule looks back.
    pub(crate) fn looks_back(&self) -> i64 {
        self.period * 1000 / FASTER * self.periods
    }

    /// Whether the alarm rings at `now` (ms) for these values and their times (ms).
    pub(crate) fn rings(&self, points: &[(i64, f64)], now: i64) -> bool {
        let length = self.period * 1000 / FASTER;
        (0..self.periods).all(|back| {
            let (from, to) = (now - (back + 1) * length, now - back * length);
            let inside = points.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, value)| *value);
            match self.statistic_of(inside.collect()) {
                Some(value) => self.breaches(value),
                None => self.missing == "breaching",
            }
        })
    }

    fn breaches(&self, value: f64) -> bool {
        match self.comparison.as_str() {
            "GreaterThanThreshold" => value > self.threshold,
            "GreaterThanOrEqualToThreshold" => value >= self.threshold,
            "LessThanThreshold" => value < self.threshold,
            other => panic!("unknown comparison {other}"),
        }
    }

    /// `None` where there is no data, which for a count of samples is no zero, either.
    fn statistic_of(&self, mut values: Vec<f64>) -> Option<f64> {
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        Some(match self.statistic.as_str() {
            "Minimum" => first,
            "Maximum" => last,
            "Sum" => values.iter().sum(),
            "Average" => values.iter().sum::<f64>() / values.len() as f64,
            "SampleCount" => values.len() as f64,
            "p95" => values[(values.len() as f64 * 0.95).ceil() as usize - 1],
            other => panic!("unknown statistic {other}"),
        })
    }

    /// What there is of the rule's metric, under exactly its dimensions.
    pub(crate) fn points(&self, metrics: &[Metric]) -> Vec<(i64, f64)> {
        let mut dimensions = self.dimensions.clone();
        dimensions.insert("Environment".to_owned(), "development".to_owned());
        let own = |metric: &&Metric| {
            metric.namespace == self.namespace
                && metric.name == self.metric
                && metric.dimensions == dimensions
        };
        metrics.iter().filter(own).map(|metric| (metric.at, metric.value)).collect()
    }
}

/// One value of one metric.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) dimensions: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) value: f64,
}

/// Everything in the files that is a metric. Other lines are logs, as for CloudWatch.
pub(crate) fn metrics_in(files: &[PathBuf]) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let about = &line["_aws"];
            if about.is_null() {
                continue;
            }
            let at = about["Timestamp"].as_i64().expect("an integer");
            for set in about["CloudWatchMetrics"].as_array().unwrap() {
                for names in set["Dimensions"].as_array().unwrap() {
                    let named = |name: &Value| {
                        let name = name.as_str().unwrap().to_owned();
                        let value = line[&name].as_str().expect("dimensions are texts").to_owned();
                        (name, value)
                    };
                    let dimensions: BTreeMap<_, _> = names.as_array().unwrap().iter().map(named).collect();
                    for metric in set["Metrics"].as_array().unwrap() {
                        let name = metric["Name"].as_str().unwrap();
                        let values = match &line[name] {
                            Value::Array(values) => values.clone(),
                            one => vec![one.clone()],
                        };
                        assert!((1..=100).contains(&values.len()), "what CloudWatch takes");
                        metrics.extend(values.iter().map(|value| Metric {
                            namespace: set["Namespace"].as_str().unwrap().to_owned(),
                            name: name.to_owned(),
                            unit: metric["Unit"].as_str().unwrap().to_owned(),
                            dimensions: dimensions.clone(),
                            at,
                            value: value.as_f64().unwrap(),
                        }));
                    }
                }
            }
        }
    }
    metrics
}

#[test]
fn rules_are_evaluated_as_cloudwatch_does() {
    let alarm = |statistic: &str, comparison: &str, missing: &str| Alarm {
        name: "x".into(),
        namespace: "FiLot".into(),
        metric: "m".into(),
        dimensions: BTreeMap::new(),
        statistic: statistic.into(),
        comparison: comparison.into(),
        threshold: 10.0,
        period: 3 * FASTER,
        periods: 2,
        missing: missing.into(),
    };
    let high = alarm("Maximum", "GreaterThanThreshold", "notBreaching");
    assert!(high.rings(&[(1000, 11.0), (4000, 12.0)], 6000));
    assert!(!high.rings(&[(4000, 12.0), (5000, 12.0)], 6000), "one period is not two");
    assert!(!high.rings(&[(1000, 10.0), (4000, 12.0)], 6000), "ten is not more than ten");
    let silent = alarm("SampleCount", "LessThanThreshold", "breaching");
    assert!(silent.rings(&[], 6000) && silent.rings(&[(1000, 0.0)], 6000));
    let sum = alarm("Sum", "GreaterThanThreshold", "notBreaching");
    assert!(sum.rings(&[(1, 6.0), (2, 6.0), (3001, 12.0)], 6000));
    let slow = alarm("p95", "GreaterThanThreshold", "notBreaching");
    let mut points: Vec<(i64, f64)> = (0..38).map(|n| (n, 1.0)).collect();
    points.extend([(50, 99.0), (51, 99.0), (3001, 99.0)]);
    assert!(!slow.rings(&points, 6000), "two of forty are not more than one in twenty");
    points.push((52, 99.0));
    assert!(slow.rings(&points, 6000));
}
