//! What the target serves, and at which version an object of the point is sent to it.

use holdfast_cluster::{Cluster, Discovery};
use holdfast_model::{Problem, ResourceType};

use crate::error::Result;

/// The target's resources, as last seen.
pub(super) struct Served {
    discovery: Discovery,
}

/// How objects of one type are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placement {
    /// The type at the target.
    pub(super) of: ResourceType,
    /// Whether the target serves another version than the point holds.
    pub(super) bridged: bool,
}

impl Served {
    pub(super) async fn discover(cluster: &Cluster) -> Result<Self> {
        Ok(Self { discovery: cluster.discover().await? })
    }

    /// Everything that it serves.
    pub(super) fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// The type to send objects of this type as.
    pub(super) fn place(&self, of: &ResourceType) -> Result<Placement, Problem> {
        let same = |found: &ResourceType| found.plural == of.plural && found.namespaced == of.namespaced;
        let exact = self.discovery.find_at(&of.api_version(), &of.kind).filter(|found| same(found));
        if let Some(found) = exact {
            return Ok(Placement { of: found.of.clone(), bridged: false });
        }
        let other = self.discovery.find(&of.group, &of.kind).filter(|found| same(found));
        match other {
            Some(found) => Ok(Placement { of: found.of.clone(), bridged: true }),
            None => Err(self.not_served(of)),
        }
    }

    /// The type of an owner, by what a reference says.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<&ResourceType> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let found = self.discovery.find_at(api_version, kind).or_else(|| self.discovery.find(group, kind));
        found.map(|found| &found.of)
    }

    fn not_served(&self, of: &ResourceType) -> Problem {
        let stale = self.discovery.stale.iter().find(|stale| stale.group == of.group);
        let (message, hint) = match stale {
            Some(stale) => (
                format!("the target's API group {} does not answer: {}", of.group, stale.reason),
                "bring the server behind its APIService up (`kubectl get apiservices`), then run the restore again",
            ),
            None => (
                format!("the target serves no kind {}", of.group_kind()),
                "install its CustomResourceDefinition or operator there, then run the restore again",
            ),
        };
        Problem::new("restore.not_served", of.to_string(), message).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::{Resource, StaleGroup};

    use super::*;

    fn resource(version: &str, preferred: bool) -> Resource {
        Resource {
            of: of("shop.example", version),
            verbs: Vec::new(),
            subresources: Vec::new(),
            aliases: Vec::new(),
            preferred,
            other_versions: Vec::new(),
        }
    }

    fn of(group: &str, version: &str) -> ResourceType {
        ResourceType {
            group: group.into(),
            version: version.into(),
            kind: "Till".into(),
            plural: "tills".into(),
            namespaced: true,
        }
    }

    fn served() -> Served {
        let stale =
            StaleGroup { group: "gone.example".into(), version: "v1".into(), reason: "no route".into() };
        let resources = vec![resource("v2", true), resource("v1", false)];
        Served { discovery: Discovery { resources, stale: vec![stale] } }
    }

    #[test]
    fn the_captured_version_is_kept_where_it_is_served() {
        let place = |version: &str| served().place(&of("shop.example", version)).unwrap();
        assert_eq!(place("v1"), Placement { of: of("shop.example", "v1"), bridged: false });
        assert_eq!(place("v1beta1"), Placement { of: of("shop.example", "v2"), bridged: true });
    }

    #[test]
    fn a_kind_that_is_not_served_is_named_with_the_way_out() {
        let missing = served().place(&of("bank.example", "v1")).unwrap_err().to_string();
        assert!(missing.contains("Till.bank.example") && missing.contains("install"), "{missing}");
        let stale = served().place(&of("gone.example", "v1")).unwrap_err().to_string();
        assert!(stale.contains("no route") && stale.contains("apiservices"), "{stale}");
        let scope = ResourceType { namespaced: false, ..of("shop.example", "v1") };
        assert!(served().place(&scope).is_err(), "scope is part of the type");
    }
}
