//! How long taking over takes, by the size of the volume.

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::Value;

use super::application::Application;
use super::stand::Stand;
use crate::bench::measure::{Cost, median};

/// What one size came to.
#[derive(Debug, Clone, Serialize)]
pub struct Promotion {
    /// GiB on the volume.
    pub gib: f64,
    /// Filling the standby, each time from nothing.
    pub syncs: Vec<Cost>,
    /// Taking over, up to all workloads being ready.
    pub promotions: Vec<Cost>,
    /// The steps of each, as reported.
    pub steps: Vec<Value>,
}

impl Promotion {
    /// Median seconds of taking over.
    pub fn seconds(&self) -> f64 {
        median(&self.promotions.iter().map(|cost| cost.seconds).collect::<Vec<_>>())
    }

    /// Median seconds of filling the standby.
    pub fn sync_seconds(&self) -> f64 {
        median(&self.syncs.iter().map(|cost| cost.seconds).collect::<Vec<_>>())
    }
}

/// Has a volume stand by and takes over, so many times.
pub fn measure(stand: &Stand, name: &str, gib: f64, runs: usize) -> Result<Promotion> {
    eprintln!("    a volume of {gib} GiB");
    let application = Application::resting(name, gib);
    application.deploy(stand)?;
    let digest = "cat files/* | md5sum";
    let wanted = application.ask(stand, &stand.a, digest)?;
    // Only its copies are of interest from here on, and the machine has but one disk.
    application.remove(stand, &stand.a)?;
    let mut done = Promotion { gib, syncs: Vec::new(), promotions: Vec::new(), steps: Vec::new() };
    let point = format!("{name}/latest");
    for run in 0..runs {
        let (synced, _) = stand.measured(&["standby", "sync", &point, "--to", "b"])?;
        let (promoted, report) = stand.measured(&["standby", "promote", &point, "--to", "b"])?;
        eprintln!(
            "    run {}: filled in {:.1} s, taken over in {:.1} s",
            run + 1,
            synced.seconds,
            promoted.seconds
        );
        let found = application.ask(stand, &stand.b, digest)?;
        ensure!(found == wanted, "something else was taken over: {found} instead of {wanted}");
        done.syncs.push(synced);
        done.promotions.push(promoted);
        done.steps.push(report["steps"].clone());
        application.remove(stand, &stand.b)?;
        stand.program.run(&["standby", "end", name, "--to", "b"])?;
    }
    Ok(done)
}
