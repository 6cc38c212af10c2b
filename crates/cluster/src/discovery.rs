//! Which resources a cluster serves, at which versions, and which of its API groups do not answer.

use std::collections::HashMap;
use std::ops::Deref;

use holdfast_model::ResourceType;
use kube::client::{APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery};
use serde::Deserialize;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::transport::Outgoing;

/// Aggregated discovery (KEP-3352), in one request for all groups; servers before 1.26 answer
/// with the plain lists of the last choice.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// One resource at one version; dereferences to its [`ResourceType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Group, version, kind, plural and scope.
    pub of: ResourceType,
    /// What can be done with it: `get`, `list`, `watch`, `create` …
    pub verbs: Vec<String>,
    /// Its subresources, e.g. `status`, `scale`.
    pub subresources: Vec<String>,
    /// Singular and short names that kubectl accepts.
    pub aliases: Vec<String>,
    /// Whether this is the version the server prefers for this resource.
    pub preferred: bool,
    /// The other versions it is served at, best first.
    pub other_versions: Vec<String>,
}

impl Deref for Resource {
    type Target = ResourceType;

    fn deref(&self) -> &ResourceType {
        &self.of
    }
}

impl Resource {
    /// Whether the server offers this verb for it.
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Whether it has this subresource.
    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.iter().any(|known| known == name)
    }
}

/// An API group whose server did not answer: what it serves is unknown or out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleGroup {
    /// The group.
    pub group: String,
    /// The version, or empty if not even the versions are known.
    pub version: String,
    /// What is known about why.
    pub reason: String,
}

/// Everything a cluster serves.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// All resources at all versions, groups in the server's order, preferred versions first.
    pub resources: Vec<Resource>,
    /// Groups that did not answer. Objects of theirs cannot be listed now.
    pub stale: Vec<StaleGroup>,
}

impl Discovery {
    /// Each resource once, at the version that the server prefers.
    pub fn preferred(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| resource.preferred)
    }

    /// A kind at its preferred version.
    pub fn find(&self, group: &str, kind: &str) -> Option<&Resource> {
        self.preferred().find(|resource| resource.group == group && resource.kind == kind)
    }

    /// A kind at the `apiVersion` of an object.
    pub fn find_at(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.resources
            .iter()
            .find(|resource| resource.group == group && resource.version == version && resource.kind == kind)
    }

    /// A resource by what a person calls it: `deploy`, `deployments.apps`, `Deployment`. The first
    /// group that has it wins, as with kubectl.
    pub fn resolve(&self, name: &str) -> Option<&Resource> {
        let name = name.to_ascii_lowercase();
        let (name, group) = match name.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (name.as_str(), None),
        };
        self.preferred().filter(|resource| group.is_none_or(|group| resource.group == group)).find(
            |resource| {
                resource.plural == name
                    || resource.kind.eq_ignore_ascii_case(name)
                    || resource.aliases.iter().any(|alias| alias == name)
            },
        )
    }

    /// All `group/version` pairs (`v1`, `apps/v1`), in the server's order.
    pub fn api_versions(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for resource in &self.resources {
            let api_version = resource.of.api_version();
            if !all.contains(&api_version) {
                all.push(api_version);
            }
        }
        all
    }

    fn add_group(&mut self, group: APIGroupDiscovery) {
        let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        for version in group.versions {
            let version_name = version.version.unwrap_or_default();
            if version.freshness.as_deref() == Some("Stale") {
                let reason = "its API server does not answer".to_owned();
                self.stale.push(StaleGroup { group: name.clone(), version: version_name.clone(), reason });
            }
            let served = version.resources.into_iter();
            self.resources.extend(served.filter_map(|resource| served_as(&name, &version_name, resource)));
        }
    }

    /// Settles which version of each resource is preferred: the group's first that has it.
    pub(crate) fn settle(&mut self) {
        let mut versions: HashMap<(String, String), Vec<String>> = HashMap::new();
        for resource in &self.resources {
            let key = (resource.group.clone(), resource.plural.clone());
            versions.entry(key).or_default().push(resource.version.clone());
        }
        for resource in &mut self.resources {
            let key = (resource.of.group.clone(), resource.of.plural.clone());
            let all = versions.get(&key).map(Vec::as_slice).unwrap_or_default();
            resource.preferred = all.first() == Some(&resource.of.version);
            resource.other_versions =
                all.iter().filter(|other| **other != resource.of.version).cloned().collect();
        }
    }
}

/// A resource of aggregated discovery; `None` for one that has only subresources to offer.
fn served_as(group: &str, version: &str, found: APIResourceDiscovery) -> Option<Resource> {
    let kind = found.response_kind?.kind.filter(|kind| !kind.is_empty())?;
    let mut aliases = found.short_names;
    aliases.extend(found.singular_resource.filter(|name| !name.is_empty()));
    Some(Resource {
        of: ResourceType {
            group: group.to_owned(),
            version: version.to_owned(),
            kind,
            plural: found.resource?,
            namespaced: found.scope.as_deref() == Some("Namespaced"),
        },
        verbs: found.verbs,
        subresources: found.subresources.into_iter().filter_map(|sub| sub.subresource).collect(),
        aliases,
        preferred: false,
        other_versions: Vec::new(),
    })
}

/// Tells the aggregated answer from the plain one.
#[derive(Deserialize)]
struct Kind {
    kind: String,
}

impl Cluster {
    /// Finds out what the cluster serves. Two requests, or one per group version on servers that
    /// do not aggregate. A group that does not answer is named and does not fail the others.
    pub async fn discover(&self) -> Result<Discovery> {
        let mut found = Discovery::default();
        for root in ["/api", "/apis"] {
            let call = Call::path("get", root);
            let request = Outgoing::get(call.clone(), root.to_owned()).accept(ACCEPT);
            let body = self.send(&request).await.result?;
            let Kind { kind } = self.parse(&call, &body)?;
            if kind == "APIGroupDiscoveryList" {
                let groups: APIGroupDiscoveryList = self.parse(&call, &body)?;
                groups.items.into_iter().for_each(|group| found.add_group(group));
            } else {
                self.discover_one_by_one(root, &call, &body, &mut found).await?;
            }
        }
        found.settle();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovered(groups: serde_json::Value) -> Discovery {
        let groups: Vec<APIGroupDiscovery> = serde_json::from_value(groups).unwrap();
        let mut found = Discovery::default();
        groups.into_iter().for_each(|group| found.add_group(group));
        found.settle();
        found
    }

    fn served(plural: &str, kind: &str) -> serde_json::Value {
        serde_json::json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced",
            "singularResource": kind.to_lowercase(), "verbs": ["get", "list"], "shortNames": [&plural[..2]],
            "subresources": [{"subresource": "status"}]})
    }

    #[test]
    fn the_first_version_that_has_a_resource_is_preferred_for_it() {
        let found = discovered(serde_json::json!([
            {"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [served("pods", "Pod")]}]},
            {"metadata": {"name": "x.io"}, "versions": [
                {"version": "v1", "resources": [served("tills", "Till")]},
                {"version": "v1beta1", "resources": [served("tills", "Till"), served("coins", "Coin")]}]}
        ]));
        let till = found.find("x.io", "Till").unwrap();
        assert_eq!(
            (till.version.as_str(), till.other_versions.as_slice()),
            ("v1", ["v1beta1".to_owned()].as_slice())
        );
        assert_eq!(found.find("x.io", "Coin").unwrap().version, "v1beta1");
        assert!(!found.find_at("x.io/v1beta1", "Till").unwrap().preferred);
        assert_eq!(found.preferred().count(), 3);
        assert_eq!(found.api_versions(), ["v1", "x.io/v1", "x.io/v1beta1"]);
        for name in ["po", "pod", "pods", "Pod"] {
            assert_eq!(found.resolve(name).unwrap().kind, "Pod", "{name}");
        }
        assert_eq!(found.resolve("coins.x.io").unwrap().kind, "Coin");
        assert!(found.resolve("coins.y.io").is_none());
        assert!(till.can("list") && !till.can("watch") && till.has_subresource("status"));
    }

    #[test]
    fn stale_groups_are_named() {
        let found = discovered(serde_json::json!([
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1", "freshness": "Stale"}]}
        ]));
        assert_eq!(
            (found.stale[0].group.as_str(), found.stale[0].version.as_str()),
            ("metrics.k8s.io", "v1")
        );
    }
}
