//! Where the bytes of a claim can be read: the directory on a node where the kubelet has mounted
//! its volume, or the path of a hostPath volume that an administrator allowed.

use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_cluster::{Cluster, ListOptions, kinds};
use holdfast_model::Problem;
use holdfast_model::label;
use holdfast_model::point::CaptureMethod;
use serde_json::Value;

use crate::access::AccessModes;
use crate::error::Result;
use crate::settings::MoverSettings;

/// Annotation of nodes that kwok simulates: a Job there would lie.
const KWOK: &str = "kwok.x-k8s.io/node";

/// A claim with the volume it is bound to.
#[derive(Debug, Clone)]
pub(crate) struct BoundClaim {
    pub(crate) claim: Value,
    pub(crate) volume: Value,
}

impl BoundClaim {
    /// Whether it is a raw block device.
    pub(crate) fn is_block(&self) -> bool {
        self.claim["spec"]["volumeMode"] == "Block"
    }

    /// Who may have it, and how.
    pub(crate) fn access_modes(&self) -> AccessModes {
        AccessModes::of(&self.claim)
    }
}

/// A directory on a node that holds a claim's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) node: String,
    pub(crate) directory: String,
    pub(crate) method: CaptureMethod,
    /// The pod whose mount it is; it must not be kept from ending.
    pub(crate) pod: Option<SourcePod>,
}

/// A pod that has a claim mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourcePod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// How a claim can be read.
pub(crate) enum Found {
    /// Here.
    Source(Source),
    /// A pod of ours has to mount it first.
    Unmounted,
}

/// The claim and its volume.
pub(crate) async fn bound(cluster: &Cluster, namespace: &str, name: &str) -> Result<BoundClaim, Problem> {
    let subject = format!("{namespace}/{name}");
    let failed = |error: holdfast_cluster::Error| Problem::new(error.code(), &subject, error.to_string());
    let claim =
        cluster.get(&kinds::persistent_volume_claims(), Some(namespace), name).await.map_err(failed)?;
    let claim = claim
        .ok_or_else(|| Problem::new("volume.claim_gone", &subject, "the claim does not exist any more"))?;
    let Some(volume) = claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty()) else {
        let problem = Problem::new(
            "volume.unbound",
            &subject,
            "the claim has no volume yet, so there is nothing to capture",
        );
        return Err(problem.hint("a claim of a class that waits for its first pod is bound when that runs"));
    };
    let volume = cluster.get(&kinds::persistent_volumes(), None, volume).await.map_err(failed)?;
    let volume = volume.ok_or_else(|| {
        Problem::new("volume.lost", &subject, "the claim's PersistentVolume does not exist any more")
    })?;
    Ok(BoundClaim { claim, volume })
}

/// Finds where the claim is mounted now.
pub(super) async fn find(
    cluster: &Cluster,
    bound: &BoundClaim,
    settings: &MoverSettings,
) -> Result<Found, Problem> {
    let users = users(cluster, bound).await?;
    among(cluster, bound, users.iter(), settings).await
}

/// Waits for the pod that alone may have the claim to run, and gives its mount; nothing where a pod of ours may have it.
///
/// # Errors
/// The pod does not run in time, so that nobody can read the volume.
pub(super) async fn of_only_pod(
    cluster: &Cluster,
    bound: &BoundClaim,
    settings: &MoverSettings,
) -> Result<Option<Source>, Problem> {
    if !bound.access_modes().is_for_one_pod() {
        return Ok(None);
    }
    let users = users(cluster, bound).await?;
    let Some(pod) = users.iter().find(|pod| pod["spec"]["nodeName"].is_string()) else { return Ok(None) };
    let text = |key: &str| pod["metadata"][key].as_str().unwrap_or_default();
    let (namespace, name, uid) = (text("namespace"), text("name"), text("uid"));
    let settled =
        |seen: Option<&Value>| seen.is_none_or(|seen| seen["metadata"]["uid"] != uid || is_running(seen));
    let what = format!("pod {name}, which alone may have the claim, to run");
    let waited =
        cluster.wait(&kinds::pods(), Some(namespace), name, &what, settings.start_timeout, settled).await;
    if let Err(error) = waited {
        return Err(Problem::new("volume.one_pod", bound.subject(), error.to_string())
            .hint("no pod of ours can read it beside that one: run the backup when it runs, or is gone"));
    }
    match find(cluster, bound, settings).await? {
        Found::Source(source) => Ok(Some(source)),
        Found::Unmounted => Ok(None),
    }
}

/// The pods that use the claim and have not ended, in the order of their names.
pub(crate) async fn users(cluster: &Cluster, bound: &BoundClaim) -> Result<Vec<Value>, Problem> {
    let namespace = bound.claim["metadata"]["namespace"].as_str().unwrap_or_default();
    let claim = bound.claim["metadata"]["name"].as_str().unwrap_or_default();
    let listed = cluster.list_all(&kinds::pods(), ListOptions::in_namespace(namespace)).await;
    let pods = listed.map_err(|error| Problem::new(error.code(), bound.subject(), error.to_string()))?;
    let has_ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let mut users: Vec<Value> = pods
        .iter()
        .filter_map(|pod| pod.parse().ok())
        .filter(|pod| mounts(pod, claim) && !has_ended(pod))
        .collect();
    users.sort_by_key(|pod| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    Ok(users)
}

/// Finds which of these pods has the claim mounted where a mover can reach it.
pub(crate) async fn among(
    cluster: &Cluster,
    bound: &BoundClaim,
    pods: impl Iterator<Item = &Value>,
    settings: &MoverSettings,
) -> Result<Found, Problem> {
    let subject = bound.subject();
    let mut unusable = None;
    for pod in pods.filter(|pod| is_running(pod)) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let node = cluster.get(&kinds::nodes(), None, node).await;
        let node = node.map_err(|error| Problem::new(error.code(), &subject, error.to_string()))?;
        let node = node.unwrap_or_default();
        match refuse_node(&node, &subject) {
            None => return source(bound, pod, &node, settings, &subject).map(Found::Source),
            Some(problem) => unusable = Some(problem),
        }
    }
    match unusable {
        Some(problem) => Err(problem),
        None => Ok(Found::Unmounted),
    }
}

impl BoundClaim {
    /// `namespace/claim`.
    pub(crate) fn subject(&self) -> String {
        let part = |key: &str| self.claim["metadata"][key].as_str().unwrap_or_default();
        format!("{}/{}", part("namespace"), part("name"))
    }
}

/// How a pod uses a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A container may write to it.
    Writes,
    /// Its containers may only read it, but the kubelet has mounted it for writing.
    Reads,
    /// It is mounted for reading only.
    ReadOnly,
}

/// How a pod that mounts the claim uses it.
pub(crate) fn usage(pod: &Value, claim: &str) -> Use {
    let Some((name, volume)) = volume_of(pod, claim) else { return Use::Writes };
    if volume["persistentVolumeClaim"]["readOnly"] == true {
        return Use::ReadOnly;
    }
    match mounts_of(pod, &name).any(|mount| mount["readOnly"] != true) {
        true => Use::Writes,
        false => Use::Reads,
    }
}

/// Returns when the pod is to end: a mount that a mover holds would keep the volume from being
/// detached. Whoever cannot see the pod is never told.
pub(crate) fn ended<'a>(cluster: &'a Cluster, pod: &'a SourcePod, within: Duration) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let ending = |seen: Option<&Value>| {
            seen.is_none_or(|seen| {
                seen["metadata"]["uid"] != pod.uid.as_str()
                    || seen["metadata"]["deletionTimestamp"].is_string()
                    || seen["status"]["phase"] == "Failed"
                    || seen["status"]["phase"] == "Succeeded"
            })
        };
        let pods = kinds::pods();
        let waited =
            cluster.wait(&pods, Some(&pod.namespace), &pod.name, "its pod to end", within, ending).await;
        if waited.is_err() {
            std::future::pending().await
        }
    })
}

/// Whether the kubelet mounts the claim for this pod: it does so for volumes that a container uses.
fn mounts(pod: &Value, claim: &str) -> bool {
    volume_of(pod, claim).is_some_and(|(name, _)| mounts_of(pod, &name).next().is_some())
}

/// The pod's volume that is the claim, and its name.
fn volume_of<'a>(pod: &'a Value, claim: &str) -> Option<(String, &'a Value)> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    pod["spec"]["volumes"].as_array()?.iter().find_map(|volume| {
        let name = volume["name"].as_str()?.to_owned();
        let direct = volume["persistentVolumeClaim"]["claimName"] == claim;
        let ephemeral = volume["ephemeral"].is_object() && format!("{pod_name}-{name}") == claim;
        (direct || ephemeral).then_some((name, volume))
    })
}

/// The mounts of a volume in all containers, those that run before the others as well.
fn mounts_of<'a>(pod: &'a Value, volume: &'a str) -> impl Iterator<Item = &'a Value> {
    let containers = ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .filter_map(|kind| pod["spec"][kind].as_array());
    let mounts = containers.flatten().filter_map(|container| container["volumeMounts"].as_array());
    mounts.flatten().filter(move |mount| mount["name"] == volume)
}

/// A pod whose volumes are mounted and will stay so for now.
fn is_running(pod: &Value) -> bool {
    let started = |status: &Value| status["state"]["running"].is_object();
    pod["status"]["phase"] == "Running"
        && pod["metadata"]["deletionTimestamp"].is_null()
        && pod["status"]["containerStatuses"].as_array().is_some_and(|all| all.iter().any(started))
}

fn refuse_node(node: &Value, subject: &str) -> Option<Problem> {
    let name = node["metadata"]["name"].as_str().unwrap_or("unknown");
    if node["metadata"]["annotations"][KWOK].is_string() {
        let message = format!("it is mounted on node {name}, which is only simulated");
        return Some(
            Problem::new("volume.simulated_node", subject, message).hint("simulated nodes hold no data"),
        );
    }
    (!is_ready(node)).then(|| {
        let message = format!("it is mounted on node {name}, which is not ready");
        Problem::new("volume.node_not_ready", subject, message)
            .hint("run the backup again when the node is back")
    })
}

/// Whether a node's kubelet is heard of.
pub(super) fn is_ready(node: &Value) -> bool {
    node["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}

fn source(
    bound: &BoundClaim,
    pod: &Value,
    node: &Value,
    settings: &MoverSettings,
    subject: &str,
) -> Result<Source, Problem> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let root =
        node["metadata"]["annotations"][label::KUBELET_ROOT].as_str().unwrap_or(&settings.kubelet_root);
    let (directory, method) = match bound.volume["spec"]["hostPath"]["path"].as_str() {
        Some(path) => (allowed(path, settings, subject)?, CaptureMethod::HostPath),
        None => {
            let method = match pod["metadata"]["labels"][label::PART].as_str() {
                Some(crate::manifest::part::HOLDER) => CaptureMethod::HeldFiles,
                _ => CaptureMethod::LiveFiles,
            };
            (mounted_at(root, pod, &bound.volume, subject)?, method)
        }
    };
    Ok(Source {
        node: text(&node["metadata"]["name"]),
        directory,
        method,
        pod: Some(SourcePod {
            namespace: text(&pod["metadata"]["namespace"]),
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
        }),
    })
}

/// `<kubelet root>/pods/<uid>/volumes/<plugin>/<volume>`, with `/mount` for CSI.
fn mounted_at(root: &str, pod: &Value, volume: &Value, subject: &str) -> Result<String, Problem> {
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let name = volume["metadata"]["name"].as_str().unwrap_or_default();
    let plugin = plugin(&volume["spec"]).ok_or_else(|| {
        let message = "it is not known where the kubelet mounts volumes of this type";
        Problem::new("volume.unknown_type", subject, message).hint("use a CSI driver for it")
    })?;
    let mount = if plugin == CSI { "/mount" } else { "" };
    // These come from the API server, but a path is built of them that root will read.
    if [uid, name].iter().any(|part| part.is_empty() || part.contains('/') || part.starts_with('.')) {
        return Err(Problem::new("volume.unknown_type", subject, "its volume has no usable name"));
    }
    Ok(format!("{}/pods/{uid}/volumes/{plugin}/{name}{mount}", root.trim_end_matches('/')))
}

const CSI: &str = "kubernetes.io~csi";

/// The directory of a volume plugin as the kubelet names it. In-tree plugins of clouds are served
/// by CSI drivers since Kubernetes 1.25 at the latest.
fn plugin(spec: &Value) -> Option<String> {
    const MIGRATED: [&str; 7] = [
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cinder",
        "gcePersistentDisk",
        "portworxVolume",
        "vsphereVolume",
    ];
    const OWN: [(&str, &str); 6] = [
        ("local", "local-volume"),
        ("nfs", "nfs"),
        ("iscsi", "iscsi"),
        ("fc", "fc"),
        ("rbd", "rbd"),
        ("cephfs", "cephfs"),
    ];
    let has = |source: &str| spec[source].is_object();
    if has("csi") || MIGRATED.iter().any(|source| has(source)) {
        return Some(CSI.to_owned());
    }
    if let Some(driver) = spec["flexVolume"]["driver"].as_str() {
        return Some(driver.replace('/', "~"));
    }
    OWN.iter().find(|(source, _)| has(source)).map(|(_, plugin)| format!("kubernetes.io~{plugin}"))
}

/// hostPath volumes are read at their own path, and only below paths that an administrator named.
pub(crate) fn allowed(path: &str, settings: &MoverSettings, subject: &str) -> Result<String, Problem> {
    let clean = path.trim_end_matches('/');
    let safe = clean.starts_with('/') && !clean.split('/').any(|part| part == "..");
    let below = |allowed: &String| {
        let allowed = allowed.trim_end_matches('/');
        clean.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if safe && settings.allowed_host_paths.iter().any(below) {
        return Ok(clean.to_owned());
    }
    let message = format!("its volume is the directory {path} of a node, which movers may not read");
    Err(Problem::new("volume.host_path", subject, message)
        .hint("an administrator allows it with `allowedHostPaths` in the Cluster's manifest"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(claim: &str) -> Value {
        json!({
            "metadata": {"namespace": "shop", "name": "pg-0", "uid": "u-1"},
            "spec": {
                "nodeName": "n1",
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}},
                    {"name": "scratch", "ephemeral": {}}],
                "containers": [{"volumeMounts": [{"name": "data"}, {"name": "scratch"}]}],
            },
            "status": {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]},
        })
    }

    fn node() -> Value {
        json!({"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn bound(spec: Value) -> BoundClaim {
        BoundClaim { claim: json!({}), volume: json!({"metadata": {"name": "pv-1"}, "spec": spec}) }
    }

    fn directory(spec: Value, settings: &MoverSettings) -> Result<String, Problem> {
        source(&bound(spec), &pod("data"), &node(), settings, "shop/data").map(|source| source.directory)
    }

    #[test]
    fn the_mount_is_where_the_kubelet_puts_it() {
        let settings = MoverSettings::new("i");
        let base = "/var/lib/kubelet/pods/u-1/volumes";
        for (spec, path) in [
            (json!({"csi": {"driver": "x"}}), "kubernetes.io~csi/pv-1/mount"),
            (json!({"azureDisk": {}}), "kubernetes.io~csi/pv-1/mount"),
            (json!({"local": {"path": "/d"}}), "kubernetes.io~local-volume/pv-1"),
            (json!({"nfs": {}}), "kubernetes.io~nfs/pv-1"),
            (json!({"flexVolume": {"driver": "acme/fast"}}), "acme~fast/pv-1"),
        ] {
            assert_eq!(directory(spec, &settings).unwrap(), format!("{base}/{path}"));
        }
        assert_eq!(directory(json!({"quobyte": {}}), &settings).unwrap_err().code, "volume.unknown_type");
    }

    #[test]
    fn a_node_may_have_its_kubelet_elsewhere() {
        let mut node = node();
        node["metadata"]["annotations"][label::KUBELET_ROOT] = json!("/data/kubelet/");
        let found = source(&bound(json!({"nfs": {}})), &pod("data"), &node, &MoverSettings::new("i"), "s");
        assert_eq!(found.unwrap().directory, "/data/kubelet/pods/u-1/volumes/kubernetes.io~nfs/pv-1");
    }

    #[test]
    fn host_paths_are_read_only_where_allowed() {
        let mut settings = MoverSettings::new("i");
        let spec = json!({"hostPath": {"path": "/srv/data/a"}});
        let refused = directory(spec.clone(), &settings).unwrap_err();
        assert!(refused.hint.contains("allowedHostPaths"), "{refused}");
        settings.allowed_host_paths = vec!["/srv/data".into()];
        assert_eq!(directory(spec, &settings).unwrap(), "/srv/data/a");
        for bad in ["/srv/database", "/srv/data/../../etc", "srv/data/x"] {
            assert!(directory(json!({"hostPath": {"path": bad}}), &settings).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_pod_that_uses_the_claim_and_runs_has_it_mounted() {
        assert!(mounts(&pod("data"), "data") && !mounts(&pod("data"), "other"));
        assert!(mounts(&pod("data"), "pg-0-scratch"), "a generic ephemeral volume is a claim");
        let mut unused = pod("data");
        unused["spec"]["containers"][0]["volumeMounts"] = json!([]);
        assert!(!mounts(&unused, "data"));
        unused["spec"]["initContainers"] = json!([{"volumeMounts": [{"name": "data"}]}]);
        assert!(mounts(&unused, "data"));
        let mut ending = pod("data");
        assert!(is_running(&ending));
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!is_running(&ending));
    }

    #[test]
    fn whoever_may_write_is_told_from_whoever_reads() {
        assert_eq!(usage(&pod("data"), "data"), Use::Writes);
        let mut reads = pod("data");
        reads["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = json!(true);
        assert_eq!(usage(&reads, "data"), Use::Reads);
        reads["spec"]["initContainers"] = json!([{"volumeMounts": [{"name": "data"}]}]);
        assert_eq!(usage(&reads, "data"), Use::Writes);
        reads["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] = json!(true);
        assert_eq!(usage(&reads, "data"), Use::ReadOnly);
    }

    #[test]
    fn a_simulated_or_dead_node_is_a_problem_not_a_lie() {
        assert_eq!(refuse_node(&node(), "s"), None);
        let mut kwok = node();
        kwok["metadata"]["annotations"][KWOK] = json!("fake");
        assert_eq!(refuse_node(&kwok, "s").unwrap().code, "volume.simulated_node");
        let dead = json!({"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
        assert_eq!(refuse_node(&dead, "s").unwrap().code, "volume.node_not_ready");
    }
}
