//! Who else keeps an object as they want it, and may undo what a restore writes.
//!
//! Told by what these tools write into the objects that they manage. An application's own labels can
//! look like theirs only if somebody copied them, and then the warning is right all the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::owner::Owner;

/// A tool that manages an object, and which of its instances does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reverter {
    /// The tool.
    pub tool: Tool,
    /// Its application, kustomization, release or operator; empty if the object does not say.
    pub instance: String,
}

/// The tools that are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// Argo CD; with self-healing at once, else with the next sync.
    ArgoCd,
    /// Flux; with its next reconciliation.
    Flux,
    /// Helm; with the next upgrade of the release.
    Helm,
    /// The Operator Lifecycle Manager; at once.
    Olm,
}

impl Tool {
    /// Its name, as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Tool::ArgoCd => "Argo CD",
            Tool::Flux => "Flux",
            Tool::Helm => "Helm",
            Tool::Olm => "OLM",
        }
    }

    /// When it would undo a change.
    pub fn when(self) -> &'static str {
        match self {
            Tool::ArgoCd => "with its next sync, or at once where it heals itself",
            Tool::Flux => "with its next reconciliation",
            Tool::Helm => "with the next upgrade of the release",
            Tool::Olm => "at once",
        }
    }
}

impl std::fmt::Display for Reverter {
    /// `Argo CD shop`, or the tool alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.instance.as_str() {
            "" => f.write_str(self.tool.name()),
            instance => write!(f, "{} {instance}", self.tool.name()),
        }
    }
}

/// Who manages an object that has this metadata and these owners, each once.
pub fn reverters(object: &Value, owners: &[Owner]) -> Vec<Reverter> {
    let marks =
        Marks { labels: &object["metadata"]["labels"], annotations: &object["metadata"]["annotations"] };
    let found = [marks.argo_cd(), marks.flux(), marks.helm(), marks.olm(owners)];
    found.into_iter().flatten().collect()
}

/// What tools write into metadata.
struct Marks<'a> {
    labels: &'a Value,
    annotations: &'a Value,
}

impl Marks<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels[key].as_str()
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations[key].as_str()
    }

    /// The tracking id is `APPLICATION:GROUP/KIND:NAMESPACE/NAME`. The label that older versions
    /// track by, `app.kubernetes.io/instance`, is everybody's and says nothing.
    fn argo_cd(&self) -> Option<Reverter> {
        let tracked = self.annotation("argocd.argoproj.io/tracking-id");
        let application = tracked.and_then(|id| id.split(':').next());
        let application = application.or_else(|| self.label("argocd.argoproj.io/instance"))?;
        Some(Reverter { tool: Tool::ArgoCd, instance: application.to_owned() })
    }

    fn flux(&self) -> Option<Reverter> {
        let of = |controller: &str| {
            let name = self.label(&format!("{controller}.toolkit.fluxcd.io/name"))?;
            let namespace = self.label(&format!("{controller}.toolkit.fluxcd.io/namespace"));
            Some(namespace.map_or(name.to_owned(), |namespace| format!("{namespace}/{name}")))
        };
        let instance = of("kustomize").or_else(|| of("helm"))?;
        Some(Reverter { tool: Tool::Flux, instance })
    }

    /// Helm refuses to adopt what does not carry all three of its marks; the release's name is enough
    /// to know that it will try.
    fn helm(&self) -> Option<Reverter> {
        let release = self.annotation("meta.helm.sh/release-name");
        let managed = self.label("app.kubernetes.io/managed-by") == Some("Helm");
        if release.is_none() && !managed {
            return None;
        }
        let namespace = self.annotation("meta.helm.sh/release-namespace");
        let instance = match (namespace, release.unwrap_or_default()) {
            (Some(namespace), release) if !release.is_empty() => format!("{namespace}/{release}"),
            (_, release) => release.to_owned(),
        };
        Some(Reverter { tool: Tool::Helm, instance })
    }

    fn olm(&self, owners: &[Owner]) -> Option<Reverter> {
        const GROUP: &str = "operators.coreos.com";
        let owner = owners.iter().find(|owner| owner.group_kind().group == GROUP);
        let owner = owner.map(|owner| owner.name.as_str()).or_else(|| self.label("olm.owner"));
        let managed = self.label("olm.managed") == Some("true");
        if owner.is_none() && !managed {
            return None;
        }
        Some(Reverter { tool: Tool::Olm, instance: owner.unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(metadata: Value) -> Vec<String> {
        reverters(&json!({"metadata": metadata}), &[]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn argo_cd_is_told_by_its_own_marks_only() {
        let tracked =
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}});
        assert_eq!(told(tracked), ["Argo CD shop"]);
        assert_eq!(told(json!({"labels": {"argocd.argoproj.io/instance": "till"}})), ["Argo CD till"]);
        assert!(told(json!({"labels": {"app.kubernetes.io/instance": "shop"}})).is_empty());
    }

    #[test]
    fn flux_is_told_by_either_of_its_controllers() {
        let kustomized = json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}});
        assert_eq!(told(kustomized), ["Flux flux-system/apps"]);
        assert_eq!(told(json!({"labels": {"helm.toolkit.fluxcd.io/name": "podinfo"}})), ["Flux podinfo"]);
    }

    #[test]
    fn helm_is_told_by_its_release_or_its_label() {
        let released = json!({"labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "prod"}});
        assert_eq!(told(released), ["Helm prod/shop"]);
        assert_eq!(told(json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}})), ["Helm"]);
        assert!(told(json!({"labels": {"app.kubernetes.io/managed-by": "operator"}})).is_empty());
    }

    #[test]
    fn the_lifecycle_manager_is_told_by_labels_and_owners() {
        assert_eq!(told(json!({"labels": {"olm.owner": "etcd.v1", "olm.managed": "true"}})), ["OLM etcd.v1"]);
        let version = Owner {
            api_version: "operators.coreos.com/v1alpha1".into(),
            kind: "ClusterServiceVersion".into(),
            name: "etcd.v2".into(),
            controller: false,
            blocks_deletion: false,
        };
        let other = Owner { api_version: "apps/v1".into(), ..version.clone() };
        let by = |owner: Owner| reverters(&json!({"metadata": {}}), &[owner]);
        assert_eq!(by(version), [Reverter { tool: Tool::Olm, instance: "etcd.v2".into() }]);
        assert!(by(other).is_empty());
    }

    #[test]
    fn several_may_manage_one_object() {
        let both =
            json!({"labels": {"app.kubernetes.io/managed-by": "Helm", "helm.toolkit.fluxcd.io/name": "x"}});
        assert_eq!(told(both), ["Flux x", "Helm"]);
    }
}
