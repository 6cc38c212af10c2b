//! One object of a point on its way to a cluster, up to what only the cluster can tell.

use serde_json::{Value, json};

use super::mapping::Mapping;
use super::owner::{self, Owner};
use super::{places, read, rules, skip};
use crate::id::PointId;
use crate::label;
use crate::object::{GroupKind, ObjectRef, ResourceType};

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    /// It is sent.
    Send(Box<Sending>),
    /// It is left out.
    Skip {
        /// Why.
        reason: String,
    },
}

/// An object that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sending {
    /// The object, stripped and mapped, without owners.
    pub object: Value,
    /// What it will be called at the target; the type is that of the point.
    pub target: ObjectRef,
    /// Its owners, to be linked anew.
    pub owners: Vec<Owner>,
    /// The owner whose controller makes objects like this one: if it is restored, this is not.
    pub maker: Option<Owner>,
    /// Whether the captured object carried a status, which is not restored.
    pub had_status: bool,
    /// Where a mapped namespace seems to be meant, but nothing was replaced.
    pub unmapped: Vec<String>,
}

/// Decides about an object of this type, as it was captured in `point`.
pub fn prepare(of: &ResourceType, captured: Value, mapping: &Mapping, point: &PointId) -> Prepared {
    if let Some(reason) = skip_reason(of, &captured, mapping) {
        return Prepared::Skip { reason };
    }
    let kind = of.group_kind();
    let mut object = captured;
    let had_status = object["status"].as_object().is_some_and(|status| !status.is_empty());
    let owners = owner::take(&mut object);
    rules::strip(&kind, &mut object);
    mapping.apply(&kind, &mut object);
    let unmapped = unmapped(&object, mapping);
    annotate(&mut object, point);
    let target = ObjectRef {
        resource: of.clone(),
        namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
        name: read::name(&object).to_owned(),
    };
    let maker = owner::maker(&kind, &owners).cloned();
    Prepared::Send(Box::new(Sending { object, target, owners, maker, had_status, unmapped }))
}

fn skip_reason(of: &ResourceType, captured: &Value, mapping: &Mapping) -> Option<String> {
    if of.group_kind() == GroupKind::new("storage.k8s.io", "StorageClass") {
        let name = read::name(captured);
        let new = mapping.storage_class(name);
        if new != name {
            return Some(format!("mapped to storage class `{new}`"));
        }
    }
    if of.group_kind() == GroupKind::new("networking.k8s.io", "IngressClass") {
        let name = read::name(captured);
        let new = mapping.ingress_class(name);
        if new != name {
            return Some(format!("mapped to ingress class `{new}`"));
        }
    }
    skip::reason(of, captured).map(str::to_owned)
}

fn unmapped(object: &Value, mapping: &Mapping) -> Vec<String> {
    let old: Vec<&str> = mapping.namespaces().keys().map(String::as_str).collect();
    if old.is_empty() { Vec::new() } else { places::mentions(object, &old) }
}

/// Says in the object itself where it came from.
fn annotate(object: &mut Value, point: &PointId) {
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[label::RESTORED_FROM] = json!(point.as_str());
}

/// An object without all that belongs to one cluster or one restore, for comparing two states of it.
pub fn comparable(of: &GroupKind, object: &Value) -> Value {
    let mut object = object.clone();
    owner::take(&mut object);
    rules::strip(of, &mut object);
    // An emptied map of annotations is none.
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.retain(|key, value| {
            !(matches!(key.as_str(), "annotations" | "labels")
                && value.as_object().is_some_and(|map| map.is_empty()))
        });
    }
    object
}

#[cfg(test)]
mod tests;
