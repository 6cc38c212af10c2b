//! Warm standby: the volumes of an application follow its points at another cluster, so that taking
//! over takes seconds. The objects stay in the vault until then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::Cluster;
use holdfast_model::id::PointId;
use holdfast_model::restore::Mapping;
use holdfast_model::{Outcome, Problem, RunId};
use holdfast_vault::Repository;
use holdfast_volume::handover::FillProgress;
use holdfast_volume::standby::{self, Leg, Synced};
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::backup::Movers;
use crate::error::{Error, Result};
use crate::exclusion::Held;
use crate::point::{self, PointSummary};
use crate::progress::{Clock, Entry, Event, Journal, Observer};
use crate::restore::claims_of;
use crate::sweep;

/// Value of [`Entry::Temporary`] while volumes are brought forward.
const MOVERS: &str = "movers that bring standing volumes forward";

/// What is to be brought to a standby.
pub struct SyncRequest {
    /// The standby.
    pub cluster: Cluster,
    /// The application's repository.
    pub repository: Repository,
    /// The point.
    pub point: PointSummary,
    /// Other names at the standby.
    pub mapping: Mapping,
    /// How movers are made.
    pub movers: Movers,
    /// Identity of this run.
    pub run: RunId,
    /// How long to wait for another run on the application; `None`: refuse at once.
    pub wait_busy: Option<Duration>,
    /// Runs that are known to have died: they are not waited for.
    pub dead: Vec<RunId>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps what must survive the run's death.
    pub journal: Arc<dyn Journal>,
    /// Hears what happens.
    pub observer: Arc<dyn Observer>,
    /// Ends the sync when cancelled.
    pub cancel: CancellationToken,
}

/// What a sync came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// The run.
    pub run: RunId,
    /// The point.
    pub point: PointId,
    /// When its capture started.
    pub captured: Timestamp,
    /// Name of the application.
    pub application: String,
    /// The standby.
    pub cluster: String,
    /// Completed if every volume holds the point.
    pub outcome: Outcome,
    /// Start of the sync.
    pub started: Timestamp,
    /// Its end: from now on the standby is as far behind as the point is old.
    pub finished: Timestamp,
    /// The volumes.
    pub volumes: Vec<VolumeSync>,
    /// What did not come about.
    pub problems: Vec<Problem>,
}

/// One volume of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSync {
    /// The claim at the standby, `namespace/name`.
    pub claim: String,
    /// Whether it holds the point.
    pub holds: bool,
    /// Only what differs from the snapshot before was looked at.
    pub incremental: bool,
    /// Entries that were looked at.
    pub entries: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// Brings the volumes of an application at a standby to a point. Whatever could not be brought is in
/// the report, and the point before is kept whole there.
///
/// # Errors
/// [`Error::Busy`], [`Error::Cluster`], [`Error::Vault`], [`Error::DamagedPoint`], [`Error::Journal`]
pub async fn sync(request: SyncRequest) -> Result<SyncReport> {
    let application = request.point.application.clone();
    // On the heap, here and below: these are large state machines, and callers have small stacks.
    let held = Box::pin(Held::take(
        &request.cluster,
        &application,
        &request.run,
        request.wait_busy,
        &request.dead,
        &request.observer,
        &request.cancel,
    ))
    .await?;
    let stop = request.cancel.child_token();
    let work = Box::pin(bring(&request, &stop));
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = held.lost().cancelled() => {
            stop.cancel();
            Err(Error::RestoreStopped { reason: "another run took the application".to_owned() })
        }
    };
    let released = held.release().await;
    let report = outcome?;
    released?;
    request.journal.record(&Entry::Ended { outcome: report.outcome }).map_err(Error::Journal)?;
    Ok(report)
}

async fn bring(request: &SyncRequest, stop: &CancellationToken) -> Result<SyncReport> {
    let SyncRequest { cluster, point, run, clock, .. } = request;
    let started = clock.now();
    let record = |entry: Entry| request.journal.record(&entry).map_err(Error::Journal);
    record(Entry::Started {
        run: run.clone(),
        application: point.application.clone(),
        cluster: cluster.name().to_owned(),
        at: started,
    })?;
    let settled = sweep::settle_application(cluster, &point.application, run.as_str()).await?;
    let open = point::open(&request.repository, point).await?;
    let name = open.point.application_name.clone();
    let (claims, unusable) = claims_of(cluster, open, &request.mapping).await?;
    record(Entry::Temporary { what: MOVERS.to_owned() })?;
    let done = standby::sync(cluster, &request.movers.settings, &leg(request), claims.clone(), stop).await;
    record(Entry::Cleared { what: MOVERS.to_owned() })?;
    let (mut problems, going) = settled.into_problems();
    sweep::warn_of(&going);
    problems.extend(unusable);
    let mut volumes = Vec::new();
    for (claim, done) in claims.iter().zip(done) {
        let mut volume = VolumeSync {
            claim: claim.subject(),
            holds: done.is_ok(),
            incremental: false,
            entries: 0,
            bytes_written: 0,
        };
        match done {
            Ok(Synced::Same) => volume.incremental = true,
            Ok(Synced::Forward { filled, base }) => {
                volume.incremental = base.is_some();
                (volume.entries, volume.bytes_written) = (filled.entries, filled.bytes_written);
            }
            Err(error) => problems.push(Problem::new(error.code(), claim.subject(), error.to_string())),
        }
        volumes.push(volume);
    }
    Ok(SyncReport {
        run: run.clone(),
        point: point.id.clone(),
        captured: point.started,
        application: name,
        cluster: cluster.name().to_owned(),
        outcome: Outcome::of(&problems),
        started,
        finished: clock.now(),
        volumes,
        problems,
    })
}

fn leg(request: &SyncRequest) -> Leg {
    let (clock, observer) = (Arc::clone(&request.clock), Arc::clone(&request.observer));
    Leg {
        run: request.run.clone(),
        application: request.point.application.clone(),
        point: request.point.id.clone(),
        started: request.point.started,
        access: request.movers.access.clone(),
        now: Arc::new(move || clock.now()),
        progress: Arc::new(move |fill: FillProgress| {
            observer.event(Event::Volume {
                claim: fill.group,
                phase: "bringing forward".to_owned(),
                done_bytes: fill.bytes,
                total_bytes: None,
                files: fill.entries,
            });
        }),
    }
}

/// The newest of these points that a standby holds whole, if it holds any.
///
/// # Errors
/// [`Error::Volume`], [`Error::Vault`]
pub async fn newest_whole(
    cluster: &Cluster,
    repository: &Repository,
    points: &[PointSummary],
) -> Result<Option<PointSummary>> {
    let Some(first) = points.first() else { return Ok(None) };
    let held: BTreeSet<String> = standby::whole(cluster, &first.application).await?;
    if held.is_empty() {
        return Ok(None);
    }
    let reader = repository.reader().await?;
    // They come oldest first.
    for summary in points.iter().rev() {
        let open = point::open_with(reader.clone(), summary).await?;
        let mut volumes = open.point.volumes.iter();
        if !open.point.volumes.is_empty() && volumes.all(|volume| held.contains(&volume.snapshot)) {
            return Ok(Some(summary.clone()));
        }
    }
    Ok(None)
}
