//! What a mover that restores says of the volumes that it fills.

use std::collections::HashMap;

use futures::future::BoxFuture;
use holdfast_model::Problem;

use super::{Followed, Observed};
use crate::error::Result;
use crate::files::Verified;
use crate::mover::{Event, VolumeRestore};

/// What a mover did with one volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled {
    /// Entries restored.
    pub entries: u64,
    /// Bytes of content that the volume holds.
    pub bytes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Entries made, written to, or given other attributes.
    pub changed: u64,
    /// Entries removed because the snapshot does not have them.
    pub deleted: u64,
    /// What was read back, if anything was to be.
    pub verified: Option<Verified>,
    /// What could not be restored, by path; subjects begin with `namespace/claim:`.
    pub problems: Vec<Problem>,
}

/// Told entries, bytes of content there, and bytes written.
type OnProgress<'a> = &'a (dyn Fn(u64, u64, u64) + Send + Sync);

/// Collects what a mover says.
pub(crate) struct Fillings<'a> {
    on_progress: OnProgress<'a>,
    restored: HashMap<String, Said>,
    problems: Vec<(String, Problem)>,
    failed: Option<String>,
}

struct Said {
    proof: String,
    filled: Filled,
}

impl<'a> Fillings<'a> {
    pub(crate) fn new(on_progress: OnProgress<'a>) -> Self {
        Self { on_progress, restored: HashMap::new(), problems: Vec::new(), failed: None }
    }

    /// What was done with this volume, if it was said with this proof.
    pub(crate) fn proven(&mut self, proof: &str, volume: &VolumeRestore) -> Option<Filled> {
        let subject = format!("{}/{}", volume.namespace, volume.claim);
        let said = self.restored.remove(&subject).filter(|said| said.proof == proof)?;
        let problems = self.problems.iter().filter(|(of, _)| *of == subject).map(|(_, problem)| Problem {
            subject: format!("{subject}:{}", problem.subject),
            ..problem.clone()
        });
        Some(Filled { problems: problems.collect(), ..said.filled })
    }

    /// Why nothing was proven.
    pub(crate) fn reason(&self, followed: &Result<Followed>) -> String {
        match (&self.failed, followed) {
            (Some(message), _) => message.clone(),
            (None, Ok(Followed::Ended { code, message })) => {
                format!("it ended with exit code {code} ({message})")
            }
            (None, Ok(Followed::Gone)) => "its pod was deleted".to_owned(),
            (None, Ok(Followed::Lost { node })) => format!("its node {node} does not answer"),
            (None, Err(error)) => error.to_string(),
        }
    }
}

impl Observed for Fillings<'_> {
    fn event(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        match event {
            Event::Progress { entries, bytes, bytes_moved, .. } => {
                (self.on_progress)(entries, bytes, bytes_moved);
            }
            Event::Problem { namespace, claim, problem } => {
                self.problems.push((format!("{namespace}/{claim}"), problem));
            }
            Event::Restored {
                namespace,
                claim,
                entries,
                bytes,
                bytes_written,
                changed,
                deleted,
                verified,
                proof,
            } => {
                let problems = Vec::new();
                let filled = Filled { entries, bytes, bytes_written, changed, deleted, verified, problems };
                self.restored.insert(format!("{namespace}/{claim}"), Said { proof, filled });
            }
            Event::Failed { message, .. } => self.failed = Some(message),
            Event::Phase { .. } | Event::Captured { .. } => {}
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn again(&mut self) {
        self.restored.clear();
        self.problems.clear();
        self.failed = None;
    }
}
