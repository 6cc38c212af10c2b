//! Looking into objects while they pass: which kinds, and how far.

use holdfast_cluster::RawObject;
use holdfast_model::{Problem, ResourceType};

use super::fields::Peek;
use super::findings::Found;

/// Whether objects of a kind are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peeking {
    /// Not at all: most kinds.
    Nothing,
    /// For what they need.
    Needs,
    /// For claims as well.
    Claim,
    /// For images and volumes as well.
    Pod,
}

impl Peeking {
    pub(super) fn of(resource: &ResourceType) -> Self {
        match (resource.group.as_str(), resource.kind.as_str()) {
            ("", "Pod") => Peeking::Pod,
            ("", "PersistentVolumeClaim") => Peeking::Claim,
            ("", "PersistentVolume" | "ReplicationController" | "PodTemplate")
            | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
            | ("batch", "Job" | "CronJob")
            | ("networking.k8s.io", "Ingress")
            | ("gateway.networking.k8s.io", "Gateway")
            | ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding" | "ClusterRole") => {
                Peeking::Needs
            }
            _ => Peeking::Nothing,
        }
    }

    /// Looks into an object that is being captured.
    pub(super) fn look(self, object: &RawObject, found: &mut Found) {
        if self == Peeking::Nothing {
            return;
        }
        let peek: Peek = match serde_json::from_slice(&object.json) {
            Ok(peek) => peek,
            Err(error) => {
                let message = format!("what it needs of the cluster could not be found out: {error}");
                found.problems.push(Problem::new(
                    "object.needs",
                    object.object_ref(&found.of).to_string(),
                    message,
                ));
                return;
            }
        };
        peek.needs(&mut found.peeked);
        let metadata = &object.metadata;
        if let (Peeking::Claim, Some(namespace)) = (self, &metadata.namespace) {
            found.peeked.claims.insert((namespace.clone(), metadata.name.clone()));
        }
        if self == Peeking::Pod {
            peek.images(&mut found.peeked.images);
            peek.volumes(metadata, &mut found.peeked.pod_volumes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_cluster::{Metadata, Owner, kinds};
    use serde_json::{Value, json};

    fn look(of: ResourceType, object: Value, metadata: Metadata) -> Found {
        let mut found = Found::new(&of);
        Peeking::of(&of).look(&RawObject { json: object.to_string().into(), metadata }, &mut found);
        found
    }

    fn needs(of: ResourceType, object: Value) -> Vec<String> {
        let found = look(of, object, Metadata::default());
        found.peeked.needs.iter().map(|need| format!("{} {}", need.kind, need.name)).collect()
    }

    #[test]
    fn objects_tell_what_they_need_of_the_cluster() {
        let claim = json!({"spec": {"volumeName": "pv-1", "storageClassName": "fast"}});
        assert_eq!(
            needs(kinds::persistent_volume_claims(), claim.clone()),
            ["PersistentVolume pv-1", "StorageClass.storage.k8s.io fast"]
        );
        let set = json!({"spec": {"template": {"spec": {"priorityClassName": "high"}}, "volumeClaimTemplates": [claim]}});
        assert_eq!(needs(kinds::stateful_sets(), set).len(), 3);
        let cron = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"runtimeClassName": "gvisor"}}}}}});
        assert_eq!(needs(kinds::cron_jobs(), cron), ["RuntimeClass.node.k8s.io gvisor"]);
        let binding = json!({"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": null});
        assert_eq!(needs(kinds::role_bindings(), binding), ["ClusterRole.rbac.authorization.k8s.io view"]);
        let local = json!({"roleRef": {"kind": "Role", "name": "view"}});
        assert!(needs(kinds::role_bindings(), local).is_empty());
        assert!(needs(kinds::config_maps(), json!({"spec": {"volumeName": "x"}})).is_empty());
    }

    #[test]
    fn an_aggregated_role_names_those_it_is_made_of() {
        let role = json!({"aggregationRule": {"clusterRoleSelectors": [
            {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d", "e"]}]}]}});
        let found = look(kinds::cluster_roles(), role, Metadata::default());
        assert_eq!(found.peeked.aggregated_roles.first().unwrap(), "a=b,c in (d,e)");
    }

    #[test]
    fn a_pod_tells_its_images_and_the_volumes_without_a_claim() {
        let pod = json!({
            "spec": {
                "containers": [{"name": "web", "image": "shop/web:1"}, {"name": "new", "image": "shop/new:1"}],
                "volumes": [
                    {"name": "cache", "emptyDir": {}}, {"name": "cfg", "configMap": {"name": "x"}},
                    {"name": "data", "persistentVolumeClaim": {"claimName": "d"}}, {"name": "old", "nfs": {}},
                ],
            },
            "status": {"containerStatuses": [{"name": "web", "imageID": "shop/web@sha256:1"}, {"name": "new", "imageID": ""}]},
        });
        let owner =
            Owner { kind: "ReplicaSet".into(), name: "web-5d4".into(), controller: true, ..Owner::default() };
        let metadata = Metadata {
            name: "web-5d4-xyz".into(),
            namespace: Some("shop".into()),
            labels: [("pod-template-hash".to_owned(), "5d4".to_owned())].into(),
            owner_references: vec![owner],
            ..Metadata::default()
        };
        let found = look(kinds::pods(), pod, metadata);
        assert_eq!(found.peeked.images, [("shop/web:1".to_owned(), "shop/web@sha256:1".to_owned())].into());
        let volumes: Vec<String> =
            found.peeked.pod_volumes().into_iter().map(|volume| volume.subject).collect();
        assert_eq!(
            volumes,
            ["emptyDir volume cache of Deployment shop/web", "nfs volume old of Deployment shop/web"]
        );
    }

    #[test]
    fn an_object_that_cannot_be_looked_into_is_a_problem_not_a_crash() {
        let found = look(
            kinds::pods(),
            json!({"spec": {"volumes": 3}}),
            Metadata { name: "x".into(), ..Metadata::default() },
        );
        assert_eq!(found.problems.len(), 1);
    }
}
