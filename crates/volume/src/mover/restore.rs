//! A mover that restores: fills one volume after the other and says so with proof.

use std::sync::Arc;
use std::time::Duration;

use holdfast_model::RunId;
use holdfast_vault::{Reader, Repository, Snapshot};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::blocking::blocking;
use super::event::{self, Event};
use super::gate::Stop;
use super::spec::{BlockRestore, FileMode, MoverSpec, RestoreMode, RestoreWork, VolumeRestore};
use crate::error::Result;
use crate::progress::Progress;
use crate::restored::Restored;
use crate::{blocks, files};

pub(super) async fn run(spec: &MoverSpec, work: RestoreWork, stop: &Arc<Stop>) -> Result<()> {
    let repository = spec.repository.open().await?;
    let reader = repository.reader().await?;
    let progress = Arc::new(Progress::default());
    let _saying = AbortOnDropHandle::new(tokio::spawn(say(Arc::clone(&progress))));
    let filling = Filling { reader: &reader, work: &work, stop, progress: &progress };
    for volume in &work.volumes {
        let snapshot = repository.snapshot(&volume.snapshot).await?;
        let mode = mode(&repository, volume).await?;
        let restored = filling.fill(snapshot, volume, mode).await?;
        tell(spec, volume, &restored);
    }
    Ok(())
}

async fn mode(repository: &Repository, volume: &VolumeRestore) -> Result<files::RestoreMode> {
    Ok(match volume.files.mode {
        FileMode::New => files::RestoreMode::New,
        FileMode::Exact { extras, compare } => files::RestoreMode::Exact { extras, compare },
        FileMode::Delta { base } => match repository.snapshot(&base).await {
            Ok(base) => files::RestoreMode::Delta { base: base.tree },
            // What it holds is still there; it is only not known by heart any more.
            Err(error) if error.is_not_found() => EXACTLY,
            Err(error) => return Err(error.into()),
        },
    })
}

/// What is there comes to be as in the snapshot, and the rest goes.
const EXACTLY: files::RestoreMode =
    files::RestoreMode::Exact { extras: files::Extras::Delete, compare: files::Compare::Times };

/// What the restores of all volumes share.
struct Filling<'a> {
    reader: &'a Reader,
    work: &'a RestoreWork,
    stop: &'a Stop,
    progress: &'a Arc<Progress>,
}

impl Filling<'_> {
    async fn fill(
        &self,
        snapshot: Snapshot,
        volume: &VolumeRestore,
        mode: files::RestoreMode,
    ) -> Result<Restored> {
        let (reader, path, runtime) = (self.reader.clone(), volume.path.clone(), Handle::current());
        let (stop, progress) = (Arc::clone(&self.stop.flag), Arc::clone(self.progress));
        match volume.mode {
            RestoreMode::Files => {
                let RestoreWork { devices, setuid, .. } = *self.work;
                let options = files::RestoreOptions {
                    mode,
                    select: volume.files.selection()?.map(Arc::new),
                    at: volume.files.at.clone().into_bytes(),
                    verify: volume.files.verify,
                    devices,
                    setuid,
                    stop,
                    ..Default::default()
                };
                let restore =
                    move || files::restore_volume(&reader, &runtime, &snapshot, &path, &options, &progress);
                blocking(restore).await
            }
            RestoreMode::Blocks(BlockRestore { before, verify }) => {
                let options = blocks::RestoreOptions { before, verify, stop, ..Default::default() };
                let restore =
                    move || blocks::restore_volume(&reader, &runtime, &snapshot, &path, &options, &progress);
                blocking(restore).await
            }
        }
    }
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
            mode: RestoreMode::Files,
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
