//! Volumes that are images of disks at a site: mounted or devices, and one after the other.

use crate::grpc::{INVALID_ARGUMENT, PERMISSION_DENIED, Server, UNAUTHENTICATED, UNAVAILABLE};
use crate::metadata::{Allocated, Block, Delta, Response};
use crate::storage::{DEVICE, LIMIT, MOUNTED, claim, claim_with_pod, from, pod, snapshot};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast_testbed::{CSI_IMAGE_CLASS, Result, SNAPSHOT_CLASS, Site};

/// A pod that counts, each step surely written to one volume before it is to the other.
const COUNTING: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: counting}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: testbed.local/busybox:1
    command: [sh, -c]
    args:
    - |
      n=10000; while n=$((n+1)); do for v in left right; do
        echo $v $n | dd of=/$v/step conv=notrunc,fsync 2>/dev/null
      done; done
    volumeMounts: [{name: l, mountPath: /left}, {name: r, mountPath: /right}]
  volumes:
  - {name: l, persistentVolumeClaim: {claimName: left}}
  - {name: r, persistentVolumeClaim: {claimName: right}}
"#;

/// A class of images, each at the node of the first pod that has it.
const LATE_IMAGES: &str = r"
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: image-late}
provisioner: csi.testbed.holdfast.dev
parameters: {form: image}
volumeBindingMode: WaitForFirstConsumer
";

/// The object by which clients find who tells what changed.
const SERVICE: &str = "snapshotmetadataservice/csi.testbed.holdfast.dev";

#[tokio::test]
async fn what_images_can_is_there_for_pods() -> Result<()> {
    let site = Site::builder("csi-images").csi().start().await?;
    a_volume_made_of_a_snapshot_may_change_its_mode(&site).await?;
    a_group_snapshot_is_of_one_moment(&site).await?;
    clients_learn_what_changed(&site).await?;
    site.stop().await
}

/// One driver takes snapshots for all nodes of a site, and tells clients at all of them what changed.
#[tokio::test]
async fn a_group_is_of_volumes_at_different_nodes() -> Result<()> {
    let site = Site::builder("csi-spread").csi().nodes(2).start().await?;
    site.apply(LATE_IMAGES).await?;
    let nodes = site.node_names();
    for (name, node) in ["left", "right"].into_iter().zip(&nodes) {
        site.apply(&claim(name, "image-late", "Filesystem", "")).await?;
        let selector = format!("spec:\n  nodeSelector: {{kubernetes.io/hostname: {node}}}\n");
        site.apply(&pod(name, name, MOUNTED).replacen("spec:\n", &selector, 1)).await?;
        site.wait("default", &format!("pod/{name}"), "condition=Ready", LIMIT).await?;
        site.kubectl(&["label", "pvc", name, "group=pair"]).await?;
        site.exec("default", name, &["sh", "-c", &format!("echo {name} at {node} > /data/f")]).await?;
    }
    let (members, took) = group_snapshot(&site, "spread").await?;
    println!("group snapshot of two nodes ready in {took:.2?}");
    let mut said = Vec::new();
    for member in &members {
        let copy = claim(member, CSI_IMAGE_CLASS, "Filesystem", &from(member));
        claim_with_pod(&site, member, &copy, MOUNTED).await?;
        said.push(site.exec("default", member, &["cat", "/data/f"]).await?.trim().to_owned());
    }
    said.sort();
    assert_eq!(said, [format!("left at {}", nodes[0]), format!("right at {}", nodes[1])]);
    let address = site.kubectl(&["get", SERVICE, "-o=jsonpath={.spec.address}"]).await?;
    let (host, port) = address.split_once(':').expect("a host and a port");
    for name in ["left", "right"] {
        knock(&site, name, host, port).await?;
    }
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

async fn a_group_snapshot_is_of_one_moment(site: &Site) -> Result<()> {
    for name in ["left", "right"] {
        site.apply(&claim(name, CSI_IMAGE_CLASS, "Filesystem", "")).await?;
        site.wait("default", &format!("pvc/{name}"), "jsonpath={.status.phase}=Bound", LIMIT).await?;
        site.kubectl(&["label", "pvc", name, "group=pair"]).await?;
    }
    site.apply(COUNTING).await?;
    site.wait("default", "pod/counting", "condition=Ready", LIMIT).await?;
    let mut members = Vec::new();
    for name in ["one", "two"] {
        let (pair, took) = group_snapshot(site, name).await?;
        let mut steps = Vec::new();
        for member in &pair {
            let copy = claim(member, CSI_IMAGE_CLASS, "Filesystem", &from(member));
            claim_with_pod(site, member, &copy, MOUNTED).await?;
            let said = site.exec("default", member, &["cat", "/data/step"]).await?;
            let (volume, step) = said.trim().split_once(' ').expect("a volume and a step");
            steps.push((volume.to_owned(), step.parse::<u32>().expect("a number")));
        }
        steps.sort();
        println!("group snapshot ready in {took:.2?}: {steps:?}");
        let [(left, ahead), (right, behind)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!((left.as_str(), right.as_str()), ("left", "right"));
        assert!(ahead - behind <= 1, "{steps:?}");
        members.extend(pair);
    }
    site.kubectl(&["delete", "volumegroupsnapshots", "--all", "--timeout=60s"]).await?;
    // Members go with their group, by the hand of the garbage collector.
    let gone = ["wait", "volumesnapshots", "--for=delete", "--timeout=60s"];
    site.kubectl(&[&gone[..], &members.iter().map(String::as_str).collect::<Vec<_>>()].concat()).await?;
    Ok(())
}

/// Takes a snapshot of the pair and gives its members, which are ready and have one creation time.
async fn group_snapshot(site: &Site, name: &str) -> Result<(Vec<String>, std::time::Duration)> {
    let begun = std::time::Instant::now();
    let manifest = format!(
        "apiVersion: groupsnapshot.storage.k8s.io/v1\nkind: VolumeGroupSnapshot\nmetadata: {{name: {name}}}\n\
         spec: {{volumeGroupSnapshotClassName: {SNAPSHOT_CLASS}, source: {{selector: {{matchLabels: {{group: pair}}}}}}}}\n"
    );
    site.apply(&manifest).await?;
    let object = format!("volumegroupsnapshot/{name}");
    site.wait("default", &object, "jsonpath={.status.readyToUse}=true", LIMIT).await?;
    let took = begun.elapsed();
    let of_group = format!(
        "-o=jsonpath={{range .items[?(@.status.volumeGroupSnapshotName==\"{name}\")]}}\
                            {{.metadata.name}} {{.status.boundVolumeSnapshotContentName}}{{\"\\n\"}}{{end}}"
    );
    let listed = site.kubectl(&["get", "volumesnapshots", &of_group]).await?;
    let mut members = Vec::new();
    let mut created = Vec::new();
    for (snapshot, content) in listed.lines().filter_map(|line| line.split_once(' ')) {
        let object = format!("volumesnapshot/{snapshot}");
        site.wait("default", &object, "jsonpath={.status.readyToUse}=true", LIMIT).await?;
        let content = format!("volumesnapshotcontent/{content}");
        created.push(site.kubectl(&["get", &content, "-o=jsonpath={.status.creationTime}"]).await?);
        members.push(snapshot.to_owned());
    }
    assert_eq!(members.len(), 2, "{listed}");
    assert!(created[0] == created[1] && !created[0].is_empty(), "{created:?}");
    Ok((members, took))
}

/// As a backup program would: found by the object, with the token of an account that may read snapshots.
async fn clients_learn_what_changed(site: &Site) -> Result<()> {
    claim_with_pod(site, "blocks", &claim("blocks", CSI_IMAGE_CLASS, "Block", ""), DEVICE).await?;
    for (snapshot_of, mebibyte) in [("base", "0"), ("target", "3")] {
        write(site, mebibyte).await?;
        snapshot(site, snapshot_of, "blocks").await?;
    }
    let (mut server, audience) = service(site).await?;
    let token = admitted(site, &mut server, &audience).await?;
    let said = allocated(&mut server, &token, "base").await.expect("an answer");
    let mib = |at: i64| Block { byte_offset: at << 20, size_bytes: 1 << 20 };
    assert_eq!(said[0].volume_capacity_bytes, 1 << 30);
    assert_eq!(said[0].block_metadata, [mib(0)]);
    let delta = Delta {
        security_token: token,
        namespace: "default".into(),
        base_snapshot_id: handle(site, "base").await?,
        target_snapshot_name: "target".into(),
        ..Delta::default()
    };
    let said = server.ask::<_, Response>("snapshotmetadata.SnapshotMetadata/GetMetadataDelta", &delta).await;
    let said = said.expect("an answer");
    assert_eq!((said.len(), &said[0].block_metadata[..]), (1, &[mib(3)][..]));
    Ok(())
}

/// A connection to the service, which pods reach too, and the audience that it wants.
async fn service(site: &Site) -> Result<(Server, String)> {
    let field = |field: &str| format!("-o=jsonpath={{.spec.{field}}}");
    let address = site.kubectl(&["get", SERVICE, &field("address")]).await?;
    let audience = site.kubectl(&["get", SERVICE, &field("audience")]).await?;
    let ca = STANDARD.decode(site.kubectl(&["get", SERVICE, &field("caCert")]).await?).expect("base64");
    let (host, port) = address.split_once(':').expect("a host and a port");
    knock(site, "blocks", host, port).await?;
    Ok((Server::at_address(&address, &ca).await, audience))
}

/// Has a pod reach the service: what is no handshake is answered by the end of the connection.
async fn knock(site: &Site, pod: &str, host: &str, port: &str) -> Result<()> {
    let command = format!("echo | timeout 10 nc {host} {port}");
    site.exec("default", pod, &["sh", "-c", &command]).await.map(drop)
}

/// A token with which the service answers, found by what it refuses until everything is right.
async fn admitted(site: &Site, server: &mut Server, audience: &str) -> Result<String> {
    assert_eq!(allocated(server, "", "base").await, Err(INVALID_ARGUMENT));
    assert_eq!(allocated(server, "nobody's", "base").await, Err(UNAUTHENTICATED));
    site.kubectl(&["create", "serviceaccount", "backup"]).await?;
    let other = token(site, "https://kubernetes.default.svc").await?;
    assert_eq!(allocated(server, &other, "base").await, Err(UNAUTHENTICATED), "for another audience");
    let token = token(site, audience).await?;
    assert_eq!(allocated(server, &token, "base").await, Err(PERMISSION_DENIED));
    let right = ["--verb=get", "--resource=volumesnapshots.snapshot.storage.k8s.io"];
    site.kubectl(&[&["create", "role", "backup"], &right[..]].concat()).await?;
    let binding = ["create", "rolebinding", "backup", "--role=backup", "--serviceaccount=default:backup"];
    site.kubectl(&binding).await?;
    assert_eq!(allocated(server, &token, "nothing").await, Err(UNAVAILABLE));
    Ok(token)
}

async fn allocated(
    server: &mut Server,
    token: &str,
    snapshot: &str,
) -> std::result::Result<Vec<Response>, i32> {
    let request = Allocated {
        security_token: token.into(),
        namespace: "default".into(),
        snapshot_name: snapshot.into(),
        ..Allocated::default()
    };
    server.ask("snapshotmetadata.SnapshotMetadata/GetMetadataAllocated", &request).await
}

/// Writes the mebibyte with this number.
async fn write(site: &Site, mebibyte: &str) -> Result<()> {
    let command =
        format!("dd if=/dev/urandom of=/dev/disk bs=1M count=1 seek={mebibyte} conv=fsync 2>/dev/null");
    site.exec("default", "blocks", &["sh", "-c", &command]).await.map(drop)
}

async fn token(site: &Site, audience: &str) -> Result<String> {
    let audience = format!("--audience={audience}");
    Ok(site.kubectl(&["create", "token", "backup", &audience]).await?.trim().to_owned())
}

async fn handle(site: &Site, snapshot: &str) -> Result<String> {
    let bound = "-o=jsonpath={.status.boundVolumeSnapshotContentName}";
    let content = site.kubectl(&["get", &format!("volumesnapshot/{snapshot}"), bound]).await?;
    let content = format!("volumesnapshotcontent/{content}");
    site.kubectl(&["get", &content, "-o=jsonpath={.status.snapshotHandle}"]).await
}
