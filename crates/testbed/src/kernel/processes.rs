//! Processes by id and start time, ended and waited for whoever's children they are.

use std::fs;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde::{Deserialize, Serialize};

/// A process that a later one with the same pid is not mistaken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its pid.
    pub(crate) pid: i32,
    /// Clock ticks between boot and its start (proc(5), `stat` field 22).
    pub(crate) start: u64,
    /// Which boot of the machine.
    pub(crate) boot: String,
}

impl Identity {
    /// This process.
    pub(crate) fn own() -> Self {
        let pid = rustix::process::getpid().as_raw_pid();
        Self { pid, start: start_time(pid).unwrap_or(0), boot: boot_id() }
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.boot == boot_id() && start_time(self.pid) == Some(self.start)
    }
}

/// The kernel's id of this boot.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Start time of a live process; `None` for one that is gone or a zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_start(&stat)
}

/// The command's name may hold spaces and brackets; fields count from behind its last bracket.
fn parse_start(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Sends a signal; a process that is gone already is no error.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Kills processes and waits until they ended, at most for `limit`.
pub(crate) fn kill_and_wait(pids: &[i32], limit: Duration) {
    let handles: Vec<_> =
        pids.iter().filter_map(|pid| pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()).collect();
    for pid in pids {
        signal(*pid, Signal::KILL);
    }
    let until = Instant::now() + limit;
    for handle in &handles {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let _ = poll(&mut [PollFd::new(handle, PollFlags::IN)], timeout.as_ref());
    }
}

/// Pids with their command lines, for an error.
pub(crate) fn describe(pids: &[i32]) -> String {
    let line = |pid: &i32| {
        let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid} {}", String::from_utf8_lossy(&raw).replace('\0', " "))
    };
    pids.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Resident memory of processes in MiB, shared pages counted once per process that maps them.
pub(crate) fn resident_mib(pids: &[i32]) -> u64 {
    let kib = |pid: &i32| -> Option<u64> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    pids.iter().filter_map(kib).sum::<u64>() / 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_dead_process_is_not_alive_even_as_a_zombie() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = Identity { pid, start: start_time(pid).unwrap(), boot: boot_id() };
        assert!(identity.is_alive());
        kill_and_wait(&[pid], Duration::from_secs(5));
        assert!(!identity.is_alive(), "not yet reaped, but dead");
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn brackets_in_a_name_do_not_shift_fields() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_start(stat), Some(4242));
        assert_eq!(parse_start(&stat.replace(") S", ") Z")), None);
    }
}
