//! A mover that restores: fills one volume after the other and says so with proof.

use std::sync::Arc;
use std::time::Duration;

use holdfast_model::RunId;
use holdfast_vault::{Reader, Repository};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::capture::blocking;
use super::event::{self, Event};
use super::gate::Stop;
use super::spec::{FileMode, MoverSpec, RestoreWork, VolumeRestore};
use crate::error::Result;
use crate::files::{self, Progress, RestoreMode, RestoreOptions, Restored};

pub(super) async fn run(spec: &MoverSpec, work: RestoreWork, stop: &Arc<Stop>) -> Result<()> {
    let repository = spec.repository.open().await?;
    let reader = repository.reader().await?;
    let progress = Arc::new(Progress::default());
    let _saying = AbortOnDropHandle::new(tokio::spawn(say(Arc::clone(&progress))));
    for volume in work.volumes {
        let options = RestoreOptions {
            mode: mode(&repository, &volume).await?,
            select: volume.files.selection()?.map(Arc::new),
            at: volume.files.at.clone().into_bytes(),
            verify: volume.files.verify,
            devices: work.devices,
            setuid: work.setuid,
            stop: Arc::clone(&stop.flag),
            ..RestoreOptions::default()
        };
        let snapshot = repository.snapshot(&volume.snapshot).await?;
        let restored = fill(&reader, snapshot, &volume, &options, &progress).await?;
        tell(spec, &volume, &restored);
    }
    Ok(())
}

async fn mode(repository: &Repository, volume: &VolumeRestore) -> Result<RestoreMode> {
    Ok(match volume.files.mode {
        FileMode::New => RestoreMode::New,
        FileMode::Exact { extras, compare } => RestoreMode::Exact { extras, compare },
        FileMode::Delta { base } => RestoreMode::Delta { base: repository.snapshot(&base).await?.tree },
    })
}

async fn fill(
    reader: &Reader,
    snapshot: holdfast_vault::Snapshot,
    volume: &VolumeRestore,
    options: &RestoreOptions,
    progress: &Arc<Progress>,
) -> Result<Restored> {
    let (reader, path, options) = (reader.clone(), volume.path.clone(), options.clone());
    let (runtime, progress) = (Handle::current(), Arc::clone(progress));
    blocking(move || files::restore_volume(&reader, &runtime, &snapshot, &path, &options, &progress)).await
}

fn tell(spec: &MoverSpec, volume: &VolumeRestore, restored: &Restored) {
    let (namespace, claim) = (volume.namespace.clone(), volume.claim.clone());
    for problem in restored.findings.all_problems() {
        event::emit(&Event::Problem { namespace: namespace.clone(), claim: claim.clone(), problem });
    }
    event::emit(&Event::Restored {
        proof: proof(&spec.repository.password, &spec.run, volume),
        namespace,
        claim,
        entries: restored.entries,
        bytes: restored.bytes,
        bytes_written: restored.bytes_written,
        changed: restored.changed,
        deleted: restored.deleted,
        verified: restored.verified,
    });
}

/// What only a holder of the repository's password can say of one restored volume in one run.
pub(crate) fn proof(password: &str, run: &RunId, volume: &VolumeRestore) -> String {
    let said = format!("{run}\0{}\0{}\0{}", volume.namespace, volume.claim, volume.snapshot);
    // The password goes in on both sides, so that nothing can be appended to what was hashed.
    let digest = Sha256::new()
        .chain_update(password.as_bytes())
        .chain_update(b"\0holdfast restored\0")
        .chain_update(said.as_bytes())
        .chain_update(b"\0")
        .chain_update(password.as_bytes())
        .finalize();
    hex::encode(digest)
}

async fn say(progress: Arc<Progress>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        event::emit(&Event::Progress {
            entries: progress.entries(),
            bytes: progress.bytes(),
            bytes_moved: progress.bytes_moved(),
            bytes_uploaded: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mover::FileRestore;

    #[test]
    fn a_proof_is_of_one_key_run_and_volume() {
        let volume = |claim: &str| VolumeRestore {
            namespace: "shop".into(),
            claim: claim.into(),
            snapshot: holdfast_vault::SnapshotId::of(b"s"),
            path: "/volume".into(),
            files: FileRestore::default(),
        };
        let run: RunId = "r1".parse().unwrap();
        let this = proof("key", &run, &volume("data"));
        assert_eq!(this, proof("key", &run, &volume("data")));
        assert_ne!(this, proof("other", &run, &volume("data")));
        assert_ne!(this, proof("key", &"r2".parse().unwrap(), &volume("data")));
        assert_ne!(this, proof("key", &run, &volume("logs")));
    }
}
