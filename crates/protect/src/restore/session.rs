//! One restore under way: what is known of point and target, and the passes over the objects.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::{Stream, StreamExt, TryStreamExt};
use holdfast_cluster::Cluster;
use holdfast_model::restore::{Chooser, InvalidTerms, Modifiers, Policy, PolicyBook, Terms, order};
use holdfast_model::{Problem, ResourceType};

use serde_json::Value;

use super::claims::Claims;
use super::owners::Owners;
use super::ready;
use super::served::Served;
use super::sought::Sought;
use super::source::{self, Fetched};
use super::state::AsPlanned;
use super::tally::Tally;
use crate::error::{Error, Result};
use crate::point::{ObjectEntry, OpenPoint};

/// Objects that are worked on at once; how many requests are under way the cluster decides.
const AT_ONCE: usize = 64;
/// Rounds over the objects that wait for owners: as long a chain of owners as anybody makes.
const OWNER_ROUNDS: usize = 8;

/// Everything that the parts of a restore share.
pub(super) struct Session {
    pub(super) cluster: Cluster,
    pub(super) point: OpenPoint,
    pub(super) terms: Terms,
    chooser: Arc<Chooser>,
    pub(super) sought: Sought,
    policies: PolicyBook,
    pub(super) modifiers: Modifiers,
    pub(super) as_planned: Option<AsPlanned>,
    pub(super) tally: Tally,
    pub(super) claims: Claims,
    served: RwLock<Arc<Served>>,
    pub(super) owners: Owners,
    found: Mutex<Found>,
}

/// What later steps want to know of earlier ones.
#[derive(Default)]
pub(super) struct Found {
    /// Namespaces that this run created.
    pub(super) new_namespaces: BTreeSet<String>,
    /// CustomResourceDefinitions of the point that are at the target.
    pub(super) definitions: BTreeSet<String>,
    /// What is to become ready.
    pub(super) workloads: Vec<ready::Candidate>,
    /// What is to be tried again.
    pub(super) again: Vec<ObjectEntry>,
}

/// Which time an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// In its own level.
    First,
    /// At the end of a level, after its owners; in the last round whoever is not there is left out.
    Owned { level: usize, last: bool },
    /// After the workloads are ready, because a webhook did not answer before.
    Again,
}

impl Session {
    pub(super) async fn new(cluster: Cluster, point: OpenPoint, terms: Terms, tally: Tally) -> Result<Self> {
        let served = RwLock::new(Arc::new(Served::discover(&cluster).await?));
        let claims = Claims::of(&point.point);
        let chooser = Arc::new(terms.selection.chooser().map_err(InvalidTerms::from)?);
        let sought = Sought::of(&terms, Arc::clone(&chooser));
        let policies = terms.existing.book().map_err(InvalidTerms::from)?;
        let modifiers = Modifiers::new(&terms.modifiers).map_err(InvalidTerms::from)?;
        Ok(Self {
            cluster,
            point,
            terms,
            chooser,
            sought,
            policies,
            modifiers,
            as_planned: None,
            tally,
            claims,
            served,
            owners: Owners::default(),
            found: Mutex::default(),
        })
    }

    pub(super) fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn served(&self) -> Arc<Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn discover_again(&self) -> Result<()> {
        let served = Arc::new(Served::discover(&self.cluster).await?);
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
        Ok(())
    }

    /// The objects of some of the types that are chosen, as far as their names tell.
    pub(super) fn entries(
        &self,
        keep: impl Fn(&ResourceType) -> bool + Send + 'static,
    ) -> impl Stream<Item = Result<ObjectEntry, Problem>> + Send + 'static {
        let (of_types, of_names) = (Arc::clone(&self.chooser), Arc::clone(&self.chooser));
        let entries = self.point.objects_of(move |of| of_types.takes_type(of) && keep(of));
        entries.filter(move |entry| {
            let may_be = entry.as_ref().map_or(true, |entry| {
                let object = entry.object_ref();
                let name = object.as_ref().map(|object| object.name.as_str());
                of_names.may_take(&entry.resource, entry.namespace.as_deref(), name)
            });
            std::future::ready(may_be)
        })
    }

    /// Whether an object of the point is among those that are restored.
    pub(super) fn chooses(&self, of: &ResourceType, namespace: Option<&str>, object: &Value) -> bool {
        let is_chosen = self.chooser.takes(of, namespace, object);
        if is_chosen {
            self.sought.met(of, namespace, object);
        }
        is_chosen
    }

    /// Whether an object that the point does not have would be among those that are restored if it had.
    pub(super) fn is_chosen(&self, of: &ResourceType, namespace: Option<&str>, object: &Value) -> bool {
        self.chooser.takes(of, namespace, object)
    }

    /// What was chosen and is not in the point, as far as it was walked.
    pub(super) fn missed(&self) -> Vec<Problem> {
        self.sought.missed()
    }

    /// What is to be done if an object is there and differs.
    pub(super) fn policy(&self, of: &ResourceType, object: &Value) -> Policy {
        self.policies.of(of, object)
    }

    /// Whether any object of this type may be chosen.
    pub(super) fn chooses_type(&self, of: &ResourceType) -> bool {
        self.chooser.takes_type(of)
    }

    /// Names of the CustomResourceDefinitions that are at the target and in the point.
    pub(super) fn definitions(&self) -> BTreeSet<String> {
        self.found().definitions.clone()
    }

    /// Takes the workloads that were restored since it was last asked.
    pub(super) fn take_workloads(&self) -> Vec<ready::Candidate> {
        std::mem::take(&mut self.found().workloads)
    }

    /// Restores the objects of one level, and then those that waited for owners in it.
    pub(super) async fn level(&self, level: usize) -> Result<()> {
        let mine = move |of: &ResourceType| order::level(&of.group_kind()) == level;
        self.all(self.entries(mine), Pass::First).await
    }

    /// Restores the objects that waited for owners of this level, owners before what they own.
    pub(super) async fn owned(&self, level: usize) -> Result<()> {
        let mut waiting = self.owners.waiting(level);
        for round in 1..=OWNER_ROUNDS {
            if waiting.is_empty() {
                break;
            }
            let before = waiting.len();
            let last = round == OWNER_ROUNDS;
            let entries = futures::stream::iter(waiting.into_iter().map(Ok));
            self.all(entries, Pass::Owned { level, last }).await?;
            waiting = self.owners.waiting(level);
            if waiting.len() == before {
                let entries = futures::stream::iter(waiting.into_iter().map(Ok));
                return self.all(entries, Pass::Owned { level, last: true }).await;
            }
        }
        self.owners.relink(&self.cluster, &self.served(), level, &self.tally).await
    }

    /// Tries again what failed because a webhook, or an account, was not there yet.
    pub(super) async fn again(&self) -> Result<()> {
        let again = std::mem::take(&mut self.found().again);
        self.all(futures::stream::iter(again.into_iter().map(Ok)), Pass::Again).await
    }

    /// Whether anything is to be tried again.
    pub(super) fn has_more(&self) -> bool {
        !self.found().again.is_empty()
    }

    async fn all(
        &self,
        entries: impl Stream<Item = Result<ObjectEntry, Problem>> + Send + 'static,
        pass: Pass,
    ) -> Result<()> {
        let objects = source::fetch(&self.point.reader, entries).map(Ok::<Fetched, Error>);
        objects.try_for_each_concurrent(AT_ONCE, |fetched| self.one(fetched, pass)).await
    }
}
