//! Volumes that are images of disks at a site: mounted or devices, and one after the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

mod storage;

use holdfast_testbed::{CSI_IMAGE_CLASS, Result, Site};
use storage::{DEVICE, MOUNTED, claim, claim_with_pod, from, snapshot};

#[tokio::test]
async fn what_images_can_is_there_for_pods() -> Result<()> {
    let site = Site::builder("csi-images").csi().start().await?;
    a_volume_made_of_a_snapshot_may_change_its_mode(&site).await?;
    site.stop().await
}

/// The provisioner lets it only where an administrator allowed it; the driver would not mind.
async fn a_volume_made_of_a_snapshot_may_change_its_mode(site: &Site) -> Result<()> {
    claim_with_pod(site, "files", &claim("files", CSI_IMAGE_CLASS, "Filesystem", ""), MOUNTED).await?;
    site.exec("default", "files", &["sh", "-c", "echo before > /data/f"]).await?;
    snapshot(site, "files", "files").await?;
    site.exec("default", "files", &["sh", "-c", "echo after > /data/f"]).await?;

    let copy = claim("copy", CSI_IMAGE_CLASS, "Filesystem", &from("files"));
    claim_with_pod(site, "copy", &copy, MOUNTED).await?;
    assert_eq!(site.exec("default", "copy", &["cat", "/data/f"]).await?.trim(), "before");
    assert_eq!(site.exec("default", "files", &["cat", "/data/f"]).await?.trim(), "after");

    let bound = "-o=jsonpath={.status.boundVolumeSnapshotContentName}";
    let content = site.kubectl(&["get", "volumesnapshot/files", bound]).await?;
    let content = format!("volumesnapshotcontent/{content}");
    let allowed = "snapshot.storage.kubernetes.io/allow-volume-mode-change=true";
    site.kubectl(&["annotate", &content, allowed]).await?;
    claim_with_pod(site, "disk", &claim("disk", CSI_IMAGE_CLASS, "Block", &from("files")), DEVICE).await?;
    let magic = "dd if=/dev/disk bs=1 skip=1080 count=2 2>/dev/null | hexdump -e '2/1 \"%02x\"'";
    let magic = site.exec("default", "disk", &["sh", "-c", magic]).await?;
    assert_eq!(magic.trim(), "53ef", "the number that marks an ext4");
    Ok(())
}
