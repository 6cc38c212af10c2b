//! Storage with snapshots: the CSI driver, its sidecars and what the API server has to know of them.

use std::time::Duration;

use k8s_openapi::api::storage::v1::CSINode;
use kube::api::Api;
use serde_json::json;

use super::plan::Plan;
use super::{Site, snapshot_metadata};
use crate::component::Spec;
use crate::csi::{FORM, IMAGE, registration_socket};
use crate::error::{At, Result};
use crate::guard;
use crate::parts::Built;

/// StorageClass of volumes with snapshots.
pub const CSI_CLASS: &str = "csi";

/// As [`CSI_CLASS`], but a volume is made only when a pod wants it, for that pod's node.
pub const CSI_LATE_CLASS: &str = "csi-late";

/// As [`CSI_CLASS`], but every volume is an image of a disk: what is mounted is an ext4 on it, snapshots of which can
/// be taken together, become devices, and be compared block by block.
pub const CSI_IMAGE_CLASS: &str = "csi-image";

/// StorageClass of the driver that has no snapshots.
pub const CSI_PLAIN_CLASS: &str = "csi-plain";

/// VolumeSnapshotClass and VolumeGroupSnapshotClass of all these classes but [`CSI_PLAIN_CLASS`]. Only volumes of
/// [`CSI_IMAGE_CLASS`] and raw devices can be in a group.
pub const SNAPSHOT_CLASS: &str = "csi";

const LIMIT: Duration = Duration::from_secs(60);

/// At their default rate each request of a sidecar waits 200 ms.
const RATE: [&str; 2] = ["--kube-api-qps=200", "--kube-api-burst=400"];

const GROUPS: &str = "--feature-gates=CSIVolumeGroupSnapshot=true";

/// The programs beside the driver.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) provisioner: Built,
    pub(super) snapshotter: Built,
    pub(super) definitions: Built,
}

/// One driver of a site; two that differ in what they can are two names for Kubernetes.
#[derive(Debug, Clone, Copy)]
enum Driver {
    WithSnapshots,
    Plain,
}

impl Driver {
    const ALL: [Self; 2] = [Self::WithSnapshots, Self::Plain];

    fn name(self) -> &'static str {
        match self {
            Self::WithSnapshots => "csi.testbed.holdfast.dev",
            Self::Plain => "plain.testbed.holdfast.dev",
        }
    }

    /// Short name of its sockets, pool and components.
    fn short(self) -> &'static str {
        match self {
            Self::WithSnapshots => "csi",
            Self::Plain => "csi-plain",
        }
    }

    fn socket(self, plan: &Plan) -> std::path::PathBuf {
        plan.runtime.join(format!("{}.sock", self.short()))
    }

    fn spec(self, plan: &Plan) -> Result<Spec> {
        let registry = plan.kubelet_root().join("plugins_registry");
        let spec = Spec::new(&format!("{}-driver", self.short()), guard::program()?)
            .arg("csi")
            .flag("name", self.name())
            .flag("node", plan.node())
            .flag("pool", plan.dir.join(self.short()))
            .flag("socket", self.socket(plan))
            .flag("registration", registration_socket(&registry, self.short()));
        Ok(match self {
            Self::WithSnapshots => snapshot_metadata::served_by(spec, plan),
            Self::Plain => spec.arg("--without-snapshots"),
        })
    }

    fn provisioner(self, plan: &Plan, parts: &Parts) -> Spec {
        sidecar(plan, &format!("{}-provisioner", self.short()), parts.provisioner.bin("csi-provisioner"))
            .flag("csi-address", self.socket(plan))
            .arg("--extra-create-metadata")
            // Else a volume for one node's pod is asked for as if any node would do.
            .arg("--strict-topology")
    }
}

impl Site {
    /// Starts drivers and sidecars, and waits until the kubelet knows the drivers.
    pub(super) async fn start_csi(&mut self, parts: &Parts) -> Result<()> {
        let path = parts.definitions.share("crds.yaml");
        let definitions = std::fs::read_to_string(&path).at("read", path)?;
        self.apply(&(definitions + "---\n" + snapshot_metadata::DEFINITION + &classes())).await?;
        for driver in Driver::ALL {
            self.start(driver.spec(&self.plan)?)?;
            self.start(driver.provisioner(&self.plan, parts))?;
        }
        let established = ["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"];
        self.kubectl(&established).await?;
        let service = snapshot_metadata::service(Driver::WithSnapshots.name(), &self.plan)?;
        self.apply(&(snapshot_classes() + &service)).await?;
        self.start(snapshotter(&self.plan, parts))?;
        self.start(snapshot_controller(&self.plan, parts))?;
        let nodes: Api<CSINode> = Api::all(self.client.clone());
        let name = self.plan.node();
        self.wait_for("csi-driver", "the kubelet does not know it", LIMIT, || async {
            let drivers = nodes.get_opt(&name).await?.map(|node| node.spec.drivers).unwrap_or_default();
            Ok(Driver::ALL.iter().all(|driver| drivers.iter().any(|known| known.name == driver.name())))
        })
        .await
    }
}

fn snapshotter(plan: &Plan, parts: &Parts) -> Spec {
    sidecar(plan, "csi-snapshotter", parts.snapshotter.bin("csi-snapshotter"))
        .flag("csi-address", Driver::WithSnapshots.socket(plan))
        .arg("--extra-create-metadata")
        .arg(GROUPS)
}

fn snapshot_controller(plan: &Plan, parts: &Parts) -> Spec {
    sidecar(plan, "snapshot-controller", parts.snapshotter.bin("snapshot-controller")).arg(GROUPS)
}

/// A sidecar, started again whenever it ends: it does so, with success, when its driver was restarted.
fn sidecar(plan: &Plan, name: &str, program: std::path::PathBuf) -> Spec {
    Spec::new(name, program).restarted().flag("kubeconfig", plan.kubeconfig("admin")).args(RATE)
}

/// Drivers and StorageClasses; a driver's object has to be there before the kubelet learns of the driver.
fn classes() -> String {
    let driver = |driver: Driver| {
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": { "name": driver.name() },
            "spec": { "attachRequired": false, "podInfoOnMount": false, "fsGroupPolicy": "File" },
        })
    };
    let class = |name: &str, driver: Driver, binding: &str| {
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": { "name": name },
            "provisioner": driver.name(),
            "reclaimPolicy": "Delete",
            "volumeBindingMode": binding,
        })
    };
    let mut all = Driver::ALL.map(driver).to_vec();
    all.push(class(CSI_CLASS, Driver::WithSnapshots, "Immediate"));
    all.push(class(CSI_LATE_CLASS, Driver::WithSnapshots, "WaitForFirstConsumer"));
    all.push(class(CSI_PLAIN_CLASS, Driver::Plain, "Immediate"));
    let mut images = class(CSI_IMAGE_CLASS, Driver::WithSnapshots, "Immediate");
    images["parameters"] = json!({ FORM: IMAGE });
    all.push(images);
    all.iter().map(|manifest| format!("---\n{manifest:#}\n")).collect()
}

/// A class of snapshots, and one of group snapshots.
fn snapshot_classes() -> String {
    let class = |group: &str, kind: &str| {
        let manifest = json!({
            "apiVersion": format!("{group}/v1"),
            "kind": kind,
            "metadata": { "name": SNAPSHOT_CLASS },
            "driver": Driver::WithSnapshots.name(),
            "deletionPolicy": "Delete",
        });
        format!("---\n{manifest:#}\n")
    };
    class("snapshot.storage.k8s.io", "VolumeSnapshotClass")
        + &class("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotClass")
}
