//! What the system says of a process, and its end.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Length of a tick of `/proc/PID/stat` (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process of a session.
struct Member {
    process: i32,
    /// Of processor time, its ended children included.
    ticks: u64,
}

/// Bytes of memory that a process holds.
pub(super) fn memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}

/// Processor time of a process and of its ended children.
pub(super) fn own_processor_time(process: u32) -> Duration {
    time(member(process.cast_signed(), process).map_or(0, |member| member.ticks))
}

/// Processor time of all processes of the session that `leader` leads.
pub(super) fn processor_time(leader: u32) -> Duration {
    time(session(leader).iter().map(|member| member.ticks).sum())
}

fn time(ticks: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// Kills a process and all of the session that it leads: what it started, in whatever group.
pub(super) fn kill_session(leader: u32) {
    // It could start more. It is not reaped yet, so its number is still its own.
    let _ = kill(Pid::from_raw(leader.cast_signed()), Signal::SIGKILL);
    for _ in 0..3 {
        let members = session(leader);
        let others: Vec<_> = members.iter().filter(|member| member.process != leader.cast_signed()).collect();
        if others.is_empty() {
            return;
        }
        for member in others {
            let _ = kill(Pid::from_raw(member.process), Signal::SIGKILL);
        }
    }
}

fn session(leader: u32) -> Vec<Member> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(|process| member(process, leader)).collect()
}

/// The process, if it belongs to the session and is not dead already.
fn member(process: i32, leader: u32) -> Option<Member> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // Fields 3 (state), 6 (session) and 14 to 17 (ticks) of proc(5).
    if number(3)? != u64::from(leader) || fields[0] == "Z" && process != leader.cast_signed() {
        return None;
    }
    Some(Member { process, ticks: (11..15).filter_map(number).sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_and_killed_with_what_it_started() {
        let mut command = std::process::Command::new("setsid");
        // One in a group of its own, and a wrapper that waits for it.
        let child = command.args(["--wait", "sh", "-c", "set -m; sleep 74 & wait"]).spawn();
        let mut child = child.expect("util-linux has setsid");
        // Exactly: the command lines of the shell and of what starts it hold these words too, the latter while it is still
        // of the session of this test.
        let own = || {
            let all =
                fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            all.filter(|number| {
                fs::read(format!("/proc/{number}/cmdline")).is_ok_and(|line| line == b"sleep\x0074\0")
            })
            .collect::<Vec<_>>()
        };
        let started = std::time::Instant::now();
        while own().is_empty() {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(memory(std::process::id()).unwrap() > 1 << 20);
        let sleeping = own().remove(0);
        let stat = fs::read_to_string(format!("/proc/{sleeping}/stat")).unwrap();
        let leader: u32 =
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap().parse().unwrap();
        assert_ne!(leader.cast_signed(), nix::unistd::getsid(None).unwrap().as_raw());
        assert!(session(leader).len() >= 2);
        kill_session(leader);
        child.wait().unwrap();
        while !own().is_empty() {
            assert!(started.elapsed() < Duration::from_secs(20), "left behind");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
