//! Real servers of the system, each in a folder and on a port of its own.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that dies with this test, and a folder that goes with it.
pub(crate) struct Server {
    child: Option<Child>,
    pub(crate) port: u16,
    folder: TempDir,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Redis,
}

/// The user that runs PostgreSQL, which refuses to run as root.
const POSTGRES_USER: &str = "postgres";

impl Server {
    /// PostgreSQL 15 with an empty database.
    pub(crate) fn postgres() -> Self {
        let folder = tempfile::Builder::new().prefix("filot-pg-").tempdir().unwrap();
        let data = folder.path().join("data");
        copy_template(&data);
        let mut server = Self { child: None, port: free_port(), folder, kind: Kind::Postgres };
        server.start();
        server
    }

    /// Redis 7, empty, forgetting everything when it stops.
    pub(crate) fn redis() -> Self {
        let folder = tempfile::Builder::new().prefix("filot-redis-").tempdir().unwrap();
        let mut server = Self { child: None, port: free_port(), folder, kind: Kind::Redis };
        server.start();
        server
    }

    /// Starts it, (again) on the same port, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let port = self.port.to_string();
        let folder = self.folder.path().to_str().unwrap().to_owned();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = as_user(&pg_bin("postgres"));
                // Crashes of the machine are not what is tested, so nothing waits for the disk.
                command.args([
                    "-D",
                    &format!("{folder}/data"),
                    "-p",
                    &port,
                    "-k",
                    &folder,
                    "-h",
                    "127.0.0.1",
                ]);
                command.args(["-c", "fsync=off", "-c", "max_connections=80", "-c", "shared_buffers=32MB"]);
                command
            }
            Kind::Redis => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "KILL", "redis-server", "--port", &port, "--bind", "127.0.0.1"]);
                command.args(["--save", "", "--appendonly", "no", "--dir", &folder]);
                command
            }
        };
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("`make setup` installs PostgreSQL 15 and Redis 7"));
        let start = Instant::now();
        while !self.answers() {
            let log = self.folder.path().join("log");
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "no answer from the server:\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        match self.kind {
            Kind::Redis => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            Kind::Postgres => Command::new(pg_bin("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .is_ok_and(|status| status.success()),
        }
    }

    /// Stops it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if self.kind == Kind::Postgres {
            // Its children hold the shared memory and have to end with it: immediate shutdown, no clean-up.
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let start = Instant::now();
            while child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Its address for the configuration.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// Runs one of PostgreSQL's own commands, such as `pg_dump`, on this server.
    ///
    /// # Panics
    /// When it fails.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(pg_bin(name));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", POSTGRES_USER]).args(arguments);
        let ended = command.output().expect("`make setup` installs PostgreSQL 15");
        assert!(ended.status.success(), "{name}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    /// The same behind another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://{POSTGRES_USER}@127.0.0.1:{port}/postgres"),
            Kind::Redis => format!("redis://127.0.0.1:{port}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pg_bin(name: &str) -> PathBuf {
    Path::new("/usr/lib/postgresql/15/bin").join(name)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|proc| std::os::unix::fs::MetadataExt::uid(&proc) == 0)
}

/// The program under a user that is not root, dying with this test.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", POSTGRES_USER, "--regid", POSTGRES_USER, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// A fresh data folder, copied from one that is made once: making takes seconds, copying a fraction.
fn copy_template(data: &Path) {
    let template = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres-template");
    let lock = std::fs::File::create(template.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !template.join("made").exists() {
        let _ = std::fs::remove_dir_all(&template);
        let fresh = tempfile::Builder::new().prefix("filot-initdb-").tempdir().unwrap();
        std::fs::set_permissions(fresh.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let status = as_user(&pg_bin("initdb"))
            .arg("-D")
            .arg(fresh.path().join("data"))
            .args(["-U", POSTGRES_USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
            .stdout(Stdio::null())
            .status()
            .expect("`make setup` installs PostgreSQL 15");
        assert!(status.success(), "initdb failed");
        std::fs::create_dir_all(&template).unwrap();
        copy(&fresh.path().join("data"), &template.join("data"));
        std::fs::write(template.join("made"), "").unwrap();
    }
    drop(lock);
    copy(&template.join("data"), data);
    let parent = data.parent().unwrap();
    std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}
