//! The service as a program, to be talked to and killed.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
}

impl Serve {
    /// Starts it on a data folder and waits until it is ready.
    pub(crate) async fn start(
        data: &Path,
        http: &Client,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let stdout = data.with_extension("out");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(filot().get_program());
        for (name, value) in filot().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .arg("serve")
            .args(arguments)
            .env("FILOT_DATA_DIR", data)
            .env("PORT", port.to_string())
            .env("FILOT_SERVER_REQUESTS_PER_MINUTE", "100000")
            .env("FILOT_SERVER_UPLOADS_PER_MINUTE", "100000")
            .env("FILOT_UPLOAD_FILES_PER_DAY", "0")
            .envs(settings.iter().copied())
            .stdout(File::create(&stdout).unwrap())
            .stderr(Stdio::null());
        let address = format!("http://127.0.0.1:{port}");
        let serve = Self { child: command.spawn().unwrap(), address, stdout };
        eventually("the server answers", Duration::from_secs(60), || async {
            http.get(format!("{}/ready", serve.address)).send().await.is_ok_and(|a| a.status().is_success())
        })
        .await;
        serve
    }

    pub(crate) async fn post(&self, http: &Client, path: &str, body: Value) -> Value {
        http.post(format!("{}{path}", self.address)).json(&body).send().await.unwrap().json().await.unwrap()
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
