//! A warm standby on two real sites: how far it is behind while the application writes, and how long taking over takes.

mod application;
mod following;
mod lag;
mod promotion;
mod stand;
mod status;
mod verdict;

use anyhow::{Result, ensure};
use serde_json::json;

use super::filesystem::FileSystem;
use super::report::Report;
use super::{Arguments, enclosure};
use stand::Stand;

/// What is particular to this benchmark.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Minutes for which the standby follows at each rate
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    minutes: f64,
    /// Per cent of the volume that change in a minute
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "0.1,1,5")]
    rates: Vec<f64>,
    /// GiB of the volumes that are taken over; each takes more than twice that of disk
    #[arg(long, value_name = "GIB", value_delimiter = ',', default_value = "1,4")]
    sizes: Vec<f64>,
}

/// Measures and judges.
pub fn run(options: &Options, arguments: &Arguments, mut report: Report) -> Result<Report> {
    ensure!(options.minutes > 0.0, "--minutes takes a positive number");
    ensure!(!options.rates.is_empty() || !options.sizes.is_empty(), "nothing to measure");
    report.bench = "standby";
    let ground = enclosure::ground()?;
    let disk = FileSystem::fresh(&ground, "homes")?;
    let stand = Stand::start(&arguments.program()?, disk.path())?;
    report.versions.insert("holdfast".into(), stand.program.run(&["--version"])?.trim().to_owned());
    report.versions.insert("kubernetes".into(), holdfast_testbed::KUBERNETES.into());
    report.work = json!({
        "minutes": options.minutes,
        "percent_a_minute": options.rates,
        "followed_gib": arguments.scale,
        "promoted_gib": options.sizes.iter().map(|size| size * arguments.scale).collect::<Vec<_>>(),
        "storage": "the testbed's CSI driver at both sites; VersityGW between them",
        "backups": "one after the other, without a pause; the standby looks for a new point every second",
    });
    let mut lags = Vec::new();
    for (number, rate) in options.rates.iter().enumerate() {
        report.note_load();
        lags.push(lag::measure(&stand, &format!("rate-{number}"), *rate, options.minutes, arguments.scale)?);
    }
    let mut promotions = Vec::new();
    for (number, size) in options.sizes.iter().enumerate() {
        report.note_load();
        let gib = size * arguments.scale;
        promotions.push(promotion::measure(&stand, &format!("size-{number}"), gib, arguments.runs)?);
    }
    stand.stop()?;
    verdict::judge(&mut report, &lags, &promotions)?;
    Ok(report)
}
