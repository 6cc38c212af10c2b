//! Storage with snapshots at a site: from claim to pod to snapshot to another claim, and back to nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_testbed::{CSI_CLASS, CSI_LATE_CLASS, CSI_PLAIN_CLASS, Result, SNAPSHOT_CLASS, Site};

const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_snapshot_becomes_a_volume_again_and_nothing_is_left() -> Result<()> {
    let site = Site::builder("csi").csi().start().await?;
    println!("started: {:?}, {} MiB", site.times(), site.memory_mib()?);
    a_file_is_restored_from_a_snapshot(&site).await?;
    a_block_device_is_restored_from_a_snapshot(&site).await?;
    the_other_classes_serve_claims(&site).await?;
    let pool = site.logs_dir().parent().expect("its directory").join("csi/pool");
    everything_is_deleted(&site, &pool).await?;
    let (dir, begun) = (pool.parent().expect("csi").to_owned(), Instant::now());
    site.stop().await?;
    println!("stopped: {:.1?}", begun.elapsed());
    assert!(!dir.exists() && loops(&dir).is_empty(), "{:?}", loops(&dir));
    Ok(())
}

async fn a_file_is_restored_from_a_snapshot(site: &Site) -> Result<()> {
    let begun = Instant::now();
    site.apply(&claim("data", CSI_CLASS, "Filesystem", "")).await?;
    site.wait("default", "pvc/data", "jsonpath={.status.phase}=Bound", LIMIT).await?;
    site.apply(&pod("writer", "data", "volumeMounts: [{name: d, mountPath: /data}]")).await?;
    site.wait("default", "pod/writer", "condition=Ready", LIMIT).await?;
    println!("claim bound and pod ready: {:.1?}", begun.elapsed());
    site.exec("default", "writer", &["sh", "-c", "echo before > /data/f"]).await?;
    snapshot(site, "first", "data").await?;
    site.exec("default", "writer", &["sh", "-c", "echo after > /data/f"]).await?;

    site.apply(&claim("restored", CSI_CLASS, "Filesystem", &from("first"))).await?;
    site.wait("default", "pvc/restored", "jsonpath={.status.phase}=Bound", LIMIT).await?;
    site.apply(&pod("reader", "restored", "volumeMounts: [{name: d, mountPath: /data}]")).await?;
    site.wait("default", "pod/reader", "condition=Ready", LIMIT).await?;
    assert_eq!(site.exec("default", "reader", &["cat", "/data/f"]).await?.trim(), "before");
    assert_eq!(site.exec("default", "writer", &["cat", "/data/f"]).await?.trim(), "after");
    let full = "dd if=/dev/zero of=/data/big bs=1M count=1100 2>&1 || echo refused";
    let said = site.exec("default", "reader", &["sh", "-c", full]).await?;
    assert!(said.contains("refused"), "1 GiB is a limit: {said}");
    Ok(())
}

async fn a_block_device_is_restored_from_a_snapshot(site: &Site) -> Result<()> {
    let device = "volumeDevices: [{name: d, devicePath: /dev/disk}]";
    site.apply(&claim("raw", CSI_CLASS, "Block", "")).await?;
    site.wait("default", "pvc/raw", "jsonpath={.status.phase}=Bound", LIMIT).await?;
    site.apply(&pod("raw", "raw", device)).await?;
    site.wait("default", "pod/raw", "condition=Ready", LIMIT).await?;
    site.exec("default", "raw", &["sh", "-c", "echo before | dd of=/dev/disk conv=fsync"]).await?;
    snapshot(site, "raw", "raw").await?;
    site.exec("default", "raw", &["sh", "-c", "echo after | dd of=/dev/disk conv=fsync"]).await?;

    site.apply(&claim("raw-restored", CSI_CLASS, "Block", &from("raw"))).await?;
    site.wait("default", "pvc/raw-restored", "jsonpath={.status.phase}=Bound", LIMIT).await?;
    site.apply(&pod("raw-reader", "raw-restored", device)).await?;
    site.wait("default", "pod/raw-reader", "condition=Ready", LIMIT).await?;
    let said = site.exec("default", "raw-reader", &["head", "-n1", "/dev/disk"]).await?;
    assert_eq!(said.trim(), "before");
    let size = site.exec("default", "raw-reader", &["blockdev", "--getsize64", "/dev/disk"]).await?;
    assert_eq!(size.trim(), "1073741824");
    Ok(())
}

/// One class waits for the pod and pins the volume to its node; one has no snapshots.
async fn the_other_classes_serve_claims(site: &Site) -> Result<()> {
    for (class, name) in [(CSI_LATE_CLASS, "late"), (CSI_PLAIN_CLASS, "plain")] {
        site.apply(&claim(name, class, "Filesystem", "")).await?;
        site.apply(&pod(name, name, "volumeMounts: [{name: d, mountPath: /data}]")).await?;
        site.wait("default", &format!("pod/{name}"), "condition=Ready", LIMIT).await?;
    }
    let volume = site.kubectl(&["get", "pvc/late", "-o=jsonpath={.spec.volumeName}"]).await?;
    let affinity = format!("pv/{volume}");
    let affinity = site.kubectl(&["get", &affinity, "-o=jsonpath={.spec.nodeAffinity}"]).await?;
    assert!(affinity.contains(&site.node_name()), "{affinity}");
    Ok(())
}

/// Deleting objects empties the pool, which the drivers and the kubelet no longer show anywhere.
async fn everything_is_deleted(site: &Site, pool: &Path) -> Result<()> {
    let begun = Instant::now();
    site.kubectl(&["delete", "pods", "--all", "--now"]).await?;
    site.kubectl(&["delete", "volumesnapshots,pvc", "--all", "--timeout=60s"]).await?;
    site.kubectl(&["wait", "pv", "--all", "--for=delete", "--timeout=60s"]).await?;
    println!("deleted: {:.1?}", begun.elapsed());
    for part in ["volumes", "snapshots", "records"] {
        let left: Vec<_> = std::fs::read_dir(pool.join(part)).expect("the pool").flatten().collect();
        assert!(left.is_empty(), "{part}: {left:?}");
    }
    assert!(loops(pool).is_empty(), "{:?}", loops(pool));
    assert_eq!(loops(pool.parent().expect("its directory")).len(), 1, "the pool's own");
    Ok(())
}

async fn snapshot(site: &Site, name: &str, claim: &str) -> Result<()> {
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

fn claim(name: &str, class: &str, mode: &str, source: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\n\
         spec: {{storageClassName: {class}, volumeMode: {mode}, accessModes: [ReadWriteOnce], \
         resources: {{requests: {{storage: 1Gi}}}}{source}}}\n"
    )
}

/// The part of a claim that names a snapshot.
fn from(snapshot: &str) -> String {
    format!(", dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {snapshot}}}")
}

fn pod(name: &str, claim: &str, volume: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
         containers: [{{name: c, image: 'testbed.local/busybox:1', command: [sleep, '3600'], {volume}}}]\n  \
         volumes: [{{name: d, persistentVolumeClaim: {{claimName: {claim}}}}}]\n"
    )
}

/// Files below `dir` that are behind a loop device.
fn loops(dir: &Path) -> Vec<String> {
    let devices = std::fs::read_dir("/sys/block").expect("block devices").flatten();
    let files = devices.filter_map(|d| std::fs::read_to_string(d.path().join("loop/backing_file")).ok());
    files.filter(|file| Path::new(file.trim()).starts_with(dir)).collect()
}
