//! The last act: `point.json` beside the objects, and the snapshot that commits both.

use holdfast_model::point::{Exclusion, HookRun, POINT_FILE, POINT_FORMAT, Point, Stored, VolumeCapture};
use holdfast_model::{Consistency, Outcome, Problem};
use holdfast_vault::{BlobId, Snapshot, SnapshotId, SnapshotSummary, Tree, WriteStats, Writer};
use jiff::Timestamp;

use super::survey::Surroundings;
use super::volumes::Volumes;
use super::{BackupRequest, facts};
use crate::capture::Captured;
use crate::error::{ConsistencyName, Error, Result};
use crate::point::{directory_node, file_node, tags};

/// A `point.json` up to this size is one blob.
const ONE_BLOB: usize = 8 << 20;

/// What the capture brought.
pub(super) struct Harvest {
    pub(super) started: Timestamp,
    pub(super) objects: Captured,
    pub(super) hooks: Vec<HookRun>,
    pub(super) volumes: Volumes,
    /// How long the application was held, if it was.
    pub(super) held_millis: Option<u64>,
    /// Of hooks that dead runs or this one could not run.
    pub(super) problems: Vec<Problem>,
}

/// What the point says of itself.
pub(super) fn point(
    request: &BackupRequest,
    around: Surroundings,
    harvest: Harvest,
    writer: &Writer,
) -> Point {
    let application = &request.application;
    let consistency = around.covered.of_point(&harvest.volumes.captured);
    let mut problems = problems(&around, &harvest);
    problems.extend(below_floor(request, consistency));
    let excluded = excluded(&around, &harvest);
    let Harvest { started, objects, hooks, volumes, held_millis, .. } = harvest;
    let stored = stored(&writer.stats(), &volumes.captured);
    Point {
        format: POINT_FORMAT,
        program: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        id: request.point.clone(),
        run: request.run.clone(),
        tenant: request.tenant.clone(),
        application: application.id.clone(),
        application_name: application.name.clone(),
        spec: application.spec.clone(),
        epoch: request.epoch,
        started,
        finished: request.clock.now(),
        outcome: Outcome::of(&problems),
        consistency,
        cut_spread_millis: cut_spread(&volumes.captured),
        held_millis,
        parent: around.parent.map(|parent| parent.id),
        before: request.before.clone(),
        cluster: facts::of_cluster(request.cluster.name(), &around.facts, objects.images),
        kinds: objects.kinds,
        list_spread_millis: objects.list_spread_millis,
        volumes: volumes.captured,
        hooks,
        problems,
        excluded,
        stored,
    }
}

/// What was wanted could be reached, and was not: a driver refused to cut several claims at once, for instance.
fn below_floor(request: &BackupRequest, reached: Consistency) -> Option<Problem> {
    let wanted = request.floor.filter(|wanted| reached < *wanted)?;
    let (wanted, reached) = (ConsistencyName(wanted), ConsistencyName(reached));
    let message = format!("its volumes are `{reached}` consistent, `{wanted}` was wanted");
    let problem = Problem::new("backup.consistency", request.application.name.clone(), message);
    Some(problem.hint("the log of the backup says which claims were cut one by one, and why"))
}

fn problems(around: &Surroundings, harvest: &Harvest) -> Vec<Problem> {
    let Harvest { objects, volumes, problems, .. } = harvest;
    let appeared = around.claims.unknown_to_survey(&objects.claims);
    let found = [problems, &objects.problems, &around.claims.problems, &volumes.problems, &appeared];
    let mut all: Vec<Problem> = found.into_iter().flatten().cloned().collect();
    all.sort();
    all.dedup();
    all
}

fn excluded(around: &Surroundings, harvest: &Harvest) -> Vec<Exclusion> {
    let facts = facts::unknown(&around.facts);
    let found = [&harvest.objects.excluded, &around.claims.excluded, &harvest.volumes.excluded, &facts];
    found.into_iter().flatten().cloned().collect()
}

/// Milliseconds between the first snapshot and the last, where there are several.
fn cut_spread(volumes: &[VolumeCapture]) -> Option<u64> {
    let cuts = volumes.iter().filter_map(|volume| Some(volume.cut.as_ref()?.at));
    let (first, last) = (cuts.clone().min()?, cuts.clone().max()?);
    (cuts.count() > 1).then(|| last.duration_since(first).as_millis().try_into().unwrap_or(u64::MAX))
}

/// Objects and volumes together. What movers found to be new is known to them as stored only.
fn stored(stats: &WriteStats, volumes: &[VolumeCapture]) -> Stored {
    let sum = |field: fn(&VolumeCapture) -> u64| -> u64 { volumes.iter().map(field).sum() };
    Stored {
        bytes_seen: stats.bytes_read + sum(|volume| volume.bytes),
        bytes_new: stats.bytes_added + sum(|volume| volume.bytes_read),
        bytes_stored: stats.bytes_stored + sum(|volume| volume.bytes_stored),
    }
}

/// Stores `point.json` and commits the point. Once this returns, the point exists.
///
/// # Errors
/// [`Error::Vault`]: then it does not.
pub(super) async fn commit(
    writer: &Writer,
    point: &Point,
    resources: BlobId,
    parent: Option<SnapshotId>,
) -> Result<SnapshotId> {
    let json = serde_json::to_vec_pretty(point).map_err(|error| Error::Internal(error.to_string()))?;
    let (storing, finished) = (writer.clone(), point.finished);
    let stored = tokio::task::spawn_blocking(move || {
        let size = json.len() as u64;
        let content = store(&storing, &json)?;
        let nodes = vec![
            file_node(POINT_FILE, finished, size, content),
            directory_node(holdfast_model::object::RESOURCES, resources),
        ];
        Ok::<_, Error>(storing.tree(&Tree { nodes })?)
    });
    let root = stored.await.map_err(Error::joined)??;
    let mut snapshot = Snapshot::new(point.started, root);
    snapshot.parent = parent;
    snapshot.paths = vec![format!("/{}", point.application_name)];
    snapshot.hostname.clone_from(&point.cluster.name);
    snapshot.tags = tags(point);
    snapshot.summary = Some(summary(point, &writer.stats()));
    Ok(writer.commit(snapshot).await?)
}

fn store(writer: &Writer, json: &[u8]) -> Result<Vec<BlobId>> {
    if json.len() <= ONE_BLOB {
        return Ok(vec![writer.data(json)?]);
    }
    let mut file = writer.file();
    file.write(json)?;
    Ok(file.finish()?.ids)
}

fn summary(point: &Point, stats: &WriteStats) -> SnapshotSummary {
    let (objects, bytes) = point
        .kinds
        .iter()
        .fold((0, 0), |(objects, bytes), kind| (objects + kind.objects, bytes + kind.bytes));
    SnapshotSummary {
        backup_start: point.started,
        backup_end: point.finished,
        files_new: 0,
        files_changed: 0,
        files_unmodified: 0,
        dirs_new: 0,
        dirs_changed: 0,
        dirs_unmodified: 0,
        data_blobs: stats.data_blobs,
        tree_blobs: stats.tree_blobs,
        data_added: stats.bytes_added,
        data_added_packed: stats.bytes_stored,
        total_files_processed: objects,
        total_bytes_processed: bytes,
    }
}
