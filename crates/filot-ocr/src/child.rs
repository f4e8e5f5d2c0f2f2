//! A program run as a child process: bytes in, bytes out, killed with all that it started when it takes too long or says
//! too much. The only place with `unsafe` in this crate.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// Bytes taken from a pipe at a time: what a pipe holds on Linux.
const BLOCK: usize = 64 << 10;

/// What a child may use.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Wall-clock time from start to end.
    pub time: Duration,
    /// Bytes on its standard output.
    pub output: usize,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program could not be started; `NotFound` when it is not installed.
    #[error("the program could not be started: {0}")]
    Start(#[source] io::Error),
    /// It was killed after [`Allowance::time`].
    #[error("the program took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It was killed after [`Allowance::output`] bytes.
    #[error("the program wrote more than {0} bytes")]
    TooMuchOutput(usize),
    /// It ended by itself, but not well.
    #[error("the program failed ({0})")]
    Failed(ExitStatus),
}

/// Starts `command` in a process group of its own, writes `input` to its standard input and returns what it wrote to its
/// standard output. Its standard error is thrown away.
///
/// # Errors
/// See [`ChildError`]. Whatever happens, the child is dead and reaped, its group is dead, and the time is kept: nobody who
/// holds its pipes can make the caller wait.
pub fn run(mut command: Command, input: &[u8], allowance: Allowance) -> Result<Vec<u8>, ChildError> {
    let deadline = Instant::now() + allowance.time;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    bind_to_caller(&mut command);
    let child = command.spawn().map_err(ChildError::Start)?;
    let mut child = Running { child, reaped: false };
    let output = exchange(&mut child.child, input, allowance.output, deadline);
    let in_time = output.is_some() && child.ends_before(deadline);
    let status = child.kill();
    match (output, status) {
        (Some(output), _) if output.len() > allowance.output => {
            Err(ChildError::TooMuchOutput(allowance.output))
        }
        (Some(output), Some(status)) if in_time && status.success() => Ok(output),
        (Some(_), Some(status)) if in_time => Err(ChildError::Failed(status)),
        _ => Err(ChildError::TimedOut(allowance.time)),
    }
}

/// Has the child die with the thread that started it, and leave no core file of somebody's document.
#[expect(unsafe_code, reason = "between fork and exec there are two system calls and nothing else")]
fn bind_to_caller(command: &mut Command) {
    let bind = || {
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        Ok(())
    };
    // SAFETY: neither call allocates or takes a lock.
    unsafe {
        command.pre_exec(bind);
    }
}

/// Writes and reads at the same time until the output ends or is longer than `limit`. `None` when the time is over.
fn exchange(child: &mut Child, input: &[u8], limit: usize, deadline: Instant) -> Option<Vec<u8>> {
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take()?);
    let unblock = |pipe: &dyn AsFd| fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    unblock(&stdout).ok()?;
    if let Some(pipe) = &stdin {
        unblock(pipe).ok()?;
    }
    let (mut left, mut output, mut block) = (input, Vec::new(), vec![0; BLOCK]);
    while output.len() <= limit {
        if left.is_empty() {
            // The child sees the end of its input.
            stdin = None;
        }
        if !wait_for(stdin.as_ref().map(AsFd::as_fd), stdout.as_fd(), deadline) {
            return None;
        }
        if let Some(pipe) = &mut stdin {
            match pipe.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if is_passing(&error) => {}
                // A child that stops reading has its reasons; its output and status tell.
                Err(_) => stdin = None,
            }
        }
        match stdout.read(&mut block) {
            Ok(0) => break,
            Ok(read) => output.extend_from_slice(&block[..read]),
            Err(error) if is_passing(&error) => {}
            // An unreadable pipe counts as its end.
            Err(_) => break,
        }
    }
    Some(output)
}

/// Waits until one of the pipes can be used. `false` when the time is over.
fn wait_for(
    stdin: Option<std::os::fd::BorrowedFd<'_>>,
    stdout: std::os::fd::BorrowedFd<'_>,
    deadline: Instant,
) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return false;
    }
    let mut pipes = vec![PollFd::new(stdout, PollFlags::POLLIN)];
    pipes.extend(stdin.map(|stdin| PollFd::new(stdin, PollFlags::POLLOUT)));
    // Rounded up, so that the last millisecond is not spent asking again and again.
    let left = left + Duration::from_millis(1);
    let _ = poll(&mut pipes, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    true
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// A child that does not outlive its owner.
struct Running {
    child: Child,
    reaped: bool,
}

impl Running {
    fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Whether it ends by itself in time. It stays to be reaped, so that its number, which is its group's, is no one else's.
    fn ends_before(&self, deadline: Instant) -> bool {
        // Its output has ended, so it is about to exit: a short nap is rarely needed.
        let mut nap = Duration::from_micros(200);
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            if waitid(Id::Pid(self.id()), look) != Ok(WaitStatus::StillAlive) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(20));
        }
    }

    /// Kills it and its group, and reaps it.
    fn kill(&mut self) -> Option<ExitStatus> {
        if self.reaped {
            return None;
        }
        self.reaped = true;
        // Each fails only for what is gone already.
        let _ = killpg(self.id(), Signal::SIGKILL);
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const ALLOWANCE: Allowance = Allowance { time: Duration::from_secs(20), output: 1 << 20 };

    #[test]
    fn passes_bytes_through() {
        let input: Vec<u8> = (0..900_000u32).map(|i| (i % 251) as u8).collect();
        assert!(run(shell("cat"), &input, ALLOWANCE).unwrap() == input);
    }

    #[test]
    fn a_child_that_does_not_read_is_no_problem() {
        assert_eq!(run(shell("echo done"), &vec![0; 5 << 20], ALLOWANCE).unwrap(), b"done\n");
    }

    #[test]
    fn a_slow_child_is_killed() {
        let start = Instant::now();
        let allowance = Allowance { time: Duration::from_millis(200), ..ALLOWANCE };
        for script in ["exec sleep 60", "exec >&-; exec sleep 60"] {
            assert!(matches!(run(shell(script), b"x", allowance), Err(ChildError::TimedOut(_))));
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    /// A program behind a wrapper script keeps the pipe when the wrapper is killed, or is left behind when it ends.
    #[test]
    fn what_the_child_started_neither_keeps_the_caller_waiting_nor_stays() {
        let note = std::env::temp_dir().join(format!("filot-child-{}", std::process::id()));
        let allowance = Allowance { time: Duration::from_millis(400), ..ALLOWANCE };
        for script in ["sleep 71 & echo $! >NOTE; wait", "sleep 72 & echo $! >NOTE", "exec sleep 73"] {
            let _ = std::fs::remove_file(&note);
            let start = Instant::now();
            let script = script.replace("NOTE", note.to_str().unwrap());
            assert!(matches!(run(shell(&script), b"x", allowance), Err(ChildError::TimedOut(_))));
            assert!(start.elapsed() < Duration::from_secs(10), "{script}");
            if let Ok(left) = std::fs::read_to_string(&note) {
                assert!(is_gone(left.trim()), "{script} left {left}");
            }
        }
        // One that has left the group as well is not found, but does not hold anybody up either.
        let start = Instant::now();
        let script = "setsid sleep 20 & exit 0";
        assert!(matches!(run(shell(script), b"x", allowance), Err(ChildError::TimedOut(_))));
        assert!(start.elapsed() < Duration::from_secs(10));
        let _ = std::fs::remove_file(&note);
    }

    fn is_gone(process: &str) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    #[test]
    fn too_much_output_and_failure_are_told() {
        assert!(matches!(
            run(shell("exec cat /dev/zero"), b"", ALLOWANCE),
            Err(ChildError::TooMuchOutput(_))
        ));
        assert!(
            matches!(run(shell("exit 3"), b"", ALLOWANCE), Err(ChildError::Failed(s)) if s.code() == Some(3))
        );
        let missing = Command::new("filot-no-such-program");
        assert!(
            matches!(run(missing, b"", ALLOWANCE), Err(ChildError::Start(e)) if e.kind() == io::ErrorKind::NotFound)
        );
    }
}
