//! What a mover says on its standard output, one line of JSON each.

use std::io::Write;
use std::str::FromStr;

use holdfast_model::Problem;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::Verified;

/// Where a capture is. Later phases are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not heard of yet.
    Starting,
    /// The repository is open and the volume was found; it waits for `begin`.
    Ready,
    /// Told to read.
    Begin,
    /// All but the late paths is captured; it waits for `late`.
    MainDone,
    /// Told to read the late paths.
    Late,
}

impl Phase {
    /// As it stands in events and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Begin => "begin",
            Phase::MainDone => "main-done",
            Phase::Late => "late",
        }
    }
}

impl FromStr for Phase {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Phase::Begin, Phase::Late]
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a phase that can be signalled: begin, late"))
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// A phase was reached.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// How far it is. Said every second.
    Progress {
        /// Entries done.
        entries: u64,
        /// Bytes of content done.
        bytes: u64,
        /// Bytes read from or written to the volume.
        bytes_moved: u64,
        /// Bytes sent to the vault.
        bytes_uploaded: u64,
    },
    /// Something could not be restored. (A capture's problems are in its report in the vault.)
    Problem {
        /// Namespace of the claim.
        namespace: String,
        /// The claim.
        claim: String,
        /// What, and why.
        problem: Problem,
    },
    /// The volume is in the vault.
    Captured {
        /// Its snapshot.
        snapshot: String,
    },
    /// The snapshot is in the volume, on disk.
    Restored {
        /// Namespace of the claim.
        namespace: String,
        /// The claim.
        claim: String,
        /// Entries restored.
        entries: u64,
        /// Bytes of content that the volume holds now.
        bytes: u64,
        /// Bytes written.
        bytes_written: u64,
        /// Entries made, written to, or given other attributes.
        #[serde(default)]
        changed: u64,
        /// Entries removed.
        #[serde(default)]
        deleted: u64,
        /// What was read back, if anything was to be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verified: Option<Verified>,
        /// Shows that whoever says so held the repository's key: a simulated pod does not.
        proof: String,
    },
    /// It failed.
    Failed {
        /// Stable code of the error.
        code: String,
        /// What happened and what to do.
        message: String,
    },
}

impl Event {
    pub(super) fn failed(error: &Error) -> Self {
        Event::Failed { code: error.code().to_owned(), message: error.to_string() }
    }

    /// An event from a line of a log; `None` for anything else that a container may print.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// Says it. A reader that is gone is no reason to stop.
pub(super) fn emit(event: &Event) {
    if let Ok(mut line) = serde_json::to_vec(event) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_log() {
        let said = Event::Progress { entries: 3, bytes: 7, bytes_moved: 5, bytes_uploaded: 2 };
        let line = serde_json::to_string(&said).unwrap();
        assert_eq!(line, r#"{"event":"progress","entries":3,"bytes":7,"bytesMoved":5,"bytesUploaded":2}"#);
        assert_eq!(Event::parse(&line), Some(said));
        assert_eq!(Event::parse("Segmentation fault"), None);
    }

    #[test]
    fn only_two_phases_can_be_signalled() {
        assert_eq!("late".parse(), Ok(Phase::Late));
        assert!("ready".parse::<Phase>().is_err());
        assert!(Phase::MainDone < Phase::Late && Phase::Ready < Phase::Begin);
    }
}
