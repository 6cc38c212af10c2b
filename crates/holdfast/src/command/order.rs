//! What a restore is told on the command line, and how it is run.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::manifest::MoverLimits;
use holdfast_model::restore::{RestoreReport, Terms};
use holdfast_protect::backup::Movers;
use holdfast_protect::restore::{AsPlanned, RestoreRequest, restore};
use tokio_util::sync::CancellationToken;

use super::terms::TermsArgs;
use crate::home::reports::Came;
use crate::points::{Chosen, PointRef};
use crate::progress::run::observer;
use crate::runs::{self, Begun, Busy, MoverArgs, SystemClock};
use crate::session::Session;
use crate::{interrupt, render};

/// What is restored, where to, and how.
#[derive(Debug, Args)]
pub(super) struct Order {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    pub(super) point: PointRef,

    /// Context (or name of a declared cluster) to restore to
    #[arg(long, value_name = "CONTEXT")]
    pub(super) to: String,

    #[command(flatten)]
    terms: TermsArgs,

    /// Read back from storage what was restored into volumes, and compare it with the point
    #[arg(long)]
    verify: bool,

    /// How long workloads may take to become ready; 0s: do not wait for them
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = runs::duration)]
    ready_within: Duration,

    #[command(flatten)]
    busy: Busy,

    #[command(flatten)]
    movers: MoverArgs,

    /// Restore device files, which give access to the node's hardware
    #[arg(long)]
    restore_devices: bool,

    /// Restore setuid bits and file capabilities
    #[arg(long)]
    restore_setuid: bool,
}

/// What a restore goes by.
pub(super) enum Origin {
    /// The point alone.
    Point,
    /// The point, and its volumes that stand by at the target.
    Standby,
    /// What a plan of the point shows.
    Plan(AsPlanned),
}

impl Order {
    /// Restores and reports.
    pub(super) fn run(
        &self,
        session: &Session,
        restore: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<RestoreReport>,
    ) -> anyhow::Result<Outcome> {
        let report = interrupt::run(restore)?;
        session.output.show(&report, |view| render::restore::report(&report, view))?;
        Ok(report.outcome)
    }

    /// What of the point is restored and how, as it was given.
    pub(super) fn terms(&self) -> anyhow::Result<Terms> {
        self.terms.terms()
    }

    /// Restores the point that it names.
    pub(super) async fn restore(
        &self,
        session: &Session,
        terms: Terms,
        cancel: CancellationToken,
    ) -> anyhow::Result<RestoreReport> {
        let chosen = session.find_point(&self.point).await?;
        self.restore_chosen(session, chosen, terms, Origin::Point, cancel).await
    }

    /// Restores a point that was found.
    pub(super) async fn restore_chosen(
        &self,
        session: &Session,
        chosen: Chosen,
        terms: Terms,
        origin: Origin,
        cancel: CancellationToken,
    ) -> anyhow::Result<RestoreReport> {
        let target = session.open_cluster(Some(&self.to)).await?;
        let mut settings = self.movers.settings(&target.spec, &MoverLimits::default());
        settings.restore_devices = self.restore_devices;
        settings.restore_setuid = self.restore_setuid;
        let before = match terms.existing.deletes() {
            true => session.capture_before(&chosen, &target, &terms, self.busy.wait(), &cancel).await?,
            false => None,
        };
        let id = chosen.found.application.id.clone();
        let access = chosen.found.vault.mover_access(&id);
        let begun = Begun::begin(session, format!("restore {}", chosen.summary.id))?;
        let as_planned = match &origin {
            Origin::Plan(as_planned) => Some(as_planned.clone()),
            Origin::Point | Origin::Standby => None,
        };
        let request = RestoreRequest {
            cluster: target.cluster.clone(),
            repository: chosen.repository,
            point: chosen.summary,
            movers: access.map(|access| Movers { settings, access }),
            run: begun.id.clone(),
            standby: matches!(origin, Origin::Standby),
            terms,
            before,
            as_planned,
            verify: self.verify,
            wait_ready: self.ready_within,
            wait_busy: self.busy.wait(),
            dead: begun.dead.clone(),
            clock: Arc::new(SystemClock),
            journal: begun.journal.clone(),
            observer: observer(session),
            on_object: None,
            cancel,
        };
        let result = interrupt::on_worker(restore(request)).await.map_err(anyhow::Error::from);
        begun.report(session, &result, |report| (report.outcome, Came::Restore(Box::new(report.clone()))))?;
        let report = result?;
        // A restore settles first what dead runs of its application left.
        runs::settled(&session.home, target.cluster.name(), Some(&id))?;
        Ok(report)
    }
}
