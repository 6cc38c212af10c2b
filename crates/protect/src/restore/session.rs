//! One restore under way: what is known of point and target, and each object's way from one to
//! the other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use holdfast_cluster::{Cluster, Error as Cause, Reason, kinds};
use holdfast_model::restore::owner::{self, Linking, Owner};
use holdfast_model::restore::{
    Existing, Mapping, ObjectResult, Prepared, Sending, Verdict, order, prepare, read,
};
use holdfast_model::{GroupKind, ObjectRef, Problem, ResourceType};
use serde_json::Value;

use super::claims::Claims;
use super::existing::{Circumstances, Settled, create_or_settle};
use super::owners::{self, Owners};
use super::ready;
use super::served::{Placement, Served};
use super::source::{self, Fetched, Lost};
use super::tally::Tally;
use crate::error::{Error, Result};
use crate::point::{ObjectEntry, OpenPoint, file_name};

/// Objects that are worked on at once; how many requests are under way the cluster decides.
const AT_ONCE: usize = 64;
/// Rounds over the objects that wait for owners: as long a chain of owners as anybody makes.
const OWNER_ROUNDS: usize = 8;

/// Everything that the parts of a restore share.
pub(super) struct Session {
    pub(super) cluster: Cluster,
    pub(super) point: OpenPoint,
    pub(super) mapping: Mapping,
    pub(super) existing: Existing,
    pub(super) tally: Tally,
    pub(super) claims: Claims,
    served: RwLock<Arc<Served>>,
    owners: Owners,
    found: Mutex<Found>,
}

/// What later steps want to know of earlier ones.
#[derive(Default)]
struct Found {
    new_namespaces: BTreeSet<String>,
    definitions: BTreeSet<String>,
    workloads: Vec<ready::Candidate>,
    again: Vec<ObjectEntry>,
}

/// Which time an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// In its own level.
    First,
    /// At the end of a level, after its owners; in the last round whoever is not there is left out.
    Owned { level: usize, last: bool },
    /// After the workloads are ready, because a webhook did not answer before.
    Again,
}

/// An object that is about to be sent.
struct Outgoing {
    entry: ObjectEntry,
    bytes: u64,
    sending: Sending,
    placement: Placement,
}

impl Session {
    pub(super) async fn new(
        cluster: Cluster,
        point: OpenPoint,
        (mapping, existing): (Mapping, Existing),
        tally: Tally,
    ) -> Result<Self> {
        let served = RwLock::new(Arc::new(Served::discover(&cluster).await?));
        let claims = Claims::of(&point.point);
        Ok(Self {
            cluster,
            point,
            mapping,
            existing,
            tally,
            claims,
            served,
            owners: Owners::default(),
            found: Mutex::default(),
        })
    }

    fn found(&self) -> MutexGuard<'_, Found> {
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
        self.all(self.point.objects_of(mine), Pass::First).await
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
        let objects = source::fetch(&self.point, entries).map(Ok::<Fetched, Error>);
        objects.try_for_each_concurrent(AT_ONCE, |fetched| self.one(fetched, pass)).await
    }

    async fn one(&self, fetched: Fetched, pass: Pass) -> Result<()> {
        let (entry, json) = match fetched {
            Ok(fetched) => fetched,
            Err(Lost { entry, problem }) => {
                if let Some(entry) = entry {
                    let reason = problem.message.clone();
                    self.tally.object(&entry.resource, failed(captured_ref(&entry), reason), entry.size);
                }
                self.tally.problem(problem);
                return Ok(());
            }
        };
        let Some(outgoing) = self.prepare(entry, json).await? else { return Ok(()) };
        match self.send(&outgoing, pass).await {
            Ok(Some(settled)) => self.settled(&outgoing, settled),
            Ok(None) => {}
            Err(Error::Cluster(error)) if !is_fatal(&error) => self.refused(&outgoing, pass, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Decides what is to be sent; `None` if the object is settled already.
    async fn prepare(&self, entry: ObjectEntry, json: Bytes) -> Result<Option<Outgoing>> {
        let (of, bytes) = (&entry.resource, json.len() as u64);
        let captured = match read(of, entry.namespace.as_deref(), &json).map_err(|error| error.to_string()) {
            Ok(object) if entry.path.rsplit('/').next() == Some(&file_name(read::name(&object))) => {
                Ok(object)
            }
            Ok(object) => Err(format!("it says it is called `{}`", read::name(&object))),
            Err(reason) => Err(reason),
        };
        let captured = match captured {
            Ok(captured) => captured,
            Err(reason) => {
                self.tally.object(of, failed(captured_ref(&entry), reason.clone()), bytes);
                self.tally.problem(source::unusable(&entry, reason));
                return Ok(None);
            }
        };
        let name = read::name(&captured).to_owned();
        let object = ObjectRef { name, ..captured_ref(&entry) };
        let sending = match prepare(of, captured, &self.mapping, &self.point.point.id) {
            Prepared::Send(sending) => *sending,
            Prepared::Skip { reason } => {
                self.tally.object(of, result(object, Verdict::Skipped, reason), bytes);
                return Ok(None);
            }
        };
        if let Some(maker) = &sending.maker
            && self.owners.held_by(&self.point, maker, entry.namespace.as_deref()).await?
        {
            let reason = format!("left to {maker}, which makes it");
            self.tally.object(of, result(sending.target, Verdict::Skipped, reason), bytes);
            return Ok(None);
        }
        match self.served().place(of) {
            Ok(placement) => Ok(Some(Outgoing { entry, bytes, sending, placement })),
            Err(problem) => {
                self.tally.object(of, failed(sending.target, problem.message.clone()), bytes);
                self.tally.problem(problem);
                Ok(None)
            }
        }
    }

    /// Sends an object; `None` if it waits for something.
    async fn send(&self, outgoing: &Outgoing, pass: Pass) -> Result<Option<Settled>> {
        let Outgoing { entry, sending, placement, .. } = outgoing;
        let kind = entry.resource.group_kind();
        let linking = owner::linking(&kind, &sending.owners);
        let mut owners: &[Owner] = &sending.owners;
        match linking {
            Linking::After(level) if pass == Pass::First => {
                self.owners.wait_for(level, entry.clone());
                return Ok(None);
            }
            Linking::Later(level) => {
                self.owners.link_later(level, &placement.of, &sending.target, sending.owners.clone());
                owners = &[];
            }
            _ => {}
        }
        if self.claims.take(entry, sending) {
            return Ok(None);
        }
        let namespace = sending.target.namespace.as_deref();
        let linked = self.owners.link(&self.cluster, &self.served(), owners, namespace).await?;
        if let (Pass::Owned { level, last: false }, false) = (pass, linked.absent.is_empty()) {
            self.owners.wait_for(level, entry.clone());
            return Ok(None);
        }
        for owner in &linked.absent {
            self.tally.note(owners::absent(&sending.target, owner));
        }
        let mut object = sending.object.clone();
        object["apiVersion"] = Value::from(placement.of.api_version());
        if !linked.references.is_empty() {
            object["metadata"]["ownerReferences"] = Value::from(linked.references);
        }
        self.create(outgoing, object).await.map(Some)
    }

    async fn create(&self, outgoing: &Outgoing, mut object: Value) -> Result<Settled> {
        let of = &outgoing.placement.of;
        let circumstances = self.circumstances(&outgoing.sending.target);
        let created = create_or_settle(&self.cluster, of, &object, circumstances).await;
        let (settled, stored) = match created {
            Err(error) if is_port_taken(of, &error) => {
                drop_node_ports(&mut object);
                let again = create_or_settle(&self.cluster, of, &object, circumstances).await?;
                let message = "a node port that it had is taken at the target; it got another";
                let problem =
                    Problem::new("restore.node_port_taken", outgoing.sending.target.to_string(), message);
                self.tally.problem(problem.hint("free the port there and set it, or tell its clients"));
                again
            }
            other => other?,
        };
        if let (true, Some(stored)) = (outgoing.placement.bridged, stored) {
            self.check_bridge(outgoing, &object, &stored);
        }
        Ok(settled)
    }

    fn circumstances(&self, target: &ObjectRef) -> Circumstances {
        let new = target.namespace.as_ref().is_some_and(|name| self.found().new_namespaces.contains(name));
        Circumstances { existing: self.existing, in_new_namespace: new }
    }

    /// A server drops fields that a version does not have; that is not to go unnoticed.
    fn check_bridge(&self, outgoing: &Outgoing, sent: &Value, stored: &Value) {
        let (of, target) = (&outgoing.placement.of, &outgoing.sending.target);
        let from = &target.resource.version;
        self.tally.note(format!("{of}: captured at {from}, restored at {}", of.version));
        let lost = super::removed_paths(&of.group_kind(), sent, stored);
        if !lost.is_empty() {
            let message =
                format!("version {} at the target has no place for {}", of.version, lost.join(", "));
            let problem = Problem::new("restore.fields_dropped", target.to_string(), message);
            self.tally.problem(
                problem.hint("have the target serve the captured version, or set these fields there by hand"),
            );
        }
    }

    /// Books an object that is at the target now, or was decided about there.
    fn settled(&self, outgoing: &Outgoing, settled: Settled) {
        let Outgoing { entry, bytes, sending, placement } = outgoing;
        let target = &sending.target;
        self.remember(&placement.of, target, &settled);
        for place in &sending.unmapped {
            self.tally.note(format!(
                "{target}: {place} seems to name a namespace that is mapped; it was not changed"
            ));
        }
        if sending.had_status && settled.verdict == Verdict::Created && !is_built_in(&entry.resource) {
            self.tally.status_left_behind(&entry.resource);
        }
        match settled.verdict {
            Verdict::Differs => self.tally.problem(differs(target, &settled)),
            Verdict::Failed => {
                self.tally.problem(Problem::new("restore.failed", target.to_string(), &settled.reason))
            }
            _ => {}
        }
        let Settled { verdict, reason, changes } = settled;
        let result = ObjectResult { object: target.clone(), verdict, reason, changes };
        self.tally.object(&entry.resource, result, *bytes);
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
    fn refused(&self, outgoing: &Outgoing, pass: Pass, error: &Cause) {
        if pass != Pass::Again && may_work_later(error) {
            self.found().again.push(outgoing.entry.clone());
            return;
        }
        let target = outgoing.sending.target.clone();
        self.tally.problem(Problem::new(error.code(), target.to_string(), error.to_string()));
        self.tally.object(&outgoing.entry.resource, failed(target, error.to_string()), outgoing.bytes);
    }
}

/// The object as it is called in the point; by the file's name if that is a shortened one.
fn captured_ref(entry: &ObjectEntry) -> ObjectRef {
    entry.object_ref().unwrap_or_else(|| ObjectRef {
        resource: entry.resource.clone(),
        namespace: entry.namespace.clone(),
        name: entry.path.rsplit('/').next().unwrap_or_default().to_owned(),
    })
}

fn result(object: ObjectRef, verdict: Verdict, reason: String) -> ObjectResult {
    ObjectResult { object, verdict, reason, changes: Vec::new() }
}

fn failed(object: ObjectRef, reason: String) -> ObjectResult {
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
        .hint("--existing update replaces namespaced objects; --namespace-map restores beside them")
}

/// Errors after which no other object would fare better.
fn is_fatal(error: &Cause) -> bool {
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

fn is_port_taken(of: &ResourceType, error: &Cause) -> bool {
    *of == kinds::services()
        && matches!(error.reason(), Some(Reason::Invalid))
        && error.to_string().contains("provided port is already allocated")
}

fn drop_node_ports(service: &mut Value) {
    let ports = service["spec"]["ports"].as_array_mut();
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
}

/// Whether the API server itself defines the type: its status then belongs to its controllers.
fn is_built_in(of: &ResourceType) -> bool {
    const WITH_DOTS: &[&str] = &[
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
        "apiextensions.k8s.io",
        "admissionregistration.k8s.io",
        "scheduling.k8s.io",
        "node.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "certificates.k8s.io",
        "resource.k8s.io",
    ];
    let GroupKind { group, .. } = of.group_kind();
    !group.contains('.') || WITH_DOTS.contains(&group.as_str())
}
