//! What became of every object, counted as it happens; only what needs telling is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_model::restore::{KindReport, ObjectResult, Verdict};
use holdfast_model::{Problem, ResourceType};

use crate::progress::{Event, Observer, Silent};

/// Called with every object's result, created and unchanged ones included.
pub type OnObject = Arc<dyn Fn(&ObjectResult) + Send + Sync>;

/// Results of one type are announced after so many.
const ANNOUNCE_EVERY: u64 = 50;
/// Notes that are kept word for word.
const MOST_NOTES: usize = 1000;

/// Collects the results of a restore. Memory grows with what went wrong, not with what went well.
pub(super) struct Tally {
    observer: Arc<dyn Observer>,
    on_object: Option<OnObject>,
    totals: BTreeMap<ResourceType, u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kinds: BTreeMap<ResourceType, Counts>,
    objects: Vec<ObjectResult>,
    problems: BTreeSet<Problem>,
    notes: BTreeSet<String>,
    notes_omitted: usize,
    statuses: BTreeMap<ResourceType, u64>,
}

#[derive(Default)]
struct Counts {
    verdicts: BTreeMap<Verdict, u64>,
    done: u64,
    bytes: u64,
}

/// What a tally comes to.
pub(super) struct Total {
    pub(super) kinds: Vec<KindReport>,
    pub(super) objects: Vec<ObjectResult>,
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

impl Tally {
    /// A tally of a point that holds so many objects of each type.
    pub(super) fn new(
        observer: Arc<dyn Observer>,
        on_object: Option<OnObject>,
        totals: BTreeMap<ResourceType, u64>,
    ) -> Self {
        Self { observer, on_object, totals, state: Mutex::default() }
    }

    /// A tally that nobody asks for.
    pub(super) fn silent() -> Self {
        Self::new(Arc::new(Silent), None, BTreeMap::new())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One object is done with. `of` is its type in the point, `bytes` the length of its JSON.
    pub(super) fn object(&self, of: &ResourceType, result: ObjectResult, bytes: u64) {
        if let Some(tell) = &self.on_object {
            tell(&result);
        }
        let announcement = {
            let mut state = self.state();
            let counts = state.kinds.entry(of.clone()).or_default();
            *counts.verdicts.entry(result.verdict).or_default() += 1;
            (counts.done, counts.bytes) = (counts.done + 1, counts.bytes + bytes);
            let (done, bytes) = (counts.done, counts.bytes);
            let total = self.totals.get(of).copied();
            let worth_telling = !matches!(result.verdict, Verdict::Created | Verdict::Unchanged);
            if worth_telling || !result.reason.is_empty() {
                state.objects.push(result);
            }
            let due = done % ANNOUNCE_EVERY == 0 || Some(done) == total;
            due.then(|| Event::Objects { kind: of.to_string(), done, total, bytes })
        };
        if let Some(event) = announcement {
            self.observer.event(event);
        }
    }

    /// Something was not restored as it should be.
    pub(super) fn problem(&self, problem: Problem) {
        let new = self.state().problems.insert(problem.clone());
        if new {
            self.observer.event(Event::Problem(problem));
        }
    }

    /// Something that should be known.
    pub(super) fn note(&self, note: String) {
        let mut state = self.state();
        if state.notes.len() < MOST_NOTES {
            state.notes.insert(note);
        } else if !state.notes.contains(&note) {
            state.notes_omitted += 1;
        }
    }

    /// An object was restored without its status.
    pub(super) fn status_left_behind(&self, of: &ResourceType) {
        *self.state().statuses.entry(of.clone()).or_default() += 1;
    }

    /// Ends the tally.
    pub(super) fn total(&self) -> Total {
        let state = std::mem::take(&mut *self.state());
        let mut notes: Vec<String> = state.notes.into_iter().collect();
        notes.extend(state.statuses.iter().map(|(of, count)| {
            format!(
                "{count} {of}: `status` was not restored; whoever keeps state there must find it out anew"
            )
        }));
        if state.notes_omitted > 0 {
            notes.push(format!("and {} more like these", state.notes_omitted));
        }
        let kinds = state.kinds.into_iter();
        let kinds =
            kinds.map(|(resource, counts)| KindReport { resource, verdicts: counts.verdicts }).collect();
        let mut objects = state.objects;
        objects.sort_by(|a, b| a.object.cmp(&b.object));
        Total { kinds, objects, notes, problems: state.problems.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::kinds;
    use holdfast_model::ObjectRef;

    use super::*;

    fn result(name: &str, verdict: Verdict) -> ObjectResult {
        let object =
            ObjectRef { resource: kinds::secrets(), namespace: Some("shop".into()), name: name.into() };
        ObjectResult { object, verdict, reason: String::new(), changes: Vec::new() }
    }

    #[test]
    fn what_went_well_is_counted_and_not_kept() {
        let tally = Tally::new(Arc::new(Silent), None, BTreeMap::new());
        for (name, verdict) in [("a", Verdict::Created), ("b", Verdict::Created), ("c", Verdict::Failed)] {
            tally.object(&kinds::secrets(), result(name, verdict), 1);
        }
        let problem = Problem::new("x", "y", "z");
        tally.problem(problem.clone());
        tally.problem(problem);
        let total = tally.total();
        assert_eq!(total.kinds[0].verdicts, BTreeMap::from([(Verdict::Created, 2), (Verdict::Failed, 1)]));
        assert_eq!(total.objects.len(), 1);
        assert_eq!(total.problems.len(), 1);
    }

    #[test]
    fn every_result_is_told_to_who_asks() {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = seen.clone();
        let tell: OnObject = Arc::new(move |result| sink.lock().unwrap().push(result.object.name.clone()));
        let tally = Tally::new(Arc::new(Silent), Some(tell), BTreeMap::new());
        tally.object(&kinds::secrets(), result("a", Verdict::Created), 1);
        assert_eq!(*seen.lock().unwrap(), ["a"]);
    }
}
