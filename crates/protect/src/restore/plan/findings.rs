//! What a plan has found: counted as it goes, named where it needs telling, and remembered for the
//! levels that come after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_cluster::kinds;
use holdfast_model::point::Point;
use holdfast_model::restore::order::{self, LEVELS};
use holdfast_model::restore::plan::{
    DryRunCount, Planned, PlannedKind, PlannedLevel, Privileged, Reverted, Verdict, VerdictKind, Waiting,
};
use holdfast_model::restore::reverter::Reverter;
use holdfast_model::{GroupKind, Outcome, Problem, ResourceType};
use serde_json::Value;

use super::OnPlanned;
use crate::progress::{Event, Observer};

/// Objects of one type are announced after so many.
const ANNOUNCE_EVERY: u64 = 50;
/// Notes that are kept word for word.
const MOST_NOTES: usize = 1000;
/// Bytes of differing values that are kept in all; of what differs beyond them only the place is told.
const MOST_VALUES: usize = 16 << 20;

/// An object that was judged, its type in the point, and the length of its JSON there.
pub(super) struct Weighed {
    pub(super) of: ResourceType,
    pub(super) planned: Planned,
    pub(super) bytes: u64,
}

/// It waits for this level.
pub(super) fn until(level: usize, reason: String) -> Verdict {
    Verdict::Unknown { until: LEVELS[level].name.to_owned(), reason }
}

/// Collects the findings. Memory grows with what needs telling.
pub(super) struct Findings {
    observer: Arc<dyn Observer>,
    on_object: Option<OnPlanned>,
    totals: BTreeMap<ResourceType, u64>,
    made: AtomicU64,
    inferred: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kinds: BTreeMap<(usize, ResourceType), Counts>,
    objects: Vec<Planned>,
    values: usize,
    shortened: u64,
    waiting: BTreeMap<(String, String), u64>,
    reverters: BTreeMap<Reverter, u64>,
    privileged: Vec<Privileged>,
    problems: BTreeSet<Problem>,
    notes: BTreeSet<String>,
    notes_omitted: usize,
    promised: Promised,
}

#[derive(Default)]
struct Counts {
    verdicts: BTreeMap<VerdictKind, u64>,
    done: u64,
    bytes: u64,
}

/// What the restore would bring before its later levels.
#[derive(Default)]
struct Promised {
    namespaces: BTreeSet<String>,
    definitions: BTreeSet<String>,
    kinds: BTreeSet<GroupKind>,
}

/// What the findings come to.
pub(super) struct Total {
    pub(super) outcome: Outcome,
    pub(super) levels: Vec<PlannedLevel>,
    pub(super) objects: Vec<Planned>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) may_revert: Vec<Reverted>,
    pub(super) privileged: Vec<Privileged>,
    pub(super) dry_runs: DryRunCount,
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

impl Findings {
    /// Findings about those types of a point that are chosen.
    pub(super) fn new(
        point: &Point,
        chooses: impl Fn(&ResourceType) -> bool,
        observer: Arc<dyn Observer>,
        on_object: Option<OnPlanned>,
    ) -> Self {
        let kinds = point.kinds.iter().filter(|kind| chooses(&kind.resource));
        let totals = kinds.map(|kind| (kind.resource.clone(), kind.objects)).collect();
        let (made, inferred) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { observer, on_object, totals, made, inferred, state: Mutex::default() }
    }

    /// Findings that nobody hears of, about a point without objects.
    #[cfg(test)]
    pub(super) fn silent() -> Self {
        let (made, inferred) = (AtomicU64::new(0), AtomicU64::new(0));
        let (observer, totals) = (Arc::new(crate::progress::Silent), BTreeMap::new());
        Self { observer, on_object: None, totals, made, inferred, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One object was judged.
    pub(super) fn object(&self, weighed: Weighed) {
        if let Some(tell) = &self.on_object {
            tell(&weighed.planned);
        }
        let Weighed { of, planned, bytes } = weighed;
        let total = self.totals.get(&of).copied();
        let mut state = self.state();
        let counts = state.kinds.entry((planned.level, of.clone())).or_default();
        *counts.verdicts.entry(planned.verdict.kind()).or_default() += 1;
        (counts.done, counts.bytes) = (counts.done + 1, counts.bytes + bytes);
        let (done, bytes) = (counts.done, counts.bytes);
        state.keep(planned);
        drop(state);
        if done % ANNOUNCE_EVERY == 0 || Some(done) == total {
            self.observer.event(Event::Objects { kind: of.to_string(), done, total, bytes });
        }
    }

    /// Something beside the objects themselves would not be as it should.
    pub(super) fn problem(&self, problem: Problem) {
        self.state().problems.insert(problem);
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

    /// A dry run is made.
    pub(super) fn dry_run_made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// An object was judged by the dry run of another.
    pub(super) fn inferred(&self) {
        self.inferred.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the restore would create this namespace.
    pub(super) fn promises_namespace(&self, name: &str) -> bool {
        self.state().promised.namespaces.contains(name)
    }

    /// Whether the restore would create objects of this kind.
    pub(super) fn promises_kind(&self, kind: &GroupKind) -> bool {
        self.state().promised.kinds.contains(kind)
    }

    /// What objects of this type wait for if the restore would create their definition.
    pub(super) fn promised_definition(&self, of: &ResourceType) -> Option<Verdict> {
        let level = order::level(&kinds::custom_resource_definitions().group_kind());
        let promised = self.state().promised.definitions.contains(&of.plural_group());
        promised.then(|| until(level, format!("the definition of {of} is created first")))
    }

    /// Whether something that runs may be restored.
    pub(super) fn holds_workloads(&self) -> bool {
        let workloads = order::level(&GroupKind::new("apps", "Deployment"));
        self.totals.iter().any(|(of, count)| *count > 0 && order::level(&of.group_kind()) == workloads)
    }

    /// Ends the collection.
    pub(super) fn total(&self) -> Total {
        let state = std::mem::take(&mut *self.state());
        let dry_runs = DryRunCount {
            made: self.made.load(Ordering::Relaxed),
            inferred: self.inferred.load(Ordering::Relaxed),
        };
        state.total(dry_runs)
    }
}

impl State {
    fn keep(&mut self, mut planned: Planned) {
        let kind = planned.verdict.kind();
        if kind.writes() || kind == VerdictKind::Delete {
            for reverter in &planned.may_revert {
                *self.reverters.entry(reverter.clone()).or_default() += 1;
            }
        }
        if kind.writes() {
            self.promise(&planned);
            if !planned.privilege.is_empty() {
                let (object, why) = (planned.object.clone(), planned.privilege.clone());
                self.privileged.push(Privileged { object, why });
            }
        }
        if let Verdict::Unknown { until, reason } = &planned.verdict {
            *self.waiting.entry((until.clone(), reason.clone())).or_default() += 1;
        }
        if kind.is_named() {
            // It is of use to who is told of every object, and of none to a reader.
            planned.live = None;
            self.shorten(&mut planned);
            self.objects.push(planned);
        }
    }

    fn promise(&mut self, planned: &Planned) {
        if planned.verdict.kind() == VerdictKind::Update {
            return;
        }
        let object = &planned.object;
        let kind = object.resource.group_kind();
        if kind == kinds::namespaces().group_kind() {
            self.promised.namespaces.insert(object.name.clone());
        }
        if kind == kinds::custom_resource_definitions().group_kind() {
            self.promised.definitions.insert(object.name.clone());
        }
        if !self.promised.kinds.contains(&kind) {
            self.promised.kinds.insert(kind);
        }
    }

    /// Drops values once all that are kept would take too much memory.
    fn shorten(&mut self, planned: &mut Planned) {
        let length = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.to_string().len());
        let Some(difference) = planned.verdict.difference_mut() else { return };
        let values: usize =
            difference.iter().map(|change| length(&change.before) + length(&change.after)).sum();
        if self.values + values <= MOST_VALUES {
            self.values += values;
            return;
        }
        self.shortened += 1;
        difference.iter_mut().for_each(|change| (change.before, change.after) = (None, None));
    }

    fn total(self, dry_runs: DryRunCount) -> Total {
        let mut levels: Vec<PlannedLevel> = Vec::new();
        let mut hindered = !self.problems.is_empty();
        for ((level, resource), Counts { verdicts, .. }) in self.kinds {
            hindered |= verdicts.keys().any(|verdict| verdict.hinders());
            if levels.last().is_none_or(|last| last.level != level) {
                let name = LEVELS[level].name.to_owned();
                levels.push(PlannedLevel { level, name, kinds: Vec::new() });
            }
            if let Some(last) = levels.last_mut() {
                last.kinds.push(PlannedKind { resource, verdicts });
            }
        }
        let mut notes: Vec<String> = self.notes.into_iter().collect();
        if self.notes_omitted > 0 {
            notes.push(format!("and {} more like these", self.notes_omitted));
        }
        if self.shortened > 0 {
            notes.push(format!(
                "of {} objects only the places that differ are told, not their values: they would take too much memory",
                self.shortened
            ));
        }
        let mut objects = self.objects;
        objects.sort_by(|a, b| (a.level, &a.object).cmp(&(b.level, &b.object)));
        let mut privileged = self.privileged;
        privileged.sort_by(|a, b| a.object.cmp(&b.object));
        let waiting = self.waiting.into_iter();
        let reverters = self.reverters.into_iter();
        Total {
            outcome: if hindered { Outcome::Partial } else { Outcome::Completed },
            levels,
            objects,
            waiting: waiting.map(|((until, reason), objects)| Waiting { until, reason, objects }).collect(),
            may_revert: reverters.map(|(by, objects)| Reverted { by, objects }).collect(),
            privileged,
            dry_runs,
            notes,
            problems: self.problems.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_model::ObjectRef;
    use holdfast_model::restore::{Change, ChangeKind};

    use super::*;

    fn judged(of: &ResourceType, name: &str, verdict: Verdict) -> Weighed {
        let namespace = of.namespaced.then(|| "shop".to_owned());
        let object = ObjectRef { resource: of.clone(), namespace, name: name.into() };
        let level = order::level(&of.group_kind());
        let (may_revert, privilege) = (Vec::new(), Vec::new());
        let planned = Planned { object, level, verdict, may_revert, privilege, live: None };
        Weighed { of: of.clone(), planned, bytes: 1 }
    }

    fn update(value: &str) -> Verdict {
        let (before, after) = (Some(Value::from("")), Some(Value::from(value)));
        let change = Change { path: "data.a".into(), kind: ChangeKind::Changed, before, after };
        Verdict::Update { difference: vec![change] }
    }

    #[test]
    fn what_goes_well_is_counted_and_the_rest_is_told_in_the_order_of_levels() {
        let findings = Findings::silent();
        let conflict = Verdict::Conflict { reason: "differs".into(), difference: Vec::new() };
        for weighed in [
            judged(&kinds::deployments(), "web", update("x")),
            judged(&kinds::secrets(), "b", conflict),
            judged(&kinds::secrets(), "a", Verdict::Create),
            judged(&kinds::secrets(), "c", Verdict::Identical),
            judged(&kinds::secrets(), "d", until(0, "namespace shop is created first".into())),
        ] {
            findings.object(weighed);
        }
        let total = findings.total();
        let named: Vec<&str> = total.objects.iter().map(|planned| planned.object.name.as_str()).collect();
        assert_eq!(named, ["b", "web"]);
        let secrets = &total.levels[0].kinds[0].verdicts;
        assert_eq!(secrets.values().sum::<u64>(), 4);
        assert_eq!((total.waiting[0].objects, total.waiting[0].until.as_str()), (1, "namespaces"));
        assert_eq!(total.outcome, Outcome::Partial);
    }

    #[test]
    fn what_would_be_created_is_promised_to_later_levels() {
        let findings = Findings::silent();
        findings.object(judged(&kinds::namespaces(), "shop", Verdict::Create));
        findings.object(judged(&kinds::namespaces(), "bank", Verdict::Identical));
        let tills = kinds::custom_resource_definitions();
        findings.object(judged(&tills, "tills.shop.example", Verdict::Create));
        assert!(findings.promises_namespace("shop") && !findings.promises_namespace("bank"));
        assert!(findings.promises_kind(&kinds::namespaces().group_kind()));
        let till = kinds::resource("shop.example", "v1", "Till", "tills", true);
        assert!(matches!(findings.promised_definition(&till), Some(Verdict::Unknown { .. })));
        assert_eq!(findings.promised_definition(&kinds::secrets()), None);
        assert_eq!(findings.total().outcome, Outcome::Completed);
    }

    #[test]
    fn values_are_dropped_before_they_fill_the_memory() {
        let findings = Findings::silent();
        let value = "x".repeat(MOST_VALUES / 2 - 100);
        for name in ["a", "b", "c"] {
            findings.object(judged(&kinds::config_maps(), name, update(&value)));
        }
        let total = findings.total();
        let kept = |planned: &Planned| planned.verdict.difference()[0].after.is_some();
        assert_eq!(total.objects.iter().map(kept).collect::<Vec<_>>(), [true, true, false]);
        assert!(total.notes[0].starts_with("of 1 objects only the places"), "{:?}", total.notes);
    }
}
