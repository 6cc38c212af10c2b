//! From measurements to ratios, tables and bars.

use anyhow::Result;
use serde_json::{Map, Value};

use super::rounds::{STEPS, Sample, Samples, Step};
use crate::bench::measure::median;
use crate::bench::report::{Report, seconds};

/// Programs that Holdfast is held against; the faster one counts.
const PEERS: [&str; 2] = ["restic", "kopia"];
const OWN: &str = "holdfast";

/// Adds what was measured, and holds it against the bars.
pub fn judge(report: &mut Report, samples: &Samples) -> Result<()> {
    let mut rows = Vec::new();
    for step in STEPS {
        let time = |side: &str| of(samples, step, side, Sample::seconds);
        let peer = PEERS.iter().map(|peer| time(peer)).fold(f64::NAN, f64::min);
        let ratio = time(OWN) / peer;
        if ratio.is_finite() {
            report.note_ratio(step.key(), ratio);
        }
        let amplified = amplification(samples, step);
        let stored = of(samples, step, OWN, |sample| sample.stored as f64 / f64::from(1 << 20));
        let mut row = vec![title(step).to_owned()];
        row.extend(["restic", "kopia", OWN].map(|side| seconds(time(side))));
        row.extend([shown(ratio), shown(amplified), format!("{stored:.0} MiB"), seconds(time("floor"))]);
        rows.push(row);
    }
    let head = ["", "restic", "kopia", OWN, "ratio", "read / changed", "stored", "floor"];
    report.table("blocks", &head, rows);
    details(report, samples)?;
    let runs = [1, 10, 100].map(|part| amplification(samples, Step::Changed(part)));
    report.note_ratio("read_amplification", runs.into_iter().fold(f64::NAN, f64::max));
    report.note_ratio("random_4k_amplification", amplification(samples, Step::Random));
    let extent = of(samples, Step::Random, OWN, |sample| sample.extent.unwrap_or_default() as f64);
    report.hold("first", 0.6);
    report.hold("changed", 0.1);
    report.hold("read_amplification", 1.2);
    report.hold("random_4k_amplification", extent / 4096.0);
    report.hold_peak(250.0);
    Ok(())
}

fn details(report: &mut Report, samples: &Samples) -> Result<()> {
    let mut details = Map::new();
    for ((step, side), list) in samples {
        report.note_peak(side, list.iter().map(|sample| sample.cost.peak_rss_mib).fold(0.0, f64::max));
        let by_side = details.entry(step.key()).or_insert_with(|| Value::Object(Map::new()));
        by_side[*side] = serde_json::to_value(list)?;
    }
    report.peak_rss_mib.remove("floor");
    report.details.insert("local".to_owned(), Value::Object(details));
    Ok(())
}

/// Bytes read for each that had changed.
fn amplification(samples: &Samples, step: Step) -> f64 {
    of(samples, step, OWN, |sample| match sample {
        Sample { changed: 0, .. } | Sample { read: None, .. } => f64::NAN,
        Sample { changed, read: Some(read), .. } => *read as f64 / *changed as f64,
    })
}

fn of(samples: &Samples, step: Step, side: &str, figure: impl Fn(&Sample) -> f64) -> f64 {
    let found = samples.iter().find(|((at, name), _)| *at == step && *name == side);
    let figures: Vec<f64> = found.map_or(&[][..], |(_, list)| list).iter().map(figure).collect();
    median(&figures)
}

fn title(step: Step) -> &'static str {
    match step {
        Step::First => "first, all of it",
        Step::Changed(1) => "0.1 % changed",
        Step::Changed(10) => "1 % changed",
        Step::Changed(_) => "10 % changed",
        Step::Random => "random 4 KiB",
        Step::Restore => "restore",
    }
}

fn shown(ratio: f64) -> String {
    if ratio.is_finite() { format!("{ratio:.3}") } else { "–".into() }
}
