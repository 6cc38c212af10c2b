//! The driver's SnapshotMetadata service on its socket, asked as a sidecar would, by messages of our own reading.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::grpc::{INVALID_ARGUMENT, NOT_FOUND, Server};
use holdfast_testbed::{Cache, Reporter, Result, csi::Alone};
use prost::Message;

/// A message with up to two texts and numbers where the requests here have them.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "1")]
    first: String,
    #[prost(string, tag = "2")]
    second: String,
    #[prost(int64, tag = "3")]
    starting_offset: i64,
}

/// `CreateVolumeRequest` for a block volume of the default size.
#[derive(Clone, PartialEq, Message)]
struct CreateVolume {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    capabilities: Vec<Capability>,
}

#[derive(Clone, PartialEq, Message)]
struct Capability {
    #[prost(message, optional, tag = "1")]
    block: Option<()>,
}

/// A message around one that has an id as its second field.
#[derive(Clone, PartialEq, Message)]
struct Created {
    #[prost(message, optional, tag = "1")]
    thing: Option<Thing>,
}

#[derive(Clone, PartialEq, Message)]
struct Thing {
    #[prost(string, tag = "2")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    block_metadata_type: i32,
    #[prost(int64, tag = "2")]
    volume_capacity_bytes: i64,
    #[prost(message, repeated, tag = "3")]
    blocks: Vec<()>,
}

#[tokio::test]
async fn a_sidecar_is_told_what_blocks_a_snapshot_has() -> Result<()> {
    let driver = Alone::start("metadata", Cache::of_user()?, Reporter::stderr()).await?;
    let mut server = Server::at_socket(&driver.socket()).await;
    let volume = CreateVolume { name: "disk".into(), capabilities: vec![Capability { block: Some(()) }] };
    let volume = id(server.ask("csi.v1.Controller/CreateVolume", &volume).await);
    let mut snapshots = Vec::new();
    for name in ["base", "target"] {
        let snapshot = Request { first: volume.clone(), second: name.into(), ..Request::default() };
        snapshots.push(id(server.ask("csi.v1.Controller/CreateSnapshot", &snapshot).await));
    }
    let nothing = Metadata { block_metadata_type: 2, volume_capacity_bytes: 1 << 30, blocks: Vec::new() };
    let allocated = "csi.v1.SnapshotMetadata/GetMetadataAllocated";
    let asked = |snapshot: &str| Request { first: snapshot.into(), ..Request::default() };
    assert_eq!(server.ask(allocated, &asked(&snapshots[0])).await, Ok(vec![nothing.clone()]));
    assert_eq!(server.ask::<_, Metadata>(allocated, &asked("")).await, Err(INVALID_ARGUMENT));
    assert_eq!(server.ask::<_, Metadata>(allocated, &asked("s-nothing")).await, Err(NOT_FOUND));
    let changed = "csi.v1.SnapshotMetadata/GetMetadataDelta";
    let (first, second) = (snapshots[0].clone(), snapshots[1].clone());
    let asked = Request { first, second, starting_offset: 1 << 30 };
    assert_eq!(server.ask(changed, &asked).await, Ok(vec![nothing]));
    driver.stop().await
}

#[tokio::test]
async fn a_disk_of_a_driver_by_itself_says_what_was_written() -> Result<()> {
    const PIECE: u64 = 64 << 10;
    let driver = Alone::start("metadata-disk", Cache::of_user()?, Reporter::stderr()).await?;
    let disk = driver.disk("written", 64 << 20).await?;
    let device = File::options().write(true).open(disk.device()).expect("a device");
    let write = |piece: u64| {
        device.write_all_at(&[7; PIECE as usize], piece * PIECE).expect("it can be written to");
        device.sync_all().expect("it can be synced");
    };
    write(3);
    let base = disk.cut("base").await?;
    write(9);
    let target = disk.cut("target").await?;
    let range = |piece: u64| piece * PIECE..(piece + 1) * PIECE;
    assert_eq!(disk.allocated(&target).await?, [range(3), range(9)]);
    assert_eq!(disk.changed(&base, &target).await?, [range(9)]);
    disk.forget(&base).await?;
    let refused = disk.changed(&base, &target).await.expect_err("a base has to exist");
    assert_eq!(refused.code(), "testbed.csi");
    drop(device);
    driver.stop().await
}

/// The id of what was created.
fn id(answer: std::result::Result<Vec<Created>, i32>) -> String {
    answer.expect("an answer").remove(0).thing.expect("something").id
}
