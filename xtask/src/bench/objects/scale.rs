//! Ten times the objects must take ten times the time and the same memory.

use anyhow::{Result, ensure};
use serde_json::json;

use super::control_plane;
use super::floor::count;
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
    for what in WORK {
        report.hold(&format!("{what}_time"), 1.2);
        report.hold(&format!("{what}_memory"), 1.2);
    }
    Ok(report)
}

/// What is measured.
const WORK: [&str; 2] = ["capture", "restore"];

fn name(what: &str, shape: Shape) -> String {
    format!("{what} {} in {}", shape.count, shape.namespaces)
}

async fn measure(holdfast: &Holdfast, shape: Shape, runs: usize, measured: &mut Measured) -> Result<()> {
    let source = control_plane("source").await?;
    shape.fill(&source.client()).await?;
    for run in 0..runs {
        let directory = format!("{}-{}-{run}", shape.count, shape.namespaces);
        let vault = holdfast.vault(&directory, &source, &shape)?;
        measured.note(&name("capture", shape), vault.backup(&source)?);
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
    for what in WORK {
        let time = |count| {
            let name = name(what, Shape { count, namespaces });
            median(&measured.of(&name, |cost| cost.seconds))
        };
        let peak = |count| {
            let name = name(what, Shape { count, namespaces });
            measured.of(&name, |cost| cost.peak_rss_mib).into_iter().fold(0.0, f64::max)
        };
        for count in counts {
            let each = time(count) / count as f64 * 1e6;
            rows.push(vec![
                format!("{what} {count}"),
                format!("{:.1} s", time(count)),
                format!("{each:.0} µs"),
                format!("{:.0} MiB", peak(count)),
            ]);
            report.note_peak("holdfast", peak(count));
        }
        let (few, many) = (counts[0], counts[counts.len() - 1]);
        report.note_ratio(&format!("{what}_time"), time(many) / many as f64 * few as f64 / time(few));
        report.note_ratio(&format!("{what}_memory"), peak(many) / peak(few));
    }
    let heading = format!("objects-scale ({namespaces} namespaces)");
    report.table(&heading, &["", "time", "each", "peak memory"], rows);
}
