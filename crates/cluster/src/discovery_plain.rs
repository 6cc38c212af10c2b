//! Discovery as servers before 1.26 offer it: a list of groups, then one list for each version.

use holdfast_model::ResourceType;
use serde::Deserialize;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::discovery::{Discovery, Resource, StaleGroup};
use crate::error::Result;
use crate::transport::Outgoing;

/// `APIVersions` of `/api` and `APIGroupList` of `/apis` in one.
#[derive(Deserialize)]
struct Roots {
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    versions: Vec<Version>,
    preferred_version: Option<Version>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: String,
}

impl Group {
    /// Versions, the preferred one first.
    fn ordered(self) -> Vec<String> {
        let mut versions = self.versions;
        if let Some(preferred) = self.preferred_version {
            versions.sort_by_key(|version| *version != preferred);
        }
        versions.into_iter().map(|version| version.version).collect()
    }
}

#[derive(Deserialize)]
struct Served {
    resources: Vec<ServedResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServedResource {
    name: String,
    #[serde(default)]
    singular_name: String,
    namespaced: bool,
    kind: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
}

impl Cluster {
    /// Continues discovery from the plain answer of `/api` or `/apis`.
    pub(crate) async fn discover_one_by_one(
        &self,
        root: &str,
        call: &Call,
        body: &[u8],
        found: &mut Discovery,
    ) -> Result<()> {
        let roots: Roots = self.parse(call, body)?;
        for version in roots.versions {
            self.discover_version(format!("{root}/{version}"), "", &version, found).await?;
        }
        for group in roots.groups {
            let name = group.name.clone();
            for version in group.ordered() {
                self.discover_version(format!("{root}/{name}/{version}"), &name, &version, found).await?;
            }
        }
        Ok(())
    }

    async fn discover_version(
        &self,
        path: String,
        group: &str,
        version: &str,
        found: &mut Discovery,
    ) -> Result<()> {
        let request = Outgoing::get(Call::path("get", path.clone()), path);
        match self.send_for::<Served>(request).await {
            Ok(served) => found.resources.extend(served.into_resources(group, version)),
            // The group's own server failed; the API server itself was reached.
            Err(error) if error.reason().is_some() => found.stale.push(StaleGroup {
                group: group.to_owned(),
                version: version.to_owned(),
                reason: error.to_string(),
            }),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Served {
    fn into_resources(self, group: &str, version: &str) -> Vec<Resource> {
        let (subresources, resources): (Vec<_>, Vec<_>) =
            self.resources.into_iter().partition(|resource| resource.name.contains('/'));
        let mut all: Vec<Resource> =
            resources.into_iter().map(|resource| resource.at(group, version)).collect();
        for subresource in subresources {
            let Some((parent, name)) = subresource.name.split_once('/') else { continue };
            if let Some(parent) = all.iter_mut().find(|resource| resource.of.plural == parent) {
                parent.subresources.push(name.to_owned());
            }
        }
        all
    }
}

impl ServedResource {
    fn at(self, group: &str, version: &str) -> Resource {
        let mut aliases = self.short_names;
        if !self.singular_name.is_empty() {
            aliases.push(self.singular_name);
        }
        Resource {
            of: ResourceType {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: self.kind,
                plural: self.name,
                namespaced: self.namespaced,
            },
            verbs: self.verbs,
            subresources: Vec::new(),
            aliases,
            preferred: false,
            other_versions: Vec::new(),
        }
    }
}
