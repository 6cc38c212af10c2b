//! From measurements to ratios, tables and bars.

use anyhow::Result;
use serde_json::{Map, Value};

use super::Work;
use super::place::Store;
use super::rounds::{Sample, Samples, Step};
use crate::bench::measure::median;
use crate::bench::report::{Report, seconds};

/// Programs that Holdfast is held against; the faster one counts.
const PEERS: [&str; 2] = ["restic", "kopia"];
const OWN: &str = "holdfast";

/// Adds what was measured at one store.
pub fn judge(report: &mut Report, store: Store, samples: &Samples) -> Result<()> {
    let mut rows = Vec::new();
    let mut details = Map::new();
    let was_taken = |step: &Step| samples.keys().any(|(at, _)| at == step);
    for step in Step::ALL.into_iter().filter(was_taken) {
        let figure = |side: &str| time(samples, step, side);
        let peer = PEERS.iter().map(|peer| figure(peer)).fold(f64::NAN, f64::min);
        let ratio = figure(OWN) / peer;
        if ratio.is_finite() {
            report.note_ratio(step.key(), ratio);
        }
        let mut row = vec![title(step).to_owned()];
        row.extend(["restic", "kopia", OWN].map(|side| seconds(figure(side))));
        row.extend([shown(ratio), seconds(figure("floor"))]);
        rows.push(row);
    }
    for step in [Step::First, Step::Changed] {
        let size = |side: &str| stored(samples, step, side);
        let ratio = size(OWN) / size("restic");
        if ratio.is_finite() {
            report.note_ratio("size", ratio);
        }
        let mut row = vec![format!("stored after {}", step.key())];
        row.extend(["restic", "kopia", OWN].map(|side| mib(size(side))));
        row.extend([shown(ratio), String::new()]);
        rows.push(row);
    }
    let mut row = vec!["peak memory".to_owned()];
    row.extend(["restic", "kopia", OWN].map(|side| format!("{:.0} MiB", peak(samples, side))));
    row.extend([String::new(), String::new()]);
    rows.push(row);
    for ((step, side), list) in samples {
        report.note_peak(side, list.iter().map(|sample| sample.cost.peak_rss_mib).fold(0.0, f64::max));
        let by_side = details.entry(step.key()).or_insert_with(|| Value::Object(Map::new()));
        by_side[*side] = serde_json::to_value(list)?;
    }
    report.peak_rss_mib.remove("floor");
    report.details.insert(store.name().to_owned(), Value::Object(details));
    let heading = format!("{} ({})", report.bench, store.name());
    report.table(&heading, &["", "restic", "kopia", "holdfast", "ratio", "floor"], rows);
    Ok(())
}

/// Holds the ratios against the bars.
pub fn hold(report: &mut Report, work: Work) {
    match work {
        Work::Mix => {
            for (key, must) in
                [("first", 0.75), ("unchanged", 0.8), ("changed", 0.75), ("restore", 0.75), ("size", 1.05)]
            {
                report.hold(key, must);
            }
        }
        Work::Small => report.hold("first", 0.75),
        Work::Many(_) => {
            report.hold("first", 0.7);
            report.hold("unchanged", 0.6);
        }
    }
    report.hold_peak(if matches!(work, Work::Many(_)) { 300.0 } else { 250.0 });
}

fn of<'a>(samples: &'a Samples, step: Step, side: &str) -> &'a [Sample] {
    let found = samples.iter().find(|((at, name), _)| *at == step && *name == side);
    found.map_or(&[], |(_, list)| list)
}

fn time(samples: &Samples, step: Step, side: &str) -> f64 {
    median(&of(samples, step, side).iter().map(|sample| sample.cost.seconds).collect::<Vec<_>>())
}

fn stored(samples: &Samples, step: Step, side: &str) -> f64 {
    median(&of(samples, step, side).iter().map(|sample| sample.stored as f64).collect::<Vec<_>>())
}

fn peak(samples: &Samples, side: &str) -> f64 {
    let own = samples.iter().filter(|((_, name), _)| *name == side).flat_map(|(_, list)| list);
    own.map(|sample| sample.cost.peak_rss_mib).fold(0.0, f64::max)
}

fn title(step: Step) -> &'static str {
    match step {
        Step::First => "first backup",
        Step::Unchanged => "unchanged",
        Step::Changed => "1 % changed",
        Step::Restore => "restore",
    }
}

fn shown(ratio: f64) -> String {
    if ratio.is_finite() { format!("{ratio:.2}") } else { "–".into() }
}

fn mib(bytes: f64) -> String {
    if bytes.is_finite() { format!("{:.0} MiB", bytes / f64::from(1 << 20)) } else { "–".into() }
}
