//! How far a standby is behind while its application writes: as its status says all along, and as the timestamps say
//! that are found on the volume when it is taken over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use super::application::Application;
use super::following::{Following, Sync};
use super::stand::Stand;
use super::status::Status;
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
    /// Seconds that taking over took, mostly with a sync killed half way.
    pub takeover_seconds: f64,
    /// The steps of that, as reported.
    pub takeover_steps: Value,
    /// The backups.
    pub backups: Vec<Cost>,
    /// The syncs.
    pub syncs: Vec<Sync>,
    /// Highest memory of the program at any of this.
    pub peak_rss_mib: f64,
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
    let point = format!("{name}/latest");
    let (takeover, report) = stand.measured(&["standby", "promote", &point, "--to", "b", "--wait"])?;
    let beats = application.ask(stand, &stand.b, "cat beats")?;
    let last = last_before(&beats, lost).context("no timestamp is on the volume that was taken over")?;
    let syncs = Sync::all_of(&std::fs::read_to_string(log.path())?);
    let peaks = backups.iter().chain([&takeover]).map(|cost| cost.peak_rss_mib);
    let lag = Lag {
        percent,
        status_worst: lags.iter().copied().fold(0.0, f64::max),
        status_median: median(&lags),
        found: lost - last,
        takeover_seconds: takeover.seconds,
        takeover_steps: report["steps"].clone(),
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
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let backups = scope.spawn(|| {
            let mut costs = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                costs.push(stand.backup(name)?);
            }
            anyhow::Ok(costs)
        });
        let watched = watch(stand, name, following, minutes).and_then(|lags| Ok((lags, uptime()?)));
        // Who brought the standby forward is lost with the site: what was not there by then never gets there.
        let stopped = following.end();
        ended.store(true, Ordering::Relaxed);
        let costs = backups.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        stopped?;
        let (lags, lost) = watched?;
        Ok((lags, costs, lost))
    })
}

/// Asks a standby for some minutes how far it is behind, from the second point on that it holds: the first was made
/// before anything followed.
fn watch(stand: &Stand, name: &str, following: &mut Following, minutes: f64) -> Result<Vec<f64>> {
    let (mut status, mut lags) = (Status::default(), Vec::new());
    let (begun, mut steady) = (Instant::now(), None);
    loop {
        following.check()?;
        status.ask(stand, name)?;
        if status.points > 1 {
            let since = *steady.get_or_insert_with(Instant::now);
            if since.elapsed().as_secs_f64() > minutes * 60.0 {
                return Ok(lags);
            }
            lags.extend(status.lag());
        }
        ensure!(steady.is_some() || begun.elapsed() < LIMIT, "nothing follows after {} s", LIMIT.as_secs());
        std::thread::sleep(INTERVAL);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_copy_wrote_after_the_loss_does_not_count() {
        assert_eq!(last_before("10.5\n10.62\n10.7", 10.65), Some(10.62));
        assert_eq!(last_before("10.5\n10.6\n99.1\n", 20.0), Some(10.6));
        assert_eq!(last_before("", 20.0), None);
    }
}
