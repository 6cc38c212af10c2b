//! `holdfast standby sync`: brings the volumes at a standby forward.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::id::PointId;
use holdfast_model::manifest::MoverLimits;
use holdfast_model::restore::Mapping;
use holdfast_protect::backup::Movers;
use holdfast_protect::standby::{SyncReport, SyncRequest, sync};
use tokio_util::sync::CancellationToken;

use crate::command::mapping::MappingArgs;
use crate::error::Error;
use crate::output::amount::{between, count, size, span};
use crate::output::{Cell, Column, Details, Table, View};
use crate::points::{Chosen, PointRef};
use crate::progress::run::observer;
use crate::runs::{self, Begun, Busy, MoverArgs, SystemClock};
use crate::session::Session;
use crate::{interrupt, render};

/// Brings volumes forward.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// The point: APP/latest, APP/POINT, its id, or the beginning of its id
    #[arg(value_name = "POINT")]
    point: PointRef,

    /// Context (or name of a declared cluster) of the standby
    #[arg(long, value_name = "CONTEXT")]
    to: String,

    /// Go on as points come, and look for a newer one every so often [default when given: 5s]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5s", value_parser = runs::duration)]
    follow: Option<Duration>,

    #[command(flatten)]
    names: MappingArgs,

    #[command(flatten)]
    busy: Busy,

    #[command(flatten)]
    movers: MoverArgs,
}

impl Sync {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let mapping = self.names.mapping()?;
        let mut last: Option<PointId> = None;
        loop {
            let report = interrupt::run(async |cancel| {
                let chosen = match self.next(session, last.as_ref(), &cancel).await? {
                    Some(chosen) => chosen,
                    None => return Ok(None),
                };
                self.sync(session, chosen, mapping.clone(), cancel).await.map(Some)
            })?;
            let Some(report) = report else { return Ok(Outcome::Completed) };
            session.output.show(&report, |view| render(&report, view))?;
            if self.follow.is_none() {
                return Ok(report.outcome);
            }
            last = Some(report.point.clone());
        }
    }

    /// The point to go to next: the one that is wanted, or, when following, one that is newer than the
    /// last; nothing when it was told to end.
    async fn next(
        &self,
        session: &Session,
        last: Option<&PointId>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Chosen>> {
        loop {
            let chosen = session.find_point(&self.point).await?;
            let Some(every) = self.follow else { return Ok(Some(chosen)) };
            if last != Some(&chosen.summary.id) {
                return Ok(Some(chosen));
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = cancel.cancelled() => return Ok(None),
            }
        }
    }

    async fn sync(
        &self,
        session: &Session,
        chosen: Chosen,
        mapping: Mapping,
        cancel: CancellationToken,
    ) -> anyhow::Result<SyncReport> {
        let target = session.open_cluster(Some(&self.to)).await?;
        let settings = self.movers.settings(&target.spec, &MoverLimits::default());
        let id = chosen.found.application.id.clone();
        let Some(access) = chosen.found.vault.mover_access(&id) else {
            let what = "a standby needs a vault that its cluster reaches, not a directory of this machine";
            return Err(Error::Usage { what: what.to_owned(), hint: "use a vault in object storage" }.into());
        };
        let begun = Begun::begin(session, format!("sync {}", chosen.summary.id))?;
        let request = SyncRequest {
            cluster: target.cluster.clone(),
            repository: chosen.repository,
            point: chosen.summary,
            mapping,
            movers: Movers { settings, access },
            run: begun.id.clone(),
            wait_busy: self.busy.wait(),
            dead: begun.dead.clone(),
            clock: Arc::new(SystemClock),
            journal: begun.journal.clone(),
            observer: observer(session),
            cancel,
        };
        let result = interrupt::on_worker(sync(request)).await;
        begun.end(&session.home)?;
        let report = result?;
        runs::settled(&session.home, target.cluster.name(), Some(&id))?;
        Ok(report)
    }
}

fn render(report: &SyncReport, view: &View) -> String {
    let mut details = Details::new();
    details
        .field("Point", &report.point)
        .field("Outcome", Cell::outcome(report.outcome))
        .field("Application", &report.application)
        .field("Standby", &report.cluster)
        .field("Took", span(between(report.started, report.finished)))
        .field("Behind", span(between(report.captured, report.finished)));
    let mut table = Table::new([
        Column::new("CLAIM"),
        Column::new("HOLDS IT"),
        Column::new("BY"),
        Column::new("ENTRIES"),
        Column::new("WRITTEN"),
    ]);
    for volume in &report.volumes {
        table.row([
            (&volume.claim).into(),
            (if volume.holds { "yes" } else { "no" }).into(),
            (if volume.incremental { "difference" } else { "whole" }).into(),
            count(volume.entries).into(),
            size(volume.bytes_written).into(),
        ]);
    }
    details.section(format!("Volumes ({})", report.volumes.len())).text(&table.render(view));
    render::problems(&report.problems, &mut details);
    details.render(view)
}
