//! What is not in a snapshot because its capture left it out, and so is not known to be superfluous.

use std::collections::BTreeSet;

use holdfast_model::Problem;
use rustix::fs::FileType;

use super::target::Target;
use super::{Session, staged};
use crate::files::Findings;
use crate::files::capture::exclude::Excludes;

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

impl Spared {
    /// What a capture with these excludes has left out, and what it could not read.
    pub(super) fn of(excludes: &[String], findings: &Result<Findings, String>) -> crate::error::Result<Self> {
        let excludes = Some(Excludes::new(excludes)?);
        let (unread, everything) = match findings {
            Ok(findings) => {
                let more = findings.problem_count > findings.problems.len() as u64;
                let reason = "its capture could not read more files than it has named";
                let unread = findings.problems.iter().map(|problem| problem.subject.clone());
                (unread.collect(), more.then(|| reason.to_owned()))
            }
            Err(reason) => {
                let reason = format!("what its capture could not read is not known: {reason}");
                (BTreeSet::new(), Some(reason))
            }
        };
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
