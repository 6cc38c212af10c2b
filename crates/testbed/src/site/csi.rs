//! Storage with snapshots: the CSI driver, its sidecars and what the API server has to know of them.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::storage::v1::CSINode;
use kube::api::Api;
use serde_json::{Value, json};

use super::node::NodePlan;
use super::plan::Plan;
use super::{Site, snapshot_metadata};
use crate::component::Spec;
use crate::csi::{FORM, IMAGE, SHARED, registration_socket};
use crate::error::{At, Result};
use crate::guard;
use crate::parts::Built;

/// StorageClass of volumes with snapshots. At a site with several nodes each volume is at one of them, whichever.
pub const CSI_CLASS: &str = "csi";

/// As [`CSI_CLASS`], but a volume is made only when a pod wants it, for that pod's node.
pub const CSI_LATE_CLASS: &str = "csi-late";

/// As [`CSI_CLASS`], but a volume is at whatever node its pod is: only at a site with several nodes.
pub const CSI_SHARED_CLASS: &str = "csi-shared";

/// As [`CSI_CLASS`], but every volume is an image of a disk: what is mounted is an ext4 on it, snapshots of which can
/// be taken together, become devices, and be compared block by block.
pub const CSI_IMAGE_CLASS: &str = "csi-image";

/// StorageClass of the driver that has no snapshots.
pub const CSI_PLAIN_CLASS: &str = "csi-plain";

/// As [`CSI_IMAGE_CLASS`], of a second driver that takes snapshots too; its classes of snapshots have the same name.
pub const CSI_SECOND_CLASS: &str = "csi-second";

/// VolumeSnapshotClass and VolumeGroupSnapshotClass of all classes of the first driver. Only volumes of
/// [`CSI_IMAGE_CLASS`] and raw devices can be in a group.
pub const SNAPSHOT_CLASS: &str = "csi";

const LIMIT: Duration = Duration::from_secs(60);

/// At their default rate each request of a sidecar waits 200 ms.
const RATE: [&str; 2] = ["--kube-api-qps=200", "--kube-api-burst=400"];

/// By default a call that a driver refused is made again after up to five minutes.
const PATIENCE: &str = "--retry-interval-max=5s";

const GROUPS: &str = "--feature-gates=CSIVolumeGroupSnapshot=true";

/// The programs beside the driver.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) provisioner: Built,
    pub(super) snapshotter: Built,
    pub(super) definitions: Built,
}

/// One driver of a site; two that differ in what they can are two names for Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    WithSnapshots,
    Plain,
    /// As the first, with a pool of its own.
    Second,
}

impl Driver {
    const USUAL: [Self; 2] = [Self::WithSnapshots, Self::Plain];
    const ALL: [Self; 3] = [Self::WithSnapshots, Self::Plain, Self::Second];

    fn of(second: bool) -> &'static [Self] {
        if second { &Self::ALL } else { &Self::USUAL }
    }

    fn has_snapshots(self) -> bool {
        !matches!(self, Self::Plain)
    }

    fn name(self) -> &'static str {
        match self {
            Self::WithSnapshots => "csi.testbed.holdfast.dev",
            Self::Plain => "plain.testbed.holdfast.dev",
            Self::Second => "second.testbed.holdfast.dev",
        }
    }

    /// Short name of its sockets, pool and components.
    fn short(self) -> &'static str {
        match self {
            Self::WithSnapshots => "csi",
            Self::Plain => "csi-plain",
            Self::Second => CSI_SECOND_CLASS,
        }
    }

    /// Where it answers at a node; the sidecars ask the one of the first.
    fn socket(self, node: &NodePlan) -> PathBuf {
        node.runtime.join(format!("{}.sock", self.short()))
    }

    /// One driver of a node. Those of all nodes share the site's pool, and the first answers clients for all.
    fn spec(self, node: &NodePlan) -> Result<Spec> {
        let registry = node.kubelet_root().join("plugins_registry");
        let spec = Spec::new(&node.numbered(&format!("{}-driver", self.short())), guard::program()?)
            .arg("csi")
            .flag("name", self.name())
            .flag("node", node.name())
            .flag("pool", node.site.dir.join(self.short()))
            .flag("socket", self.socket(node))
            .flag("registration", registration_socket(&registry, self.short()))
            .on_node();
        Ok(match self {
            Self::WithSnapshots if node.number == 0 => snapshot_metadata::served_by(spec, &node.site),
            Self::WithSnapshots | Self::Second => spec,
            Self::Plain => spec.arg("--without-snapshots"),
        })
    }

    fn provisioner(self, first: &NodePlan, parts: &Parts) -> Spec {
        sidecar(
            &first.site,
            &format!("{}-provisioner", self.short()),
            parts.provisioner.bin("csi-provisioner"),
        )
        .flag("csi-address", self.socket(first))
        .arg("--extra-create-metadata")
        // Else a volume for one node's pod is asked for as if any node would do.
        .arg("--strict-topology")
        .arg(PATIENCE)
    }

    fn snapshotter(self, first: &NodePlan, parts: &Parts) -> Spec {
        let name = format!("{}-snapshotter", self.short());
        sidecar(&first.site, &name, parts.snapshotter.bin("csi-snapshotter"))
            .flag("csi-address", self.socket(first))
            .arg("--extra-create-metadata")
            .arg(PATIENCE)
            .arg(GROUPS)
    }

    /// VolumeSnapshotClass and VolumeGroupSnapshotClass.
    fn snapshot_class(self) -> &'static str {
        if self == Self::WithSnapshots { SNAPSHOT_CLASS } else { self.short() }
    }
}

impl Site {
    /// Starts drivers and sidecars, and waits until all kubelets know the drivers.
    pub(super) async fn start_csi(&mut self, parts: &Parts, second: bool) -> Result<()> {
        let drivers = Driver::of(second);
        let path = parts.definitions.share("crds.yaml");
        let definitions = std::fs::read_to_string(&path).at("read", path)?;
        let classes = classes(drivers, self.plan.has_several_nodes());
        self.apply(&(definitions + "---\n" + snapshot_metadata::DEFINITION + &classes)).await?;
        let nodes: Vec<NodePlan> = self.machines.iter().map(|machine| machine.plan.clone()).collect();
        let first = nodes.first().ok_or_else(|| self.no_component("kubelet"))?;
        for driver in drivers {
            for machine in &mut self.machines {
                machine.start(driver.spec(&machine.plan)?)?;
            }
            self.start(driver.provisioner(first, parts))?;
        }
        let established = ["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"];
        self.kubectl(&established).await?;
        let service = snapshot_metadata::service(Driver::WithSnapshots.name(), &self.plan)?;
        self.apply(&(snapshot_classes(drivers) + &service)).await?;
        for driver in drivers.iter().filter(|driver| driver.has_snapshots()) {
            self.start(driver.snapshotter(first, parts))?;
        }
        self.start(snapshot_controller(&self.plan, parts))?;
        for node in &nodes {
            self.wait_for_drivers(node, drivers).await?;
        }
        Ok(())
    }

    /// Directory of the pool of the driver that has snapshots.
    pub(super) fn csi_pool(&self) -> PathBuf {
        self.plan.dir.join(Driver::WithSnapshots.short())
    }

    async fn wait_for_drivers(&mut self, node: &NodePlan, wanted: &[Driver]) -> Result<()> {
        let nodes: Api<CSINode> = Api::all(self.client.clone());
        let (name, driver) = (node.name(), node.numbered("csi-driver"));
        self.wait_for(&driver, "the kubelet does not know it", LIMIT, || async {
            let drivers = nodes.get_opt(&name).await?.map(|node| node.spec.drivers).unwrap_or_default();
            Ok(wanted.iter().all(|driver| drivers.iter().any(|known| known.name == driver.name())))
        })
        .await
    }
}

fn snapshot_controller(plan: &Plan, parts: &Parts) -> Spec {
    sidecar(plan, "snapshot-controller", parts.snapshotter.bin("snapshot-controller")).arg(GROUPS)
}

/// A sidecar, started again whenever it ends: it does so, with success, when its driver was restarted.
fn sidecar(plan: &Plan, name: &str, program: PathBuf) -> Spec {
    Spec::new(name, program).restarted().flag("kubeconfig", plan.kubeconfig("admin")).args(RATE)
}

/// Drivers and StorageClasses; a driver's object has to be there before the kubelet learns of the driver.
fn classes(drivers: &[Driver], several_nodes: bool) -> String {
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
    let mut all: Vec<Value> = drivers.iter().copied().map(driver).collect();
    all.push(class(CSI_CLASS, Driver::WithSnapshots, "Immediate"));
    all.push(class(CSI_LATE_CLASS, Driver::WithSnapshots, "WaitForFirstConsumer"));
    all.push(class(CSI_PLAIN_CLASS, Driver::Plain, "Immediate"));
    let mut with = |name: &str, driver: Driver, parameter: (&str, &str)| {
        let mut special = class(name, driver, "Immediate");
        special["parameters"] = json!({ parameter.0: parameter.1 });
        all.push(special);
    };
    with(CSI_IMAGE_CLASS, Driver::WithSnapshots, (FORM, IMAGE));
    if several_nodes {
        with(CSI_SHARED_CLASS, Driver::WithSnapshots, (SHARED, "true"));
    }
    if drivers.contains(&Driver::Second) {
        with(CSI_SECOND_CLASS, Driver::Second, (FORM, IMAGE));
    }
    all.iter().map(|manifest| format!("---\n{manifest:#}\n")).collect()
}

/// For each driver a class of snapshots, which is the default, and one of group snapshots.
fn snapshot_classes(drivers: &[Driver]) -> String {
    let class = |driver: Driver, group: &str, kind: &str, annotations: Value| {
        let manifest = json!({
            "apiVersion": format!("{group}/v1"),
            "kind": kind,
            "metadata": { "name": driver.snapshot_class(), "annotations": annotations },
            "driver": driver.name(),
            "deletionPolicy": "Delete",
        });
        format!("---\n{manifest:#}\n")
    };
    let default = json!({ "snapshot.storage.kubernetes.io/is-default-class": "true" });
    let of = |driver: &Driver| {
        class(*driver, "snapshot.storage.k8s.io", "VolumeSnapshotClass", default.clone())
            + &class(*driver, "groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotClass", json!({}))
    };
    drivers.iter().filter(|driver| driver.has_snapshots()).map(of).collect()
}
