//! Where objects mean a namespace, a class, an image, a host or a node: one table of typed places.

use serde_json::Value;

use super::pointer;
use super::rules::Objects;
use crate::object::GroupKind;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Name of a namespace.
    Namespace,
    /// Name of a storage class.
    StorageClass,
    /// Access modes of a claim.
    AccessModes,
    /// Subject of a role binding.
    Subject,
    /// Label selector of namespaces.
    NamespaceSelector,
    /// Limits of a ResourceQuota, some of them by storage class.
    ClassQuotas,
    /// Name of a container's image.
    Image,
    /// Name by which the world reaches something.
    Host,
    /// Name of an IngressClass.
    IngressClass,
    /// Labels that a node must have.
    NodeLabels,
    /// A condition on a label of nodes.
    NodeExpression,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which objects.
    pub objects: Objects,
    /// The place; see [`super::pointer`].
    pub place: &'static str,
    /// What stands there.
    pub meaning: Meaning,
}

/// All places in objects of this kind.
pub fn of(kind: &GroupKind) -> impl Iterator<Item = (String, Meaning)> {
    let whole = PLACES
        .iter()
        .filter(|place| place.objects.includes(kind))
        .map(|place| (place.place.to_owned(), place.meaning));
    let root = POD_SPECS.iter().find(|(group, name, _)| kind.group == *group && kind.kind == *name);
    let in_pods = root.into_iter().flat_map(|(_, _, root)| {
        IN_POD_SPECS.iter().map(move |(place, meaning)| (format!("{root}{place}"), *meaning))
    });
    whole.chain(in_pods)
}

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const NETWORK: &str = "networking.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

const fn place(objects: Objects, place: &'static str, meaning: Meaning) -> Place {
    Place { objects, place, meaning }
}

/// The table, pod specifications apart.
pub static PLACES: &[Place] = &[
    place(Objects::All, "/metadata/namespace", Meaning::Namespace),
    place(Objects::All, "/metadata/annotations/meta.helm.sh~1release-namespace", Meaning::Namespace),
    place(Objects::Kind("", "Namespace"), "/metadata/name", Meaning::Namespace),
    place(
        Objects::Kind("", "Namespace"),
        "/metadata/labels/kubernetes.io~1metadata.name",
        Meaning::Namespace,
    ),
    place(Objects::Kind("", "PersistentVolumeClaim"), "/spec/storageClassName", Meaning::StorageClass),
    place(Objects::Kind("", "PersistentVolumeClaim"), "/spec/accessModes", Meaning::AccessModes),
    place(Objects::Kind("", "PersistentVolumeClaim"), "/spec/dataSourceRef/namespace", Meaning::Namespace),
    place(
        Objects::Kind("", "PersistentVolumeClaim"),
        "/metadata/annotations/volume.beta.kubernetes.io~1storage-class",
        Meaning::StorageClass,
    ),
    place(Objects::Kind("", "ResourceQuota"), "/spec/hard", Meaning::ClassQuotas),
    place(
        Objects::Kind("apps", "StatefulSet"),
        "/spec/volumeClaimTemplates/*/spec/storageClassName",
        Meaning::StorageClass,
    ),
    place(
        Objects::Kind("apps", "StatefulSet"),
        "/spec/volumeClaimTemplates/*/spec/accessModes",
        Meaning::AccessModes,
    ),
    place(
        Objects::Kind("apps", "StatefulSet"),
        "/spec/volumeClaimTemplates/*/metadata/annotations/volume.beta.kubernetes.io~1storage-class",
        Meaning::StorageClass,
    ),
    place(
        Objects::Kind("apps", "StatefulSet"),
        "/spec/volumeClaimTemplates/*/metadata/namespace",
        Meaning::Namespace,
    ),
    place(Objects::Kind(RBAC, "RoleBinding"), "/subjects/*", Meaning::Subject),
    place(Objects::Kind(RBAC, "ClusterRoleBinding"), "/subjects/*", Meaning::Subject),
    place(
        Objects::Kind(NETWORK, "NetworkPolicy"),
        "/spec/ingress/*/from/*/namespaceSelector",
        Meaning::NamespaceSelector,
    ),
    place(
        Objects::Kind(NETWORK, "NetworkPolicy"),
        "/spec/egress/*/to/*/namespaceSelector",
        Meaning::NamespaceSelector,
    ),
    place(
        Objects::Kind(ADMISSION, "ValidatingWebhookConfiguration"),
        "/webhooks/*/clientConfig/service/namespace",
        Meaning::Namespace,
    ),
    place(
        Objects::Kind(ADMISSION, "ValidatingWebhookConfiguration"),
        "/webhooks/*/namespaceSelector",
        Meaning::NamespaceSelector,
    ),
    place(
        Objects::Kind(ADMISSION, "MutatingWebhookConfiguration"),
        "/webhooks/*/clientConfig/service/namespace",
        Meaning::Namespace,
    ),
    place(
        Objects::Kind(ADMISSION, "MutatingWebhookConfiguration"),
        "/webhooks/*/namespaceSelector",
        Meaning::NamespaceSelector,
    ),
    place(
        Objects::Kind(ADMISSION, "ValidatingAdmissionPolicyBinding"),
        "/spec/matchResources/namespaceSelector",
        Meaning::NamespaceSelector,
    ),
    place(
        Objects::Kind(ADMISSION, "ValidatingAdmissionPolicyBinding"),
        "/spec/paramRef/namespace",
        Meaning::Namespace,
    ),
    place(
        Objects::Kind("apiextensions.k8s.io", "CustomResourceDefinition"),
        "/spec/conversion/webhook/clientConfig/service/namespace",
        Meaning::Namespace,
    ),
    place(
        Objects::Kind("apiregistration.k8s.io", "APIService"),
        "/spec/service/namespace",
        Meaning::Namespace,
    ),
    place(Objects::Kind(NETWORK, "Ingress"), "/spec/ingressClassName", Meaning::IngressClass),
    place(
        Objects::Kind(NETWORK, "Ingress"),
        "/metadata/annotations/kubernetes.io~1ingress.class",
        Meaning::IngressClass,
    ),
    place(Objects::Kind(NETWORK, "Ingress"), "/spec/rules/*/host", Meaning::Host),
    place(Objects::Kind(NETWORK, "Ingress"), "/spec/tls/*/hosts/*", Meaning::Host),
    place(Objects::Kind(GATEWAY, "Gateway"), "/spec/listeners/*/hostname", Meaning::Host),
    place(Objects::Kind(GATEWAY, "HTTPRoute"), "/spec/hostnames/*", Meaning::Host),
    place(Objects::Kind(GATEWAY, "GRPCRoute"), "/spec/hostnames/*", Meaning::Host),
    place(Objects::Kind(GATEWAY, "TLSRoute"), "/spec/hostnames/*", Meaning::Host),
    place(
        Objects::Kind(GATEWAY, "Gateway"),
        "/spec/listeners/*/tls/certificateRefs/*/namespace",
        Meaning::Namespace,
    ),
    place(
        Objects::Kind(GATEWAY, "Gateway"),
        "/spec/listeners/*/allowedRoutes/namespaces/selector",
        Meaning::NamespaceSelector,
    ),
    place(Objects::Kind(GATEWAY, "HTTPRoute"), "/spec/parentRefs/*/namespace", Meaning::Namespace),
    place(Objects::Kind(GATEWAY, "HTTPRoute"), "/spec/rules/*/backendRefs/*/namespace", Meaning::Namespace),
    place(
        Objects::Kind(GATEWAY, "HTTPRoute"),
        "/spec/rules/*/filters/*/requestMirror/backendRef/namespace",
        Meaning::Namespace,
    ),
    place(Objects::Kind(GATEWAY, "GRPCRoute"), "/spec/parentRefs/*/namespace", Meaning::Namespace),
    place(Objects::Kind(GATEWAY, "GRPCRoute"), "/spec/rules/*/backendRefs/*/namespace", Meaning::Namespace),
    place(Objects::Kind(GATEWAY, "TLSRoute"), "/spec/parentRefs/*/namespace", Meaning::Namespace),
    place(Objects::Kind(GATEWAY, "TLSRoute"), "/spec/rules/*/backendRefs/*/namespace", Meaning::Namespace),
    place(Objects::Kind(GATEWAY, "TCPRoute"), "/spec/parentRefs/*/namespace", Meaning::Namespace),
    place(Objects::Kind(GATEWAY, "TCPRoute"), "/spec/rules/*/backendRefs/*/namespace", Meaning::Namespace),
    place(Objects::Kind(GATEWAY, "ReferenceGrant"), "/spec/from/*/namespace", Meaning::Namespace),
];

/// Kinds that carry a pod specification, and where.
pub static POD_SPECS: &[(&str, &str, &str)] = &[
    ("", "Pod", "/spec"),
    ("", "PodTemplate", "/template/spec"),
    ("", "ReplicationController", "/spec/template/spec"),
    ("apps", "Deployment", "/spec/template/spec"),
    ("apps", "ReplicaSet", "/spec/template/spec"),
    ("apps", "StatefulSet", "/spec/template/spec"),
    ("apps", "DaemonSet", "/spec/template/spec"),
    ("batch", "Job", "/spec/template/spec"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template/spec"),
];

/// Places in a pod specification. The `*` after `affinity` stands for podAffinity and
/// podAntiAffinity.
pub static IN_POD_SPECS: &[(&str, Meaning)] = &[
    ("/affinity/*/requiredDuringSchedulingIgnoredDuringExecution/*/namespaces/*", Meaning::Namespace),
    (
        "/affinity/*/requiredDuringSchedulingIgnoredDuringExecution/*/namespaceSelector",
        Meaning::NamespaceSelector,
    ),
    (
        "/affinity/*/preferredDuringSchedulingIgnoredDuringExecution/*/podAffinityTerm/namespaces/*",
        Meaning::Namespace,
    ),
    (
        "/affinity/*/preferredDuringSchedulingIgnoredDuringExecution/*/podAffinityTerm/namespaceSelector",
        Meaning::NamespaceSelector,
    ),
    ("/volumes/*/ephemeral/volumeClaimTemplate/spec/storageClassName", Meaning::StorageClass),
    ("/volumes/*/ephemeral/volumeClaimTemplate/spec/accessModes", Meaning::AccessModes),
    ("/containers/*/image", Meaning::Image),
    ("/initContainers/*/image", Meaning::Image),
    ("/ephemeralContainers/*/image", Meaning::Image),
    ("/volumes/*/image/reference", Meaning::Image),
    ("/nodeSelector", Meaning::NodeLabels),
    (
        "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/*/matchExpressions/*",
        Meaning::NodeExpression,
    ),
    (
        "/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution/*/preference/matchExpressions/*",
        Meaning::NodeExpression,
    ),
];

/// Most places that are named of one object.
const MOST_MENTIONS: usize = 20;

/// Where a namespace seems to be meant although no line of the table says so: a key `namespace`
/// with that value, or a name in the cluster's DNS (`db.shop.svc`). Told to the user, not mapped.
pub fn mentions(object: &Value, namespaces: &[&str]) -> Vec<String> {
    let mut search = Search { namespaces, path: String::new(), found: Vec::new() };
    search.visit(object, "");
    search.found
}

struct Search<'a> {
    namespaces: &'a [&'a str],
    path: String,
    found: Vec<String>,
}

impl Search<'_> {
    fn visit(&mut self, value: &Value, key: &str) {
        if self.found.len() >= MOST_MENTIONS {
            return;
        }
        match value {
            Value::String(text) if self.means_one(key, text) => self.found.push(self.path.clone()),
            Value::Object(map) => {
                for (key, child) in map.iter().filter(|(key, _)| !is_record(key)) {
                    self.within(&pointer::escape(key), |this| this.visit(child, key));
                }
            }
            Value::Array(list) => {
                for (index, child) in list.iter().enumerate() {
                    self.within(&index.to_string(), |this| this.visit(child, key));
                }
            }
            _ => {}
        }
    }

    fn within(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(step);
        visit(self);
        self.path.truncate(length);
    }

    fn means_one(&self, key: &str, text: &str) -> bool {
        let by_key = key.to_ascii_lowercase().ends_with("namespace") || key == "namespaces";
        self.namespaces.iter().any(|name| (by_key && text == *name) || has_dns_name(text, name))
    }
}

/// What a tool wrote down for itself; it means nothing to whoever reads the object.
fn is_record(key: &str) -> bool {
    key == "kubectl.kubernetes.io/last-applied-configuration"
}

/// Whether a text contains `.NAMESPACE.svc` as whole labels.
fn has_dns_name(text: &str, namespace: &str) -> bool {
    let needle = format!(".{namespace}.svc");
    text.match_indices(&needle).any(|(at, _)| {
        let next = text.as_bytes().get(at + needle.len());
        !next.is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'-')
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_no_line_knows_are_found() {
        let object = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "db.shop.svc"}},
            "data": {"url": "postgres://db.shop.svc.cluster.local:5432/x", "other": "db.shop.svc-like"},
            "spec": {"targetNamespace": "shop", "title": "shop"}});
        assert_eq!(mentions(&object, &["shop"]), ["/data/url", "/spec/targetNamespace"]);
        assert!(mentions(&object, &["bank"]).is_empty());
    }
}
