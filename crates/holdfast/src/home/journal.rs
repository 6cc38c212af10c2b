//! Journals of runs: what each has begun, so that after its death the next command knows what is left.
//!
//! A journal is replaced as a whole and synced before the run goes on. The run keeps its lock file
//! locked as long as it lives; a journal whose lock can be had is that of a dead run.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use holdfast_model::RunId;
use holdfast_protect::progress::{Entry, Journal};
use serde::{Deserialize, Serialize};

use super::{Home, private};
use crate::error::{Error, Result};

/// The journal of a run of this process.
#[derive(Debug)]
pub(crate) struct RunJournal {
    path: PathBuf,
    record: Mutex<Record>,
    _alive: File,
}

/// A journal as it lies in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// The run.
    pub(crate) run: RunId,
    /// What it was, e.g. `backup shop`.
    pub(crate) what: String,
    /// What it recorded, in that order.
    pub(crate) entries: Vec<Entry>,
}

impl Record {
    fn has_ended(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Ended { .. }))
    }

    /// Name of the cluster that the run worked on, if it came that far.
    pub(crate) fn cluster(&self) -> Option<&str> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Started { cluster, .. } => Some(cluster.as_str()),
            _ => None,
        })
    }
}

impl Home {
    /// Begins the journal of a run.
    pub(crate) fn begin_journal(&self, run: &RunId, what: String) -> Result<RunJournal> {
        let record = Record { run: run.clone(), what, entries: Vec::new() };
        let path = self.journal_path(run);
        // The lock comes first: a journal is never seen without the life of its run.
        let alive = self.lock(run)?;
        alive.try_lock().map_err(|error| Error::file("lock", self.lock_path(run), error.into()))?;
        let journal = RunJournal { path, record: Mutex::new(record), _alive: alive };
        journal.save().map_err(|error| Error::file("write", &journal.path, error))?;
        Ok(journal)
    }

    /// The journals of runs that have died, oldest first.
    pub(crate) fn dead_runs(&self) -> Result<Vec<Record>> {
        let directory = self.directory("runs");
        let failed = |error| Error::file("list", &directory, error);
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut dead = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                dead.extend(self.dead_run(&path)?);
            }
        }
        dead.sort_by(|a, b| a.run.cmp(&b.run));
        Ok(dead)
    }

    fn dead_run(&self, path: &Path) -> Result<Option<Record>> {
        let place = || path.display().to_string();
        let text = match private::read(path) {
            Ok(text) => text,
            // It ended between the listing and now.
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let record: Record = serde_json::from_str(&text)
            .map_err(|error| Error::Unreadable { place: place(), reason: error.to_string() })?;
        match self.lock(&record.run)?.try_lock() {
            // It ended, and died before it could forget itself.
            Ok(()) if record.has_ended() => self.forget_run(&record.run).map(|()| None),
            Ok(()) => Ok(Some(record)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::file("lock", path, error)),
        }
    }

    /// Forgets a run for which nothing is left to be done.
    pub(crate) fn forget_run(&self, run: &RunId) -> Result<()> {
        private::remove(&self.journal_path(run))?;
        private::remove(&self.lock_path(run))
    }

    fn lock(&self, run: &RunId) -> Result<File> {
        private::open_lock(&self.lock_path(run))
    }

    fn journal_path(&self, run: &RunId) -> PathBuf {
        self.directory("runs").join(format!("{run}.json"))
    }

    fn lock_path(&self, run: &RunId) -> PathBuf {
        self.directory("runs").join(format!("{run}.lock"))
    }
}

impl RunJournal {
    /// Whether the run has ended by itself, so that nothing is left to be done for it.
    pub(crate) fn has_ended(&self) -> bool {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).has_ended()
    }

    /// What the run is.
    pub(crate) fn what(&self) -> String {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).what.clone()
    }

    fn save(&self) -> std::io::Result<()> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let json = serde_json::to_vec_pretty(&*record)?;
        private::replace(&self.path, &json).map_err(std::io::Error::other)
    }
}

impl Journal for RunJournal {
    fn record(&self, entry: &Entry) -> std::io::Result<()> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).entries.push(entry.clone());
        self.save()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(run: &RunId) -> Entry {
        let (application, at) = ("a1".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH);
        Entry::Started { run: run.clone(), application, cluster: "tokyo".into(), at }
    }

    #[test]
    fn a_journal_is_found_only_after_the_death_of_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().to_path_buf())).unwrap();
        let run = RunId::new(jiff::Timestamp::UNIX_EPOCH, [1, 2, 3]);
        let journal = home.begin_journal(&run, "backup shop".into()).unwrap();
        journal.record(&started(&run)).unwrap();
        assert_eq!(home.dead_runs().unwrap(), []);
        drop(journal);
        let dead = home.dead_runs().unwrap();
        assert_eq!((dead.len(), dead[0].cluster()), (1, Some("tokyo")));
        home.forget_run(&run).unwrap();
        assert_eq!(home.dead_runs().unwrap(), []);
        assert_eq!(std::fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
    }

    #[test]
    fn a_journal_that_cannot_be_written_stops_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().join("home"))).unwrap();
        let run = RunId::new(jiff::Timestamp::UNIX_EPOCH, [1, 2, 3]);
        let journal = home.begin_journal(&run, "backup shop".into()).unwrap();
        std::fs::remove_dir_all(dir.path().join("home/runs")).unwrap();
        std::fs::write(dir.path().join("home/runs"), "").unwrap();
        journal.record(&started(&run)).unwrap_err();
    }
}
