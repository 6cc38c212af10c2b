//! From measurements to figures, tables and bars.

use anyhow::Result;

use super::lag::Lag;
use super::promotion::Promotion;
use crate::bench::report::{Report, seconds};

/// Adds what was measured, and holds it against the bars.
pub fn judge(report: &mut Report, lags: &[Lag], promotions: &[Promotion]) -> Result<()> {
    if !lags.is_empty() {
        behind(report, lags);
        report.details.insert("rpo".into(), serde_json::to_value(lags)?);
    }
    if !promotions.is_empty() {
        taken_over(report, promotions);
        report.details.insert("promote".into(), serde_json::to_value(promotions)?);
    }
    Ok(())
}

fn behind(report: &mut Report, lags: &[Lag]) {
    let row = |lag: &Lag| {
        let times = [
            lag.status_worst,
            lag.status_median,
            lag.found,
            lag.backup_seconds(),
            lag.sync_seconds(),
            lag.takeover_seconds,
        ];
        let mut row = vec![format!("{} % a minute", lag.percent)];
        row.extend(times.map(seconds));
        row
    };
    let head = ["", "behind at most", "mostly", "lost at the end", "a backup", "a sync", "taken over in"];
    report.table("standby: how far behind", &head, lags.iter().map(row).collect());
    for lag in lags {
        report.note_peak("holdfast", lag.peak_rss_mib);
        report.note_figure("rpo_seconds", lag.worst());
    }
    report.hold("rpo_seconds", 60.0);
}

fn taken_over(report: &mut Report, promotions: &[Promotion]) {
    let row = |done: &Promotion| {
        vec![format!("{} GiB", done.gib), seconds(done.sync_seconds()), seconds(done.seconds())]
    };
    let rows = promotions.iter().map(row).collect();
    report.table("standby: taking over", &["", "filled in", "taken over in"], rows);
    for done in promotions {
        for cost in done.syncs.iter().chain(&done.promotions) {
            report.note_peak("holdfast", cost.peak_rss_mib);
        }
        report.note_figure("promote_seconds", done.seconds());
    }
    report.hold("promote_seconds", 5.0);
    let by_size = |a: &&Promotion, b: &&Promotion| a.gib.total_cmp(&b.gib);
    let ends = (promotions.iter().min_by(by_size), promotions.iter().max_by(by_size));
    if let (Some(small), Some(large)) = ends
        && small.gib < large.gib
    {
        report.note_ratio("promote_largest_over_smallest", large.seconds() / small.seconds());
        report.hold("promote_largest_over_smallest", 1.5);
    }
}
