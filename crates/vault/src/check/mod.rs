//! Whether everything that snapshots refer to is there and undamaged.
//!
//! Files are looked at in the order that makes a running writer harmless: snapshots, then the
//! index, then packs. So whatever a snapshot seen here refers to was stored before it was looked
//! for. Memory is twice the index's, plus 40 bytes for each blob in use.

mod affected;
mod packs;
mod report;
mod trees;

use std::sync::Arc;

pub use report::{CheckOptions, CheckProgress, CheckReport, Finding};

use self::report::Findings;
use crate::error::{Error, Result};
use crate::id::{FileId, PackId, SnapshotId};
use crate::index::{self, Index};
use crate::read::Reader;
use crate::repository::{Inner, Repository, unpacked};
use crate::snapshot::Snapshot;

/// What the steps of one check share.
struct Check<'p> {
    repository: Arc<Inner>,
    index: Arc<Index>,
    snapshots: Vec<(SnapshotId, Snapshot)>,
    findings: Findings,
    progress: &'p (dyn Fn(CheckProgress) + Send + Sync),
}

impl Repository {
    /// Checks the repository. Damage is in the report; an error means that it could not be checked.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn check(
        &self,
        options: CheckOptions,
        progress: impl Fn(CheckProgress) + Send + Sync,
    ) -> Result<CheckReport> {
        let mut findings = Findings::default();
        check_small_files(&self.inner, &mut findings).await?;
        let (snapshots, unreadable) = self.snapshots_tolerant().await?;
        for (name, error) in unreadable {
            let cut_off =
                SnapshotId::from_bytes(*name.parse::<FileId>().unwrap_or(FileId::of(b"")).as_bytes());
            let finding = findings.add(format!("snapshots/{name}"), reason(error)?);
            findings.affects(finding, cut_off, "everything");
        }
        let index = Arc::new(Index::default());
        let index_is_whole = load_index(&self.inner, &index, &mut findings).await?;
        let mut check =
            Check { repository: Arc::clone(&self.inner), index, snapshots, findings, progress: &progress };
        let mut report = CheckReport { snapshots: check.snapshots.len() as u64, ..CheckReport::default() };
        report.unreferenced_packs = check.list_packs(index_is_whole).await?;
        report.packs = check.index.packs().len() as u64;
        if options.read_data {
            check.read_packs().await?;
        }
        let reader = Reader::over(Arc::clone(&self.inner), Arc::clone(&check.index));
        report.blobs_used = check.walk_trees(&reader).await?;
        check.name_affected(&reader).await?;
        report.findings = check.findings.into_list();
        Ok(report)
    }
}

/// Key files and locks: each name is the hash of the content.
async fn check_small_files(inner: &Inner, findings: &mut Findings) -> Result<()> {
    for listed in inner.store.list("keys").await? {
        let path = format!("keys/{}", listed.name);
        let content = inner.store.find(&path).await?.unwrap_or_default();
        if listed.name.parse::<FileId>().is_ok_and(|id| id != FileId::of(&content)) {
            findings.add(path, "its content does not match its name".to_owned());
        }
    }
    for (name, loaded) in unpacked::load_all(inner, "locks").await? {
        match loaded {
            Err(error) if error.is_not_found() => {}
            Err(error) => drop(findings.add(format!("locks/{name}"), reason(error)?)),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Loads every index file that can be read; `false` if one could not.
async fn load_index(inner: &Arc<Inner>, index: &Arc<Index>, findings: &mut Findings) -> Result<bool> {
    let mut whole = true;
    for listed in inner.store.list("index").await? {
        let Ok(id) = listed.name.parse() else { continue };
        if let Err(error) = index::load_file(inner, id, Arc::clone(index)).await {
            let what = "the packs' own headers were used instead; `restic repair index` restores it";
            findings.add(format!("index/{id}"), format!("{}; {what}", reason(error)?));
            whole = false;
        }
    }
    Ok(whole)
}

/// What is wrong with the object that the error is about; passes on errors of the storage itself.
fn reason(error: Error) -> Result<String> {
    match error {
        Error::Damaged { reason, .. } => Ok(reason),
        error if error.is_not_found() => Ok("it is gone".to_owned()),
        error @ (Error::Storage { .. } | Error::Internal(_)) => Err(error),
        error => Ok(error.to_string()),
    }
}

/// Where a pack lies, for findings.
fn pack_path(id: &PackId) -> String {
    crate::pack::path(id)
}
