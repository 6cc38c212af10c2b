//! `holdfast sweep`: releases and removes what dead runs left in a cluster.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_protect::sweep::{SweepReport, sweep};

use crate::output::amount::counted;
use crate::output::{Cell, Details, Tone, View};
use crate::session::Session;
use crate::{interrupt, render, runs};

/// Settles dead runs. Runs that are alive are left alone.
#[derive(Debug, Args)]
pub(crate) struct Sweep {}

impl Sweep {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let report = interrupt::query(async || {
            let target = session.open_cluster(session.context.as_deref()).await?;
            let report = sweep(&target.cluster).await?;
            if report.problems.is_empty() {
                runs::settled(&session.home, target.cluster.name(), None)?;
            }
            Ok(report)
        })?;
        session.output.show(&report, |view| render(&report, view))?;
        Ok(report.outcome())
    }
}

fn render(report: &SweepReport, view: &View) -> String {
    if report.is_empty() {
        let alive = match report.alive.len() {
            0 => String::new(),
            alive => format!("; {} left alone", counted(alive as u64, "live run")),
        };
        return format!("nothing was left behind{alive}\n");
    }
    let mut details = Details::new();
    details.field("Settled", counted(report.runs.len() as u64, "dead run"));
    details.field("Left alone", counted(report.alive.len() as u64, "live run"));
    if !report.hooks.is_empty() {
        details.section("Hooks that released an application");
        for hook in &report.hooks {
            let line = format!("{} in {}", hook.name, hook.pod);
            details.item(match hook.error.as_str() {
                "" => Cell::from(line),
                error => Cell::toned(Tone::Warning, format!("{line}: {error}")),
            });
        }
    }
    if !report.removed.is_empty() {
        details.section(format!("Removed ({})", report.removed.len()));
        for object in &report.removed {
            details.item(object);
        }
    }
    render::problems(&report.problems, &mut details);
    details.render(view)
}
