//! The manifests: what a user declares, in files, as custom resources and over the API alike.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::consistency::Consistency;
use crate::hook::Hooks;
use crate::label::API_VERSION;
use crate::quantity;
use crate::scope::{InvalidScope, Scope, Selector};
use crate::volume::{VolumeRule, VolumeRules};

/// Name and labels of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name, unique per kind; an RFC 1123 label.
    pub name: String,
    /// Labels, free to use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Any manifest, told apart by its `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum Manifest {
    /// A centre.
    Site(Document<SiteSpec>),
    /// One Kubernetes cluster.
    Cluster(Document<ClusterSpec>),
    /// A place for recovery points.
    Vault(Document<VaultSpec>),
    /// What is protected as one.
    Application(Document<ApplicationSpec>),
    /// When it is captured, how long points are kept and what they must be.
    Policy(Document<PolicySpec>),
}

/// The frame that all manifests share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", bound(deserialize = "S: Deserialize<'de>"))]
pub struct Document<S> {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: S,
}

impl<S> Document<S> {
    /// A manifest of the current version.
    pub fn new(name: impl Into<String>, spec: S) -> Self {
        let metadata = Metadata { name: name.into(), labels: BTreeMap::new() };
        Self { api_version: API_VERSION.to_owned(), metadata, spec }
    }
}

/// A centre.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SiteSpec {
    /// A hint for people and plans.
    pub role: SiteRole,
}

/// What a centre is to the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SiteRole {
    /// Where applications run when all is well.
    #[default]
    Production,
    /// Tens of kilometres away.
    SameCity,
    /// Hundreds of kilometres away.
    Remote,
}

/// One Kubernetes cluster, reached directly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterSpec {
    /// Name of the site it stands at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Context in the kubeconfig; the manifest's name if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Paths of hostPath volumes that movers may read and fill; none by default (an administrator's choice).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_host_paths: Vec<String>,
}

/// A place for recovery points.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VaultSpec {
    /// `s3://BUCKET/PREFIX`, `gs://…`, `az://CONTAINER/PREFIX` or `file:///DIRECTORY`.
    pub url: String,
    /// Name of the site it stands at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Endpoint of a server that is not the cloud's own, e.g. `https://minio.bank:9000`; for Azure, of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// S3: region; `us-east-1` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// PEM file with the authority that signed the endpoint's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Where the credentials come from.
    pub credentials: CredentialsSource,
}

/// Where a vault's credentials come from. They are never part of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum CredentialsSource {
    /// The usual environment variables of the storage's own tools (`AWS_ACCESS_KEY_ID`, …).
    #[default]
    Environment,
    /// A file of `KEY=value` lines with those variables' names, readable by its owner alone.
    File(String),
}

/// What is protected as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApplicationSpec {
    /// Name of the cluster where it is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Name of the vault of its points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    /// Name of its policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What it consists of.
    pub scope: Scope,
    /// How its volumes are captured, where the usual way is not the right one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeRule>,
    /// What is run in its containers around a capture.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
}

/// When an application is captured, how long points are kept and what they must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicySpec {
    /// The least consistency a point must have; a capture that cannot reach it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// How many snapshots of each volume stay with the storage after a backup. Restores to the same
    /// cluster are made of them where they can be. None by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub local_snapshots: u16,
    /// What movers may take.
    #[serde(skip_serializing_if = "MoverLimits::is_default")]
    pub movers: MoverLimits,
}

/// What movers may take of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MoverLimits {
    /// How many run at once in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u16>,
    /// How many read beside the pods of one node at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_node: Option<u16>,
    /// CPU limit of each, e.g. `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory limit of each, e.g. `512Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Bytes a second that each may send to and receive from the vault, e.g. `50Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<String>,
    /// PriorityClass of their pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl MoverLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// Another version of the API.
    #[error("{kind} `{name}` has apiVersion `{found}`; this program knows `{API_VERSION}`")]
    ApiVersion {
        /// Kind of the manifest.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The version it claims.
        found: String,
    },
    /// A name that is not an RFC 1123 label.
    #[error("{kind} name: {source}")]
    Name {
        /// Kind of the manifest.
        kind: &'static str,
        /// The rule.
        source: crate::id::InvalidId,
    },
    /// A scope that selects nothing or does not parse.
    #[error("application `{name}`: {source}")]
    Scope {
        /// Name of the application.
        name: String,
        /// What is wrong.
        source: InvalidScope,
    },
    /// A hook that cannot work.
    #[error("application `{name}`: hook `{hook}`: {message}")]
    Hook {
        /// Name of the application.
        name: String,
        /// Name of the hook.
        hook: String,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// An amount that is none.
    #[error("policy `{name}`: movers.{field} `{value}` is no quantity; write e.g. 500m, 512Mi or 2G")]
    Quantity {
        /// Name of the policy.
        name: String,
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A vault without a usable address.
    #[error("vault `{name}`: url `{url}` has no known scheme; use s3://, gs://, az:// or file:///")]
    Url {
        /// Name of the vault.
        name: String,
        /// The address as given.
        url: String,
    },
}

impl Manifest {
    /// Kind as written in the manifest.
    pub fn kind(&self) -> &'static str {
        match self {
            Manifest::Site(_) => "Site",
            Manifest::Cluster(_) => "Cluster",
            Manifest::Vault(_) => "Vault",
            Manifest::Application(_) => "Application",
            Manifest::Policy(_) => "Policy",
        }
    }

    /// Name of the manifest.
    pub fn name(&self) -> &str {
        &self.frame().1.name
    }

    fn frame(&self) -> (&str, &Metadata) {
        match self {
            Manifest::Site(d) => (&d.api_version, &d.metadata),
            Manifest::Cluster(d) => (&d.api_version, &d.metadata),
            Manifest::Vault(d) => (&d.api_version, &d.metadata),
            Manifest::Application(d) => (&d.api_version, &d.metadata),
            Manifest::Policy(d) => (&d.api_version, &d.metadata),
        }
    }

    /// Checks what the schema cannot say: version, name, patterns, hooks, address.
    pub fn validate(&self) -> Result<(), InvalidManifest> {
        let (kind, (api_version, metadata)) = (self.kind(), self.frame());
        if api_version != API_VERSION {
            let (name, found) = (metadata.name.clone(), api_version.to_owned());
            return Err(InvalidManifest::ApiVersion { kind, name, found });
        }
        if !crate::id::is_dns_label(&metadata.name) {
            let source = crate::id::InvalidId {
                what: "name",
                value: metadata.name.clone(),
                rule: "use 1 to 63 characters a-z, 0-9 and `-`, starting and ending with a letter or digit",
            };
            return Err(InvalidManifest::Name { kind, source });
        }
        match self {
            Manifest::Application(document) => validate_application(document),
            Manifest::Vault(document) => validate_vault(document),
            Manifest::Policy(document) => validate_policy(document),
            Manifest::Site(_) | Manifest::Cluster(_) => Ok(()),
        }
    }
}

fn validate_application(document: &Document<ApplicationSpec>) -> Result<(), InvalidManifest> {
    let name = &document.metadata.name;
    Selector::new(&document.spec.scope)
        .map(drop)
        .and(VolumeRules::new(&document.spec.volumes).map(drop))
        .map_err(|source| InvalidManifest::Scope { name: name.clone(), source })?;
    let refuse = |hook: &str, message: &str| {
        Err(InvalidManifest::Hook { name: name.clone(), hook: hook.to_owned(), message: message.to_owned() })
    };
    let hooks = &document.spec.hooks;
    let commands = hooks.pre.iter().chain(&hooks.post).map(|hook| (&hook.name, &hook.command));
    let restored = hooks.restored.iter().map(|hook| (&hook.name, &hook.command));
    for (hook, command) in commands.chain(restored) {
        if command.is_empty() {
            return refuse(hook, "`command` is empty; give the program and its arguments");
        }
    }
    for hook in &hooks.hold {
        if hook.command.is_empty() {
            return refuse(&hook.name, "`command` is empty; give the program that reads the session");
        }
        if !hook.marker.contains("{token}") {
            return refuse(&hook.name, "`marker` must contain {token}, e.g. `\\echo {token}` for psql");
        }
        for late in &hook.late {
            if !is_relative(&late.path) || late.store_as.as_deref().is_some_and(|path| !is_relative(path)) {
                return refuse(&hook.name, "late paths are relative to the volume's root, without `..`");
            }
        }
    }
    Ok(())
}

fn is_relative(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn validate_policy(document: &Document<PolicySpec>) -> Result<(), InvalidManifest> {
    let limits = &document.spec.movers;
    let amounts = [("cpu", &limits.cpu), ("memory", &limits.memory), ("bandwidth", &limits.bandwidth)];
    for (field, amount) in amounts {
        if let Some(value) = amount.as_ref().filter(|value| quantity::bytes(value).is_none()) {
            let (name, value) = (document.metadata.name.clone(), value.clone());
            return Err(InvalidManifest::Quantity { name, field, value });
        }
    }
    Ok(())
}

fn validate_vault(document: &Document<VaultSpec>) -> Result<(), InvalidManifest> {
    let url = &document.spec.url;
    match ["s3://", "gs://", "az://", "file:///"].iter().any(|scheme| url.starts_with(scheme)) {
        true => Ok(()),
        false => Err(InvalidManifest::Url { name: document.metadata.name.clone(), url: url.clone() }),
    }
}

/// The JSON Schema of each kind, by file name; published under `docs/schema/`.
pub fn schemas() -> [(&'static str, Schema); 5] {
    [
        ("site", schema_for!(Document<SiteSpec>)),
        ("cluster", schema_for!(Document<ClusterSpec>)),
        ("vault", schema_for!(Document<VaultSpec>)),
        ("application", schema_for!(Document<ApplicationSpec>)),
        ("policy", schema_for!(Document<PolicySpec>)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn application(spec: serde_json::Value) -> Result<Manifest, serde_json::Error> {
        serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "Application", "metadata": {"name": "shop"}, "spec": spec,
        }))
    }

    #[test]
    fn a_manifest_survives_a_round_trip() {
        let manifest = application(json!({"scope": {"namespaces": ["shop"]}})).unwrap();
        manifest.validate().unwrap();
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        assert_eq!((manifest.kind(), manifest.name()), ("Application", "shop"));
    }

    #[test]
    fn a_misspelt_field_is_an_error_not_a_default() {
        let error = application(json!({"scope": {"namespace": ["shop"]}})).unwrap_err();
        assert!(error.to_string().contains("unknown field `namespace`"), "{error}");
    }

    #[test]
    fn a_late_path_cannot_leave_the_volume() {
        let hold = json!({
            "name": "pg", "target": {"labels": {"app": "pg"}}, "command": ["psql"], "begin": "",
            "marker": "\\echo {token}", "late": [{"claim": "data", "path": "../etc"}],
        });
        let manifest =
            application(json!({"scope": {"namespaces": ["s"]}, "hooks": {"hold": [hold]}})).unwrap();
        assert!(manifest.validate().unwrap_err().to_string().contains("without `..`"));
    }
}
