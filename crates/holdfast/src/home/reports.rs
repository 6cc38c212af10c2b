//! What ended runs did, kept so that it can be shown again: the newest [`KEPT`] of them.

use std::path::PathBuf;

use holdfast_model::point::Point;
use holdfast_model::restore::RestoreReport;
use holdfast_model::{Outcome, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Home, private};
use crate::error::{Error, Result};
use crate::failure::Failure;

/// How many reports there are at most.
const KEPT: usize = 200;

/// No report is larger, in bytes: what a restore of a million objects left out is told in less.
const LIMIT: u64 = 1 << 30;

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    #[serde(flatten)]
    pub(crate) head: Head,
    #[serde(flatten)]
    pub(crate) result: Came,
}

/// What is said of a run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    /// The run.
    pub(crate) run: RunId,
    /// What it was, e.g. `backup shop`.
    pub(crate) what: String,
    /// When it ended.
    pub(crate) ended: Timestamp,
    /// How.
    pub(crate) outcome: Outcome,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Came {
    /// Of a backup: its point.
    Point(Box<Point>),
    /// Of a restore: its report.
    Restore(Box<RestoreReport>),
    /// It could not go on.
    Failure(Failure),
}

impl Home {
    /// Keeps what a run did; the oldest of too many reports go.
    pub(crate) fn keep_report(&self, ended: &Ended) -> Result<()> {
        let path = self.report_path(&ended.head.run);
        let json =
            serde_json::to_vec_pretty(ended).map_err(|error| Error::file("write", &path, error.into()))?;
        private::replace(&path, &json)?;
        let runs = self.reported()?;
        runs[..runs.len().saturating_sub(KEPT)]
            .iter()
            .try_for_each(|run| private::remove(&self.report_path(run)))
    }

    /// The runs that there are reports of, oldest first.
    pub(crate) fn reported(&self) -> Result<Vec<RunId>> {
        let directory = self.directory("reports");
        let failed = |error| Error::file("list", &directory, error);
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut runs: Vec<RunId> = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let run = name.to_str().and_then(|name| name.strip_suffix(".json"));
            runs.extend(run.and_then(|run| run.parse().ok()));
        }
        // Their ids begin with the time.
        runs.sort();
        Ok(runs)
    }

    /// What a run did.
    pub(crate) fn report(&self, run: &RunId) -> Result<Ended> {
        self.read_report(run)
    }

    /// What is said of it in a list.
    pub(crate) fn report_head(&self, run: &RunId) -> Result<Head> {
        self.read_report(run)
    }

    fn read_report<T: serde::de::DeserializeOwned>(&self, run: &RunId) -> Result<T> {
        let path = self.report_path(run);
        let text = private::read_up_to(&path, LIMIT)?;
        serde_json::from_str(&text).map_err(|error| Error::Unreadable {
            place: path.display().to_string(),
            reason: error.to_string(),
        })
    }

    fn report_path(&self, run: &RunId) -> PathBuf {
        self.directory("reports").join(format!("{run}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(seconds: i64) -> Ended {
        let ended = Timestamp::from_second(seconds).unwrap();
        let (run, what) = (RunId::new(ended, [1, 2, 3]), "restore shop".to_owned());
        let failure = Failure::of(&anyhow::anyhow!("the site burns"));
        Ended { head: Head { run, what, ended, outcome: Outcome::Failed }, result: Came::Failure(failure) }
    }

    #[test]
    fn the_newest_reports_are_kept_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().join("home"))).unwrap();
        assert_eq!(home.reported().unwrap(), []);
        for second in 0..=KEPT as i64 {
            home.keep_report(&failed(second)).unwrap();
        }
        let runs = home.reported().unwrap();
        assert_eq!((runs.len(), &runs[0]), (KEPT, &failed(1).head.run));
        let last = failed(KEPT as i64);
        assert_eq!(home.report(&runs[KEPT - 1]).unwrap(), last);
        assert_eq!(home.report_head(&runs[KEPT - 1]).unwrap(), last.head);
        assert_eq!(home.report(&failed(0).head.run).unwrap_err().code(), "cli.file");
    }
}
