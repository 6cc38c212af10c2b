//! Ten times the objects must take ten times the time and the same memory.
//!
//! The API server itself slows down with the number of its objects. What a bare list and a bare create loop lose is
//! measured beside, so that Holdfast's own share is seen.

use anyhow::{Result, ensure};
use serde_json::json;

use super::control_plane;
use super::floor::{self, count};
use super::measured::Measured;
use super::program::Holdfast;
use super::shape::{BYTES, Shape};
use crate::bench::filesystem::FileSystem;
use crate::bench::measure::median;
use crate::bench::report::Report;
use crate::bench::{Arguments, enclosure};

const COUNTS: [usize; 3] = [10_000, 30_000, 100_000];

/// All in one namespace, and spread.
const SPREADS: [usize; 2] = [1, 100];

/// Measures and judges.
pub fn run_scale(arguments: &Arguments, mut report: Report) -> Result<Report> {
    report.bench = "objects-scale";
    let ground = enclosure::ground()?;
    let disk = FileSystem::fresh(&ground, "vault")?;
    let holdfast = Holdfast::new(arguments.program()?, disk.path());
    report.versions.insert("holdfast".into(), holdfast.version()?);
    report.versions.insert("kubernetes".into(), holdfast_testbed::KUBERNETES.into());
    let counts = COUNTS.map(|count| ((count as f64 * arguments.scale) as usize).max(100));
    report.work = json!({ "secrets": counts, "bytes_each": BYTES, "namespaces": SPREADS });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut measured = Measured::default();
    for namespaces in SPREADS {
        for count in counts {
            report.note_load();
            let shape = Shape { count, namespaces };
            runtime.block_on(measure(&holdfast, shape, arguments.runs, &mut measured))?;
        }
        judge(&mut report, &measured, counts, namespaces);
    }
    report.details.insert("costs".into(), measured.json()?);
    for (what, floor) in WORK {
        report.hold(&format!("{what}_time"), 1.2);
        report.hold(&format!("{what}_time_over_{floor}"), 1.2);
        report.hold(&format!("{what}_memory"), 1.2);
    }
    Ok(report)
}

/// What is measured, and what any client must do for it at least.
const WORK: [(&str, &str); 2] = [("capture", "list"), ("restore", "create")];

fn name(what: &str, shape: Shape) -> String {
    format!("{what} {} in {}", shape.count, shape.namespaces)
}

async fn measure(holdfast: &Holdfast, shape: Shape, runs: usize, measured: &mut Measured) -> Result<()> {
    let source = control_plane("source").await?;
    measured.note(&name("create", shape), shape.fill(&source.client()).await?);
    for run in 0..runs {
        let directory = format!("{}-{}-{run}", shape.count, shape.namespaces);
        let vault = holdfast.vault(&directory, &source, &shape)?;
        // Before and after: what the server has read once comes faster.
        measured.note(&name("list", shape), floor::list(&source.client(), &shape).await?);
        measured.note(&name("capture", shape), vault.backup(&source)?);
        measured.note(&name("list", shape), floor::list(&source.client(), &shape).await?);
        let target = control_plane("target").await?;
        measured.note(&name("restore", shape), vault.restore(&source, &target)?);
        let found = count(&target.client(), &shape).await?;
        ensure!(found == shape.count, "{found} of {} Secrets were restored", shape.count);
        target.stop().await?;
    }
    source.stop().await?;
    Ok(())
}

/// Growth of time per object and of memory from the fewest objects to the most.
fn judge(report: &mut Report, measured: &Measured, counts: [usize; 3], namespaces: usize) {
    let mut rows = Vec::new();
    let time = |what: &str, count| {
        let name = name(what, Shape { count, namespaces });
        median(&measured.of(&name, |cost| cost.seconds))
    };
    let peak = |what: &str, count| {
        let name = name(what, Shape { count, namespaces });
        measured.of(&name, |cost| cost.peak_rss_mib).into_iter().fold(0.0, f64::max)
    };
    let (few, many) = (counts[0], counts[counts.len() - 1]);
    let growth = |what: &str| time(what, many) / many as f64 * few as f64 / time(what, few);
    for (what, floor) in WORK {
        for count in counts {
            let each = |what: &str| format!("{:.0} µs", time(what, count) / count as f64 * 1e6);
            rows.push(vec![
                format!("{what} {count}"),
                format!("{:.1} s", time(what, count)),
                each(what),
                format!("{floor} {}", each(floor)),
                format!("{:.0} MiB", peak(what, count)),
            ]);
            report.note_peak("holdfast", peak(what, count));
        }
        report.note_ratio(&format!("{what}_time"), growth(what));
        report.note_ratio(&format!("{floor}_time"), growth(floor));
        report.note_ratio(&format!("{what}_time_over_{floor}"), growth(what) / growth(floor));
        report.note_ratio(&format!("{what}_memory"), peak(what, many) / peak(what, few));
    }
    let heading = format!("objects-scale ({namespaces} namespaces)");
    report.table(&heading, &["", "time", "each", "floor", "peak memory"], rows);
}
