//! What is not in a snapshot because its capture left it out, and so is not known to be superfluous.

use std::collections::BTreeSet;

use holdfast_model::Problem;
use holdfast_vault::{BlobKind, Reader, Snapshot};
use rustix::fs::FileType;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::target::Target;
use super::{Session, staged};
use crate::error::Result;
use crate::files::capture::exclude::Excludes;
use crate::files::{Findings, REPORT_FILE};

/// Made by mkfs for fsck, at the root of its file systems alone.
pub(super) const LOST_FOUND: &[u8] = b"lost+found";

/// What a deletion spares.
#[derive(Default)]
pub(super) struct Spared {
    excludes: Option<Excludes>,
    /// Paths that the capture could not read, as it has written them down.
    unread: BTreeSet<String>,
    /// It is not known of every path whether it could be read.
    everything: Option<String>,
}

/// What is needed of the report beside the volume.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    findings: Findings,
}

impl Spared {
    /// What the capture of `snapshot` has left out.
    pub(super) fn of(reader: &Reader, runtime: &Handle, snapshot: &Snapshot) -> Result<Self> {
        let excludes = Some(Excludes::new(&snapshot.excludes)?);
        let (mut unread, mut everything) = (BTreeSet::new(), None);
        match runtime.block_on(report(reader, snapshot)) {
            Ok(Some(Report { findings })) => {
                let more = findings.problem_count > findings.problems.len() as u64;
                everything =
                    more.then(|| "its capture could not read more files than it has named".to_owned());
                unread = findings.problems.into_iter().map(|problem| problem.subject).collect();
            }
            Ok(None) => {}
            Err(reason) => {
                everything = Some(format!("what its capture could not read is not known: {reason}"))
            }
        }
        Ok(Self { excludes, unread, everything })
    }

    fn is_excluded(&self, path: &[u8]) -> bool {
        self.excludes.as_ref().is_some_and(|excludes| excludes.matches_path(path))
    }

    /// Why the capture may not have seen `path`, or a directory above it.
    fn reason(&self, path: &[u8]) -> Option<String> {
        if self.everything.is_some() {
            return self.everything.clone();
        }
        if self.unread.is_empty() {
            return None;
        }
        let path = String::from_utf8_lossy(path);
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let is_unread =
            self.unread.contains(".") || ends.into_iter().any(|end| self.unread.contains(&path[..end]));
        is_unread.then(|| "it could not be read when the snapshot was captured".to_owned())
    }
}

async fn report(reader: &Reader, snapshot: &Snapshot) -> std::result::Result<Option<Report>, String> {
    let told = |error: holdfast_vault::Error| error.to_string();
    let Some(node) = reader.lookup(&snapshot.tree, REPORT_FILE).await.map_err(told)? else { return Ok(None) };
    let mut text = Vec::new();
    for blob in node.blobs() {
        text.extend_from_slice(&reader.blob(BlobKind::Data, blob).await.map_err(told)?);
    }
    serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
}

impl Session {
    /// Whether the entry `name`, which the snapshot does not have, is to be removed. One that is kept
    /// although all such are to go is named.
    pub(super) fn is_to_go(&self, target: &Target, name: &[u8]) -> bool {
        if staged::is_one(name) {
            // A run that was cut short left it.
            return true;
        }
        if !self.deletes() || (target.is_root() && name == LOST_FOUND) {
            return false;
        }
        let path = target.path(name);
        if self.spared.is_excluded(&path) {
            self.recorder.excluded(target.show(name), "kept: the capture left it out by an exclude pattern");
            return false;
        }
        if let Some(reason) = self.spared.reason(&path) {
            let message = format!("kept, although the snapshot does not have it: {reason}");
            self.recorder.problem(Problem::new("file.kept", target.show(name), message));
            return false;
        }
        // One that is gone meanwhile needs no removal either.
        target.dir().stat(name).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) != FileType::Socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_an_unread_directory_was_not_seen_either() {
        let spared = Spared { unread: ["a/b".to_owned()].into(), ..Spared::default() };
        assert!(spared.reason(b"a/b").is_some() && spared.reason(b"a/b/c/d").is_some());
        assert!(spared.reason(b"a").is_none() && spared.reason(b"a/bc").is_none());
        let root = Spared { unread: [".".to_owned()].into(), ..Spared::default() };
        assert!(root.reason(b"x").is_some());
        let unknown = Spared { everything: Some("unknown".to_owned()), ..Spared::default() };
        assert!(unknown.reason(b"x").is_some());
        assert!(Spared::default().reason(b"x").is_none());
    }
}
