//! An object that is not at the target: would it be taken there?

use holdfast_cluster::{Created, Error as Cause, Stored, Write as Sending, kinds};
use holdfast_model::restore::order;
use holdfast_model::restore::plan::Verdict;
use holdfast_model::restore::shape::Shape;
use holdfast_model::{Problem, ResourceType};
use serde_json::Value;

use super::findings::until;
use super::place::{Asked, Ground, Place, Write};
use super::refusal::{self, is_fatal_to_all};
use super::walk::Planner;
use crate::error::Result;
use crate::restore::object::{drop_node_ports, is_port_taken};
use crate::restore::outgoing::Outgoing;
use crate::restore::{remarks, removed_paths};

/// What the server said to a create.
enum Reply {
    Taken(Stored),
    /// Somebody was quicker.
    There(Value),
    Refused(Cause),
}

impl Planner<'_> {
    /// What would become of `object`, which is to be created.
    pub(super) async fn absent(&self, place: &Place, outgoing: &Outgoing, object: &Value) -> Result<Verdict> {
        let of = &outgoing.placement.of;
        let name = place.namespace.as_deref().unwrap_or_default();
        let problem = |code: &str, message: String, hint: &str| {
            Verdict::cannot(Problem::new(code, "", message).hint(hint))
        };
        match place.ground {
            Ground::Missing => {
                let message =
                    format!("the target has no namespace {name}, and this restore would not make it");
                return Ok(problem("cluster.not_found", message, "create it there, or map it to another"));
            }
            Ground::Ending => {
                let message = format!("namespace {name} is being deleted at the target");
                let hint = "wait until it is gone, or restore into another one";
                return Ok(problem("cluster.namespace_terminating", message, hint));
            }
            _ => {}
        }
        if let Some(lacking) = self.lacking_right(place, Write::Create, of).await? {
            return Ok(lacking);
        }
        if place.ground == Ground::Promised {
            let level = order::level(&kinds::namespaces().group_kind());
            return Ok(until(level, format!("namespace {name} is created first")));
        }
        // Claims with data are summed when all of them are known, as a restore does.
        let is_filled = self.session.claims.is_filled(&outgoing.entry, &outgoing.sending);
        if !is_filled && let Some(lacking) = self.rooms.take(name, of, object) {
            return Ok(problem("restore.quota", lacking, "raise the quota, or free some of it"));
        }
        let mut object = object.clone();
        object["apiVersion"] = Value::from(of.api_version());
        self.would_be_taken(place, outgoing, object).await
    }

    async fn would_be_taken(&self, place: &Place, outgoing: &Outgoing, mut object: Value) -> Result<Verdict> {
        let of = &outgoing.placement.of;
        let target = &outgoing.sending.target;
        let shape = (Write::Create, Shape::of(&object));
        let asked = place.ask(&self.findings, shape, self.create(of, &object, outgoing.placement.bridged));
        let Some(mut reply) = asked.await? else { return Ok(Verdict::Create) };
        if matches!(&reply, Reply::Refused(error) if is_port_taken(of, error)) {
            drop_node_ports(&mut object);
            self.findings.problem(remarks::node_port_taken(target));
            reply = self.create(of, &object, false).await?.reply;
        }
        match reply {
            Reply::Taken(stored) => {
                self.remarks(outgoing, &stored.warnings);
                if outgoing.placement.bridged {
                    let lost = removed_paths(&of.group_kind(), &object, &stored.object);
                    if !lost.is_empty() {
                        self.findings.problem(remarks::no_place_for(target, of, &lost));
                    }
                }
                Ok(Verdict::Create)
            }
            Reply::There(live) => Box::pin(self.present(place, outgoing, &live)).await,
            Reply::Refused(error) => Ok(refusal::verdict(&self.findings, &error)),
        }
    }

    /// Where versions differ each object is asked for: what the server makes of it is of interest.
    async fn create(&self, of: &ResourceType, object: &Value, bridged: bool) -> Result<Asked<Reply>> {
        let how = Sending { brief: !bridged, ..Sending::dry_run() };
        let reply = match self.request.cluster.create(of, object, &how).await {
            Ok(Created::New(stored)) => Reply::Taken(stored),
            Ok(Created::AlreadyThere(live)) => Reply::There(live),
            Err(error) if is_fatal_to_all(&error) => return Err(error.into()),
            Err(error) => Reply::Refused(error),
        };
        let as_sent = !bridged && matches!(&reply, Reply::Taken(stored) if stored.warnings.is_empty());
        Ok(Asked { reply, as_sent })
    }

    /// What is lacking if the caller may not do this with objects of a type.
    pub(super) async fn lacking_right(
        &self,
        place: &Place,
        write: Write,
        of: &ResourceType,
    ) -> Result<Option<Verdict>> {
        if place.may(&self.request.cluster, write, of).await? {
            return Ok(None);
        }
        let verb = write.verb();
        let message = match &place.namespace {
            Some(namespace) => format!("the caller may not {verb} {of} in namespace {namespace}"),
            None => format!("the caller may not {verb} {of}"),
        };
        let hint = match write {
            Write::Delete => {
                "give the caller that right, which `holdfast rbac` does not print, or choose another policy"
            }
            _ => "`holdfast rbac restore` prints the rights that a restore needs",
        };
        Ok(Some(Verdict::cannot(Problem::new("cluster.forbidden", "", message).hint(hint))))
    }

    /// Books what the server remarked about an object, as the restore would.
    pub(super) fn remarks(&self, outgoing: &Outgoing, warnings: &[String]) {
        let target = &outgoing.sending.target;
        for warning in warnings {
            match remarks::unknown_field(target, warning) {
                Some(_) if outgoing.placement.bridged => {}
                Some(problem) => self.findings.problem(problem),
                None => self.findings.note(remarks::remarked(target, warning)),
            }
        }
    }
}
