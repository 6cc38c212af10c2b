//! Which blocks a snapshot has, or has changed, as its CSI driver says: a client of the snapshot metadata service
//! (`snapshotmetadata.SnapshotMetadata`, github.com/kubernetes-csi/external-snapshot-metadata).

use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::blocks::{Ranges, Source};

const ALLOCATED: &str = "/snapshotmetadata.SnapshotMetadata/GetMetadataAllocated";
const DELTA: &str = "/snapshotmetadata.SnapshotMetadata/GetMetadataDelta";
/// How long the service may take to answer, and between two messages.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a stream that breaks is taken up where it was.
const ATTEMPTS: u32 = 5;
/// Ranges on their way to the capture.
const AHEAD: usize = 1_024;

/// How the driver is asked about one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataAccess {
    /// Host and port of the service.
    pub address: String,
    /// Authorities for its certificate, as PEM.
    pub ca: String,
    /// Shows who asks; it is good for nothing else.
    pub token: Token,
    /// Namespace of the VolumeSnapshot.
    pub namespace: String,
    /// The VolumeSnapshot.
    pub snapshot: String,
    /// What the storage calls its snapshot of the parent's content, if it still has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// A token, which is not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a token)")
    }
}

/// `GetMetadataAllocatedRequest`.
#[derive(Clone, PartialEq, Message)]
struct AllocatedRequest {
    #[prost(string, tag = "1")]
    security_token: String,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(string, tag = "3")]
    snapshot_name: String,
    #[prost(int64, tag = "4")]
    starting_offset: i64,
    #[prost(int32, tag = "5")]
    max_results: i32,
}

/// `GetMetadataDeltaRequest`.
#[derive(Clone, PartialEq, Message)]
struct DeltaRequest {
    #[prost(string, tag = "1")]
    security_token: String,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(string, tag = "3")]
    base_snapshot_id: String,
    #[prost(string, tag = "4")]
    target_snapshot_name: String,
    #[prost(int64, tag = "5")]
    starting_offset: i64,
    #[prost(int32, tag = "6")]
    max_results: i32,
}

/// Either response: a piece of the list, in the order of the offsets.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(int32, tag = "1")]
    block_metadata_type: i32,
    #[prost(int64, tag = "2")]
    volume_capacity_bytes: i64,
    #[prost(message, repeated, tag = "3")]
    block_metadata: Vec<Block>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Block {
    #[prost(int64, tag = "1")]
    byte_offset: i64,
    #[prost(int64, tag = "2")]
    size_bytes: i64,
}

/// What travels to the capture. A list without its end is not whole.
enum Told {
    Range(Range<u64>),
    Failed(String),
    End,
}

/// What is known of a device by asking its driver: what changed since the parent where both are still there,
/// otherwise what is allocated. It is asked while the capture already plans.
pub(super) fn source(access: MetadataAccess, has_parent: bool) -> Source {
    let access = MetadataAccess { base: access.base.filter(|_| has_parent), ..access };
    let is_delta = access.base.is_some();
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let last = match ask(&access, &sender).await {
            Ok(()) => Told::End,
            Err(status) => Told::Failed(format!("{}: {}", access.address, status.message())),
        };
        // Whoever does not listen any more does not need to know.
        let _ = sender.send(last).await;
    });
    match is_delta {
        true => Source::Changed(ranges(receiver)),
        false => Source::Allocated(ranges(receiver)),
    }
}

fn ranges(receiver: mpsc::Receiver<Told>) -> Ranges {
    let mut receiver = Some(receiver);
    Box::new(std::iter::from_fn(move || {
        let told = receiver.as_mut()?.blocking_recv();
        if let Some(Told::Range(range)) = told {
            return Some(Ok(range));
        }
        receiver = None;
        let reason = match told {
            Some(Told::End) => return None,
            Some(Told::Failed(reason)) => reason,
            _ => "whoever asks for the ranges died".to_owned(),
        };
        Some(Err(io::Error::other(reason)))
    }))
}

/// Asks, and where the answer breaks off asks for the rest.
async fn ask(access: &MetadataAccess, sender: &mpsc::Sender<Told>) -> Result<(), Status> {
    let mut next = 0;
    let mut attempt = 0;
    loop {
        let Err(status) = ask_from(access, &mut next, sender).await else { return Ok(()) };
        attempt += 1;
        if attempt == ATTEMPTS || !is_passing(&status) {
            return Err(status);
        }
        tokio::time::sleep(Duration::from_millis(500) * 2_u32.pow(attempt)).await;
    }
}

/// Whether the same question may be answered in a moment.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Aborted | Code::DeadlineExceeded)
}

async fn ask_from(
    access: &MetadataAccess,
    next: &mut i64,
    sender: &mpsc::Sender<Told>,
) -> Result<(), Status> {
    let (security_token, namespace) = (access.token.0.clone(), access.namespace.clone());
    let (starting_offset, max_results) = (*next, 0);
    let snapshot = access.snapshot.clone();
    let mut stream = match access.base.clone() {
        Some(base_snapshot_id) => {
            let target_snapshot_name = snapshot;
            let request = DeltaRequest {
                security_token,
                namespace,
                base_snapshot_id,
                target_snapshot_name,
                starting_offset,
                max_results,
            };
            answers(access, DELTA, request).await?
        }
        None => {
            let request = AllocatedRequest {
                security_token,
                namespace,
                snapshot_name: snapshot,
                starting_offset,
                max_results,
            };
            answers(access, ALLOCATED, request).await?
        }
    };
    while let Some(response) = in_time(stream.message()).await? {
        for block in response.block_metadata {
            let range = range(&block, *next)?;
            *next = block.byte_offset + block.size_bytes;
            if sender.send(Told::Range(range)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn answers<Q: Message + Default + 'static>(
    access: &MetadataAccess,
    method: &'static str,
    request: Q,
) -> Result<Streaming<Response>, Status> {
    let mut client = Grpc::new(connect(access).await?);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Q, Response>::default();
    let path = PathAndQuery::from_static(method);
    Ok(in_time(client.server_streaming(Request::new(request), path, codec)).await?.into_inner())
}

/// A range after what was told before. Blocks out of order would be missing if the stream were taken up again.
fn range(block: &Block, next: i64) -> Result<Range<u64>, Status> {
    let Block { byte_offset, size_bytes } = *block;
    let end = byte_offset.checked_add(size_bytes).filter(|_| size_bytes >= 0);
    match (u64::try_from(byte_offset), end.map(u64::try_from)) {
        (Ok(offset), Some(Ok(end))) if byte_offset >= next => Ok(offset..end),
        _ => Err(Status::data_loss(format!("a range of {size_bytes} bytes at {byte_offset} after {next}"))),
    }
}

async fn connect(access: &MetadataAccess) -> Result<Channel, Status> {
    let failed = |error: tonic::transport::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Status::unavailable(format!("{error}{cause}"))
    };
    let host = access.address.rsplit_once(':').map_or(access.address.as_str(), |(host, _)| host);
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&access.ca))
        .domain_name(host.trim_matches(['[', ']']));
    let endpoint = Endpoint::from_shared(format!("https://{}", access.address)).map_err(failed)?;
    let endpoint = endpoint.connect_timeout(PATIENCE).tls_config(tls).map_err(failed)?;
    endpoint.connect().await.map_err(failed)
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_in_order_or_not_at_all() {
        let block = |byte_offset, size_bytes| Block { byte_offset, size_bytes };
        assert_eq!(range(&block(4_096, 512), 4_096).unwrap(), 4_096..4_608);
        for bad in [block(0, 512), block(-1, 5_000), block(8_192, -1), block(i64::MAX, 1)] {
            assert_eq!(range(&bad, 4_096).unwrap_err().code(), Code::DataLoss, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_list_without_its_end_is_an_error() {
        let read = |told: Vec<Told>| {
            let (sender, receiver) = mpsc::channel(AHEAD);
            for told in told {
                sender.try_send(told).ok().unwrap();
            }
            drop(sender);
            tokio::task::spawn_blocking(move || ranges(receiver).map(|range| range.ok()).collect::<Vec<_>>())
        };
        assert_eq!(read(vec![Told::Range(0..1), Told::End]).await.unwrap(), [Some(0..1)]);
        assert_eq!(read(vec![Told::Range(0..1)]).await.unwrap(), [Some(0..1), None]);
        assert_eq!(read(vec![Told::Failed("gone".into())]).await.unwrap(), [None]);
    }

    #[test]
    fn a_token_is_not_printed() {
        assert!(!format!("{:?}", Token("secret".into())).contains("secret"));
    }
}
