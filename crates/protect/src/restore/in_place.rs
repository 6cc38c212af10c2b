//! Restores the data of claims that are there already, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_model::point::{Point, VolumeCapture};
use holdfast_model::restore::{RestoreReport, Terms, Verdict, VolumeResult};
use holdfast_model::volume::CaptureForm;
use holdfast_model::{Outcome, Problem};
use holdfast_volume::refill::{self, Refill, RefillContext, RefillProgress, Refilled};
use tokio_util::sync::CancellationToken;

use super::hold::Hold;
use super::request::{VolumeOrder, VolumesRequest};
use super::volumes::filled_result;
use crate::backup::Movers;
use crate::error::{Error, Result};
use crate::progress::{Entry, Event, Observer, Steps};
use crate::{point, sweep};

/// Value of [`Entry::Temporary`] while movers are at work.
const MOVERS: &str = "movers that restore in place";

/// Restores volumes into claims that exist. What could not be restored is in the report; an error
/// means that nothing was begun, or that the restore could not go on. Run again, it completes what it
/// has left.
///
/// # Errors
/// As [`super::restore`]
pub async fn restore_volumes(request: VolumesRequest) -> Result<RestoreReport> {
    let hold = Hold {
        cluster: &request.cluster,
        application: &request.point.application,
        run: &request.run,
        wait: request.wait_busy,
        dead: &request.dead,
        observer: &request.observer,
        cancel: &request.cancel,
    };
    let report = hold.during(async |stop| InPlace { request: &request, stop }.run().await).await?;
    request.journal.record(&Entry::Ended { outcome: report.outcome }).map_err(Error::Journal)?;
    Ok(report)
}

/// A restore on its way.
struct InPlace<'a> {
    request: &'a VolumesRequest,
    stop: CancellationToken,
}

/// What has come of it so far.
#[derive(Default)]
struct Results {
    volumes: Vec<VolumeResult>,
    notes: Vec<String>,
    problems: Vec<Problem>,
}

impl InPlace<'_> {
    async fn run(&self) -> Result<RestoreReport> {
        let VolumesRequest { cluster, run, clock, .. } = self.request;
        let started = clock.now();
        self.record(Entry::Started {
            run: run.clone(),
            application: self.request.point.application.clone(),
            cluster: cluster.name().to_owned(),
            at: started,
        })?;
        let steps = Steps::new(self.request.observer.clone());
        let application = &self.request.point.application;
        let settling = sweep::settle_application(cluster, application, run.as_str());
        let settled = steps.run("settle", settling).await?;
        let opening = point::open(&self.request.repository, &self.request.point);
        let point = steps.run("open", opening).await?.point;
        let (problems, going) = settled.into_problems();
        sweep::warn_of(&going);
        let mut results = Results { problems, ..Results::default() };
        steps.run("volumes", self.volumes(&point, &mut results)).await?;
        if self.stop.is_cancelled() {
            let cancelled = self.request.cancel.is_cancelled();
            let reason = if cancelled { "it was cancelled" } else { "another run took the application" };
            return Err(Error::RestoreStopped { reason: reason.to_owned() });
        }
        Ok(RestoreReport {
            run: run.clone(),
            point: point.id,
            application: point.application,
            application_name: point.application_name,
            cluster: cluster.name().to_owned(),
            outcome: outcome(&results),
            started,
            finished: clock.now(),
            ready_millis: None,
            before: None,
            terms: Terms::default(),
            kinds: Vec::new(),
            objects: Vec::new(),
            volumes: results.volumes,
            hooks: Vec::new(),
            readiness: Vec::new(),
            notes: results.notes,
            problems: results.problems,
            steps: steps.times(),
        })
    }

    async fn volumes(&self, point: &Point, results: &mut Results) -> Result<()> {
        let mut wanted: Vec<(&VolumeOrder, Refill)> = Vec::new();
        for order in &self.request.volumes {
            match refill_of(point, order) {
                Ok(refill) => wanted.push((order, refill)),
                Err(problem) => self.fail(results, order, *problem),
            }
        }
        let Some(movers) = &self.request.movers else {
            for (order, refill) in wanted {
                let message = "its data is in the point, but no mover in the cluster can reach this vault";
                let problem = Problem::new("restore.no_movers", refill.subject(), message);
                self.fail(results, order, problem.hint("use a vault in object storage"));
            }
            return Ok(());
        };
        let done = self.refill(movers, point, &wanted).await?;
        for ((order, refill), done) in wanted.iter().zip(done) {
            match done {
                Ok(refilled) => self.book(results, order, refill, refilled),
                Err(problem) => self.fail(results, order, problem),
            }
        }
        Ok(())
    }

    async fn refill(
        &self,
        movers: &Movers,
        point: &Point,
        wanted: &[(&VolumeOrder, Refill)],
    ) -> Result<Vec<Result<Refilled, Problem>>> {
        let totals = wanted
            .iter()
            .filter(|(order, _)| order.files.select.is_empty())
            .filter_map(|(order, refill)| Some((refill.subject(), captured(point, order)?.bytes)));
        let context = RefillContext {
            run: self.request.run.clone(),
            access: movers.access.clone(),
            progress: progress(self.request.observer.clone(), totals.collect()),
        };
        let claims: Vec<Refill> = wanted.iter().map(|(_, refill)| refill.clone()).collect();
        self.record(Entry::Temporary { what: MOVERS.to_owned() })?;
        let done =
            refill::refill(&self.request.cluster, &movers.settings, &context, &claims, &self.stop).await;
        self.record(Entry::Cleared { what: MOVERS.to_owned() })?;
        Ok(done)
    }

    fn book(&self, results: &mut Results, order: &VolumeOrder, refill: &Refill, refilled: Refilled) {
        let Refilled { volume, filled, writers } = refilled;
        let verdict = match filled.changed + filled.deleted {
            0 => Verdict::Unchanged,
            _ => Verdict::Updated,
        };
        let snapshot = refill.snapshot.to_string();
        let result = VolumeResult { snapshot, volume, ..result(order, verdict, String::new()) };
        results.volumes.push(filled_result(result, &filled));
        if !writers.is_empty() {
            results.notes.push(format!(
                "{} was restored while {} had it mounted for writing: restart them, so that they work with what is there now",
                refill.subject(),
                writers.join(", ")
            ));
        }
        filled.problems.into_iter().for_each(|problem| self.problem(results, problem));
    }

    fn fail(&self, results: &mut Results, order: &VolumeOrder, problem: Problem) {
        results.volumes.push(result(order, Verdict::Failed, problem.message.clone()));
        self.problem(results, problem);
    }

    fn problem(&self, results: &mut Results, problem: Problem) {
        self.request.observer.event(Event::Problem(problem.clone()));
        results.problems.push(problem);
    }

    fn record(&self, entry: Entry) -> Result<()> {
        self.request.journal.record(&entry).map_err(Error::Journal)
    }
}

/// Failed where not one volume was restored: nothing usable came of it.
fn outcome(results: &Results) -> Outcome {
    let failed = |volume: &VolumeResult| volume.verdict == Verdict::Failed;
    match results.volumes.iter().all(failed) && !results.volumes.is_empty() {
        true => Outcome::Failed,
        false => Outcome::of(&results.problems),
    }
}

fn captured<'p>(point: &'p Point, order: &VolumeOrder) -> Option<&'p VolumeCapture> {
    let (namespace, claim) = &order.from;
    point.volumes.iter().find(|volume| volume.namespace == *namespace && volume.claim == *claim)
}

fn refill_of(point: &Point, order: &VolumeOrder) -> Result<Refill, Box<Problem>> {
    let (namespace, claim) = order.into.clone();
    let subject = format!("{namespace}/{claim}");
    let Some(volume) = captured(point, order) else {
        let message = format!("the point does not hold the data of {}/{}", order.from.0, order.from.1);
        let problem = Problem::new("volume.no_volume", &subject, message);
        return Err(Box::new(problem.hint("`holdfast point show` says why; an older point may hold it")));
    };
    if volume.form == CaptureForm::Blocks {
        let message = "it was captured as blocks, which come back as a whole, in a new claim";
        let problem = Problem::new("volume.as_blocks", &subject, message);
        return Err(Box::new(
            problem.hint("restore it under another name with --namespace-map, and copy what is needed"),
        ));
    }
    let snapshot = volume.snapshot.parse().map_err(|error| {
        let message = format!("the point names a snapshot that cannot be one: {error}");
        Box::new(Problem::new("restore.unusable_object", &subject, message))
    })?;
    Ok(Refill { namespace, claim, snapshot, files: order.files.clone(), live: order.live })
}

fn result(order: &VolumeOrder, verdict: Verdict, reason: String) -> VolumeResult {
    let (namespace, claim) = order.into.clone();
    VolumeResult {
        namespace,
        claim,
        snapshot: String::new(),
        verdict,
        volume: String::new(),
        entries: 0,
        bytes: 0,
        bytes_written: 0,
        changed: 0,
        deleted: 0,
        verified: None,
        reason,
    }
}

/// Tells the observer how far each claim is, against the bytes that it will hold, where all of a
/// volume is restored.
fn progress(
    observer: Arc<dyn Observer>,
    totals: BTreeMap<String, u64>,
) -> Arc<dyn Fn(RefillProgress) + Send + Sync> {
    Arc::new(move |done: RefillProgress| {
        observer.event(Event::Volume {
            total_bytes: totals.get(&done.claim).copied(),
            claim: done.claim,
            phase: "restoring".to_owned(),
            done_bytes: done.bytes,
            files: done.entries,
        });
    })
}
