//! How an object that is at the target compares with the one of the point, and whose it is: what a
//! restore acts on and a plan tells. Nothing here writes.

use holdfast_cluster::{Cluster, Error as Cause, Reason, Stored, Write};
use holdfast_model::label::{FIELD_MANAGER, RESTORED_FROM};
use holdfast_model::restore::{
    Change, ChangeKind, Existing, Policy, Verdict, comparable, differences, rules,
};
use holdfast_model::{GroupKind, ResourceType};
use serde_json::{Value, json};

/// What is known about the restore when an existing object is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// What to do about it if it differs.
    pub(super) policy: Policy,
    /// Whether this run created the object's namespace.
    pub(super) in_new_namespace: bool,
}

/// What became of an object, and how it differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settled {
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) changes: Vec<Change>,
    /// What the server remarked when it stored the object.
    pub(super) warnings: Vec<String>,
    /// Code and hint of what is wrong if it failed, where that is not simply that.
    pub(super) failure: Option<(&'static str, &'static str)>,
}

impl Settled {
    pub(super) fn new(verdict: Verdict, reason: impl Into<String>, changes: Vec<Change>) -> Self {
        Self { verdict, reason: reason.into(), changes, warnings: Vec::new(), failure: None }
    }

    /// Nothing more to say.
    pub(super) fn plain(verdict: Verdict) -> Self {
        Self::new(verdict, "", Vec::new())
    }
}

/// Kinds that describe the cluster they are in: where they differ, the target's is the right one.
const TARGETS_OWN: &[(&str, &str, &str)] = &[
    ("", "Namespace", "the target's namespace keeps its labels and annotations"),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "the target's own definition stays; its instances are restored at a version that it serves",
    ),
    ("storage.k8s.io", "StorageClass", "describes the target's storage"),
    ("storage.k8s.io", "CSIDriver", "describes the target's storage"),
    ("storage.k8s.io", "VolumeAttributesClass", "describes the target's storage"),
    ("snapshot.storage.k8s.io", "VolumeSnapshotClass", "describes the target's storage"),
    ("networking.k8s.io", "IngressClass", "describes the target's network"),
    ("gateway.networking.k8s.io", "GatewayClass", "describes the target's network"),
    ("node.k8s.io", "RuntimeClass", "describes the target's nodes"),
    ("resource.k8s.io", "DeviceClass", "describes the target's nodes"),
    ("scheduling.k8s.io", "PriorityClass", "describes the target's priorities"),
];

/// How an object that is there compares with the one of the point.
#[derive(Debug)]
pub(super) enum Comparison {
    /// Nothing is to be done about it.
    Settled(Settled),
    /// It lacks something that can be added without taking anything away.
    Lacks(Addition, Vec<Change>),
    /// It differs; the server is to be asked what of this would last.
    Differs(Differing),
}

/// An object that differs, and what would be sent to change that.
#[derive(Debug)]
pub(super) struct Differing {
    pub(super) proposal: Proposal,
    /// The places, before the server has filled in anything.
    pub(super) changes: Vec<Change>,
}

/// What is sent for an object that is there.
#[derive(Debug)]
pub(super) enum Proposal {
    /// To be applied: what it has beyond that stays.
    Merge(Value),
    /// To take its place: the object of the point with what belongs to the target taken from the live one.
    Replace(Value),
}

/// What the server would make of a replacement.
#[derive(Debug)]
pub(super) struct Trial {
    /// The places that would differ still.
    pub(super) changes: Vec<Change>,
    /// What it remarked.
    pub(super) warnings: Vec<String>,
    /// Why it would not take it.
    pub(super) refusal: Option<Cause>,
    /// Who else manages what would be changed, in the server's words.
    pub(super) conflict: Option<String>,
}

/// What is to be done about an object that differs.
#[derive(Debug)]
pub(super) enum Decision {
    /// Nothing.
    Leave(Settled),
    /// It is to be changed; this is what will have become of it.
    Change(Settled),
}

/// Compares `live`, which was found where `desired` was to be created.
pub(super) fn compare(
    of: &ResourceType,
    desired: &Value,
    live: &Value,
    circumstances: Circumstances,
) -> Comparison {
    if live["metadata"]["deletionTimestamp"].is_string() {
        let reason = "it is being deleted at the target: wait until it is gone and run the restore again";
        return Comparison::Settled(Settled::new(Verdict::Failed, reason, Vec::new()));
    }
    let kind = of.group_kind();
    let changes = differences(&kind, &comparable(&kind, desired), &comparable(&kind, live));
    if changes.is_empty() {
        return Comparison::Settled(Settled::plain(Verdict::Unchanged));
    }
    let own = TARGETS_OWN.iter().find(|(group, name, _)| kind.group == *group && kind.kind == *name);
    let Policy { existing, by_rule } = circumstances.policy;
    if let Some((_, _, reason)) = own.filter(|_| !by_rule || existing == Existing::None) {
        return Comparison::Settled(Settled::new(Verdict::Kept, *reason, changes));
    }
    if let Some(addition) = addition(&kind, desired, live, circumstances) {
        return Comparison::Lacks(addition, changes);
    }
    if !by_rule && is_shared_binding(&kind, desired, live) {
        let reason = "has the subjects of the point; those of others stay";
        return Comparison::Settled(Settled::new(Verdict::Kept, reason, changes));
    }
    let proposal = match existing {
        Existing::Merge => Proposal::Merge(addition_to(desired, live)),
        // What is left alone is compared with what replacing it would bring.
        Existing::Replace | Existing::Recreate | Existing::Prune | Existing::None => {
            Proposal::Replace(replacement(&kind, desired, live))
        }
    };
    Comparison::Differs(Differing { proposal, changes })
}

impl Differing {
    /// Has the server fill in its defaults and admission change what it wants: what differs then is
    /// what would change.
    ///
    /// # Errors
    /// If the server cannot be asked now; that it refuses is part of the result.
    pub(super) async fn try_out(
        &self,
        cluster: &Cluster,
        of: &ResourceType,
        desired: &Value,
        live: &Value,
    ) -> holdfast_cluster::Result<Trial> {
        let kind = of.group_kind();
        match self.proposal.send(cluster, of, &Write::dry_run()).await {
            Ok(outcome) => {
                let stored = comparable(&kind, &outcome.object);
                let changes = differences(&kind, &stored, &comparable(&kind, live));
                Ok(Trial { changes, warnings: outcome.warnings, refusal: None, conflict: None })
            }
            Err(error) if error.is_transient() => Err(error),
            Err(error) => {
                let changes = unlike(self.changes.clone(), desired, live);
                let conflict = self.proposal.conflict(&error);
                let refusal = conflict.is_none().then_some(error);
                Ok(Trial { changes, warnings: Vec::new(), refusal, conflict })
            }
        }
    }
}

impl Proposal {
    /// What is sent.
    pub(super) fn object(&self) -> &Value {
        match self {
            Proposal::Merge(object) | Proposal::Replace(object) => object,
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// Of the cluster; a conflict if the object is not as it was seen any more, or if others manage
    /// what would be changed.
    pub(super) async fn send(
        &self,
        cluster: &Cluster,
        of: &ResourceType,
        write: &Write,
    ) -> holdfast_cluster::Result<Stored> {
        let object = match self {
            Proposal::Replace(object) => return cluster.replace(of, object, write).await,
            Proposal::Merge(object) => object,
        };
        match cluster.apply(of, object, false, write).await {
            // What a restore created is managed by it, too, as by one who updates and not applies.
            Err(error)
                if managers(&error).is_some_and(|all| all.iter().all(|name| name == FIELD_MANAGER)) =>
            {
                cluster.apply(of, object, true, write).await
            }
            applied => applied,
        }
    }

    /// What is in conflict, if that is why it was refused.
    fn conflict(&self, error: &Cause) -> Option<String> {
        let managers = managers(error).filter(|_| matches!(self, Proposal::Merge(_)))?;
        let Cause::Refused(refusal) = error else { return None };
        let fields: Vec<&str> =
            refusal.message.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
        let fields = match fields.is_empty() {
            true => refusal.message.rsplit(": ").next().unwrap_or_default().to_owned(),
            false => fields.join(", "),
        };
        Some(format!("{} manages {fields}", managers.join(" and ")))
    }
}

/// Who manages the fields that an apply was refused for. There is a cause for each in the server's
/// answer, and its message has them all (k8s.io/apimachinery, `util/managedfields/internal/conflict.go`).
fn managers(error: &Cause) -> Option<Vec<String>> {
    let (Some(Reason::Conflict), Cause::Refused(refusal)) = (error.reason(), error) else { return None };
    if !refusal.message.starts_with("Apply failed with ") {
        return None;
    }
    let named = refusal.message.split(" with \"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut managers: Vec<String> = named.map(str::to_owned).collect();
    managers.dedup();
    Some(managers)
}

/// What is applied to an object that is there: its owners there are the right ones.
fn addition_to(desired: &Value, live: &Value) -> Value {
    let mut applied = desired.clone();
    applied["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    if let Some(metadata) =
        applied["metadata"].as_object_mut().filter(|_| live["metadata"]["ownerReferences"].is_array())
    {
        metadata.remove("ownerReferences");
    }
    applied
}

/// Decides about an object that was tried out.
pub(super) fn decide(
    of: &ResourceType,
    live: &Value,
    trial: (Vec<Change>, Vec<String>, Option<&str>),
    circumstances: Circumstances,
) -> Decision {
    let (changes, warnings, conflict) = trial;
    if changes.is_empty() {
        // As good as it can be here, but not what it was if the server leaves fields out.
        return Decision::Leave(Settled { warnings, ..Settled::plain(Verdict::Unchanged) });
    }
    if let Some(owner) = controller(live) {
        let reason = format!("made by its owner {owner} at the target already");
        return Decision::Leave(Settled::new(Verdict::Kept, reason, changes));
    }
    let left = |reason: String, changes| Decision::Leave(Settled::new(Verdict::Differs, reason, changes));
    let Policy { existing, by_rule } = circumstances.policy;
    match (existing, conflict) {
        (Existing::None, _) => {
            left("an object of this name is there and was left as it is".to_owned(), changes)
        }
        _ if !of.namespaced && !by_rule => left(
            "cluster-scoped objects that others may use are changed only if a rule names their kind"
                .to_owned(),
            changes,
        ),
        (_, Some(conflict)) => left(format!("was not merged: {conflict}"), changes),
        (Existing::Merge | Existing::Replace | Existing::Recreate | Existing::Prune, None) => {
            Decision::Change(Settled { warnings, ..Settled::new(Verdict::Updated, "", changes) })
        }
    }
}

/// What differs of an object that cannot be replaced, such as a pod. What admission added when it
/// was restored from this very point is no difference.
fn unlike(mut changes: Vec<Change>, desired: &Value, live: &Value) -> Vec<Change> {
    let from = |object: &Value| object["metadata"]["annotations"][RESTORED_FROM].as_str().map(str::to_owned);
    if from(live).is_some() && from(live) == from(desired) {
        changes.retain(|change| change.kind != ChangeKind::Added);
    }
    changes
}

/// Something that is added to an object without taking anything away, and why that is right.
#[derive(Debug)]
pub(super) struct Addition {
    patch: Value,
    reason: &'static str,
}

fn addition(
    kind: &GroupKind,
    desired: &Value,
    live: &Value,
    circumstances: Circumstances,
) -> Option<Addition> {
    let is = |group: &str, name: &str| kind.group == group && kind.kind == name;
    if is("", "ServiceAccount") && desired["metadata"]["name"] == "default" && circumstances.in_new_namespace
    {
        return Some(Addition {
            patch: json!({
                "metadata": {"labels": desired["metadata"]["labels"], "annotations": desired["metadata"]["annotations"]},
                "imagePullSecrets": desired["imagePullSecrets"],
                "automountServiceAccountToken": desired["automountServiceAccountToken"],
            }),
            reason: "made by the cluster with the new namespace, completed from the point",
        });
    }
    if is_same_cluster_binding(kind, desired, live) {
        let mut subjects = live["subjects"].as_array().cloned().unwrap_or_default();
        let before = subjects.len();
        let wanted = desired["subjects"].as_array().into_iter().flatten();
        subjects.extend(wanted.filter(|subject| !has(live, subject)).cloned());
        let reason = "subjects of the point were added; those that were there stay";
        return (subjects.len() > before).then(|| Addition { patch: json!({"subjects": subjects}), reason });
    }
    None
}

/// Whether both bind the same role in the whole cluster: subjects of several applications may be in one.
fn is_same_cluster_binding(kind: &GroupKind, desired: &Value, live: &Value) -> bool {
    kind.group == "rbac.authorization.k8s.io"
        && kind.kind == "ClusterRoleBinding"
        && desired["roleRef"] == live["roleRef"]
}

/// Whether all that differs is that others are bound by it, too.
fn is_shared_binding(kind: &GroupKind, desired: &Value, live: &Value) -> bool {
    if !is_same_cluster_binding(kind, desired, live) {
        return false;
    }
    let mut alike = live.clone();
    if let Some(subjects) = alike["subjects"].as_array_mut() {
        subjects.retain(|subject| has(desired, subject));
    }
    differences(kind, &comparable(kind, desired), &comparable(kind, &alike)).is_empty()
}

fn has(binding: &Value, subject: &Value) -> bool {
    binding["subjects"].as_array().into_iter().flatten().any(|other| other == subject)
}

impl Addition {
    /// The merge patch that adds it to `live` as it was seen, and to nothing else.
    pub(super) fn patch(&self, live: &Value) -> Value {
        let mut patch = self.patch.clone();
        patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        drop_nulls(&mut patch);
        patch
    }

    /// What has become of the object when it is added.
    pub(super) fn settled(&self, changes: Vec<Change>) -> Settled {
        Settled::new(Verdict::Updated, self.reason, changes)
    }
}

/// In a merge patch, null would take the field away.
fn drop_nulls(value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, child| !child.is_null());
        map.values_mut().for_each(drop_nulls);
    }
}

/// The object of the point with what belongs to the target taken from the live one.
fn replacement(kind: &GroupKind, desired: &Value, live: &Value) -> Value {
    let mut replacement = desired.clone();
    rules::carry(kind, live, &mut replacement);
    replacement["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    if live["metadata"]["ownerReferences"].is_array() {
        replacement["metadata"]["ownerReferences"] = live["metadata"]["ownerReferences"].clone();
    }
    let finalizers = union(&replacement["metadata"]["finalizers"], &live["metadata"]["finalizers"]);
    if !finalizers.is_empty() {
        replacement["metadata"]["finalizers"] = Value::from(finalizers);
    }
    replacement
}

fn union(first: &Value, second: &Value) -> Vec<Value> {
    let mut all: Vec<Value> = first.as_array().cloned().unwrap_or_default();
    for value in second.as_array().into_iter().flatten() {
        if !all.contains(value) {
            all.push(value.clone());
        }
    }
    all
}

/// Kind and name of the controller that owns an object.
fn controller(live: &Value) -> Option<String> {
    let owners = live["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some(format!("{} {}", owner["kind"].as_str()?, owner["name"].as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Circumstances =
        Circumstances { policy: Policy { existing: Existing::None, by_rule: false }, in_new_namespace: true };

    #[test]
    fn a_replacement_keeps_what_the_target_allocated() {
        let service = GroupKind::new("", "Service");
        let desired =
            json!({"metadata": {"name": "web", "finalizers": ["a"]}, "spec": {"ports": [{"port": 80}]}});
        let live = json!({"metadata": {"name": "web", "uid": "u", "resourceVersion": "7", "finalizers": ["b"],
            "ownerReferences": [{"uid": "o"}], "managedFields": []}, "spec": {"clusterIP": "10.0.0.1"}, "status": {}});
        let replacement = replacement(&service, &desired, &live);
        assert_eq!(replacement["spec"], json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}));
        assert_eq!(replacement["metadata"]["resourceVersion"], "7");
        assert_eq!(replacement["metadata"]["finalizers"], json!(["a", "b"]));
        assert_eq!(replacement["metadata"]["ownerReferences"], json!([{"uid": "o"}]));
        assert_eq!(replacement.get("status"), None);
    }

    fn refused(message: &str) -> Cause {
        use holdfast_cluster::{Call, Refusal, Target};
        let call = Call { verb: "patch", target: Target::Path("/x".to_owned()) };
        let (cluster, message) = ("b".to_owned(), message.to_owned());
        let reason = Reason::Conflict;
        Cause::Refused(Box::new(Refusal { cluster, call, status: 409, reason, message, attempts: 1 }))
    }

    #[test]
    fn who_manages_what_would_be_changed_is_told() {
        let merge = Proposal::Merge(json!({}));
        let one =
            refused(r#"Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas"#);
        assert_eq!(merge.conflict(&one).as_deref(), Some("kubectl manages .spec.replicas"));
        let two = refused(
            "Apply failed with 2 conflicts: conflicts with \"argocd\" using v1:\n- .data.a\n- .data.b",
        );
        assert_eq!(merge.conflict(&two).as_deref(), Some("argocd manages .data.a, .data.b"));
        assert_eq!(managers(&two).unwrap(), ["argocd"]);
        assert_eq!(merge.conflict(&refused("the object has been modified")), None);
        assert_eq!(Proposal::Replace(json!({})).conflict(&one), None);
    }

    #[test]
    fn cluster_scoped_objects_are_changed_only_by_a_rule_that_names_them() {
        let role = holdfast_cluster::kinds::resource(
            "rbac.authorization.k8s.io",
            "v1",
            "ClusterRole",
            "clusterroles",
            false,
        );
        let change = Change { path: "rules".into(), kind: ChangeKind::Changed, before: None, after: None };
        let decided = |existing, by_rule| {
            let circumstances =
                Circumstances { policy: Policy { existing, by_rule }, in_new_namespace: false };
            match decide(&role, &json!({}), (vec![change.clone()], Vec::new(), None), circumstances) {
                Decision::Leave(settled) | Decision::Change(settled) => settled.verdict,
            }
        };
        assert_eq!(decided(Existing::Replace, false), Verdict::Differs);
        assert_eq!(decided(Existing::Replace, true), Verdict::Updated);
        assert_eq!(decided(Existing::Merge, true), Verdict::Updated);
        assert_eq!(decided(Existing::None, true), Verdict::Differs);
    }

    #[test]
    fn subjects_are_added_to_a_binding_that_others_use_and_none_taken_away() {
        let kind = GroupKind::new("rbac.authorization.k8s.io", "ClusterRoleBinding");
        let binding = |subjects: Value| json!({"roleRef": {"name": "view"}, "subjects": subjects});
        let (ours, theirs) =
            (json!({"name": "web", "namespace": "shop-eu"}), json!({"name": "web", "namespace": "shop"}));
        let addition = addition(&kind, &binding(json!([ours])), &binding(json!([theirs])), NEW).unwrap();
        assert_eq!(addition.patch, json!({"subjects": [theirs, ours]}));
        let mut other = binding(json!([]));
        other["roleRef"]["name"] = json!("admin");
        assert!(
            super::addition(&kind, &binding(json!([ours])), &other, NEW).is_none(),
            "another role is a conflict"
        );
    }

    #[test]
    fn what_admission_added_to_a_restored_pod_is_no_difference() {
        let pod = |point: &str| json!({"metadata": {"annotations": {RESTORED_FROM: point}}});
        let change = |kind| Change { path: "spec.x".into(), kind, before: None, after: None };
        let changes = vec![change(ChangeKind::Added), change(ChangeKind::Changed)];
        assert_eq!(unlike(changes.clone(), &pod("p"), &pod("p")), [change(ChangeKind::Changed)]);
        assert_eq!(unlike(changes.clone(), &pod("p"), &pod("q")), changes);
        assert_eq!(unlike(changes.clone(), &json!({}), &json!({})), changes);
    }

    #[test]
    fn only_the_default_account_of_a_new_namespace_is_completed() {
        let kind = GroupKind::new("", "ServiceAccount");
        let account = json!({"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "registry"}]});
        assert!(addition(&kind, &account, &json!({}), NEW).is_some());
        let old = Circumstances { in_new_namespace: false, ..NEW };
        assert!(addition(&kind, &account, &json!({}), old).is_none());
        let mut patch = json!({"a": null, "b": {"c": null, "d": 1}});
        drop_nulls(&mut patch);
        assert_eq!(patch, json!({"b": {"d": 1}}));
    }
}
