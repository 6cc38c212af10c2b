//! One object's way from the point to the target.

use bytes::Bytes;
use holdfast_cluster::{Error as Cause, Reason, Write, kinds};
use holdfast_model::restore::owner::{self, Linking, Owner};
use holdfast_model::restore::{Verdict, privilege};
use holdfast_model::{ObjectRef, ResourceType};
use serde_json::Value;

use super::booking::{failed, is_fatal, result};
use super::comparison::{Circumstances, Settled};
use super::existing::{Guard, Withheld, create_or_settle, settle};
use super::outgoing::{Outgoing, captured_ref};
use super::owners;
use super::preparation::Preparation;
use super::remarks;
use super::session::{Pass, Session};
use super::source::{Fetched, Lost};
use super::state::state_of;
use crate::error::{Error, Result};
use crate::point::ObjectEntry;

/// How an object that is there is judged, and whether it may be written over.
type How<'a> = (Circumstances, Guard<'a>);

impl Session {
    /// Restores one object; an error means that no other would fare better.
    pub(super) async fn one(&self, fetched: Fetched, pass: Pass) -> Result<()> {
        let (entry, json) = match fetched {
            Ok(fetched) => fetched,
            Err(lost) => {
                let Lost { entry, problem } = *lost;
                if let Some(entry) = entry {
                    let reason = problem.message.clone();
                    self.tally.object(&entry.resource, failed(captured_ref(&entry), reason), entry.size);
                }
                self.tally.problem(problem);
                return Ok(());
            }
        };
        let Some(mut outgoing) = self.prepare(entry, json).await? else { return Ok(()) };
        match Box::pin(self.send(&mut outgoing, pass)).await {
            Ok(Some(settled)) => self.settled(&outgoing, settled),
            Ok(None) => {}
            Err(Error::Cluster(error)) if !is_fatal(&error) => self.refused(&outgoing, pass, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Decides what is to be sent; `None` if the object is settled already.
    async fn prepare(&self, entry: ObjectEntry, json: Bytes) -> Result<Option<Outgoing>> {
        let (of, bytes) = (entry.resource.clone(), json.len() as u64);
        Ok(match self.preparation(entry, &json).await? {
            Preparation::Send(outgoing) => Some(*outgoing),
            Preparation::Unchosen => None,
            Preparation::Skip(skipped) => {
                self.tally.object(&of, result(skipped.object, Verdict::Skipped, skipped.reason), bytes);
                None
            }
            Preparation::Hindered(hindered) => {
                self.tally.object(&of, failed(hindered.object, hindered.reason), bytes);
                self.tally.problem(hindered.problem);
                None
            }
        })
    }

    /// Sends an object, which is taken for it; `None` if it waits for something.
    async fn send(&self, outgoing: &mut Outgoing, pass: Pass) -> Result<Option<Settled>> {
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
        let mut object = std::mem::take(&mut outgoing.sending.object);
        object["apiVersion"] = Value::from(outgoing.placement.of.api_version());
        if !linked.references.is_empty() {
            object["metadata"]["ownerReferences"] = Value::from(linked.references);
        }
        self.create(outgoing, object).await.map(Some)
    }

    async fn create(&self, outgoing: &Outgoing, mut object: Value) -> Result<Settled> {
        let of = &outgoing.placement.of;
        let target = &outgoing.sending.target;
        let kind = target.resource.group_kind();
        let powers = match self.terms.allow_privileged {
            true => Vec::new(),
            false => privilege::privileges(&kind, &object),
        };
        let guard = |live: Option<&Value>| self.withheld(target, &powers, live);
        let how: How<'_> = (self.circumstances(outgoing, &object), &guard);
        // Only where versions differ is it of interest what the server made of the object.
        let write = if outgoing.placement.bridged { Write::default() } else { Write::brief() };
        let created = match create_or_settle(&self.cluster, of, &object, &write, how).await {
            Err(error) if is_port_taken(of, &error) => self.with_port_taken(target, &mut object, how).await?,
            other => other?,
        };
        let (settled, stored) = created;
        if let (true, Some(stored)) = (outgoing.placement.bridged, stored) {
            self.check_bridge(outgoing, &object, &stored);
        }
        Ok(settled)
    }

    /// A Service whose node port is in use: by itself, as ports are looked at before names, or by
    /// another, and then it gets another port.
    async fn with_port_taken(
        &self,
        target: &ObjectRef,
        service: &mut Value,
        how: How<'_>,
    ) -> Result<(Settled, Option<Value>)> {
        let of = kinds::services();
        if let Some(live) = self.cluster.get(&of, target.namespace.as_deref(), &target.name).await? {
            return Ok((settle(&self.cluster, &of, service, &live, how).await?, None));
        }
        drop_node_ports(service);
        let created = create_or_settle(&self.cluster, &of, service, &Write::default(), how).await?;
        self.tally.problem(remarks::node_port_taken(target));
        Ok(created)
    }

    fn circumstances(&self, outgoing: &Outgoing, object: &Value) -> Circumstances {
        let namespace = outgoing.sending.target.namespace.as_ref();
        let new = namespace.is_some_and(|name| self.found().new_namespaces.contains(name));
        Circumstances { policy: self.policy(&outgoing.entry.resource, object), in_new_namespace: new }
    }

    /// Why an object must not be written, over `live` if it is there: it gives power that was not allowed
    /// for, or, if there is a plan, is not as it was planned.
    fn withheld(&self, target: &ObjectRef, powers: &[String], live: Option<&Value>) -> Option<Withheld> {
        let of = target.resource.group_kind();
        let raised = live.map_or(powers.to_vec(), |live| privilege::beyond(powers, &of, live));
        if !raised.is_empty() {
            return Some(Withheld::Powerful(raised));
        }
        let (as_planned, live) = (self.as_planned.as_ref()?, live?);
        (!as_planned(target, &state_of(&of, live))).then_some(Withheld::Moved)
    }

    /// A server drops fields that a version does not have; that is not to go unnoticed.
    fn check_bridge(&self, outgoing: &Outgoing, sent: &Value, stored: &Value) {
        let (of, target) = (&outgoing.placement.of, &outgoing.sending.target);
        let from = &target.resource.version;
        self.tally.note(format!("{of}: captured at {from}, restored at {}", of.version));
        let lost = super::removed_paths(&of.group_kind(), sent, stored);
        if !lost.is_empty() {
            self.tally.problem(remarks::no_place_for(target, of, &lost));
        }
    }
}

pub(super) fn is_port_taken(of: &ResourceType, error: &Cause) -> bool {
    *of == kinds::services()
        && matches!(error.reason(), Some(Reason::Invalid))
        && error.to_string().contains("provided port is already allocated")
}

pub(super) fn drop_node_ports(service: &mut Value) {
    let ports = service["spec"]["ports"].as_array_mut();
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
}
