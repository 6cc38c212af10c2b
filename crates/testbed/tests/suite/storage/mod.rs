//! Claims, pods and snapshots of a site, as manifests.

use std::time::{Duration, Instant};

use holdfast_testbed::{Result, SNAPSHOT_CLASS, Site};

/// How long anything here may take.
pub const LIMIT: Duration = Duration::from_secs(90);

/// How a container sees a claim: as a directory, or as a device.
pub const MOUNTED: &str = "volumeMounts: [{name: d, mountPath: /data}]";
pub const DEVICE: &str = "volumeDevices: [{name: d, devicePath: /dev/disk}]";

/// Makes a claim and a pod of the same name that has it, and waits for the pod.
pub async fn claim_with_pod(site: &Site, name: &str, claim: &str, volume: &str) -> Result<()> {
    site.apply(claim).await?;
    site.wait("default", &format!("pvc/{name}"), "jsonpath={.status.phase}=Bound", LIMIT).await?;
    site.apply(&pod(name, name, volume)).await?;
    site.wait("default", &format!("pod/{name}"), "condition=Ready", LIMIT).await
}

/// Takes a snapshot of a claim and waits for it.
pub async fn snapshot(site: &Site, name: &str, claim: &str) -> Result<()> {
    let manifest = format!(
        "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\nmetadata: {{name: {name}}}\n\
         spec: {{volumeSnapshotClassName: {SNAPSHOT_CLASS}, source: {{persistentVolumeClaimName: {claim}}}}}\n"
    );
    let begun = Instant::now();
    site.apply(&manifest).await?;
    let object = format!("volumesnapshot/{name}");
    site.wait("default", &object, "jsonpath={.status.readyToUse}=true", LIMIT).await?;
    println!("snapshot of {claim} ready: {:.2?}", begun.elapsed());
    Ok(())
}

/// A claim of 1 GiB; `source` is what [`from`] gives, or nothing.
pub fn claim(name: &str, class: &str, mode: &str, source: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\n\
         spec: {{storageClassName: {class}, volumeMode: {mode}, accessModes: [ReadWriteOnce], \
         resources: {{requests: {{storage: 1Gi}}}}{source}}}\n"
    )
}

/// The part of a claim that names a snapshot.
pub fn from(snapshot: &str) -> String {
    format!(", dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {snapshot}}}")
}

/// A pod that sleeps; `volume` says how its container sees the claim.
pub fn pod(name: &str, claim: &str, volume: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
         containers: [{{name: c, image: 'testbed.local/busybox:1', command: [sleep, '3600'], {volume}}}]\n  \
         volumes: [{{name: d, persistentVolumeClaim: {{claimName: {claim}}}}}]\n"
    )
}
