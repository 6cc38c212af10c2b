//! The walk of a restore, from the lease to the report.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use holdfast_model::point::{HookRun, Point};
use holdfast_model::restore::order::{self, LEVELS};
use holdfast_model::restore::{Readiness, RestoreReport, Terms, VolumeResult};
use holdfast_model::{GroupKind, Outcome, Problem, ResourceType};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hold::Hold;
use super::hooks::{self, Ran};
use super::request::RestoreRequest;
use super::session::Session;
use super::tally::Tally;
use super::{definitions, prune, ready, remarks, volumes};
use crate::error::{Error, Result};
use crate::point;
use crate::progress::{Entry, Steps, millis};
use crate::sweep;

/// Restores a point. Whatever could not be restored is in the report; an error means that the
/// restore could not go on. Run again, it goes on where it ended.
///
/// # Errors
/// [`Error::Busy`], [`Error::Cluster`], [`Error::Vault`], [`Error::DamagedPoint`],
/// [`Error::Journal`], [`Error::RestoreStopped`]
pub async fn restore(request: RestoreRequest) -> Result<RestoreReport> {
    let hold = Hold {
        cluster: &request.cluster,
        application: &request.point.application,
        run: &request.run,
        wait: request.wait_busy,
        dead: &request.dead,
        observer: &request.observer,
        cancel: &request.cancel,
    };
    let report = hold.during(async |stop| Box::pin(Walk::begin(&request, stop)).await).await?;
    request.journal.record(&Entry::Ended { outcome: report.outcome }).map_err(Error::Journal)?;
    Ok(report)
}

/// A restore on its way.
struct Walk<'a> {
    request: &'a RestoreRequest,
    session: Session,
    stop: CancellationToken,
    steps: Steps,
    started: Timestamp,
    began: Instant,
    volumes: Vec<VolumeResult>,
    readiness: Vec<Readiness>,
    ran: Vec<HookRun>,
}

impl<'a> Walk<'a> {
    async fn begin(request: &'a RestoreRequest, stop: CancellationToken) -> Result<RestoreReport> {
        let (started, began) = (request.clock.now(), Instant::now());
        request
            .journal
            .record(&Entry::Started {
                run: request.run.clone(),
                application: request.point.application.clone(),
                cluster: request.cluster.name().to_owned(),
                at: started,
            })
            .map_err(Error::Journal)?;
        let steps = Steps::new(request.observer.clone());
        let (leftovers, going) = steps.run("settle", settle(request)).await?;
        let session = steps.run("open", open(request)).await?;
        leftovers.into_iter().for_each(|problem| session.tally.problem(problem));
        going
            .into_iter()
            .for_each(|problem| session.tally.note(format!("left by a run that died: {problem}")));
        let walk = Walk {
            request,
            session,
            stop,
            steps,
            started,
            began,
            volumes: Vec::new(),
            readiness: Vec::new(),
            ran: Vec::new(),
        };
        walk.go().await
    }

    async fn go(mut self) -> Result<RestoreReport> {
        for level in 0..order::after_ready() {
            self.level(level).await?;
        }
        if self.session.terms.existing.prunes() {
            self.step("what the point does not have", prune::prune(self.request, &self.session)).await?;
        }
        self.ready("readiness").await?;
        if self.session.has_more() {
            self.step("second try", self.session.again()).await?;
            for level in 0..order::after_ready() {
                self.session.owned(level).await?;
            }
        }
        self.level(order::after_ready()).await?;
        self.ready("readiness of the rest").await?;
        self.hooks().await?;
        self.session.missed().into_iter().for_each(|problem| self.session.tally.problem(problem));
        self.session.sought.unused().for_each(|note| self.session.tally.note(note));
        Ok(self.report())
    }

    async fn level(&mut self, level: usize) -> Result<()> {
        let point = &self.session.point.point;
        let kinds = point.kinds.iter().filter(|kind| kind.objects > 0);
        let kinds = kinds.filter(|kind| self.session.chooses_type(&kind.resource));
        if kinds.map(|kind| kind.resource.group_kind()).all(|kind| order::level(&kind) != level) {
            return self.session.owned(level).await;
        }
        let session = &self.session;
        self.step(LEVELS[level].name, session.level(level)).await?;
        if level == order::level(&GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition")) {
            self.step("definitions served", definitions::settle(session)).await?;
        }
        if level == order::level(&GroupKind::new("", "PersistentVolumeClaim")) {
            // Stopped in order by itself: dropped, it would leave movers behind.
            let filling = volumes::restore(self.request, session, &self.stop);
            let filled = self.steps.run("volumes", filling).await?;
            self.volumes.extend(filled);
        }
        self.session.owned(level).await
    }

    /// A step that may be dropped at any point when the restore is to stop.
    async fn step<T>(&self, name: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let work = self.steps.run(name, work);
        self.stop.run_until_cancelled(work).await.unwrap_or_else(|| {
            let cancelled = self.request.cancel.is_cancelled();
            let reason = if cancelled { "it was cancelled" } else { "another run took the application" };
            Err(Error::RestoreStopped { reason: reason.to_owned() })
        })
    }

    /// Waits for the workloads that were restored since it last did.
    async fn ready(&mut self, step: &'static str) -> Result<()> {
        let candidates = self.session.take_workloads();
        if candidates.is_empty() || self.request.wait_ready == Duration::ZERO {
            return Ok(());
        }
        let cluster = &self.session.cluster;
        let waiting = ready::wait(cluster, candidates, self.request.wait_ready, self.began);
        let found = self.step(step, waiting.map(Ok)).await?;
        for readiness in found.iter().filter(|readiness| !readiness.ready) {
            let message =
                format!("it is not ready after {} s: {}", readiness.millis / 1000, readiness.reason);
            let problem = Problem::new("restore.not_ready", readiness.object.to_string(), message);
            self.session.tally.problem(problem.hint("it may still become ready; see `kubectl describe`"));
        }
        self.readiness.extend(found);
        Ok(())
    }

    /// Runs what the application has for after its restore.
    async fn hooks(&mut self) -> Result<()> {
        let wanted = hooks::wanted(&self.session.point.point, &self.session.terms);
        if wanted.is_empty() {
            return Ok(());
        }
        let ran = match self.request.wait_ready {
            Duration::ZERO => Ran { problems: hooks::not_waited(wanted), ..Ran::default() },
            _ => {
                let running = hooks::run(&self.session.cluster, wanted, &self.session.terms, &self.readiness);
                self.step("hooks", running).await?
            }
        };
        ran.problems.into_iter().for_each(|problem| self.session.tally.problem(problem));
        ran.notes.into_iter().for_each(|note| self.session.tally.note(note));
        self.ran = ran.runs;
        Ok(())
    }

    fn report(self) -> RestoreReport {
        let total = self.session.tally.total();
        let point = &self.session.point.point;
        let waited = self.request.wait_ready > Duration::ZERO;
        let all_ready = waited && self.readiness.iter().all(|readiness| readiness.ready);
        let last = self.readiness.iter().map(|readiness| readiness.millis).max();
        RestoreReport {
            run: self.request.run.clone(),
            point: point.id.clone(),
            application: point.application.clone(),
            application_name: point.application_name.clone(),
            cluster: self.session.cluster.name().to_owned(),
            outcome: Outcome::of(&total.problems),
            before: self.request.before.clone(),
            started: self.started,
            finished: self.request.clock.now(),
            ready_millis: all_ready.then(|| last.unwrap_or_else(|| millis(self.began.elapsed()))),
            terms: self.session.terms.clone(),
            kinds: total.kinds,
            objects: total.objects,
            volumes: self.volumes,
            readiness: self.readiness,
            hooks: self.ran,
            notes: total.notes,
            problems: total.problems,
            steps: self.steps.times(),
        }
    }
}

/// Ends what dead runs of the application left: above all movers that would go on writing.
async fn settle(request: &RestoreRequest) -> Result<(Vec<Problem>, Vec<Problem>)> {
    let application = &request.point.application;
    let settled = sweep::settle_application(&request.cluster, application, request.run.as_str()).await?;
    Ok(settled.into_problems())
}

async fn open(request: &RestoreRequest) -> Result<Session> {
    let point = point::open(&request.repository, &request.point).await?;
    let totals = totals(&point.point, &request.terms);
    let tally = Tally::new(request.observer.clone(), request.on_object.clone(), totals);
    if let Some(note) = remarks::partial(&point.point) {
        tally.note(note);
    }
    let mut session = Session::new(request.cluster.clone(), point, request.terms.clone(), tally).await?;
    session.as_planned.clone_from(&request.as_planned);
    Ok(session)
}

/// How many objects of each type there will be; unknown where single ones are chosen.
fn totals(point: &Point, terms: &Terms) -> BTreeMap<ResourceType, u64> {
    if !terms.selection.is_everything() {
        return BTreeMap::new();
    }
    point.kinds.iter().map(|kind| (kind.resource.clone(), kind.objects)).collect()
}
