//! The service as a program, to be talked to and killed.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;

use super::eventually;
use crate::program::filot;

/// `filot serve` in a process of its own.
pub(crate) struct Serve {
    child: Child,
    pub(crate) address: String,
    /// Where its standard output goes.
    pub(crate) stdout: PathBuf,
    /// Where its log goes.
    pub(crate) log: PathBuf,
}

impl Serve {
    /// Starts it on a data folder and waits until it is ready. Output and log begin anew.
    pub(crate) async fn start(
        data: &Path,
        http: &Client,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_under(&[], data, http, arguments, settings).await
    }

    /// The same under a program that begins it with other limits, such as `prlimit`.
    pub(crate) async fn start_under(
        program: &[&str],
        data: &Path,
        http: &Client,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let serve = Self::spawn(program, data, "serve", arguments, settings);
        eventually("the server answers", Duration::from_secs(60), || async {
            http.get(format!("{}/ready", serve.address)).send().await.is_ok_and(|a| a.status().is_success())
        })
        .await;
        serve
    }

    /// `filot worker` on the same data folder. It has no address.
    pub(crate) fn worker(data: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::spawn(&[], data, "worker", arguments, settings)
    }

    fn spawn(
        program: &[&str],
        data: &Path,
        subcommand: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let own = |end: &str| data.with_extension(format!("{subcommand}.{end}"));
        let (stdout, log) = (own("out"), own("log"));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(program).arg(filot().get_program());
        for (name, value) in filot().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .arg(subcommand)
            .args(arguments)
            .env("FILOT_DATA_DIR", data)
            .env("PORT", port.to_string())
            .env("FILOT_SERVER_REQUESTS_PER_MINUTE", "100000")
            .env("FILOT_SERVER_UPLOADS_PER_MINUTE", "100000")
            .env("FILOT_UPLOAD_FILES_PER_DAY", "0")
            .envs(settings.iter().copied())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), address: format!("http://127.0.0.1:{port}"), stdout, log }
    }

    pub(crate) async fn post(&self, http: &Client, path: &str, body: Value) -> Value {
        http.post(format!("{}{path}", self.address)).json(&body).send().await.unwrap().json().await.unwrap()
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (signal 15). Whether it did in time; if not it is killed.
    pub(crate) async fn terminate(&mut self, patience: Duration) -> bool {
        let _ = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        let start = std::time::Instant::now();
        while start.elapsed() < patience {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        false
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.kill();
    }
}
