//! A real Chromium, driven by WebDriver.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use super::backends::free_port;

/// How long a page may take to come to what is waited for; machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a browser is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) dark: bool,
    pub(crate) script: bool,
    pub(crate) size: (u32, u32),
    pub(crate) language: &'static str,
}

impl Default for Setting {
    fn default() -> Self {
        Self { dark: false, script: true, size: (1366, 768), language: "en" }
    }
}

/// A browser with a profile of its own, which ends with the test.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    base: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser for pages below `base`.
    pub(crate) async fn start(base: &str, setting: Setting) -> Self {
        let profile = tempfile::Builder::new().prefix("filot-browser-").tempdir().unwrap();
        let port = free_port();
        let driver = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "chromedriver", &format!("--port={port}")])
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`make setup` installs Chromium and its driver");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "chromedriver does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path(), &chromium(profile.path()), setting))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("`make setup` installs Chromium");
        let (width, height) = setting.size;
        client.set_window_size(width, height).await.unwrap();
        Self { client, driver, base: base.to_owned(), _profile: profile }
    }

    /// Runs a script in every page before its own.
    pub(crate) async fn before_pages(&self, source: &str) {
        let cmd = "Page.addScriptToEvaluateOnNewDocument".to_owned();
        let order = DevTools(json!({ "cmd": cmd, "params": { "source": source } }));
        self.client.issue_cmd(order).await.unwrap();
    }

    pub(crate) async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// Where it is, without the server.
    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    pub(crate) async fn find(&self, selector: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await {
            Ok(element) => element,
            Err(error) => panic!("{selector}: {error}\n{}", self.text().await),
        }
    }

    pub(crate) async fn count(&self, selector: &str) -> usize {
        self.client.find_all(Locator::Css(selector)).await.unwrap().len()
    }

    pub(crate) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    pub(crate) async fn attr(&self, selector: &str, name: &str) -> String {
        self.find(selector).await.attr(name).await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let input = self.find(selector).await;
        input.clear().await.unwrap();
        input.send_keys(text).await.unwrap();
    }

    /// Presses a key, wherever the focus is: as a keyboard does, which asks no element whether it may be typed into.
    pub(crate) async fn press(&self, key: char) {
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// The text of the page.
    pub(crate) async fn text(&self) -> String {
        self.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Waits until the page says `words`.
    pub(crate) async fn says(&self, words: &str) {
        self.until(&format!("the words {words:?}"), async || {
            let body = self.client.find(Locator::Css("body")).await;
            match body {
                Ok(body) => body.text().await.is_ok_and(|text| text.contains(words)),
                Err(_) => false,
            }
        })
        .await;
    }

    /// Waits until `holds`.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !holds().await {
            if start.elapsed() > PATIENCE {
                panic!("{what}: not at {}\n{}", self.path().await, self.text().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for another page than `path`.
    pub(crate) async fn leaves(&self, path: &str) -> String {
        self.until("another page", async || self.path().await != path).await;
        self.path().await
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    pub(crate) async fn close(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// An order of Chromium's own protocol.
#[derive(Debug)]
struct DevTools(Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A program that starts Chromium and ends with its driver, also where a failing test kills that one.
fn chromium(folder: &Path) -> PathBuf {
    let program = folder.join("chromium");
    fs::write(&program, "#!/bin/sh\nexec setpriv --pdeathsig KILL chromium \"$@\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn capabilities(profile: &Path, program: &Path, setting: Setting) -> serde_json::Map<String, Value> {
    let (width, height) = setting.size;
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--hide-scrollbars",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    arguments.push(format!("--window-size={width},{height}"));
    arguments.push(format!("--accept-lang={}", setting.language));
    arguments.push(format!("--blink-settings=preferredColorScheme={}", if setting.dark { 0 } else { 1 }));
    let mut options = json!({
        "binary": program,
        "args": arguments,
        "prefs": { "intl.accept_languages": setting.language },
    });
    if !setting.script {
        options["prefs"]["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    if width < 600 {
        options["mobileEmulation"] =
            json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.5 } });
    }
    let mut all = serde_json::Map::new();
    all.insert("goog:chromeOptions".to_owned(), options);
    all
}
