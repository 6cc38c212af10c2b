//! Who uses which claims: volumes that one pod uses must end on storage that one node reaches.

use std::collections::BTreeMap;

use holdfast_model::GroupKind;
use holdfast_model::restore::places::POD_SPECS;
use serde_json::Value;

/// A claim by namespace and name.
pub(super) type ClaimName = (String, String);

/// Claims that are filled together, and the specification of a pod that uses them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Group {
    /// The claims.
    pub(super) claims: Vec<ClaimName>,
    /// Specification of a pod that uses one of them; `null` if nobody does.
    pub(super) pod: Value,
}

/// Groups claims by the pods that use them.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    groups: Vec<Group>,
    of: BTreeMap<ClaimName, usize>,
}

impl Consumers {
    /// Learns from a workload or pod of the point which of the claims it uses. `wanted` tells the
    /// claims that matter; pods are more exact than templates and should come first.
    pub(super) fn learn(&mut self, kind: &GroupKind, object: &Value, wanted: &dyn Fn(&ClaimName) -> bool) {
        let Some(namespace) = object["metadata"]["namespace"].as_str() else { return };
        let Some(pod) = pod_of(kind, object) else { return };
        let direct: Vec<ClaimName> =
            volumes(pod).map(|claim| (namespace.to_owned(), claim.to_owned())).collect();
        self.together(direct.into_iter().filter(|claim| wanted(claim)).collect(), pod);
    }

    /// Learns from a StatefulSet about claims of pods that are not there.
    pub(super) fn learn_set(&mut self, set: &Value, all: &[ClaimName]) {
        let Some(name) = set["metadata"]["name"].as_str() else { return };
        let namespace = &set["metadata"]["namespace"];
        let templates = set["spec"]["volumeClaimTemplates"].as_array();
        let templates: Vec<&str> = templates
            .into_iter()
            .flatten()
            .filter_map(|template| template["metadata"]["name"].as_str())
            .collect();
        let mut ordinals: BTreeMap<&str, Vec<ClaimName>> = BTreeMap::new();
        for claim in all.iter().filter(|claim| *namespace == claim.0) {
            let ordinal = templates.iter().find_map(|template| {
                let rest = claim
                    .1
                    .strip_prefix(template)?
                    .strip_prefix('-')?
                    .strip_prefix(name)?
                    .strip_prefix('-')?;
                rest.bytes().all(|c| c.is_ascii_digit()).then_some(rest)
            });
            if let Some(ordinal) = ordinal {
                ordinals.entry(ordinal).or_default().push(claim.clone());
            }
        }
        for claims in ordinals.into_values() {
            self.together(claims, &set["spec"]["template"]["spec"]);
        }
    }

    fn together(&mut self, claims: Vec<ClaimName>, pod: &Value) {
        let known: Vec<usize> = claims.iter().filter_map(|claim| self.of.get(claim).copied()).collect();
        let Some(first) = claims.first() else { return };
        let group = known.first().copied().unwrap_or_else(|| {
            self.groups.push(Group { claims: Vec::new(), pod: scheduling(pod) });
            self.groups.len() - 1
        });
        for other in known.into_iter().filter(|other| *other != group) {
            let moved = std::mem::take(&mut self.groups[other].claims);
            moved.iter().for_each(|claim| {
                self.of.insert(claim.clone(), group);
            });
            self.groups[group].claims.extend(moved);
        }
        debug_assert!(!first.1.is_empty());
        for claim in claims {
            if self.of.insert(claim.clone(), group).is_none() {
                self.groups[group].claims.push(claim);
            }
        }
    }

    /// The groups of these claims; a claim that nobody uses is a group of its own.
    pub(super) fn groups(mut self, all: &[ClaimName]) -> Vec<Group> {
        let alone = all.iter().filter(|claim| !self.of.contains_key(*claim));
        let alone: Vec<Group> =
            alone.map(|claim| Group { claims: vec![claim.clone()], pod: Value::Null }).collect();
        self.groups.retain(|group| !group.claims.is_empty());
        self.groups.into_iter().chain(alone).collect()
    }
}

/// The specification of the pods that an object is or makes.
fn pod_of<'a>(kind: &GroupKind, object: &'a Value) -> Option<&'a Value> {
    let (_, _, place) =
        POD_SPECS.iter().find(|(group, name, _)| kind.group == *group && kind.kind == *name)?;
    object.pointer(place)
}

/// Names of the claims that a pod mounts.
fn volumes(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// What of a pod decides on which nodes it can run.
fn scheduling(pod: &Value) -> Value {
    const KEYS: [&str; 3] = ["nodeSelector", "affinity", "tolerations"];
    let kept = KEYS.iter().filter_map(|key| Some(((*key).to_owned(), pod.get(*key)?.clone())));
    Value::Object(kept.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(name: &str) -> ClaimName {
        ("shop".into(), name.into())
    }

    fn pod(claims: &[&str]) -> Value {
        let volumes: Vec<Value> =
            claims.iter().map(|claim| json!({"persistentVolumeClaim": {"claimName": claim}})).collect();
        json!({"metadata": {"namespace": "shop"}, "spec": {"volumes": volumes, "nodeSelector": {"zone": "a"}, "x": 1}})
    }

    fn groups(pods: &[&[&str]], all: &[&str]) -> Vec<Vec<String>> {
        let mut consumers = Consumers::default();
        let kind = GroupKind::new("", "Pod");
        for claims in pods {
            consumers.learn(&kind, &pod(claims), &|claim| claim.1 != "other");
        }
        let all: Vec<ClaimName> = all.iter().map(|name| claim(name)).collect();
        let groups = consumers.groups(&all).into_iter();
        groups.map(|group| group.claims.into_iter().map(|(_, name)| name).collect()).collect()
    }

    #[test]
    fn claims_of_one_pod_stay_together() {
        assert_eq!(
            groups(&[&["data", "wal", "other"], &["logs"]], &["data", "wal", "logs", "lone"]),
            [vec!["data", "wal"], vec!["logs"], vec!["lone"]]
        );
    }

    #[test]
    fn a_claim_of_two_pods_brings_their_claims_together() {
        assert_eq!(groups(&[&["a"], &["b"], &["a", "b", "c"]], &["a", "b", "c"]), [vec!["a", "b", "c"]]);
    }

    #[test]
    fn only_what_decides_about_nodes_is_kept() {
        let mut consumers = Consumers::default();
        consumers.learn(&GroupKind::new("", "Pod"), &pod(&["a"]), &|_| true);
        assert_eq!(consumers.groups(&[claim("a")])[0].pod, json!({"nodeSelector": {"zone": "a"}}));
    }

    #[test]
    fn a_set_without_pods_tells_its_claims_by_their_names() {
        let set = json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": {
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}, {"metadata": {"name": "wal"}}],
            "template": {"spec": {"tolerations": []}}}});
        let all = ["data-db-0", "wal-db-0", "data-db-1", "data-dbx-1", "data-db-x"].map(claim);
        let mut consumers = Consumers::default();
        consumers.learn_set(&set, &all);
        let groups: Vec<_> = consumers.groups(&all).into_iter().map(|group| group.claims).collect();
        assert_eq!(groups[0], [claim("data-db-0"), claim("wal-db-0")]);
        assert_eq!(groups[1], [claim("data-db-1")]);
        assert_eq!(groups.len(), 4);
    }
}
