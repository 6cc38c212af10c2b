//! One object's way from the point to the target.

use bytes::Bytes;
use holdfast_cluster::{Error as Cause, Reason, Write, kinds};
use holdfast_model::restore::owner::{self, Linking, Owner};
use holdfast_model::restore::{Prepared, Verdict, prepare, read};
use holdfast_model::{ObjectRef, Problem, ResourceType};
use serde_json::Value;

use super::booking::{failed, is_fatal, result};
use super::existing::{Circumstances, Settled, create_or_settle, settle};
use super::outgoing::{Outgoing, captured_ref};
use super::owners;
use super::session::{Pass, Session};
use super::source::{self, Fetched, Lost};
use crate::error::{Error, Result};
use crate::point::{ObjectEntry, file_name};

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
        let (of, bytes) = (&entry.resource, json.len() as u64);
        let captured = match read(of, entry.namespace.as_deref(), &json).map_err(|error| error.to_string()) {
            Ok(object) if entry.file() == file_name(read::name(&object)) => Ok(object),
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
        let circumstances = self.circumstances(&outgoing.sending.target);
        // Only where versions differ is it of interest what the server made of the object.
        let write = if outgoing.placement.bridged { Write::default() } else { Write::brief() };
        let created = match create_or_settle(&self.cluster, of, &object, &write, circumstances).await {
            Err(error) if is_port_taken(of, &error) => {
                self.with_port_taken(&outgoing.sending.target, &mut object, circumstances).await?
            }
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
        circumstances: Circumstances,
    ) -> Result<(Settled, Option<Value>)> {
        let of = kinds::services();
        if let Some(live) = self.cluster.get(&of, target.namespace.as_deref(), &target.name).await? {
            return Ok((settle(&self.cluster, &of, service, &live, circumstances).await?, None));
        }
        drop_node_ports(service);
        let created = create_or_settle(&self.cluster, &of, service, &Write::default(), circumstances).await?;
        let message = "a node port that it had is taken at the target; it got another";
        let problem = Problem::new("restore.node_port_taken", target.to_string(), message);
        self.tally.problem(problem.hint("free the port there and set it, or tell its clients"));
        Ok(created)
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
