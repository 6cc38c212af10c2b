//! What an application consists of: which namespaces, kinds and objects a scope selects.

use std::collections::BTreeMap;

use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object::ResourceType;
use crate::pattern::{InvalidPattern, KindPattern, Rule, decide, glob, otherwise, rules};

/// Selection of objects and volumes, at the level of namespaces and of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scope {
    /// Names or globs of namespaces; a leading `!` takes out what an earlier one took in.
    pub namespaces: Vec<String>,
    /// Which kinds of namespaced objects: `secrets`, `Deployment`, `deployments.apps`, `*.istio.io`;
    /// a leading `!` leaves out. Empty: all kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Label selector of namespaced objects, in kubectl's syntax. Empty: all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Cluster-scoped objects beyond those that the selected ones need.
    #[serde(skip_serializing_if = "ClusterScope::is_default")]
    pub cluster: ClusterScope,
    /// Claims whose data is left out on purpose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_data: Vec<WithoutData>,
}

/// Selection of cluster-scoped objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterScope {
    /// Kinds of cluster-scoped objects to take, as in [`Scope::kinds`]. Empty: none beyond the related.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Label selector of those objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Take what the selected objects need: the CRDs of instances, ClusterRoles of bindings, the
    /// PersistentVolumes, storage and priority classes in use.
    pub related: bool,
}

impl Default for ClusterScope {
    fn default() -> Self {
        Self { kinds: Vec::new(), labels: String::new(), related: true }
    }
}

impl ClusterScope {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A claim whose data is not captured, and why; the claim itself is restored empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WithoutData {
    /// `namespace/claim`, globs allowed.
    pub claim: String,
    /// Shown in the point.
    pub reason: String,
}

/// A scope that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// A glob that does not parse.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// A rule that captures volumes as blocks, and wants what blocks do not allow.
    #[error("the rule of volumes `{claim}` says `as: blocks`, which goes together with no {reason}")]
    Blocks {
        /// The rule's pattern of claims.
        claim: String,
        /// What it says beside, and why that is none.
        reason: &'static str,
    },
    /// Neither a namespace nor a cluster-scoped kind.
    #[error("the scope selects nothing: name at least one namespace (or a glob), or kinds under `cluster`")]
    Empty,
}

/// Kinds that are never captured: the cluster makes them, or they mean nothing elsewhere.
///
/// Plural with group, and the reason.
pub const NEVER: &[(&str, &str)] = &[
    ("events", "a log of the old cluster"),
    ("events.events.k8s.io", "a log of the old cluster"),
    ("endpoints", "made by the endpoints controller from Services and pods"),
    ("endpointslices.discovery.k8s.io", "made by the endpoint slice controller from Services and pods"),
    ("bindings", "an action, not an object"),
    ("componentstatuses", "a view of the old cluster's health"),
    ("nodes", "machines of the old cluster; recorded among the facts"),
    ("leases.coordination.k8s.io", "held by processes of the old cluster"),
    ("leasecandidates.coordination.k8s.io", "held by processes of the old cluster"),
    ("csinodes.storage.k8s.io", "drivers of the old cluster's nodes"),
    ("csistoragecapacities.storage.k8s.io", "measured by the old cluster's drivers"),
    ("volumeattachments.storage.k8s.io", "attachments to the old cluster's nodes"),
    ("certificatesigningrequests.certificates.k8s.io", "requests to the old cluster's authority"),
    ("podmetrics.metrics.k8s.io", "a measurement"),
    ("nodemetrics.metrics.k8s.io", "a measurement"),
    ("apiservices.apiregistration.k8s.io", "made by the API server, or by an aggregated API's own installer"),
    ("ipaddresses.networking.k8s.io", "allocated by the API server for Services"),
    ("servicecidrs.networking.k8s.io", "the old cluster's service network"),
    ("clustertrustbundles.certificates.k8s.io", "trust of the old cluster"),
    ("resourceslices.resource.k8s.io", "devices of the old cluster's nodes"),
    ("storageversions.internal.apiserver.k8s.io", "internal to the API server"),
    ("storageversionmigrations.storagemigration.k8s.io", "an action of the old cluster"),
    (
        "volumesnapshots.snapshot.storage.k8s.io",
        "handles of the old site's storage; the data is in the vault",
    ),
    ("volumesnapshotcontents.snapshot.storage.k8s.io", "handles of the old site's storage"),
    (
        "volumegroupsnapshots.groupsnapshot.storage.k8s.io",
        "handles of the old site's storage; the data is in the vault",
    ),
    ("volumegroupsnapshotcontents.groupsnapshot.storage.k8s.io", "handles of the old site's storage"),
];

/// A [`Scope`] with its patterns parsed.
#[derive(Debug, Clone)]
pub struct Selector {
    namespaces: Vec<Rule<GlobMatcher>>,
    kinds: Vec<Rule<KindPattern>>,
    cluster_kinds: Vec<Rule<KindPattern>>,
    without_data: Vec<(GlobMatcher, String)>,
    /// Label selector of namespaced objects for the API server, if any.
    pub labels: Option<String>,
    /// Label selector of cluster-scoped objects, if any.
    pub cluster_labels: Option<String>,
    /// Whether needed cluster-scoped objects are pulled in.
    pub related: bool,
}

impl Selector {
    /// Parses a scope's patterns.
    pub fn new(scope: &Scope) -> Result<Self, InvalidScope> {
        if scope.namespaces.is_empty() && scope.cluster.kinds.is_empty() {
            return Err(InvalidScope::Empty);
        }
        let text = |s: &String| (!s.is_empty()).then(|| s.clone());
        Ok(Self {
            namespaces: rules(&scope.namespaces, glob)?,
            kinds: rules(&scope.kinds, KindPattern::parse)?,
            cluster_kinds: rules(&scope.cluster.kinds, KindPattern::parse)?,
            without_data: scope
                .without_data
                .iter()
                .map(|w| Ok((glob(&w.claim)?, w.reason.clone())))
                .collect::<Result<_, InvalidScope>>()?,
            labels: text(&scope.labels),
            cluster_labels: text(&scope.cluster.labels),
            related: scope.cluster.related,
        })
    }

    /// Whether a namespace belongs to the application.
    pub fn takes_namespace(&self, name: &str) -> bool {
        decide(&self.namespaces, false, |p| p.is_match(name))
    }

    /// The namespaces named without a glob: a missing one is a mistake worth telling.
    pub fn exact_namespaces<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a str> {
        scope
            .namespaces
            .iter()
            .map(String::as_str)
            .filter(|n| !n.starts_with('!') && !n.contains(['*', '?', '[']))
    }

    /// Whether objects of this type are captured, in namespaces or (for cluster-scoped types) in full.
    pub fn takes_kind(&self, resource: &ResourceType) -> bool {
        if never(resource).is_some() {
            return false;
        }
        match resource.namespaced {
            true => decide(&self.kinds, otherwise(&self.kinds), |p| p.matches(resource)),
            false => decide(&self.cluster_kinds, false, |p| p.matches(resource)),
        }
    }

    /// Why a claim's data is left out, if the scope says so.
    pub fn without_data(&self, namespace: &str, claim: &str) -> Option<&str> {
        let name = format!("{namespace}/{claim}");
        self.without_data.iter().find(|(glob, _)| glob.is_match(&name)).map(|(_, reason)| reason.as_str())
    }
}

/// Why objects of this type are never captured, if so.
pub fn never(resource: &ResourceType) -> Option<&'static str> {
    let name = resource.plural_group();
    NEVER.iter().find(|(kind, _)| *kind == name).map(|(_, reason)| *reason)
}

/// Objects counted by type, for tables: `deployments.apps` → 3.
pub type Counts = BTreeMap<String, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(group: &str, kind: &str, plural: &str, namespaced: bool) -> ResourceType {
        ResourceType {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced,
        }
    }

    fn scope(namespaces: &[&str], kinds: &[&str]) -> Scope {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Scope { namespaces: own(namespaces), kinds: own(kinds), ..Scope::default() }
    }

    #[test]
    fn the_last_matching_namespace_pattern_decides() {
        let selector = Selector::new(&scope(&["shop*", "!shop-test*", "shop-test-eu"], &[])).unwrap();
        assert!(selector.takes_namespace("shop"));
        assert!(!selector.takes_namespace("shop-test"));
        assert!(selector.takes_namespace("shop-test-eu"));
        assert!(!selector.takes_namespace("bank"));
    }

    #[test]
    fn kinds_match_by_kind_plural_and_group() {
        let deployments = resource("apps", "Deployment", "deployments", true);
        let gateways = resource("networking.istio.io", "Gateway", "gateways", true);
        for (kinds, deployment, gateway) in [
            (&[][..], true, true),
            (&["Deployment"][..], true, false),
            (&["deployments.apps"][..], true, false),
            (&["*.*istio.io"][..], false, true),
            (&["!deployments"][..], false, true),
        ] {
            let selector = Selector::new(&scope(&["x"], kinds)).unwrap();
            assert_eq!(selector.takes_kind(&deployments), deployment, "{kinds:?}");
            assert_eq!(selector.takes_kind(&gateways), gateway, "{kinds:?}");
        }
    }

    #[test]
    fn what_the_cluster_makes_itself_is_never_taken() {
        let selector = Selector::new(&scope(&["x"], &["events"])).unwrap();
        assert!(!selector.takes_kind(&resource("", "Event", "events", true)));
    }

    #[test]
    fn cluster_scoped_kinds_are_taken_only_by_name() {
        let role = resource("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false);
        assert!(!Selector::new(&scope(&["x"], &[])).unwrap().takes_kind(&role));
        let mut wide = scope(&[], &[]);
        wide.cluster.kinds = vec!["clusterroles".into()];
        assert!(Selector::new(&wide).unwrap().takes_kind(&role));
    }

    #[test]
    fn a_scope_of_nothing_and_a_bad_glob_are_refused() {
        assert_eq!(Selector::new(&Scope::default()).unwrap_err(), InvalidScope::Empty);
        let error = Selector::new(&scope(&["shop["], &[])).unwrap_err().to_string();
        assert!(error.contains("`shop[`"), "{error}");
    }
}
