//! `holdfast restore --plan`: says what a restore would do, and writes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use holdfast_model::Outcome;
use holdfast_model::restore::plan::Plan;
use holdfast_protect::restore::{DryRuns, OnPlanned, PlanRequest, plan};

use super::order::Order;
use crate::plan_file::{Header, Options, Writer};
use crate::points::Chosen;
use crate::progress::run::observer;
use crate::runs::SystemClock;
use crate::session::Session;
use crate::{interrupt, render};

/// What to know before a restore.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plan")]
pub(super) struct Planning {
    /// Say what the restore would do, object by object, and write nothing; exit code 3 if something could not be restored
    #[arg(long)]
    plan: bool,

    /// With --plan, also write the whole plan to this new file; without, restore just what the plan of this file shows, or refuse and name what has changed since
    #[arg(long, value_name = "FILE")]
    plan_file: Option<PathBuf>,

    /// Which objects the API server is asked about: one of each type, namespace and shape, or all
    #[arg(long, value_enum, default_value_t, value_name = "WHICH", requires = "plan")]
    dry_run: Which,

    /// Show the values that would change, and not only where
    #[arg(long, requires = "plan")]
    diff: bool,
}

/// [`DryRuns`] on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Which {
    #[default]
    Sampled,
    All,
}

/// What is to be done.
pub(super) enum Wanted {
    /// A restore.
    Restore,
    /// A plan.
    Plan(How),
    /// What the plan of a file shows.
    Planned(PathBuf),
}

/// How a plan is made and shown.
pub(super) struct How {
    dry_runs: DryRuns,
    diff: bool,
    file: Option<PathBuf>,
}

impl Planning {
    pub(super) fn wanted(self) -> Wanted {
        let dry_runs = match self.dry_run {
            Which::Sampled => DryRuns::Sampled,
            Which::All => DryRuns::All,
        };
        match (self.plan, self.plan_file) {
            (true, file) => Wanted::Plan(How { dry_runs, diff: self.diff, file }),
            (false, Some(file)) => Wanted::Planned(file),
            (false, None) => Wanted::Restore,
        }
    }
}

impl How {
    pub(super) fn run(self, session: &Session, order: &Order) -> anyhow::Result<Outcome> {
        let options = Options { terms: order.terms()?, dry_runs: self.dry_runs };
        let plan = interrupt::query(async || {
            let chosen = session.find_point(&order.point).await?;
            self.plan(session, order, chosen, options).await
        })?;
        session.output.show(&plan, |view| render::plan::plan(&plan, self.diff, view))?;
        if let Some(file) = &self.file {
            session.say(&format!("the whole plan is in {}; {}", file.display(), apply_hint(file, order)));
        }
        Ok(plan.outcome)
    }

    async fn plan(
        &self,
        session: &Session,
        order: &Order,
        chosen: Chosen,
        options: Options,
    ) -> anyhow::Result<Plan> {
        let target = session.open_cluster(Some(&order.to)).await?;
        let Some(file) = &self.file else {
            return make(session, &target.cluster, chosen, options, None).await;
        };
        let header = Header::new(&target.cluster, &chosen, &options).await?;
        let writer = Arc::new(Writer::create(file, &header)?);
        let sink = writer.clone();
        let on_object: OnPlanned = Arc::new(move |planned| sink.object(planned));
        let plan = make(session, &target.cluster, chosen, options, Some(on_object)).await?;
        writer.finish()?;
        Ok(plan)
    }
}

fn apply_hint(file: &Path, order: &Order) -> String {
    format!(
        "`holdfast restore {} --to {} --plan-file {}` restores just that",
        order.point,
        order.to,
        file.display()
    )
}

/// Makes a plan; `on_object` hears of every object.
pub(super) async fn make(
    session: &Session,
    cluster: &holdfast_cluster::Cluster,
    chosen: Chosen,
    options: Options,
    on_object: Option<OnPlanned>,
) -> anyhow::Result<Plan> {
    let id = chosen.found.application.id.clone();
    let request = PlanRequest {
        cluster: cluster.clone(),
        movers: chosen.found.vault.mover_access(&id).is_some(),
        repository: chosen.repository,
        point: chosen.summary,
        terms: options.terms,
        dry_runs: options.dry_runs,
        clock: Arc::new(SystemClock),
        observer: observer(session),
        on_object,
    };
    Ok(interrupt::on_worker(plan(request)).await?)
}
