//! What a capture or restore met that has to be told: problems, changes meanwhile, things left out.

use std::sync::{Mutex, PoisonError};

use holdfast_model::Problem;
use holdfast_model::point::Exclusion;
use serde::{Deserialize, Serialize};

/// How many of each sort are named; beyond that they are counted, so that a volume of a million
/// unreadable files does not fill the report.
const NAMED: usize = 1_000;

/// What was met. Each list names the first thousand; the counts are complete.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Findings {
    /// What could not be captured or restored.
    pub problems: Vec<Problem>,
    /// How many problems there are in all.
    pub problem_count: u64,
    /// Files that changed while they were read.
    pub changed: Vec<String>,
    /// How many changed in all.
    pub changed_count: u64,
    /// What was left out by its nature or by the options.
    pub excluded: Vec<Exclusion>,
    /// How many were left out in all.
    pub excluded_count: u64,
    /// Entries that were gone before they could be read.
    pub vanished: u64,
    /// What is no problem but good to know, for instance why more was read than had changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Findings {
    /// The problems, with one more that counts those beyond the named ones.
    pub fn all_problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        let more = self.problem_count.saturating_sub(problems.len() as u64);
        if more > 0 {
            let message = format!("{more} further places have problems; only the first {NAMED} are named");
            problems.push(Problem::new("file.more", "volume", message));
        }
        problems
    }
}

/// Findings that several threads add to.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Findings>);

impl Recorder {
    pub(crate) fn problem(&self, problem: Problem) {
        let mut findings = self.lock();
        findings.problem_count += 1;
        push_bounded(&mut findings.problems, problem);
    }

    pub(crate) fn changed(&self, path: String) {
        let mut findings = self.lock();
        findings.changed_count += 1;
        push_bounded(&mut findings.changed, path);
    }

    pub(crate) fn excluded(&self, subject: String, reason: &str) {
        let mut findings = self.lock();
        findings.excluded_count += 1;
        push_bounded(&mut findings.excluded, Exclusion { subject, reason: reason.to_owned() });
    }

    pub(crate) fn vanished(&self) {
        self.lock().vanished += 1;
    }

    pub(crate) fn note(&self, note: impl Into<String>) {
        push_bounded(&mut self.lock().notes, note.into());
    }

    /// The findings so far, sorted.
    pub(crate) fn snapshot(&self) -> Findings {
        sorted(self.lock().clone())
    }

    /// The findings, sorted so that two runs over the same tree report the same.
    pub(crate) fn into_findings(self) -> Findings {
        sorted(self.0.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Findings> {
        // The lists are whole after every push, also if a thread panicked elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sorted(mut findings: Findings) -> Findings {
    findings.problems.sort();
    findings.changed.sort();
    findings.excluded.sort_by(|a, b| a.subject.cmp(&b.subject));
    findings
}

fn push_bounded<T>(list: &mut Vec<T>, item: T) {
    if list.len() < NAMED {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_problems_is_counted_not_kept() {
        let recorder = Recorder::default();
        for n in 0..NAMED + 5 {
            recorder.problem(Problem::new("file.unreadable", format!("f{n:05}"), "denied"));
        }
        let findings = recorder.into_findings();
        assert_eq!(findings.problems.len(), NAMED);
        let told = findings.all_problems();
        assert_eq!(told.len(), NAMED + 1);
        assert!(told[NAMED].message.starts_with("5 further places"), "{}", told[NAMED]);
    }
}
