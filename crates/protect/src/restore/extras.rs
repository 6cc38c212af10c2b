//! What of an application is at the target and not in the point: named by a plan, and deleted by a restore that may.
//!
//! It is what a backup of the application would capture there and a restore would send, in the namespaces of the
//! point alone. What others own goes with its owners, and what holds data, or owns what does, stays.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::StreamExt;
use holdfast_cluster::{Discovery, Error as Cause, ListEvent, ListOptions, RawObject};
use holdfast_model::label::EXCLUDE;
use holdfast_model::restore::owner::{self, Owner};
use holdfast_model::restore::plan::LiveState;
use holdfast_model::restore::reverter::{self, Reverter};
use holdfast_model::restore::{Existing, holds_data, order, skip};
use holdfast_model::scope::Selector;
use holdfast_model::{GroupKind, ObjectRef, Outcome, Problem, ResourceType};
use serde_json::Value;

use super::booking::is_fatal;
use super::session::Session;
use super::state::state_of;
use crate::capture::{marked, selected, stale};
use crate::error::{Error, Result};
use crate::point::file_name;

/// Namespaces listed one by one up to this number.
const FEW: usize = 8;
/// As long a chain of owners as anybody makes.
const OWNERS: usize = 8;

const HINT: &str = "look at it; then plan again, or delete it by hand";

/// What is at the target and not in the point.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// What depends on others before these.
    pub(super) objects: Vec<Extra>,
    /// Where it could not be found out.
    pub(super) problems: Vec<Problem>,
}

/// An object that the point does not have.
#[derive(Debug)]
pub(super) struct Extra {
    /// The object; the type is that of the target.
    pub(super) object: ObjectRef,
    /// Index of the level in which such objects are restored.
    pub(super) level: usize,
    /// What it is now.
    pub(super) live: LiveState,
    pub(super) resource_version: String,
    /// Who else manages it.
    pub(super) may_revert: Vec<Reverter>,
    /// Why it is not deleted, if it is not.
    pub(super) kept: Option<String>,
}

/// What could not be told of the target or the point, so that nothing is deleted.
pub(super) fn unclear(subject: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem::new("restore.not_pruned", subject, message).hint(HINT)
}

impl Session {
    /// Finds out what the point does not have and the terms would have deleted.
    ///
    /// # Errors
    /// A cluster that cannot be reached, or a vault; what is refused for one type is a problem in the result.
    pub(super) async fn extras(&self) -> Result<Extras> {
        let mut found = Extras::default();
        if !self.terms.existing.prunes() {
            return Ok(found);
        }
        let point = &self.point.point;
        if point.outcome != Outcome::Completed {
            let message = "it is Partial: what it does not have may be what could not be captured";
            found.problems.push(unclear(format!("point {}", point.id), message));
            return Ok(found);
        }
        let selector = Selector::new(&point.spec.scope)
            .map_err(|source| Error::Scope { application: point.application_name.clone(), source })?;
        let search =
            Search { session: self, labels: selector.labels.clone(), grounds: self.grounds().await? };
        let served = self.served();
        found.problems.extend(stale(served.discovery()));
        for of in selected(served.discovery(), &selector, true) {
            if of.namespaced && self.chooses_type(&of) {
                search.of_type(&of, &mut found).await?;
            }
        }
        if found.objects.iter().any(|extra| extra.kept.is_none()) {
            search.keep_owners_of_data(served.discovery(), &mut found).await?;
        }
        found.objects.sort_by(|a, b| (b.level, &a.object).cmp(&(a.level, &b.object)));
        found.objects.dedup_by(|a, b| a.object == b.object);
        Ok(found)
    }

    /// The namespaces of the point by what they are called at the target.
    async fn grounds(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut grounds: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in self.point.all_namespaces().await? {
            grounds.entry(self.terms.mapping.namespace(&name).to_owned()).or_default().push(name);
        }
        Ok(grounds)
    }
}

/// A search under way.
struct Search<'a> {
    session: &'a Session,
    labels: Option<String>,
    /// Namespaces of the target, and what they are called in the point.
    grounds: BTreeMap<String, Vec<String>>,
}

/// Files of the objects of one type in the point, by the namespace that they go to.
type Held = HashSet<(String, String)>;

impl Search<'_> {
    async fn of_type(&self, of: &ResourceType, found: &mut Extras) -> Result<()> {
        let held = match self.held(of).await {
            Ok(held) => held,
            Err(problem) => {
                found.problems.push(problem);
                return Ok(());
            }
        };
        if self.grounds.len() > FEW {
            match self.list(of, None, &held, found).await {
                // Whoever may not read all namespaces may still read these.
                Err(error) if error.is_forbidden() => {}
                listed => return self.or_problem(of, None, listed, found),
            }
        }
        for namespace in self.grounds.keys() {
            let listed = self.list(of, Some(namespace), &held, found).await;
            self.or_problem(of, Some(namespace), listed, found)?;
        }
        Ok(())
    }

    fn or_problem(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        listed: Result<(), Cause>,
        found: &mut Extras,
    ) -> Result<()> {
        let Err(error) = listed else { return Ok(()) };
        if is_fatal(&error) {
            return Err(error.into());
        }
        let subject = match namespace {
            Some(namespace) => format!("all {of} in namespace {namespace}"),
            None => format!("all {of}"),
        };
        found.problems.push(unclear(subject, error.to_string()));
        Ok(())
    }

    /// What the point has of a type, at whatever version, chosen or not.
    async fn held(&self, of: &ResourceType) -> Result<Held, Problem> {
        let kind = of.plural_group();
        let mut entries = std::pin::pin!(self.session.point.objects_of(move |it| it.plural_group() == kind));
        let mut held = Held::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(|problem| unclear(format!("all {of}"), problem.to_string()))?;
            let namespace =
                self.session.terms.mapping.namespace(entry.namespace.as_deref().unwrap_or_default());
            held.insert((namespace.to_owned(), entry.file().to_owned()));
        }
        Ok(held)
    }

    async fn list(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        held: &Held,
        found: &mut Extras,
    ) -> Result<(), Cause> {
        let namespace = namespace.map(str::to_owned);
        let options = ListOptions { namespace, labels: self.labels.clone(), ..ListOptions::default() };
        let mut events = std::pin::pin!(self.session.cluster.list(of, options));
        while let Some(event) = events.next().await {
            let ListEvent::Page { items, .. } = event? else { continue };
            let extras = items.iter().filter_map(|object| self.extra(of, object, held));
            found.objects.extend(extras);
        }
        Ok(())
    }

    /// The object, if it is to be deleted or would be if it held no data.
    fn extra(&self, of: &ResourceType, object: &RawObject, held: &Held) -> Option<Extra> {
        let metadata = &object.metadata;
        let namespace = metadata.namespace.as_deref()?;
        let sources = self.grounds.get(namespace)?;
        let is_held = held.contains(&(namespace.to_owned(), file_name(&metadata.name)));
        let goes_with_others = !metadata.owner_references.is_empty();
        if is_held || goes_with_others || marked(metadata, EXCLUDE).is_some() || is_given(of, &metadata.name)
        {
            return None;
        }
        let mut live = object.parse().ok()?;
        let state = state_of(&of.group_kind(), &live);
        let may_revert = reverter::reverters(&live, &[]);
        // Whether it has ended decides whether it is created again, not whether it is of the application.
        live.as_object_mut()?.remove("status");
        let is_chosen = sources.iter().any(|source| self.session.is_chosen(of, Some(source), &live));
        let policy = self.session.policy(of, &live).existing;
        if skip::reason(of, &live).is_some() || !is_chosen || policy != Existing::Prune {
            return None;
        }
        let kind = of.group_kind();
        Some(Extra {
            object: object.object_ref(of),
            level: order::level(&kind),
            live: state,
            resource_version: metadata.resource_version.clone(),
            may_revert,
            kept: holds_data(&kind).then(|| "not in the point, and stays, since it holds data".to_owned()),
        })
    }

    /// Deleting an owner deletes what it owns. That must not be data, whatever lies between.
    async fn keep_owners_of_data(&self, served: &Discovery, found: &mut Extras) -> Result<()> {
        let listable = served.preferred().filter(|resource| resource.can("list"));
        let data: Vec<&ResourceType> =
            listable.map(|it| &it.of).filter(|of| of.namespaced && holds_data(&of.group_kind())).collect();
        let touched: BTreeSet<&str> =
            found.objects.iter().filter_map(|extra| extra.object.namespace.as_deref()).collect();
        let mut keepers = BTreeMap::new();
        let mut problems = Vec::new();
        for namespace in touched {
            for of in &data {
                let options = ListOptions::in_namespace(namespace);
                match self.session.cluster.list_all(of, options).await {
                    Ok(objects) => {
                        for object in objects {
                            if let Some(problem) = self.climb(namespace, &object, of, &mut keepers).await? {
                                problems.push((namespace.to_owned(), problem));
                            }
                        }
                    }
                    Err(error) if is_fatal(&error) => return Err(error.into()),
                    Err(error) => {
                        let subject = format!("namespace {namespace}");
                        problems.push((namespace.to_owned(), unclear(subject, error.to_string())));
                    }
                }
            }
        }
        for (namespace, _) in &problems {
            found.objects.retain(|extra| extra.object.namespace.as_deref() != Some(namespace));
        }
        found.problems.extend(problems.into_iter().map(|(_, problem)| problem));
        for extra in &mut found.objects {
            if let Some(data) = keepers.get(&extra.live.uid) {
                let reason = format!("not in the point, and stays, since {data} would go with it");
                extra.kept.get_or_insert(reason);
            }
        }
        Ok(())
    }

    /// Notes down who owns an object that holds data, and who owns those; a problem if that cannot be told, since
    /// then any object of the namespace may be one of them.
    async fn climb(
        &self,
        namespace: &str,
        object: &RawObject,
        of: &ResourceType,
        keepers: &mut BTreeMap<String, ObjectRef>,
    ) -> Result<Option<Problem>> {
        let (data, session) = (object.object_ref(of), self.session);
        let unknown = |why: String| {
            let message = format!("who owns {data} cannot be told, so nothing of the namespace goes: {why}");
            Ok(Some(unclear(format!("namespace {namespace}"), message)))
        };
        let mut above = match object.parse() {
            Ok(object) => vec![object],
            Err(error) => return unknown(error.to_string()),
        };
        for _ in 0..OWNERS {
            let mut next = Vec::new();
            for mut owned in std::mem::take(&mut above) {
                let uids = uids(&owned);
                for (owner, uid) in owner::take(&mut owned).into_iter().zip(uids) {
                    // What a pod asks for as its scratch space is made to go with it.
                    let is_new = !is_pod(&owner) && keepers.insert(uid, data.clone()).is_none();
                    let served = session.served();
                    if !is_new {
                        continue;
                    }
                    let Some(of) = served.kind(&owner.api_version, &owner.kind) else {
                        return unknown(format!("{owner} is of a kind that is not served"));
                    };
                    let namespace = of.namespaced.then_some(namespace);
                    match session.cluster.get(of, namespace, &owner.name).await {
                        Ok(found) => next.extend(found),
                        Err(error) if is_fatal(&error) => return Err(error.into()),
                        Err(error) => return unknown(error.to_string()),
                    }
                }
            }
            above = next;
        }
        if above.is_empty() { Ok(None) } else { unknown(format!("there are more than {OWNERS} above it")) }
    }
}

fn is_pod(owner: &Owner) -> bool {
    owner.group_kind() == GroupKind::new("", "Pod")
}

/// The uids of those owners that have all that [`owner::take`] asks for.
fn uids(object: &Value) -> Vec<String> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let is_whole = |owner: &&Value| {
        ["apiVersion", "kind", "name"].iter().all(|key| owner[*key].as_str().is_some_and(|it| !it.is_empty()))
    };
    owners.filter(is_whole).map(|owner| owner["uid"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What every namespace is given.
fn is_given(of: &ResourceType, name: &str) -> bool {
    of.group_kind() == GroupKind::new("", "ServiceAccount") && name == "default"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn owners_and_their_uids_are_the_same_ones() {
        let entry =
            |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
        let mut object =
            json!({"metadata": {"ownerReferences": [entry("", "x"), entry("a", "1"), entry("b", "2")]}});
        let uids = uids(&object);
        let owners = owner::take(&mut object);
        let names: Vec<&str> = owners.iter().map(|owner| owner.name.as_str()).collect();
        assert_eq!((names, uids), (vec!["a", "b"], vec!["1".to_owned(), "2".to_owned()]));
        assert!(owners.iter().all(is_pod));
    }
}
