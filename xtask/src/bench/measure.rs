//! What a process costs: wall time, processor time, peak memory.
//!
//! The kernel keeps the highest resident size of a process (`VmHWM`, proc(5)) for as long as it lives, so that
//! reading it every few milliseconds misses only what is first touched in the last of them. Where a program starts
//! others, their peaks are added up, which may overstate but not understate.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// How often a process is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// How much of a failed program's words is shown.
const TAIL: u64 = 4_000;

/// The cost of one run.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cost {
    /// Wall time.
    pub seconds: f64,
    /// Time on processors, user and system, of the program itself.
    pub cpu_seconds: f64,
    /// Highest resident memory in MiB.
    pub peak_rss_mib: f64,
}

/// Runs a program to its end and gives its cost and what it wrote to standard output.
///
/// # Errors
/// If it cannot be started or ends with another code than one of `good`; with the end of what it said.
pub fn cost_of(command: &mut Command, good: &[i32]) -> Result<(Cost, String)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut output = tempfile::tempfile()?;
    let mut errors = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let watch = Watch::begin(child.id());
    let status = child.wait();
    let cost = watch.end();
    let status = status?;
    // A mover says what is wrong in its last event.
    let (said, told) = (tail(&mut errors)?, tail(&mut output)?);
    ensure!(
        status.code().is_some_and(|code| good.contains(&code)),
        "{} ended with {status}: {said}\n{}",
        shown(command),
        told.lines().last().unwrap_or_default()
    );
    output.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    output.read_to_string(&mut text).with_context(|| format!("output of {name}"))?;
    Ok((cost, text))
}

/// Looks at a running process until told to end.
pub struct Watch {
    begun: Instant,
    ended: SyncSender<()>,
    watcher: JoinHandle<Seen>,
}

impl Watch {
    /// Begins to look at a process and its children.
    pub fn begin(pid: u32) -> Self {
        let (ended, waiting) = sync_channel::<()>(0);
        let watcher = std::thread::spawn(move || {
            let mut seen = Seen::default();
            seen.look(pid);
            while waiting.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                seen.look(pid);
            }
            seen
        });
        Self { begun: Instant::now(), ended, watcher }
    }

    /// What was seen. Wall time ends here; memory and processors count since the process started.
    pub fn end(self) -> Cost {
        let seconds = self.begun.elapsed().as_secs_f64();
        drop(self.ended);
        self.watcher.join().unwrap_or_default().cost(seconds)
    }
}

/// Highest values seen of a process and its children.
#[derive(Default)]
struct Seen {
    peak_kib: BTreeMap<u32, u64>,
    ticks: BTreeMap<u32, u64>,
}

impl Seen {
    fn look(&mut self, top: u32) {
        let mut waiting = vec![top];
        while let Some(pid) = waiting.pop() {
            if let Some(peak) = peak_kib(pid) {
                self.peak_kib.insert(pid, peak);
            }
            if let Some(ticks) = ticks(pid) {
                self.ticks.insert(pid, ticks);
            }
            let children =
                std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }

    fn cost(&self, seconds: f64) -> Cost {
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Cost {
            seconds,
            cpu_seconds: self.ticks.values().sum::<u64>() as f64 / per_second,
            peak_rss_mib: self.peak_kib.values().sum::<u64>() as f64 / 1024.0,
        }
    }
}

/// `VmHWM` of a process in KiB; none once it has given its memory back.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time of all threads of a process, in clock ticks.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields after it are plain. utime is field 14, stime 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn tail(file: &mut std::fs::File) -> Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The middle of some values; of an even number, the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_process_and_its_child_is_seen() {
        // `dd` holds its whole block in memory.
        let mut command = Command::new("sh");
        command.args(["-c", "dd if=/dev/zero of=/dev/null bs=64M count=20 2>/dev/null; echo done"]);
        let (cost, said) = cost_of(&mut command, &[0]).unwrap();
        assert_eq!(said, "done\n");
        assert!(cost.peak_rss_mib > 60.0 && cost.peak_rss_mib < 100.0, "{cost:?}");
        assert!(cost.seconds > 0.0);
    }

    #[test]
    fn a_failure_carries_the_command_and_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo it broke >&2; exit 4"]);
        let error = cost_of(&mut command, &[0, 3]).unwrap_err().to_string();
        assert!(error.contains("it broke") && error.contains("exit status: 4"), "{error}");
    }

    #[test]
    fn medians_are_of_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
