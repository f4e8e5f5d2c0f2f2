//! A program run as a child process: bytes in, bytes out, killed when it takes too long or says too much.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

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

/// Starts `command`, writes `input` to its standard input and returns what it wrote to its standard output. Its
/// standard error is thrown away.
///
/// # Errors
/// See [`ChildError`]. The child is dead and reaped whatever happens.
pub fn run(mut command: Command, input: &[u8], allowance: Allowance) -> Result<Vec<u8>, ChildError> {
    let deadline = Instant::now() + allowance.time;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Running(command.spawn().map_err(ChildError::Start)?);
    let (stdin, stdout) = (child.0.stdin.take(), child.0.stdout.take());

    thread::scope(|scope| {
        // A child that stops reading gets a closed pipe or is killed below; either way the write ends.
        if let Some(mut stdin) = stdin {
            scope.spawn(move || stdin.write_all(input));
        }
        let (sender, receiver) = mpsc::channel();
        if let Some(stdout) = stdout {
            scope.spawn(move || {
                let mut output = Vec::new();
                // An unreadable pipe counts as its end; the exit status then tells what happened.
                let _ = stdout.take(allowance.output as u64 + 1).read_to_end(&mut output);
                let _ = sender.send(output);
            });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let output = receiver.recv_timeout(left).map_err(|_| ChildError::TimedOut(allowance.time));
        let status = match &output {
            Ok(output) if output.len() > allowance.output => Err(ChildError::TooMuchOutput(allowance.output)),
            Ok(_) => child.wait_until(deadline).ok_or(ChildError::TimedOut(allowance.time)),
            Err(_) => Err(ChildError::TimedOut(allowance.time)),
        };
        // Before the scope waits for its threads: with the child dead, both pipes are closed.
        child.kill();
        let status = status?;
        if status.success() { output } else { Err(ChildError::Failed(status)) }
    })
}

/// A child that does not outlive its owner.
struct Running(Child);

impl Running {
    fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        // Its output has ended, so it is about to exit: a short nap is rarely needed.
        let mut nap = Duration::from_micros(200);
        loop {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
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
