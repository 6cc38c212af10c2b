//! Which kinds are captured, and which groups could not be asked.

use holdfast_cluster::Discovery;
use holdfast_model::scope::Selector;
use holdfast_model::{Problem, ResourceType};

/// Every selected kind once, at the version the server prefers. A kind that cannot be created is
/// a view of something else (metrics, for example); it could not be restored.
pub(crate) fn selected(discovery: &Discovery, selector: &Selector, namespaces: bool) -> Vec<ResourceType> {
    discovery
        .preferred()
        .filter(|resource| resource.can("list") && resource.can("create"))
        .filter(|resource| selector.takes_kind(&resource.of))
        .filter(|resource| if resource.namespaced { namespaces } else { !is_namespace(&resource.of) })
        .map(|resource| resource.of.clone())
        .collect()
}

/// Namespaces are taken as the scope's namespaces say.
fn is_namespace(of: &ResourceType) -> bool {
    of.group.is_empty() && of.plural == "namespaces"
}

/// A problem for each group that did not answer: what it serves is unknown, so is what is missing.
pub(crate) fn stale(discovery: &Discovery) -> Vec<Problem> {
    let lost = discovery.stale.iter().filter(|stale| !is_measurement(&stale.group));
    lost.map(|stale| {
        let subject = format!("all objects of API group {}", stale.group);
        Problem::new(
            "group.unreadable",
            subject,
            format!("{} could not be discovered: {}", stale.version, stale.reason),
        )
        .hint("see `kubectl get apiservices`")
    })
    .collect()
}

/// Groups of metrics hold measurements, never objects.
fn is_measurement(group: &str) -> bool {
    group == "metrics.k8s.io" || group.ends_with(".metrics.k8s.io")
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_cluster::{Resource, StaleGroup, kinds};
    use holdfast_model::scope::Scope;

    fn resource(of: ResourceType, verbs: &[&str]) -> Resource {
        Resource {
            of,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            subresources: Vec::new(),
            aliases: Vec::new(),
            preferred: true,
            other_versions: Vec::new(),
        }
    }

    #[test]
    fn views_and_what_the_scope_leaves_out_are_not_listed() {
        let metrics = kinds::resource("metrics.k8s.io", "v1beta1", "PodMetrics", "pods", true);
        let resources = vec![
            resource(kinds::secrets(), &["list", "create"]),
            resource(metrics, &["list", "get"]),
            resource(kinds::events(), &["list", "create"]),
            resource(kinds::namespaces(), &["list", "create"]),
            resource(kinds::cluster_roles(), &["list", "create"]),
        ];
        let discovery = Discovery { resources, stale: Vec::new() };
        let mut scope = Scope { namespaces: vec!["shop".into()], ..Scope::default() };
        scope.cluster.kinds = vec!["clusterroles".into(), "namespaces".into()];
        let selector = Selector::new(&scope).unwrap();
        assert_eq!(selected(&discovery, &selector, true), [kinds::secrets(), kinds::cluster_roles()]);
        assert_eq!(selected(&discovery, &selector, false), [kinds::cluster_roles()]);
    }

    #[test]
    fn a_group_that_does_not_answer_is_named_unless_it_only_measures() {
        let stale =
            |group: &str| StaleGroup { group: group.into(), version: "v1".into(), reason: "down".into() };
        let discovery = Discovery {
            resources: Vec::new(),
            stale: vec![stale("custom.metrics.k8s.io"), stale("bank.example")],
        };
        let problems = super::stale(&discovery);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].subject, "all objects of API group bank.example");
    }
}
