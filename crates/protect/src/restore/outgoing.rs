//! An object on its way to the target: what it was in the point, and what is sent for it.

use holdfast_model::restore::Sending;
use holdfast_model::{GroupKind, ObjectRef};

use super::served::Placement;
use crate::point::ObjectEntry;

/// An object that is about to be sent.
pub(super) struct Outgoing {
    pub(super) entry: ObjectEntry,
    /// Length of its JSON in the point.
    pub(super) bytes: u64,
    pub(super) sending: Sending,
    pub(super) placement: Placement,
}

impl Outgoing {
    /// Whether the API server itself defines the type: its status then belongs to its controllers.
    pub(super) fn is_built_in(&self) -> bool {
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
        let GroupKind { group, .. } = self.entry.resource.group_kind();
        !group.contains('.') || WITH_DOTS.contains(&group.as_str())
    }
}

/// The object as it is called in the point; by the file's name if that is a shortened one.
pub(super) fn captured_ref(entry: &ObjectEntry) -> ObjectRef {
    entry.object_ref().unwrap_or_else(|| ObjectRef {
        resource: entry.resource.clone(),
        namespace: entry.namespace.clone(),
        name: entry.file().to_owned(),
    })
}
