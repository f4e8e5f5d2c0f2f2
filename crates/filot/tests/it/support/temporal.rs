//! A Temporal server of the test's own, and Temporal's own command to ask it with.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::Deployment;
use super::backends::free_port;

/// The development server, its data in a file that outlives it.
pub(crate) struct TemporalServer {
    child: Option<Child>,
    pub(crate) port: u16,
    folder: TempDir,
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../temporal/temporal")
}

impl TemporalServer {
    /// Not started yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("filot-temporal-").tempdir().unwrap();
        Self { child: None, port: free_port(), folder }
    }

    /// Started, and answering.
    pub(crate) fn started() -> Self {
        let mut server = Self::new();
        server.start();
        server
    }

    /// Starts it, (again) on the same port and data, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program());
        command.args(["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "error"]);
        command
            .args(["--port", &self.port.to_string(), "--db-filename"])
            .arg(self.folder.path().join("data"));
        command.env("HOME", self.folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("`make temporal` fetches the server"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err()
            || self.try_ask(&["operator", "cluster", "health"]).is_none()
        {
            let log = self.folder.path().join("log");
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "no answer from Temporal:\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it with signal 9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A deployment whose documents it carries.
    pub(crate) fn deployment(&self) -> Deployment {
        Deployment::embedded()
            .with("OCR_ENGINE", "temporal")
            .with("TEMPORAL_ENDPOINT", &format!("127.0.0.1:{}", self.port))
    }

    /// What `temporal` says, as JSON. It gives up on a busy server sooner than a test does.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        let start = Instant::now();
        loop {
            if let Some(answer) = self.try_ask(arguments) {
                return answer;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "temporal {arguments:?} fails");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn try_ask(&self, arguments: &[&str]) -> Option<Value> {
        let (done, answer) = self.run(arguments);
        done.then_some(answer)
    }

    fn run(&self, arguments: &[&str]) -> (bool, Value) {
        let output = Command::new(program())
            .args(arguments)
            .args([
                "--address",
                &format!("127.0.0.1:{}", self.port),
                "--output",
                "json",
                "--identity",
                "somebody",
            ])
            .env("HOME", self.folder.path())
            .output()
            .expect("`make temporal` fetches the command");
        let text = String::from_utf8_lossy(&output.stdout);
        let answer = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.trim().to_owned()));
        (output.status.success(), answer)
    }

    /// How many workflows there are of which this is true.
    pub(crate) fn count(&self, query: &str) -> u64 {
        let answer = self.ask(&["workflow", "count", "--query", query]);
        answer["count"]
            .as_str()
            .map_or_else(|| answer["count"].as_u64(), |text| text.parse().ok())
            .unwrap_or(0)
    }

    /// The ids of the workflows of which this is true. One that has ended may have been run again.
    pub(crate) fn ids(&self, query: &str) -> BTreeSet<String> {
        let runs = self.ask(&["workflow", "list", "--query", query, "--limit", "10000"]);
        let runs = runs.as_array().cloned().unwrap_or_default();
        runs.iter().map(|run| run["execution"]["workflowId"].as_str().unwrap().to_owned()).collect()
    }

    /// The answer to a query of a workflow; null when there is none.
    pub(crate) fn query(&self, id: &str, name: &str) -> Value {
        let answer = self.try_ask(&["workflow", "query", "--workflow-id", id, "--type", name]);
        answer.map_or(Value::Null, |answer| answer["queryResult"][0].clone())
    }

    pub(crate) fn signal(&self, id: &str, name: &str, input: &str) {
        self.ask(&["workflow", "signal", "--workflow-id", id, "--name", name, "--input", input]);
    }

    /// Waits for the end of a workflow, and for its start if need be; its result, or the type of its failure.
    pub(crate) fn result(&self, id: &str) -> Result<Value, String> {
        // What a document led to is recorded a moment before the workflow of that starts.
        self.ask(&["workflow", "describe", "--workflow-id", id]);
        let (done, answer) =
            self.run(&["workflow", "result", "--workflow-id", id, "--command-timeout", "90s"]);
        if done {
            return Ok(answer["result"].clone());
        }
        let failed = &answer["closeEvent"]["workflowExecutionFailedEventAttributes"]["failure"];
        Err(failed["applicationFailureInfo"]["type"].as_str().unwrap_or("none").to_owned())
    }

    /// All that stands in the history of a workflow, as text, payloads decoded.
    pub(crate) fn history(&self, id: &str) -> String {
        self.ask(&["workflow", "show", "--workflow-id", id]).to_string()
    }
}

impl Drop for TemporalServer {
    fn drop(&mut self) {
        self.kill();
    }
}
