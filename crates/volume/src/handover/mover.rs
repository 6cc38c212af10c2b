//! One mover that fills claims of ours, and what is believed of what it says.

use holdfast_cluster::{Cluster, Delete, Propagation, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use serde_json::json;

use super::apply::refused;
use super::observe::unbound;
use super::{ClaimRestore, FillProgress, RestoreContext};
use crate::blocks;
use crate::error::{Error, Result};
use crate::files::Verify;
use crate::jobs::{Filled, Fillings, Launch, end, follow};
use crate::manifest::{DEVICE_PATH, MountedKind, MountedVolume, MoverJob, VOLUME_PATH};
use crate::mover::{
    BlockRestore, FileMode, FileRestore, MoverSpec, RestoreMode, RestoreWork, SPEC_VERSION, VolumeRestore,
    Work, proof,
};
use crate::settings::MoverSettings;

/// A claim of ours that is to hold a snapshot.
pub(crate) struct Target<'a> {
    /// Its name, in `holdfast-system`.
    pub(crate) claim: String,
    /// What it is to hold, and for whom.
    pub(crate) restore: &'a ClaimRestore,
    /// What is done about what it holds already.
    pub(crate) mode: FileMode,
}

impl<'a> Target<'a> {
    /// A new claim.
    pub(super) fn new(restore: &'a ClaimRestore) -> Self {
        Self { claim: restore.filled_name(), restore, mode: FileMode::New }
    }

    fn is_block(&self) -> bool {
        self.restore.manifest["spec"]["volumeMode"] == "Block" || self.restore.is_through_device()
    }

    /// A new device may hold what was on it before, or what a part of an earlier restore has left.
    fn kind(&self, verify: bool) -> RestoreMode {
        match self.is_block() {
            true => RestoreMode::Blocks(BlockRestore { before: blocks::Before::Alike, verify }),
            false => RestoreMode::Files,
        }
    }

    fn path(&self, n: usize) -> String {
        match self.is_block() {
            true => format!("{DEVICE_PATH}-{n}"),
            false => format!("{VOLUME_PATH}/{n}"),
        }
    }
}

/// Runs one mover for these claims, placed as the first of them wants, and believes only what it
/// proves. What became of each is in their order.
pub(crate) async fn run_mover(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    name: &str,
    targets: &[Target<'_>],
) -> Result<Vec<Result<Filled>>> {
    let Some(first) = targets.first() else { return Ok(Vec::new()) };
    let verify = if context.verify { Verify::All } else { Verify::No };
    let volumes: Vec<VolumeRestore> = targets
        .iter()
        .enumerate()
        .map(|(n, target)| VolumeRestore {
            namespace: target.restore.namespace.clone(),
            claim: target.restore.claim.clone(),
            snapshot: target.restore.snapshot,
            path: target.path(n).into(),
            mode: target.kind(context.verify),
            files: FileRestore { mode: target.mode, verify, ..FileRestore::default() },
        })
        .collect();
    let spec = MoverSpec {
        version: SPEC_VERSION,
        run: context.run.clone(),
        repository: context.access.limited(settings),
        work: Work::Restore(RestoreWork {
            volumes: volumes.clone(),
            devices: settings.restore_devices,
            setuid: settings.restore_setuid,
        }),
    };
    let job = MoverJob {
        name,
        run: &context.run,
        subject: first.restore.subject(),
        settings,
        placement: &first.restore.placement,
        volumes: targets.iter().enumerate().map(|(n, target)| mounted(n, target)).collect(),
        restores: true,
    };
    let launch = match Launch::start(cluster, &job, &spec, settings.start_timeout).await {
        Ok(launch) => launch,
        Err(error) => {
            let unmade = unmade(cluster, targets).await;
            discard_mover(cluster, name).await;
            return Err(unmade.unwrap_or(error));
        }
    };
    let group = &first.restore.group;
    let on_progress = |entries, bytes, bytes_written| {
        (context.progress)(FillProgress { group: group.clone(), entries, bytes, bytes_written });
    };
    let mut listener = Fillings::new(&on_progress);
    let followed = follow(cluster, &launch, settings.deadline, &mut listener).await;
    end(cluster, settings, &launch).await;
    let reason = listener.reason(&followed);
    let believed = targets.iter().zip(&volumes).map(|(target, volume)| {
        let proven = listener.proven(&proof(&context.access.password, &context.run, volume), volume);
        proven.ok_or_else(|| mover_failed(target.restore, &reason))
    });
    Ok(believed.collect())
}

/// Why a mover has not started, if that is for want of a volume.
async fn unmade(cluster: &Cluster, targets: &[Target<'_>]) -> Option<Error> {
    for target in targets {
        // Whoever may not see more has the mover's own error.
        let Ok(Some(said)) = unbound(cluster, &target.claim).await else { continue };
        let class = target.restore.manifest["spec"]["storageClassName"].as_str().unwrap_or("the default");
        let modes = target.restore.access_modes().writable();
        let reason = format!("storage class {class} has not made a volume with access mode {modes}: {said}");
        let hint = "map it to what the storage has, by --storage-class-map and --access-mode-map, or mend its driver";
        return Some(refused(target.restore, &reason, hint));
    }
    None
}

fn mounted(n: usize, target: &Target<'_>) -> MountedVolume {
    MountedVolume {
        source: json!({"persistentVolumeClaim": {"claimName": target.claim}}),
        kind: if target.is_block() { MountedKind::Device } else { MountedKind::Directory },
        path: target.path(n),
        read_only: false,
    }
}

/// Removes a mover, however far it is.
pub(crate) async fn discard_mover(cluster: &Cluster, name: &str) {
    let delete = Delete { propagation: Some(Propagation::Foreground), ..Delete::default() };
    // What cannot be removed now ends by its deadline and is swept.
    let _ = cluster.delete(&kinds::jobs(), Some(SYSTEM_NAMESPACE), name, &delete).await;
}

pub(super) fn mover_failed(claim: &ClaimRestore, reason: &str) -> Error {
    Error::Mover {
        namespace: claim.namespace.clone(),
        claim: claim.claim.clone(),
        reason: reason.to_owned(),
        hint: "run it again; what is there already is kept".to_owned(),
    }
}
