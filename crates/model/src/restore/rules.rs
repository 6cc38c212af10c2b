//! What of an object must not travel: one table, each line with its reason.
//!
//! The table is the whole truth: nothing else removes anything from an object on its way to a
//! cluster, except that `ownerReferences` are relinked ([`super::owner`]). The same table is
//! applied to a live object before it is compared with one from a point, so that what belongs to
//! a cluster is never a difference.

use serde_json::Value;

use super::chosen;
use super::pointer;
use crate::object::GroupKind;

/// Which objects a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// Objects of every kind.
    All,
    /// Objects of one API group (empty for the core group) and kind.
    Kind(&'static str, &'static str),
}

impl Objects {
    /// Whether objects of this kind are meant.
    pub fn includes(self, of: &GroupKind) -> bool {
        match self {
            Objects::All => true,
            Objects::Kind(group, kind) => of.kind == kind && of.group == group,
        }
    }
}

/// What is taken out.
#[derive(Debug, Clone, Copy)]
pub enum Removal {
    /// Everything at the place; see [`super::pointer`].
    At(&'static str),
    /// What stands at the place if the object, as it was captured, fulfils the condition.
    When(&'static str, fn(&Value) -> bool),
    /// The elements at the place that fulfil the condition.
    Those(&'static str, fn(&Value) -> bool),
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Which objects.
    pub objects: Objects,
    /// What is taken out.
    pub removal: Removal,
    /// Why, as told to the user.
    pub reason: &'static str,
}

impl Rule {
    /// The place in the object.
    pub fn place(&self) -> &'static str {
        match self.removal {
            Removal::At(place) | Removal::When(place, _) | Removal::Those(place, _) => place,
        }
    }

    /// Applies this line to `object`; `captured` is the object before any line was applied.
    fn apply(&self, captured: &Value, object: &mut Value) -> bool {
        match self.removal {
            Removal::At(place) => pointer::remove(object, place),
            Removal::When(place, holds) => {
                pointer::exists(object, place) && holds(captured) && pointer::remove(object, place)
            }
            Removal::Those(place, unwanted) => pointer::remove_if(object, place, &unwanted),
        }
    }
}

/// Takes out of an object of this kind all that must not travel; returns the lines that applied.
pub fn strip(of: &GroupKind, object: &mut Value) -> Vec<&'static Rule> {
    let mine = || RULES.iter().filter(|rule| rule.objects.includes(of));
    let conditional = mine().any(|rule| matches!(rule.removal, Removal::When(..)));
    let captured = if conditional { object.clone() } else { Value::Null };
    mine().filter(|rule| rule.apply(&captured, object)).collect()
}

/// Gives an object that is to replace `live` what belongs to the cluster it is in: the same lines,
/// read the other way round. Status and the server's own books are left to the server.
pub fn carry(of: &GroupKind, live: &Value, object: &mut Value) {
    const SERVERS: &[&str] =
        &["/status", "/metadata/managedFields", "/metadata/annotations/holdfast.dev~1restored-from"];
    let mine = RULES.iter().filter(|rule| rule.objects.includes(of));
    for place in mine.map(Rule::place).filter(|place| !SERVERS.contains(place)) {
        pointer::copy_missing(live, object, place);
    }
}

const CORE: &str = "";
const APPS: &str = "apps";
const BATCH: &str = "batch";
const RBAC: &str = "rbac.authorization.k8s.io";
const CLAIM: Objects = Objects::Kind(CORE, "PersistentVolumeClaim");
const SERVICE: Objects = Objects::Kind(CORE, "Service");
const POD: Objects = Objects::Kind(CORE, "Pod");
const JOB: Objects = Objects::Kind(BATCH, "Job");

const fn at(objects: Objects, place: &'static str, reason: &'static str) -> Rule {
    Rule { objects, removal: Removal::At(place), reason }
}

const fn when(
    objects: Objects,
    place: &'static str,
    holds: fn(&Value) -> bool,
    reason: &'static str,
) -> Rule {
    Rule { objects, removal: Removal::When(place, holds), reason }
}

const fn those(
    objects: Objects,
    place: &'static str,
    unwanted: fn(&Value) -> bool,
    reason: &'static str,
) -> Rule {
    Rule { objects, removal: Removal::Those(place, unwanted), reason }
}

/// The table.
pub static RULES: &[Rule] = &[
    // What the API server writes into every object.
    at(Objects::All, "/metadata/uid", "identity within one cluster"),
    at(Objects::All, "/metadata/resourceVersion", "version within one cluster's store"),
    at(Objects::All, "/metadata/generation", "counted by the API server"),
    at(Objects::All, "/metadata/creationTimestamp", "set by the API server"),
    at(Objects::All, "/metadata/selfLink", "address within one cluster, no longer served"),
    at(
        Objects::All,
        "/metadata/managedFields",
        "ownership of fields begins anew with the field manager `holdfast`",
    ),
    at(Objects::All, "/metadata/deletionTimestamp", "set by the API server"),
    at(Objects::All, "/metadata/deletionGracePeriodSeconds", "set by the API server"),
    at(Objects::All, "/metadata/annotations/holdfast.dev~1restored-from", "written anew by each restore"),
    at(Objects::All, "/status", "observed by the controllers of the cluster it is in"),
    those(
        Objects::All,
        "/metadata/finalizers/*",
        built_in_finalizer,
        "put there by the cluster's own controllers, which will do so again",
    ),
    // Namespaces.
    at(Objects::Kind(CORE, "Namespace"), "/spec/finalizers", "set by the API server"),
    at(
        Objects::Kind(CORE, "Namespace"),
        "/metadata/labels/kubernetes.io~1metadata.name",
        "set by the API server to the namespace's name",
    ),
    // Claims.
    at(
        CLAIM,
        "/metadata/labels/holdfast.dev~1snapshot-group",
        "a mark of the backup that captured it, for the time of a group snapshot",
    ),
    // Services.
    when(SERVICE, "/spec/clusterIP", has_address, "an address of the old cluster's service network"),
    when(SERVICE, "/spec/clusterIPs", has_address, "addresses of the old cluster's service network"),
    when(
        SERVICE,
        "/spec/ipFamilies",
        not_chosen_families,
        "chosen by the old cluster's network, not by a person",
    ),
    when(
        SERVICE,
        "/spec/ipFamilyPolicy",
        not_chosen_policy,
        "chosen by the old cluster's network, not by a person",
    ),
    when(
        SERVICE,
        "/spec/ports/*/nodePort",
        chosen::no_node_port,
        "allocated by the old cluster, not chosen by a person",
    ),
    at(SERVICE, "/spec/healthCheckNodePort", "allocated by the cluster"),
    // Claims.
    at(CLAIM, "/spec/volumeName", "a volume of the old cluster"),
    at(
        CLAIM,
        "/spec/dataSource",
        "the data comes from the point, not from a snapshot or clone at the old site",
    ),
    at(
        CLAIM,
        "/spec/dataSourceRef",
        "the data comes from the point, not from a snapshot or clone at the old site",
    ),
    at(CLAIM, "/metadata/annotations/pv.kubernetes.io~1*", "binding to a volume of the old cluster"),
    at(CLAIM, "/metadata/annotations/volume.kubernetes.io~1selected-node", "a node of the old cluster"),
    at(
        CLAIM,
        "/metadata/annotations/volume.kubernetes.io~1storage-provisioner",
        "the provisioner of the old cluster",
    ),
    at(
        CLAIM,
        "/metadata/annotations/volume.beta.kubernetes.io~1storage-provisioner",
        "the provisioner of the old cluster",
    ),
    at(
        CLAIM,
        "/metadata/annotations/volume.kubernetes.io~1storage-resizer",
        "the resizer of the old cluster",
    ),
    // Pods that no controller makes.
    at(POD, "/spec/nodeName", "a node of the old cluster"),
    at(
        POD,
        "/metadata/labels/topology.kubernetes.io~1zone",
        "copied by the API server from the node that the pod ran on",
    ),
    at(
        POD,
        "/metadata/labels/topology.kubernetes.io~1region",
        "copied by the API server from the node that the pod ran on",
    ),
    those(
        POD,
        "/spec/volumes/*",
        injected_token_volume,
        "token of the old cluster; the new one injects its own",
    ),
    those(
        POD,
        "/spec/*/*/volumeMounts/*",
        injected_token_mount,
        "token of the old cluster; the new one injects its own",
    ),
    at(POD, "/spec/ephemeralContainers", "debugging sessions; cannot be created with the pod"),
    at(POD, "/spec/priority", "resolved from the priority class by admission"),
    at(POD, "/spec/preemptionPolicy", "resolved from the priority class by admission"),
    at(POD, "/spec/overhead", "resolved from the runtime class by admission"),
    // Workloads.
    at(
        Objects::Kind(APPS, "Deployment"),
        "/metadata/annotations/deployment.kubernetes.io~1*",
        "revision counted by the controller",
    ),
    at(
        Objects::Kind(APPS, "ReplicaSet"),
        "/metadata/annotations/deployment.kubernetes.io~1*",
        "revision counted by the controller",
    ),
    at(
        Objects::Kind(APPS, "DaemonSet"),
        "/metadata/annotations/deprecated.daemonset.template.generation",
        "counted by the controller",
    ),
    when(JOB, "/spec/selector", selector_is_generated, "names the old Job's uid; generated anew"),
    when(
        JOB,
        "/spec/template/metadata/labels/controller-uid",
        selector_is_generated,
        "the old Job's uid; generated anew",
    ),
    when(JOB, "/spec/template/metadata/labels/job-name", selector_is_generated, "generated anew"),
    when(
        JOB,
        "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid",
        selector_is_generated,
        "the old Job's uid; generated anew",
    ),
    when(
        JOB,
        "/spec/template/metadata/labels/batch.kubernetes.io~1job-name",
        selector_is_generated,
        "generated anew",
    ),
    when(JOB, "/metadata/labels/controller-uid", selector_is_generated, "the old Job's uid"),
    when(
        JOB,
        "/metadata/labels/batch.kubernetes.io~1controller-uid",
        selector_is_generated,
        "the old Job's uid",
    ),
    at(JOB, "/metadata/annotations/batch.kubernetes.io~1job-tracking", "set by the API server"),
    at(
        Objects::Kind("autoscaling", "HorizontalPodAutoscaler"),
        "/metadata/annotations/autoscaling.alpha.kubernetes.io~1conditions",
        "status in the form of an annotation",
    ),
    at(
        Objects::Kind("autoscaling", "HorizontalPodAutoscaler"),
        "/metadata/annotations/autoscaling.alpha.kubernetes.io~1current-metrics",
        "status in the form of an annotation",
    ),
    // Identity.
    those(
        Objects::Kind(CORE, "ServiceAccount"),
        "/secrets/*",
        generated_secret,
        "token or registry Secret that the old cluster generated",
    ),
    those(
        Objects::Kind(CORE, "ServiceAccount"),
        "/imagePullSecrets/*",
        generated_secret,
        "registry Secret that the old cluster generated",
    ),
    at(
        Objects::Kind(CORE, "ConfigMap"),
        "/metadata/annotations/control-plane.alpha.kubernetes.io~1leader",
        "held by a process of the old cluster",
    ),
    when(
        Objects::Kind(RBAC, "ClusterRole"),
        "/rules",
        is_aggregated,
        "filled in by aggregation from other roles",
    ),
];

/// Finalizers of controllers that every cluster runs.
const BUILT_IN_FINALIZERS: &[&str] = &[
    "foregroundDeletion",
    "orphan",
    "kubernetes",
    "kubernetes.io/pvc-protection",
    "kubernetes.io/pv-protection",
    "service.kubernetes.io/load-balancer-cleanup",
    "batch.kubernetes.io/job-tracking",
    "customresourcecleanup.apiextensions.k8s.io",
];

fn built_in_finalizer(finalizer: &Value) -> bool {
    finalizer.as_str().is_some_and(|name| BUILT_IN_FINALIZERS.contains(&name))
}

/// A headless Service says `None` and means it.
fn has_address(service: &Value) -> bool {
    service["spec"]["clusterIP"] != "None"
}

fn not_chosen_families(service: &Value) -> bool {
    !chosen::field(service, &["f:spec", "f:ipFamilies"])
}

fn not_chosen_policy(service: &Value) -> bool {
    !chosen::field(service, &["f:spec", "f:ipFamilyPolicy"])
}

fn selector_is_generated(job: &Value) -> bool {
    job["spec"]["manualSelector"] != true
}

fn is_aggregated(role: &Value) -> bool {
    role["aggregationRule"].is_object()
}

/// The service-account admission plugin names its volume `kube-api-access-` and five characters.
fn is_injected(name: &Value) -> bool {
    let suffix = name.as_str().and_then(|name| name.strip_prefix("kube-api-access-"));
    suffix.is_some_and(|suffix| suffix.len() == 5)
}

fn injected_token_volume(volume: &Value) -> bool {
    is_injected(&volume["name"]) && volume["projected"].is_object()
}

fn injected_token_mount(mount: &Value) -> bool {
    is_injected(&mount["name"]) && mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
}

/// `<account>-token-abcde` and `<account>-dockercfg-abcde`.
fn generated_secret(reference: &Value) -> bool {
    let Some(name) = reference["name"].as_str() else { return false };
    let stem = name.rsplit_once('-').filter(|(_, suffix)| suffix.len() == 5).map(|(stem, _)| stem);
    stem.is_some_and(|stem| stem.ends_with("-token") || stem.ends_with("-dockercfg"))
}

#[cfg(test)]
mod tests;
