//! The least rights that a backup or a restore needs, as roles to be applied.
//!
//! [`RULES`] is the whole of it: one line per right, each with its reason, which the roles carry as
//! an annotation so that whoever reviews them in the cluster can read it there.

mod rules;

pub use rules::{Place, RULES, Rule};

use holdfast_model::label::{MANAGED_BY, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

/// What the rights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Backups, and sweeping up after them.
    Backup,
    /// Restores, and sweeping up after them.
    Restore,
}

/// Where they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All namespaces and everything cluster-scoped.
    Cluster,
    /// These namespaces, and of the cluster-scoped objects those that theirs refer to.
    Namespaces(Vec<String>),
}

/// A ServiceAccount in `holdfast-system` with exactly these rights, as manifests in an order that
/// they can be applied in.
pub fn manifests(purpose: Purpose, reach: &Reach) -> Vec<Value> {
    let name = match purpose {
        Purpose::Backup => "holdfast-backup",
        Purpose::Restore => "holdfast-restore",
    };
    let roles = Roles { name, purpose };
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": roles.metadata(Some(SYSTEM_NAMESPACE), None),
    });
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}});
    let mut all = vec![namespace, account];
    all.extend(roles.namespaced(SYSTEM_NAMESPACE, &[Place::System]));
    match reach {
        Reach::Cluster => {
            all.extend(roles.cluster(&[Place::Application, Place::Cluster, Place::WholeCluster]))
        }
        Reach::Namespaces(namespaces) => {
            all.extend(roles.cluster(&[Place::Cluster]));
            all.extend(
                namespaces.iter().flat_map(|namespace| roles.namespaced(namespace, &[Place::Application])),
            );
        }
    }
    all
}

/// Roles of one name for one purpose.
struct Roles {
    name: &'static str,
    purpose: Purpose,
}

impl Roles {
    fn rules(&self, places: &[Place]) -> Vec<&'static Rule> {
        let wanted = |rule: &&Rule| match self.purpose {
            Purpose::Backup => rule.backup,
            Purpose::Restore => rule.restore,
        };
        RULES.iter().filter(wanted).filter(|rule| places.contains(&rule.place)).collect()
    }

    fn namespaced(&self, namespace: &str, places: &[Place]) -> [Value; 2] {
        let rules = self.rules(places);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": self.metadata(Some(namespace), Some(&rules)),
            "rules": rules.iter().map(|rule| rule.manifest()).collect::<Vec<_>>(),
        });
        [role, self.binding("RoleBinding", "Role", Some(namespace))]
    }

    fn cluster(&self, places: &[Place]) -> [Value; 2] {
        let rules = self.rules(places);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": self.metadata(None, Some(&rules)),
            "rules": rules.iter().map(|rule| rule.manifest()).collect::<Vec<_>>(),
        });
        [role, self.binding("ClusterRoleBinding", "ClusterRole", None)]
    }

    fn binding(&self, kind: &str, role: &str, namespace: Option<&str>) -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": self.metadata(namespace, None),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": self.name},
            "subjects": [{"kind": "ServiceAccount", "namespace": SYSTEM_NAMESPACE, "name": self.name}],
        })
    }

    fn metadata(&self, namespace: Option<&str>, rules: Option<&[&Rule]>) -> Value {
        let (managed, by) = MANAGED_BY;
        let mut metadata = json!({"name": self.name, "labels": {managed: by}});
        if let Some(namespace) = namespace {
            metadata["namespace"] = json!(namespace);
        }
        if let Some(rules) = rules {
            let reasons: Vec<String> = rules.iter().map(|rule| rule.to_string()).collect();
            metadata["annotations"] = json!({"holdfast.dev/reasons": reasons.join("\n")});
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs_of(manifests: &[Value], kind: &str) -> Vec<String> {
        let roles = manifests.iter().filter(|object| object["kind"] == kind);
        let rules = roles.flat_map(|role| role["rules"].as_array().unwrap());
        rules
            .flat_map(|rule| rule["verbs"].as_array().unwrap())
            .map(|verb| verb.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_backup_changes_nothing_that_is_cluster_scoped_but_our_namespace_and_contents_of_snapshots() {
        let manifests = manifests(Purpose::Backup, &Reach::Namespaces(vec!["shop".into()]));
        let cluster = manifests.iter().find(|object| object["kind"] == "ClusterRole").unwrap();
        for rule in cluster["rules"].as_array().unwrap() {
            let reads = [json!("get"), json!("list"), json!("watch")];
            let writes = rule["verbs"].as_array().unwrap().iter().any(|verb| !reads.contains(verb));
            let ours = ["namespaces", "volumesnapshotcontents", "volumegroupsnapshotcontents"];
            let ours = ours.map(|resource| json!([resource]));
            assert!(!writes || ours.contains(&rule["resources"]), "{rule}");
        }
        assert!(!verbs_of(&manifests, "Role").contains(&"escalate".to_owned()));
    }

    #[test]
    fn no_role_ever_grants_all_verbs_and_every_rule_says_why() {
        for (purpose, reach) in [
            (Purpose::Backup, Reach::Cluster),
            (Purpose::Restore, Reach::Cluster),
            (Purpose::Restore, Reach::Namespaces(vec!["a".into(), "b".into()])),
        ] {
            let manifests = manifests(purpose, &reach);
            for kind in ["Role", "ClusterRole"] {
                assert!(!verbs_of(&manifests, kind).contains(&"*".to_owned()));
            }
        }
        assert!(RULES.iter().all(|rule| rule.reason.contains(" ")));
    }

    #[test]
    fn the_reach_decides_between_roles_and_cluster_roles() {
        let kinds = |reach: &Reach| -> Vec<String> {
            let all = manifests(Purpose::Backup, reach);
            all.iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
        };
        let two = Reach::Namespaces(vec!["a".into(), "b".into()]);
        assert_eq!(kinds(&two).iter().filter(|kind| *kind == "Role").count(), 3);
        assert_eq!(kinds(&Reach::Cluster).iter().filter(|kind| *kind == "Role").count(), 1);
    }
}
