//! Cluster-scoped objects that the selected ones need: CRDs, PersistentVolumes, roles, bindings, classes.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use holdfast_cluster::{ListEvent, ListOptions, RawObject, kinds};
use holdfast_model::point::Exclusion;
use holdfast_model::{Problem, ResourceType};
use serde::Deserialize;

use super::findings::Findings;
use super::peeked::Need;
use super::{Capture, Namespaces, is_local, unreadable};
use crate::error::Result;

/// Objects read one by one at the same time.
const READS: usize = 16;
/// What is needed needs something itself (a binding its role, a volume its class), but not for ever.
const ROUNDS: usize = 8;
/// Label of the roles that every API server makes by itself.
const BOOTSTRAPPED: &str = "kubernetes.io/bootstrapping";

impl Capture {
    /// Takes what the captured objects need and what is not there yet.
    pub(super) async fn take_related(&self, all: &mut Findings) -> Result<()> {
        let definitions: Vec<Need> = all.types().filter_map(definition).collect();
        all.peeked.needs.extend(definitions);
        self.take_cluster_bindings(all).await?;
        let mut seen = BTreeSet::new();
        for _ in 0..ROUNDS {
            self.take_aggregated(all).await?;
            let needs: Vec<Need> = std::mem::take(&mut all.peeked.needs)
                .into_iter()
                .filter(|need| seen.insert(need.clone()))
                .collect();
            if needs.is_empty() {
                break;
            }
            self.take_needs(needs, all).await?;
        }
        Ok(())
    }

    async fn take_needs(&self, needs: Vec<Need>, all: &mut Findings) -> Result<()> {
        let wanted: Vec<(ResourceType, String)> = needs
            .into_iter()
            .filter_map(|need| {
                let resource = self.discovery.find(&need.kind.group, &need.kind.kind)?;
                Some((resource.of.clone(), need.name)).filter(|(of, name)| !all.has(of, name))
            })
            .collect();
        let mut reads = stream::iter(wanted)
            .map(|(of, name)| async move {
                let read = self.cluster.get_raw(&of, None, &name).await;
                (of, name, read)
            })
            .buffer_unordered(READS);
        while let Some((of, name, read)) = reads.next().await {
            match read {
                // A reference to something that does not exist loses nothing.
                Ok(None) => {}
                Ok(Some(object)) => self.take_one(&of, object, all).await?,
                Err(error) if is_local(&error) => {
                    all.problems.push(Problem::new(
                        "object.unreadable",
                        format!("{of} {name}"),
                        error.to_string(),
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn take_one(&self, of: &ResourceType, object: RawObject, all: &mut Findings) -> Result<()> {
        if is_bootstrapped(of, &object) {
            let (subject, reason) =
                (object.object_ref(of).to_string(), "every API server makes it by itself".to_owned());
            all.excluded.push(Exclusion { subject, reason });
            return Ok(());
        }
        all.add(self.store_all(of, vec![object]).await?)
    }

    /// ClusterRoleBindings that give rights to ServiceAccounts of the selected namespaces.
    async fn take_cluster_bindings(&self, all: &mut Findings) -> Result<()> {
        if self.namespaces.is_empty() {
            return Ok(());
        }
        let namespaces = self.namespaces.clone();
        self.take_listed(kinds::cluster_role_bindings(), None, all, move |object| binds(object, &namespaces))
            .await
    }

    /// ClusterRoles that aggregated ones are made of.
    async fn take_aggregated(&self, all: &mut Findings) -> Result<()> {
        for labels in std::mem::take(&mut all.peeked.aggregated_roles) {
            self.take_listed(kinds::cluster_roles(), Some(labels), all, |_| true).await?;
        }
        Ok(())
    }

    async fn take_listed(
        &self,
        of: ResourceType,
        labels: Option<String>,
        all: &mut Findings,
        wanted: impl Fn(&RawObject) -> bool,
    ) -> Result<()> {
        let mut events =
            std::pin::pin!(self.cluster.list(&of, ListOptions { labels, ..ListOptions::default() }));
        while let Some(event) = events.next().await {
            match event {
                // What came before a restart is kept: it is looked up by name.
                Ok(ListEvent::Restarted | ListEvent::Done { .. }) => {}
                Ok(ListEvent::Page { items, .. }) => {
                    for object in items {
                        if wanted(&object) && !all.has(&of, &object.metadata.name) {
                            self.take_one(&of, object, all).await?;
                        }
                    }
                }
                Err(error) => all.problems.push(unreadable(&of, None, error)?),
            }
        }
        Ok(())
    }
}

/// The CRD that a type would be defined by; built-in types have none and are not asked for.
fn definition(of: &ResourceType) -> Option<Need> {
    const BUILT_IN: [&str; 12] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    ];
    let custom = of.group.contains('.') && !BUILT_IN.contains(&of.group.as_str());
    custom.then(|| Need::new("apiextensions.k8s.io", "CustomResourceDefinition", of.plural_group()))
}

fn is_bootstrapped(of: &ResourceType, object: &RawObject) -> bool {
    match of.kind.as_str() {
        "ClusterRole" | "ClusterRoleBinding" => object.metadata.labels.contains_key(BOOTSTRAPPED),
        "PriorityClass" => object.metadata.name.starts_with("system-"),
        _ => false,
    }
}

#[derive(Deserialize)]
struct Binding {
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Subject {
    kind: String,
    namespace: String,
    name: String,
}

/// Whether a binding names a ServiceAccount of the namespaces, or all of one of them.
fn binds(binding: &RawObject, namespaces: &Namespaces) -> bool {
    let Ok(Binding { subjects }) = serde_json::from_slice(&binding.json) else { return false };
    subjects.into_iter().flatten().any(|subject| match subject.kind.as_str() {
        "ServiceAccount" => namespaces.contains(&subject.namespace),
        "Group" => subject
            .name
            .strip_prefix("system:serviceaccounts:")
            .is_some_and(|namespace| namespaces.contains(namespace)),
        "User" => subject
            .name
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
            .is_some_and(|(namespace, _)| namespaces.contains(namespace)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_cluster::Metadata;
    use serde_json::json;

    fn object(json: serde_json::Value, name: &str) -> RawObject {
        RawObject {
            json: json.to_string().into(),
            metadata: Metadata { name: name.into(), ..Metadata::default() },
        }
    }

    #[test]
    fn a_binding_belongs_to_the_application_if_it_gives_its_accounts_rights() {
        let namespaces = Namespaces { chosen: vec![object(json!({}), "shop")], ..Namespaces::default() };
        for (kind, namespace, name, expected) in [
            ("ServiceAccount", "shop", "web", true),
            ("ServiceAccount", "bank", "web", false),
            ("Group", "", "system:serviceaccounts:shop", true),
            ("Group", "", "system:serviceaccounts", false),
            ("User", "", "system:serviceaccount:shop:web", true),
            ("User", "", "jane", false),
        ] {
            let subject = json!({"kind": kind, "namespace": namespace, "name": name});
            let binding = object(json!({"subjects": [subject]}), "b");
            assert_eq!(binds(&binding, &namespaces), expected, "{kind} {namespace} {name}");
        }
        assert!(!binds(&object(json!({"subjects": null}), "b"), &namespaces));
    }

    #[test]
    fn only_types_that_may_be_custom_have_a_definition() {
        assert_eq!(definition(&kinds::deployments()), None);
        assert_eq!(definition(&kinds::roles()), None);
        let tills = kinds::resource("bank.example", "v1", "Till", "tills", true);
        assert_eq!(definition(&tills).unwrap().name, "tills.bank.example");
        let snapshots = kinds::resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways", true);
        assert!(definition(&snapshots).is_some());
    }
}
