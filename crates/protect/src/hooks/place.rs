//! Which container a hook runs in.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_cluster::{Cluster, ListOptions, RawObject, kinds};
use holdfast_model::hook::{ExecHook, HookTarget};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::Result;
use crate::progress::OwedHook;

/// How long a hook waits for a pod that runs to become ready: longer than a kubelet takes to take
/// back a failed probe at its default period of 10 s.
const READY_WITHIN: Duration = Duration::from_secs(25);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A container that a hook can run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Claims that the pod mounts, by name.
    pub claims: Vec<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.pod)
    }
}

/// Why there is no place to run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// No namespace is named, and the application has several or none.
    Namespace,
    /// No running pod carries the labels.
    NoPod,
    /// Pods carry the labels, but none of them is ready.
    NotReady,
    /// The pod has no such container.
    Container(String),
}

impl std::fmt::Display for NoPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoPlace::Namespace => f.write_str(
                "the application does not have exactly one namespace, so the hook must name its own",
            ),
            NoPlace::NoPod => f.write_str("no running pod carries these labels"),
            NoPlace::NotReady => {
                write!(
                    f,
                    "no pod with these labels is ready, nor became so within {} s",
                    READY_WITHIN.as_secs()
                )
            }
            NoPlace::Container(name) => write!(f, "the pod has no container `{name}`"),
        }
    }
}

/// `namespace` and labels as a person would write them, for a hook that found no pod.
pub(super) fn describe(target: &HookTarget) -> String {
    let labels = selector(&target.labels);
    match &target.namespace {
        Some(namespace) => format!("pods {labels} of namespace {namespace}"),
        None => format!("pods {labels}"),
    }
}

/// The namespace of a hook: its own, or the only one of the application.
fn namespace_of<'a>(target: &'a HookTarget, namespaces: &[&'a str]) -> Option<&'a str> {
    match (&target.namespace, namespaces) {
        (Some(namespace), _) => Some(namespace),
        (None, [only]) => Some(only),
        _ => None,
    }
}

/// The first ready pod that matches, by name.
pub(super) async fn find(
    cluster: &Cluster,
    target: &HookTarget,
    namespaces: &[&str],
) -> Result<std::result::Result<Place, NoPlace>> {
    let Some(namespace) = namespace_of(target, namespaces) else { return Ok(Err(NoPlace::Namespace)) };
    let pods = running(cluster, namespace, target).await?;
    if pods.is_empty() {
        return Ok(Err(NoPlace::NoPod));
    }
    let ready = pods.iter().find(|pod| is_ready(pod));
    Ok(ready.ok_or(NoPlace::NotReady).and_then(|pod| place(namespace, pod, target)))
}

/// The same, waiting a little for a pod that is there to become ready: a probe that timed out once
/// on a busy node is no reason to have no backup.
pub(super) async fn find_soon(
    cluster: &Cluster,
    target: &HookTarget,
    namespaces: &[&str],
) -> Result<std::result::Result<Place, NoPlace>> {
    let patience = Instant::now() + READY_WITHIN;
    loop {
        match find(cluster, target, namespaces).await? {
            Err(NoPlace::NotReady) if Instant::now() < patience => tokio::time::sleep(LOOK_AGAIN).await,
            found => return Ok(found),
        }
    }
}

/// The pod that an owed hook was meant for if it still runs, else one that matches. A pod need not
/// be ready: what the hook releases may be what keeps it from being so.
pub(super) async fn find_owed(
    cluster: &Cluster,
    owed: &OwedHook,
) -> Result<std::result::Result<Place, NoPlace>> {
    let target = &owed.hook.target;
    let pods = running(cluster, &owed.namespace, target).await?;
    let same =
        pods.iter().find(|pod| owed.pod.is_some() && pod["metadata"]["name"].as_str() == owed.pod.as_deref());
    let any = || pods.iter().find(|pod| is_ready(pod)).or(pods.first());
    Ok(same.or_else(any).ok_or(NoPlace::NoPod).and_then(|pod| place(&owed.namespace, pod, target)))
}

/// The place of a hook, if there is one: where it would run, which waits for the same pod to be ready.
///
/// # Errors
/// [`crate::Error::Cluster`]
pub async fn place_of(cluster: &Cluster, target: &HookTarget, namespaces: &[&str]) -> Result<Option<Place>> {
    Ok(find_soon(cluster, target, namespaces).await?.ok())
}

async fn running(cluster: &Cluster, namespace: &str, target: &HookTarget) -> Result<Vec<Value>> {
    let labels = Some(selector(&target.labels));
    let fields = Some("status.phase=Running".to_owned());
    let options = ListOptions { labels, fields, ..ListOptions::in_namespace(namespace) };
    let mut pods = cluster.list_all(&kinds::pods(), options).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(pods.iter().filter_map(|pod: &RawObject| pod.parse().ok()).collect())
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn place(namespace: &str, pod: &Value, target: &HookTarget) -> std::result::Result<Place, NoPlace> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut names = containers.filter_map(|container| container["name"].as_str());
    let container = match &target.container {
        Some(wanted) => {
            names.find(|name| name == wanted).ok_or_else(|| NoPlace::Container(wanted.clone()))?
        }
        None => names.next().ok_or(NoPlace::NoPod)?,
    };
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let claims = volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
    Ok(Place {
        namespace: namespace.to_owned(),
        pod: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        container: container.to_owned(),
        claims: claims.map(str::to_owned).collect(),
    })
}

/// The post hooks as they will be owed, each with the pod that it would run in now.
///
/// # Errors
/// [`crate::Error::Cluster`]
pub async fn owed(cluster: &Cluster, hooks: &[ExecHook], namespaces: &[&str]) -> Result<Vec<OwedHook>> {
    let mut all = Vec::new();
    for hook in hooks {
        let Some(namespace) = namespace_of(&hook.target, namespaces) else { continue };
        let pod = find(cluster, &hook.target, namespaces).await?.ok().map(|place| place.pod);
        all.push(OwedHook { namespace: namespace.to_owned(), pod, hook: hook.clone() });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(container: Option<&str>) -> HookTarget {
        HookTarget { namespace: None, labels: BTreeMap::new(), container: container.map(str::to_owned) }
    }

    #[test]
    fn a_hook_runs_in_the_named_container_or_the_first() {
        let pod = json!({
            "metadata": {"name": "db-0"},
            "spec": {
                "containers": [{"name": "pg"}, {"name": "exporter"}],
                "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "e", "emptyDir": {}}],
            },
        });
        let found = place("shop", &pod, &target(None)).unwrap();
        assert_eq!((found.container.as_str(), found.claims), ("pg", vec!["data".to_owned()]));
        assert_eq!(place("shop", &pod, &target(Some("exporter"))).unwrap().container, "exporter");
        let error = place("shop", &pod, &target(Some("x"))).unwrap_err();
        assert_eq!(error.to_string(), "the pod has no container `x`");
    }

    #[test]
    fn only_an_application_of_one_namespace_may_leave_it_out() {
        let own = HookTarget { namespace: Some("a".into()), ..target(None) };
        assert_eq!(namespace_of(&own, &["b", "c"]), Some("a"));
        assert_eq!(namespace_of(&target(None), &["b"]), Some("b"));
        assert_eq!(namespace_of(&target(None), &["b", "c"]), None);
    }
}
