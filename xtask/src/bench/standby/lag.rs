//! How far a standby is behind while its application writes: as its status says all along, and as the timestamps say
//! that are found on the volume when it is taken over.

use std::fs::File;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::application::Application;
use super::stand::Stand;
use crate::bench::measure::{Cost, median};

/// How often the standby is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the first sync may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What one rate of change came to.
#[derive(Debug, Clone, Serialize)]
pub struct Lag {
    /// Per cent of the volume that changed in a minute.
    pub percent: f64,
    /// The furthest it ever was behind: seconds since the capture of the point that it held began.
    pub status_worst: f64,
    /// The median of that.
    pub status_median: f64,
    /// Seconds from the last timestamp on the volume that was taken over to the loss of the site.
    pub found: f64,
    /// Seconds that taking over took; a sync may have been killed half way.
    pub takeover_seconds: f64,
    /// The backups.
    pub backups: Vec<Cost>,
    /// The syncs.
    pub syncs: Vec<Sync>,
    /// Highest memory of the program at any of this.
    pub peak_rss_mib: f64,
}

/// One sync, by what it reports.
#[derive(Debug, Clone, Serialize)]
pub struct Sync {
    /// From its start to its end.
    pub seconds: f64,
    /// How old the point was at the end, counted from the start of its capture.
    pub behind: f64,
    /// Bytes written at the standby.
    pub written: u64,
}

impl Lag {
    /// The worst, by whatever way it was found.
    pub fn worst(&self) -> f64 {
        self.status_worst.max(self.found)
    }

    /// Median seconds of a backup.
    pub fn backup_seconds(&self) -> f64 {
        median(&self.backups.iter().map(|cost| cost.seconds).collect::<Vec<_>>())
    }

    /// Median seconds of a sync.
    pub fn sync_seconds(&self) -> f64 {
        median(&self.syncs.iter().map(|sync| sync.seconds).collect::<Vec<_>>())
    }
}

/// Follows an application for some minutes, loses its site, and takes over.
pub fn measure(stand: &Stand, name: &str, percent: f64, minutes: f64, gib: f64) -> Result<Lag> {
    eprintln!("    {percent} % a minute for {minutes} minutes");
    let application = Application::writing(name, gib, percent);
    application.deploy(stand)?;
    let log = tempfile::NamedTempFile::new()?;
    let mut following = Following::start(stand, name, log.reopen()?)?;
    let (lags, backups, lost) = follow(stand, name, &mut following, minutes)?;
    // Whoever brought the standby forward is lost with the site.
    following.end()?;
    let point = format!("{name}/latest");
    let (takeover, _) = stand.measured(&["standby", "promote", &point, "--to", "b", "--wait"])?;
    let beats = application.ask(stand, &stand.b, "cat beats")?;
    let last = last_before(&beats, lost).context("no timestamp is on the volume that was taken over")?;
    let syncs = syncs(&std::fs::read_to_string(log.path())?);
    let peaks = backups.iter().chain([&takeover]).map(|cost| cost.peak_rss_mib);
    let lag = Lag {
        percent,
        status_worst: lags.iter().copied().fold(0.0, f64::max),
        status_median: median(&lags),
        found: lost - last,
        takeover_seconds: takeover.seconds,
        peak_rss_mib: peaks.fold(0.0, f64::max),
        backups,
        syncs,
    };
    eprintln!(
        "    behind {:.0} s at most, {:.0} s mostly; {:.1} s of timestamps lost; a backup takes {:.1} s, a sync {:.1} s",
        lag.status_worst,
        lag.status_median,
        lag.found,
        lag.backup_seconds(),
        lag.sync_seconds(),
    );
    stand.program.run(&["standby", "end", name, "--to", "b"])?;
    application.remove(stand, &stand.a)?;
    application.remove(stand, &stand.b)?;
    Ok(lag)
}

/// Makes one point after the other and asks the standby meanwhile; gives what it said, what the backups cost, and the
/// moment at which it all ended.
fn follow(
    stand: &Stand,
    name: &str,
    following: &mut Following,
    minutes: f64,
) -> Result<(Vec<f64>, Vec<Cost>, f64)> {
    let mut status = Status::default();
    let begun = Instant::now();
    while status.lag(stand, name)?.is_none() {
        ensure!(begun.elapsed() < LIMIT, "nothing stands by after {} s", LIMIT.as_secs());
        following.check()?;
        std::thread::sleep(INTERVAL);
    }
    let (ended, mut lags) = (AtomicBool::new(false), Vec::new());
    std::thread::scope(|scope| {
        let backups = scope.spawn(|| {
            let mut costs = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                costs.push(stand.backup(name)?);
            }
            anyhow::Ok(costs)
        });
        let begun = Instant::now();
        let watched: Result<f64> = loop {
            if begun.elapsed().as_secs_f64() > minutes * 60.0 {
                break uptime();
            }
            match following.check().and_then(|()| status.lag(stand, name)) {
                Ok(lag) => lags.extend(lag),
                Err(error) => break Err(error),
            }
            std::thread::sleep(INTERVAL);
        };
        // What was not at the standby by then never gets there.
        let stopped = following.end();
        ended.store(true, Ordering::Relaxed);
        let costs = backups.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        stopped?;
        Ok((lags, costs, watched?))
    })
}

/// What the standby said last of a point that it holds; while it is brought to the next, that is kept and grows older.
#[derive(Default)]
struct Status {
    held: Option<(Instant, f64)>,
}

impl Status {
    /// Seconds that it is behind, once it holds anything.
    fn lag(&mut self, stand: &Stand, name: &str) -> Result<Option<f64>> {
        let said = stand.program.run(&["standby", "status", name, "--to", "b", "-o", "json"])?;
        let standing: Value = serde_json::from_str(&said)?;
        if let Some(lag) = standing[0]["lagSeconds"].as_f64() {
            self.held = Some((Instant::now(), lag));
        }
        Ok(self.held.map(|(at, lag)| lag + at.elapsed().as_secs_f64()))
    }
}

/// A program that brings a standby forward until it is ended.
struct Following(Child);

impl Following {
    fn start(stand: &Stand, name: &str, log: File) -> Result<Self> {
        let point = format!("{name}/latest");
        let arguments = ["standby", "sync", &point, "--to", "b", "--follow=1s", "--wait", "-o", "json"];
        let mut command = stand.program.command(&arguments);
        command.stdin(Stdio::null()).stdout(log).stderr(Stdio::inherit());
        Ok(Self(command.spawn().context("cannot start holdfast")?))
    }

    fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("`holdfast standby sync --follow` ended with {status}"),
        }
    }

    fn end(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // Nothing is left of it in the good case.
        let _ = self.end();
    }
}

/// Seconds since the machine booted, as the application writes them.
fn uptime() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/uptime").context("cannot read the time")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().with_context(|| format!("`{first}` is no time"))
}

/// The last of some timestamps that is not later than a moment: after it, the copy that was started wrote.
fn last_before(beats: &str, moment: f64) -> Option<f64> {
    let times = beats.lines().filter_map(|line| line.parse::<f64>().ok());
    times.filter(|time| *time <= moment).reduce(f64::max)
}

/// The syncs that a program reported; of one that was killed, the last may be cut off.
fn syncs(said: &str) -> Vec<Sync> {
    let reports = serde_json::Deserializer::from_str(said).into_iter::<Value>();
    reports.map_while(Result::ok).filter_map(|report| sync(&report)).collect()
}

fn sync(report: &Value) -> Option<Sync> {
    let time = |field: &str| report[field].as_str()?.parse::<Timestamp>().ok();
    let finished = time("finished")?;
    let since = |moment: Timestamp| finished.duration_since(moment).as_secs_f64();
    Some(Sync {
        seconds: since(time("started")?),
        behind: since(time("captured")?),
        written: report["volumes"][0]["bytesWritten"].as_u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_copy_wrote_after_the_loss_does_not_count() {
        assert_eq!(last_before("10.5\n10.62\n10.7", 10.65), Some(10.62));
        assert_eq!(last_before("10.5\n10.6\n99.1\n", 20.0), Some(10.6));
        assert_eq!(last_before("", 20.0), None);
    }

    #[test]
    fn reports_are_read_up_to_one_that_was_cut_off() {
        let report = r#"{"started":"2026-01-01T00:00:03Z","finished":"2026-01-01T00:00:04.5Z",
            "captured":"2026-01-01T00:00:00Z","volumes":[{"bytesWritten":7}]}"#;
        let found = syncs(&format!("{report}\n{report}\n{}", &report[..40]));
        let all: Vec<_> = found.iter().map(|sync| (sync.seconds, sync.behind, sync.written)).collect();
        assert_eq!(all, [(1.5, 4.5, 7), (1.5, 4.5, 7)]);
    }
}
