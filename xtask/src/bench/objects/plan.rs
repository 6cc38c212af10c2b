//! What a restore would do, told of many objects of which some have changed, against a bare list of them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::measured::Measured;
use super::program::Holdfast;
use super::shape::{self, Shape};
use super::{control_plane, floor};
use crate::bench::filesystem::FileSystem;
use crate::bench::measure::median;
use crate::bench::report::{Report, seconds};
use crate::bench::{Arguments, enclosure};

/// One Secret in so many is changed.
const CHANGED: usize = 10;

/// What a plan may take of a full-sized run, in seconds.
const LONGEST: f64 = 15.0;

/// What is particular to benchmarks of restores.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How many Secrets
    #[arg(long, default_value_t = 30_000, value_name = "N")]
    count: usize,
    /// Which part to measure
    #[arg(long, value_enum, default_value_t)]
    only: Part,
}

/// The parts of a restore that are measured; creating objects is measured by `objects`.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Part {
    /// The plan of a restore.
    #[default]
    Plan,
}

/// Measures and judges.
pub fn run(options: &Options, arguments: &Arguments, mut report: Report) -> Result<Report> {
    report.bench = "restore";
    let Part::Plan = options.only;
    let count = ((options.count as f64 * arguments.scale) as usize).max(CHANGED);
    let shape = Shape { count, namespaces: 1 };
    report.work = json!({ "secrets": count, "bytes_each": shape::BYTES, "changed": count.div_ceil(CHANGED) });
    let ground = enclosure::ground()?;
    let disk = FileSystem::fresh(&ground, "vault")?;
    let holdfast = Holdfast::new(arguments.program()?, disk.path());
    report.versions.insert("holdfast".into(), holdfast.version()?);
    report.versions.insert("kubernetes".into(), holdfast_testbed::KUBERNETES.into());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(&holdfast, shape, arguments.runs, &mut report))?;
    judge(&mut report, &measured, count)?;
    Ok(report)
}

async fn measure(holdfast: &Holdfast, shape: Shape, runs: usize, report: &mut Report) -> Result<Measured> {
    let mut measured = Measured::default();
    let site = control_plane("planned").await?;
    shape.fill(&site.client()).await?;
    let vault = holdfast.vault("plan", &site, &shape)?;
    measured.note("capture", vault.backup(&site)?);
    shape.change(&site.client(), CHANGED).await?;
    for _ in 0..runs {
        report.note_load();
        measured.note("list", floor::list(&site.client(), &shape).await?);
        let (cost, said) = vault.plan(&site)?;
        is_right(&said, shape.count)?;
        measured.note("plan", cost);
    }
    site.stop().await?;
    Ok(measured)
}

/// A plan that is fast and wrong is worth nothing.
fn is_right(said: &str, count: usize) -> Result<()> {
    let plan: Value = serde_json::from_str(said).context("the plan is no JSON")?;
    let kinds = plan["levels"].as_array().into_iter().flatten().flat_map(|level| level["kinds"].as_array());
    let secrets =
        kinds.flatten().find(|kind| kind["plural"] == "secrets").context("no Secrets in the plan")?;
    let of = |verdict: &str| secrets["verdicts"][verdict].as_u64().unwrap_or_default() as usize;
    let changed = count.div_ceil(CHANGED);
    ensure!(
        (of("update"), of("identical")) == (changed, count - changed),
        "of {count} Secrets with {changed} changed the plan says {}",
        secrets["verdicts"]
    );
    Ok(())
}

fn judge(report: &mut Report, measured: &Measured, count: usize) -> Result<()> {
    let time = |what: &str| median(&measured.of(what, |cost| cost.seconds));
    let peak = measured.of("plan", |cost| cost.peak_rss_mib).into_iter().fold(0.0, f64::max);
    report.note_ratio("plan", time("plan") / time("list"));
    report.note_ratio("plan_seconds", time("plan"));
    report.note_peak("holdfast", peak);
    let ratio = format!("{:.2}", time("plan") / time("list"));
    let row =
        ["plan".to_owned(), seconds(time("plan")), seconds(time("list")), ratio, format!("{peak:.0} MiB")];
    let heading = format!("restore: the plan of {count} Secrets, one in {CHANGED} changed");
    report.table(&heading, &["", "holdfast", "floor", "ratio", "peak memory"], vec![row.to_vec()]);
    report.details.insert("costs".into(), measured.json()?);
    report.hold("plan_seconds", LONGEST);
    report.hold_peak(100.0);
    Ok(())
}
