//! Objects into a vault and back, on a real API server, beside what any client must do at least.

mod floor;
mod measured;
mod plan;
mod program;
mod scale;
mod shape;
mod velero;

use std::time::Instant;

use anyhow::{Result, ensure};
use holdfast_testbed::Site;
use serde_json::json;

use super::filesystem::FileSystem;
use super::measure::{Cost, median};
use super::report::{Report, seconds};
use super::{Arguments, enclosure};
use crate::stage;
use measured::Measured;
pub use plan::{Options as RestoreOptions, run as run_restore};
use program::Holdfast;
pub use scale::run_scale;
use shape::Shape;

/// What is particular to benchmarks of objects.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How many Secrets
    #[arg(long, default_value_t = 31_000, value_name = "N")]
    count: usize,
    /// Also back up and restore once with Velero (minutes)
    #[arg(long)]
    with_velero: bool,
}

/// Measures and judges.
pub fn run(options: &Options, arguments: &Arguments, mut report: Report) -> Result<Report> {
    report.bench = "objects";
    let count = ((options.count as f64 * arguments.scale) as usize).max(1);
    let shape = Shape { count, namespaces: 1 };
    report.work = json!({ "secrets": count, "bytes_each": shape::BYTES, "creates_at_once": shape::AT_ONCE, "page": floor::PAGE });
    let ground = enclosure::ground()?;
    let disk = FileSystem::fresh(&ground, "vault")?;
    let holdfast = Holdfast::new(arguments.program()?, disk.path());
    report.versions.insert("holdfast".into(), holdfast.version()?);
    report.versions.insert("kubernetes".into(), holdfast_testbed::KUBERNETES.into());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut measured = runtime.block_on(measure(&holdfast, shape, arguments.runs, &mut report))?;
    if options.with_velero {
        report.versions.insert("velero".into(), holdfast_testbed::Part::Velero.version().to_owned());
        runtime.block_on(velero::measure(shape, &mut measured))?;
    }
    judge(&mut report, &measured)?;
    if options.with_velero {
        compare(&mut report, &measured);
    }
    Ok(report)
}

/// Alternates between the floor and Holdfast; every create loop and every restore meets a new API server.
async fn measure(holdfast: &Holdfast, shape: Shape, runs: usize, report: &mut Report) -> Result<Measured> {
    let mut measured = Measured::default();
    let source = control_plane("source").await?;
    shape.fill(&source.client()).await?;
    for run in 0..runs {
        report.note_load();
        let listed = floor::list(&source.client(), &shape).await?;
        measured.note("list", listed);
        let vault = holdfast.vault(&format!("run{run}"), &source, &shape)?;
        measured.note("capture", vault.backup(&source)?);
        measured.note("capture again", vault.backup(&source)?);
        let bare = control_plane("bare").await?;
        measured.note("create", shape.fill(&bare.client()).await?);
        bare.stop().await?;
        let target = control_plane("target").await?;
        measured.note("restore", vault.restore(&source, &target)?);
        let found = floor::count(&target.client(), &shape).await?;
        ensure!(found == shape.count, "{found} of {} Secrets were restored", shape.count);
        shape.verify(&target.client()).await?;
        target.stop().await?;
    }
    source.stop().await?;
    Ok(measured)
}

/// A control plane without nodes: nothing here runs pods.
async fn control_plane(name: &str) -> Result<Site> {
    Ok(Site::builder(name).report(stage::reporter()).start().await?)
}

fn judge(report: &mut Report, measured: &Measured) -> Result<()> {
    let time = |what: &str| median(&measured.of(what, |cost| cost.seconds));
    let peak = |what: &str| measured.of(what, |cost| cost.peak_rss_mib).into_iter().fold(0.0, f64::max);
    let row = |name: &str, own: &str, floor: &str| {
        let memory = format!("{:.0} MiB", peak(own));
        let ratio = format!("{:.2}", time(own) / time(floor));
        vec![name.to_owned(), seconds(time(own)), seconds(time(floor)), ratio, memory]
    };
    report.note_ratio("capture", time("capture") / time("list"));
    report.note_ratio("restore", time("restore") / time("create"));
    report.note_peak("holdfast", peak("capture").max(peak("capture again")).max(peak("restore")));
    let rows = vec![
        row("capture", "capture", "list"),
        row("capture again", "capture again", "list"),
        row("restore", "restore", "create"),
    ];
    report.table("objects", &["", "holdfast", "floor", "ratio", "peak memory"], rows);
    report.details.insert("costs".into(), measured.json()?);
    report.hold("capture", 2.0);
    report.hold("restore", 1.15);
    report.hold_peak(100.0);
    Ok(())
}

/// Beside Velero, which has no bar to hold.
fn compare(report: &mut Report, measured: &Measured) {
    let mut rows = Vec::new();
    for (name, own) in [("capture", "capture"), ("restore", "restore")] {
        let velero = format!("velero {name}");
        let time = |what: &str| median(&measured.of(what, |cost| cost.seconds));
        let peak = |what: &str| measured.of(what, |cost| cost.peak_rss_mib).into_iter().fold(0.0, f64::max);
        let ratio = time(own) / time(&velero);
        report.note_ratio(&format!("{name}_of_velero"), ratio);
        let memory = |what: &str| format!("{:.0} MiB", peak(what));
        let cells =
            [seconds(time(own)), seconds(time(&velero)), format!("{ratio:.2}"), memory(own), memory(&velero)];
        rows.push([&[name.to_owned()], &cells[..]].concat());
    }
    let head = ["", "holdfast", "velero", "ratio", "peak memory", "velero's"];
    report.table("objects, beside Velero", &head, rows);
}

/// Work that this process does itself: its memory means nothing.
struct OwnWork {
    begun: Instant,
    cpu: f64,
}

impl OwnWork {
    fn begin() -> Self {
        Self { begun: Instant::now(), cpu: own_cpu_seconds() }
    }

    fn cost(&self) -> Cost {
        let (seconds, cpu_seconds) = (self.begun.elapsed().as_secs_f64(), own_cpu_seconds() - self.cpu);
        Cost { seconds, cpu_seconds, ..Cost::default() }
    }
}

/// Time that this process has had on processors.
fn own_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
