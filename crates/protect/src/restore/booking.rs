//! What is booked of each object: its verdict, what is wrong with it, and what later steps have to
//! know of it.

use holdfast_cluster::{Error as Cause, Reason, kinds};
use holdfast_model::restore::{ObjectResult, Verdict};
use holdfast_model::{ObjectRef, Problem, ResourceType};

use super::comparison::Settled;
use super::outgoing::Outgoing;
use super::ready;
use super::remarks;
use super::session::{Pass, Session};

impl Session {
    /// Books an object that is at the target now, or was decided about there.
    pub(super) fn settled(&self, outgoing: &Outgoing, settled: Settled) {
        let Outgoing { entry, bytes, sending, placement } = outgoing;
        let target = &sending.target;
        self.remember(&placement.of, target, &settled);
        for place in &sending.unmapped {
            self.tally.note(remarks::not_mapped(target, place));
        }
        if sending.had_status && settled.verdict == Verdict::Created && !outgoing.is_built_in() {
            self.tally.status_left_behind(&entry.resource);
        }
        for warning in &settled.warnings {
            self.warned(target, warning, placement.bridged);
        }
        match settled.verdict {
            Verdict::Differs => self.tally.problem(differs(target, &settled)),
            Verdict::Failed => {
                let (code, hint) = settled.failure.unwrap_or(("restore.failed", ""));
                self.tally.problem(Problem::new(code, target.to_string(), &settled.reason).hint(hint));
            }
            _ => {}
        }
        let Settled { verdict, reason, changes, .. } = settled;
        let result = ObjectResult { object: target.clone(), verdict, reason, changes };
        self.tally.object(&entry.resource, result, *bytes);
    }

    /// Books what the server remarked. Fields that it does not know are lost, and that is a problem;
    /// where versions differ they are found by comparison.
    fn warned(&self, target: &ObjectRef, warning: &str, bridged: bool) {
        match remarks::unknown_field(target, warning) {
            Some(_) if bridged => {}
            Some(problem) => self.tally.problem(problem),
            None => self.tally.note(remarks::remarked(target, warning)),
        }
    }

    fn remember(&self, of: &ResourceType, target: &ObjectRef, settled: &Settled) {
        let as_wanted = matches!(settled.verdict, Verdict::Created | Verdict::Updated | Verdict::Unchanged);
        let mut found = self.found();
        if *of == kinds::namespaces() && settled.verdict == Verdict::Created {
            found.new_namespaces.insert(target.name.clone());
        }
        if of.group_kind() == kinds::custom_resource_definitions().group_kind()
            && settled.verdict != Verdict::Failed
        {
            found.definitions.insert(target.name.clone());
        }
        if as_wanted && ready::can_be_ready(&of.group_kind()) {
            found.workloads.push(ready::Candidate { of: of.clone(), target: target.clone() });
        }
    }

    /// Books an object that the server refused, or keeps it for another try.
    pub(super) fn refused(&self, outgoing: &Outgoing, pass: Pass, error: &Cause) {
        if pass != Pass::Again && may_work_later(error) {
            self.found().again.push(outgoing.entry.clone());
            return;
        }
        let target = outgoing.sending.target.clone();
        self.tally.problem(Problem::new(error.code(), target.to_string(), error.to_string()));
        self.tally.object(&outgoing.entry.resource, failed(target, error.to_string()), outgoing.bytes);
    }
}

pub(super) fn result(object: ObjectRef, verdict: Verdict, reason: String) -> ObjectResult {
    ObjectResult { object, verdict, reason, changes: Vec::new() }
}

pub(super) fn failed(object: ObjectRef, reason: String) -> ObjectResult {
    result(object, Verdict::Failed, reason)
}

fn differs(target: &ObjectRef, settled: &Settled) -> Problem {
    const SHOWN: usize = 5;
    let mut places: Vec<&str> =
        settled.changes.iter().take(SHOWN).map(|change| change.path.as_str()).collect();
    if settled.changes.len() > SHOWN {
        places.push("…");
    }
    let message = format!("{}; it differs at {}", settled.reason, places.join(", "));
    Problem::new("restore.differs", target.to_string(), message)
        .hint("--existing replace (or KIND=replace) makes it as in the point, merge adds to it; --namespace-map restores beside it")
}

/// Errors after which no other object would fare better.
pub(super) fn is_fatal(error: &Cause) -> bool {
    match error {
        Cause::Unreachable { .. } | Cause::Credential { .. } | Cause::Interrupted { .. } => true,
        _ => matches!(error.reason(), Some(Reason::Unauthorized)),
    }
}

/// A webhook may be served by a workload of the application itself; the account of a new
/// namespace is made by a controller.
fn may_work_later(error: &Cause) -> bool {
    match error.reason() {
        Some(Reason::WebhookDown(_)) => true,
        Some(Reason::Forbidden) => error.to_string().contains("error looking up service account"),
        _ => false,
    }
}
