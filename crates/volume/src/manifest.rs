//! The objects that movers are made of, as JSON.

use std::collections::BTreeMap;

use holdfast_model::RunId;
use holdfast_model::label::{self, SYSTEM_NAMESPACE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::settings::MoverSettings;

/// Service account of movers. It has no rights and its token is never mounted.
pub(crate) const SERVICE_ACCOUNT: &str = "holdfast-mover";
/// Container of a mover's pod whose log is followed.
pub(crate) const CONTAINER: &str = "mover";
/// Where the mover finds a volume; several are numbered.
pub(crate) const VOLUME_PATH: &str = "/volume";
/// Where the mover finds a raw device; several are numbered.
pub(crate) const DEVICE_PATH: &str = "/dev/volume";
/// Socket of the mover's gate.
pub(crate) const GATE: &str = "/run/holdfast/gate";
/// The mover's instructions, in memory.
const SPEC: &str = "/run/holdfast/spec.json";
/// The same in the Secret's mount.
const SECRET: &str = "/run/holdfast-secret/spec.json";
/// Key of the instructions in the Secret.
const SECRET_KEY: &str = "spec.json";

/// May read everything on a volume, whoever owns it.
const CAPTURE: &[&str] = &["DAC_READ_SEARCH"];
/// May make everything on a volume with its owner and mode.
const RESTORE: &[&str] = &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP"];

/// What a temporary object is for: the value of the label `holdfast.dev/part`.
pub(crate) mod part {
    pub(crate) const MOVER: &str = "mover";
    pub(crate) const HOLDER: &str = "holder";
    pub(crate) const CLAIM: &str = "claim";
    pub(crate) const DEVICE: &str = "device";
    pub(crate) const KEY: &str = "key";
    pub(crate) const HANDOVER: &str = "handover";
    pub(crate) const SNAPSHOT: &str = "snapshot";
    pub(crate) const VIEW: &str = "view";
    pub(crate) const GROUP: &str = "group";
    pub(crate) const MEMBER: &str = "member";
    pub(crate) const KEPT: &str = "kept";
    pub(crate) const STANDBY: &str = "standby";
    pub(crate) const SAVED: &str = "saved";
}

/// Where a mover's pod may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// On this node and no other.
    pub node: Option<String>,
    /// `nodeSelector` of the pod that will use the volumes.
    pub node_selector: BTreeMap<String, String>,
    /// `nodeAffinity` of that pod, as in its `affinity`. Affinity to other pods is not carried:
    /// those need not be there yet.
    pub node_affinity: Option<Value>,
    /// `tolerations` of that pod.
    pub tolerations: Vec<Value>,
    /// Nodes that others are preferred to, because a mover was lost there. For half a minute the
    /// scheduler takes a node that has died for a good one.
    pub avoid: Vec<String>,
}

/// One volume of a mover.
#[derive(Debug, Clone)]
pub(crate) struct MountedVolume {
    /// The volume's source: `hostPath` or `persistentVolumeClaim`; the latter for a device, since
    /// the kubelet lets a container use no other.
    pub(crate) source: Value,
    pub(crate) kind: MountedKind,
    /// Where the mover finds it.
    pub(crate) path: String,
    pub(crate) read_only: bool,
}

/// As what a mover sees a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountedKind {
    /// A mounted file system.
    Directory,
    /// The raw device of a claim with `volumeMode: Block`.
    Device,
}

impl MountedVolume {
    fn is_device(&self) -> bool {
        self.kind == MountedKind::Device
    }

    /// The source under its name in the pod. A container has no say in how a device is opened, so
    /// that it is read-only is said here: the kubelet then allows the container no writing.
    fn source(&self, name: String) -> Value {
        let mut source = self.source.clone();
        source["name"] = json!(name);
        if self.is_device() && self.read_only {
            source["persistentVolumeClaim"]["readOnly"] = json!(true);
        }
        source
    }
}

/// A mover's Job.
pub(crate) struct MoverJob<'a> {
    pub(crate) name: &'a str,
    pub(crate) run: &'a RunId,
    /// What it works on, for people.
    pub(crate) subject: String,
    pub(crate) settings: &'a MoverSettings,
    pub(crate) placement: &'a Placement,
    pub(crate) volumes: Vec<MountedVolume>,
    pub(crate) restores: bool,
}

/// A name that is the same for the same parts: what was created and whose reply was lost is found
/// again under it.
pub(crate) fn name(prefix: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("{prefix}-{}", hex::encode(&hash.finalize()[..8]))
}

/// Labels of everything temporary.
pub(crate) fn labels(run: &RunId, part: &str) -> Value {
    let (key, value) = label::MANAGED_BY;
    json!({key: value, label::RUN: run.as_str(), label::PART: part})
}

impl MoverJob<'_> {
    /// The Job, suspended until its Secret is there.
    pub(crate) fn manifest(&self) -> Value {
        let settings = self.settings;
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": self.name,
                "namespace": SYSTEM_NAMESPACE,
                "labels": labels(self.run, part::MOVER),
                "annotations": {"holdfast.dev/subject": self.subject},
            },
            "spec": {
                "suspend": true,
                // A second pod would not be known to whoever gates the first.
                "backoffLimit": 0,
                "activeDeadlineSeconds": settings.deadline.as_secs().max(1),
                "ttlSecondsAfterFinished": settings.ttl.as_secs(),
                "template": {
                    "metadata": {"labels": labels(self.run, part::MOVER)},
                    "spec": self.pod(),
                },
            },
        })
    }

    fn pod(&self) -> Value {
        let mut pod = json!({
            "restartPolicy": "Never",
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 10,
            "imagePullSecrets": pull_secrets(self.settings),
            "tolerations": self.tolerations(),
            "affinity": self.affinity(),
            "nodeSelector": self.placement.node_selector,
            "initContainers": [self.hand_off()],
            "containers": [self.mover()],
            "volumes": self.volumes(),
        });
        if self.placement.node_selector.is_empty() {
            remove(&mut pod, "nodeSelector");
        }
        if let Some(class) = &self.settings.priority_class {
            pod["priorityClassName"] = json!(class);
        }
        if self.placement.node.is_none() {
            pod["topologySpreadConstraints"] = self.spread();
        }
        pod
    }

    fn hand_off(&self) -> Value {
        json!({
            "name": "handoff",
            "image": self.settings.image,
            "imagePullPolicy": self.settings.pull_policy,
            "args": ["mover", "handoff", SECRET, SPEC],
            "securityContext": security(&[], false),
            "volumeMounts": [
                {"name": "secret", "mountPath": "/run/holdfast-secret", "readOnly": true},
                {"name": "memory", "mountPath": "/run/holdfast"},
            ],
        })
    }

    fn mover(&self) -> Value {
        let mut mounts = vec![json!({"name": "memory", "mountPath": "/run/holdfast"})];
        let mut devices = Vec::new();
        for (n, volume) in self.volumes.iter().enumerate() {
            let (name, path) = (volume_name(n), &volume.path);
            match volume.kind {
                MountedKind::Directory => {
                    mounts.push(json!({"name": name, "mountPath": path, "readOnly": volume.read_only}));
                }
                MountedKind::Device => devices.push(json!({"name": name, "devicePath": path})),
            }
        }
        let mut container = json!({
            "name": CONTAINER,
            "image": self.settings.image,
            "imagePullPolicy": self.settings.pull_policy,
            "args": ["mover", "run", SPEC, GATE],
            "securityContext": security(&self.capabilities(), self.settings.selinux),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": mounts,
        });
        if !devices.is_empty() {
            container["volumeDevices"] = json!(devices);
        }
        if self.settings.resources.is_object() {
            container["resources"] = self.settings.resources.clone();
        }
        container
    }

    /// A container's device belongs to its root, which needs no capability to use it.
    fn capabilities(&self) -> Vec<&'static str> {
        if self.volumes.iter().all(MountedVolume::is_device) {
            return Vec::new();
        }
        let mut capabilities = if self.restores { RESTORE } else { CAPTURE }.to_vec();
        if self.restores && self.settings.restore_devices {
            capabilities.push("MKNOD");
        }
        capabilities
    }

    fn volumes(&self) -> Vec<Value> {
        let mut volumes = vec![
            json!({"name": "secret", "secret": {"secretName": self.name, "defaultMode": 0o400}}),
            json!({"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}),
        ];
        volumes.extend(self.volumes.iter().enumerate().map(|(n, volume)| volume.source(volume_name(n))));
        volumes
    }

    fn tolerations(&self) -> Value {
        match self.placement.node {
            // It goes where the volume is, whatever is wrong with that node.
            Some(_) => json!([{"operator": "Exists"}]),
            None => json!(self.placement.tolerations),
        }
    }

    /// Movers of one run go to different nodes as far as their volumes let them.
    fn spread(&self) -> Value {
        json!([{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {label::PART: part::MOVER, label::RUN: self.run.as_str()}},
        }])
    }

    fn affinity(&self) -> Value {
        let Some(node) = &self.placement.node else { return self.placement.affinity() };
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
        ]}}})
    }
}

impl Placement {
    /// Affinity of a pod that may go to several nodes.
    fn affinity(&self) -> Value {
        let mut affinity = self.node_affinity.clone().unwrap_or_else(|| json!({}));
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        // By the API each requirement of a field names one node.
        let others = self.avoid.iter().map(|node| {
            let other = json!({"key": "metadata.name", "operator": "NotIn", "values": [node]});
            json!({"weight": 100, "preference": {"matchFields": [other]}})
        });
        let wishes = affinity[preferred].as_array().into_iter().flatten().cloned();
        let wishes: Vec<Value> = wishes.chain(others).collect();
        if !wishes.is_empty() {
            affinity[preferred] = Value::from(wishes);
        }
        match affinity.as_object().is_some_and(|affinity| !affinity.is_empty()) {
            true => json!({"nodeAffinity": affinity}),
            false => json!({}),
        }
    }
}

fn volume_name(n: usize) -> String {
    format!("volume-{n}")
}

fn pull_secrets(settings: &MoverSettings) -> Value {
    settings.pull_secrets.iter().map(|name| json!({"name": name})).collect()
}

fn security(capabilities: &[&str], spc: bool) -> Value {
    let mut context = json!({
        "runAsUser": 0,
        "runAsGroup": 0,
        "privileged": false,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": capabilities},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if spc {
        context["seLinuxOptions"] = json!({"type": "spc_t"});
    }
    context
}

/// The Secret with a mover's instructions, which goes when the Job goes.
pub(crate) fn secret(name: &str, run: &RunId, spec: &str, job_uid: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": SYSTEM_NAMESPACE,
            "labels": labels(run, part::KEY),
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_uid, "controller": false,
            }],
        },
        "immutable": true,
        "type": "Opaque",
        "stringData": {SECRET_KEY: spec},
    })
}

/// A pod in the application's namespace that does nothing but mount a claim: without key, token,
/// network or rights, so that it passes the `restricted` Pod Security Standard.
pub(crate) fn holder(
    name: &str,
    run: &RunId,
    namespace: &str,
    claim: &str,
    settings: &MoverSettings,
) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(run, part::HOLDER),
            "annotations": {label::EXCLUDE: "true"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "activeDeadlineSeconds": settings.deadline.as_secs().max(1),
            "terminationGracePeriodSeconds": 2,
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65_532, "runAsGroup": 65_532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "holder",
                "image": settings.image,
                "imagePullPolicy": settings.pull_policy,
                "args": ["mover", "hold"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"},
                },
                "volumeMounts": [{"name": "held", "mountPath": VOLUME_PATH, "readOnly": true}],
            }],
            "volumes": [{"name": "held", "persistentVolumeClaim": {"claimName": claim}}],
        },
    })
}

/// Cuts holders off the network.
pub(crate) fn holder_policy(name: &str, run: &RunId, namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(run, part::HOLDER),
            "annotations": {label::EXCLUDE: "true"},
        },
        "spec": {
            "podSelector": {"matchLabels": {label::PART: part::HOLDER, label::RUN: run.as_str()}},
            "policyTypes": ["Ingress", "Egress"],
        },
    })
}

fn remove(object: &mut Value, key: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> MountedVolume {
        MountedVolume {
            source: json!({"hostPath": {"path": "/x/mount", "type": "Directory"}}),
            kind: MountedKind::Directory,
            path: VOLUME_PATH.into(),
            read_only: true,
        }
    }

    fn device(read_only: bool) -> MountedVolume {
        MountedVolume {
            source: json!({"persistentVolumeClaim": {"claimName": "data"}}),
            kind: MountedKind::Device,
            path: "/dev/volume".into(),
            read_only,
        }
    }

    fn job(restores: bool, volumes: Vec<MountedVolume>) -> Value {
        let settings = MoverSettings::new("holdfast:1");
        let placement = Placement { node: Some("n1".into()), ..Placement::default() };
        MoverJob {
            name: "mover-1",
            run: &"r1".parse().unwrap(),
            subject: "shop/data".into(),
            settings: &settings,
            placement: &placement,
            volumes,
            restores,
        }
        .manifest()
    }

    #[test]
    fn a_mover_has_the_least_power_and_ends_by_itself() {
        let job = job(false, vec![directory()]);
        let spec = &job["spec"];
        assert!(spec["suspend"] == true && spec["activeDeadlineSeconds"].is_u64());
        assert!(spec["ttlSecondsAfterFinished"].is_u64());
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        for container in [&pod["containers"][0], &pod["initContainers"][0]] {
            let security = &container["securityContext"];
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert!(container.get("env").is_none() && container.get("envFrom").is_none());
        }
        assert_eq!(
            pod["containers"][0]["securityContext"]["capabilities"]["add"],
            json!(["DAC_READ_SEARCH"])
        );
        assert_eq!(pod["initContainers"][0]["securityContext"]["capabilities"]["add"], json!([]));
        assert_eq!(pod["containers"][0]["volumeMounts"][1]["readOnly"], true);
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        assert!(
            mounts.iter().all(|mount| mount["name"] != "secret"),
            "the mover never sees the Secret's mount"
        );
    }

    #[test]
    fn a_restore_may_make_files_of_others_but_no_devices() {
        let capabilities = &job(true, vec![directory()])["spec"]["template"]["spec"]["containers"][0]["securityContext"]
            ["capabilities"];
        let added: Vec<_> =
            capabilities["add"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(added.contains(&"CHOWN") && !added.contains(&"MKNOD") && !added.contains(&"SYS_ADMIN"));
    }

    #[test]
    fn a_device_is_given_as_such_and_needs_no_capability() {
        let job = job(false, vec![device(true)]);
        let pod = &job["spec"]["template"]["spec"];
        let mover = &pod["containers"][0];
        assert_eq!(mover["volumeDevices"], json!([{"name": "volume-0", "devicePath": "/dev/volume"}]));
        assert_eq!(mover["volumeMounts"].as_array().unwrap().len(), 1, "only the memory is mounted");
        assert_eq!(mover["securityContext"]["capabilities"], json!({"drop": ["ALL"], "add": []}));
        assert_eq!(mover["securityContext"]["privileged"], false);
        let source =
            json!({"name": "volume-0", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}});
        assert_eq!(pod["volumes"][2], source);
        assert!(pod["initContainers"][0].get("volumeDevices").is_none());
    }

    #[test]
    fn a_device_that_is_restored_can_be_written_beside_a_directory() {
        let job = job(true, vec![device(false), directory()]);
        let pod = &job["spec"]["template"]["spec"];
        assert!(pod["volumes"][2]["persistentVolumeClaim"].get("readOnly").is_none());
        assert_eq!(pod["containers"][0]["volumeMounts"][1]["name"], "volume-1");
        let added = &pod["containers"][0]["securityContext"]["capabilities"]["add"];
        assert!(added.as_array().unwrap().contains(&json!("CHOWN")), "the directory needs them");
    }

    #[test]
    fn nodes_are_avoided_beside_what_the_application_asks_for() {
        let required = json!({"nodeSelectorTerms": [{"matchExpressions": []}]});
        let wish = json!({"weight": 1, "preference": {}});
        let (needs, wishes) = (
            "requiredDuringSchedulingIgnoredDuringExecution",
            "preferredDuringSchedulingIgnoredDuringExecution",
        );
        let placement = Placement {
            node_affinity: Some(json!({needs: required, wishes: [wish]})),
            avoid: vec!["n1".into(), "n2".into()],
            ..Placement::default()
        };
        let affinity = &placement.affinity()["nodeAffinity"];
        assert_eq!(affinity[needs], required);
        let avoided = affinity[wishes].as_array().unwrap();
        assert_eq!((avoided.len(), &avoided[0]), (3, &wish));
        assert_eq!(avoided[2]["preference"]["matchFields"][0]["values"], json!(["n2"]));
        assert_eq!(Placement::default().affinity(), json!({}));
    }

    #[test]
    fn a_holder_has_neither_key_nor_token_nor_rights() {
        let settings = MoverSettings::new("holdfast:1");
        let pod = holder("h", &"r1".parse().unwrap(), "shop", "data", &settings);
        let spec = &pod["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["volumes"].as_array().unwrap().len(), 1);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["containers"][0]["args"], json!(["mover", "hold"]));
    }

    #[test]
    fn names_depend_on_every_part() {
        assert_eq!(name("mover", &["a", "b"]), name("mover", &["a", "b"]));
        assert_ne!(name("mover", &["a", "b"]), name("mover", &["ab", ""]));
        assert!(name("mover", &["a"]).len() < 52, "the Job controller appends to it");
    }
}
