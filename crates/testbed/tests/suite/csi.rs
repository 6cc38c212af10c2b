//! Storage with snapshots at a site: from claim to pod to snapshot to another claim, and back to nothing.

use std::path::Path;
use std::time::Instant;

use crate::storage::{DEVICE, LIMIT, MOUNTED, claim, claim_with_pod, from, pod, snapshot};
use holdfast_testbed::{CSI_CLASS, CSI_LATE_CLASS, CSI_PLAIN_CLASS, Result, Site};

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
    claim_with_pod(site, "data", &claim("data", CSI_CLASS, "Filesystem", ""), MOUNTED).await?;
    println!("claim bound and pod ready: {:.1?}", begun.elapsed());
    site.exec("default", "data", &["sh", "-c", "echo before > /data/f"]).await?;
    snapshot(site, "first", "data").await?;
    site.exec("default", "data", &["sh", "-c", "echo after > /data/f"]).await?;

    let restored = claim("restored", CSI_CLASS, "Filesystem", &from("first"));
    claim_with_pod(site, "restored", &restored, MOUNTED).await?;
    assert_eq!(site.exec("default", "restored", &["cat", "/data/f"]).await?.trim(), "before");
    assert_eq!(site.exec("default", "data", &["cat", "/data/f"]).await?.trim(), "after");
    let full = "dd if=/dev/zero of=/data/big bs=1M count=1100 2>&1 || echo refused";
    let said = site.exec("default", "restored", &["sh", "-c", full]).await?;
    assert!(said.contains("refused"), "1 GiB is a limit: {said}");
    Ok(())
}

async fn a_block_device_is_restored_from_a_snapshot(site: &Site) -> Result<()> {
    claim_with_pod(site, "raw", &claim("raw", CSI_CLASS, "Block", ""), DEVICE).await?;
    site.exec("default", "raw", &["sh", "-c", "echo before | dd of=/dev/disk conv=fsync"]).await?;
    snapshot(site, "raw", "raw").await?;
    site.exec("default", "raw", &["sh", "-c", "echo after | dd of=/dev/disk conv=fsync"]).await?;

    let restored = claim("raw-restored", CSI_CLASS, "Block", &from("raw"));
    claim_with_pod(site, "raw-restored", &restored, DEVICE).await?;
    let said = site.exec("default", "raw-restored", &["head", "-n1", "/dev/disk"]).await?;
    assert_eq!(said.trim(), "before");
    let size = site.exec("default", "raw-restored", &["blockdev", "--getsize64", "/dev/disk"]).await?;
    assert_eq!(size.trim(), "1073741824");
    Ok(())
}

/// One class waits for the pod and pins the volume to its node; one has no snapshots.
async fn the_other_classes_serve_claims(site: &Site) -> Result<()> {
    for (class, name) in [(CSI_LATE_CLASS, "late"), (CSI_PLAIN_CLASS, "plain")] {
        site.apply(&claim(name, class, "Filesystem", "")).await?;
        site.apply(&pod(name, name, MOUNTED)).await?;
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
    for part in ["volumes", "images", "snapshots", "cuts", "records"] {
        let left: Vec<_> = std::fs::read_dir(pool.join(part)).expect("the pool").flatten().collect();
        assert!(left.is_empty(), "{part}: {left:?}");
    }
    assert!(loops(pool).is_empty(), "{:?}", loops(pool));
    assert_eq!(loops(pool.parent().expect("its directory")).len(), 1, "the pool's own");
    Ok(())
}

/// Files below `dir` that are behind a loop device.
fn loops(dir: &Path) -> Vec<String> {
    let devices = std::fs::read_dir("/sys/block").expect("block devices").flatten();
    let files = devices.filter_map(|d| std::fs::read_to_string(d.path().join("loop/backing_file")).ok());
    files.filter(|file| Path::new(file.trim()).starts_with(dir)).collect()
}
