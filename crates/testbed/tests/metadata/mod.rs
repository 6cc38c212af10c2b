//! A client of the snapshot metadata service, written from its protocol alone: messages, frames, TLS.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// `GetMetadataAllocatedRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Allocated {
    #[prost(string, tag = "1")]
    pub security_token: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub snapshot_name: String,
    #[prost(int64, tag = "4")]
    pub starting_offset: i64,
    #[prost(int32, tag = "5")]
    pub max_results: i32,
}

/// `GetMetadataDeltaRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Delta {
    #[prost(string, tag = "1")]
    pub security_token: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub base_snapshot_id: String,
    #[prost(string, tag = "4")]
    pub target_snapshot_name: String,
    #[prost(int64, tag = "5")]
    pub starting_offset: i64,
    #[prost(int32, tag = "6")]
    pub max_results: i32,
}

/// Either response.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    #[prost(int32, tag = "1")]
    pub block_metadata_type: i32,
    #[prost(int64, tag = "2")]
    pub volume_capacity_bytes: i64,
    #[prost(message, repeated, tag = "3")]
    pub block_metadata: Vec<Block>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Block {
    #[prost(int64, tag = "1")]
    pub byte_offset: i64,
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

/// A connection to a service.
pub struct Service {
    requests: SendRequest<Full<Bytes>>,
}

impl Service {
    /// Connects to a service that an authority of `ca`, which is PEM, vouches for.
    pub async fn connect(address: &str, ca: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let host = address.rsplit_once(':').unwrap().0.to_owned();
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from(host).unwrap(), stream).await.unwrap();
        let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { requests }
    }

    /// All responses to a request, or the number of the gRPC status.
    pub async fn ask<Q: Message>(&mut self, method: &str, request: &Q) -> Result<Vec<Response>, i32> {
        let uri = format!("https://service/snapshotmetadata.SnapshotMetadata/{method}");
        let request = hyper::Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(frame(request)))
            .unwrap();
        let response = self.requests.send_request(request).await.unwrap();
        let early = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await.unwrap();
        let late = body.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
        let status = late.or(early).expect("a status").to_str().unwrap().parse().unwrap();
        if status == 0 { Ok(messages(&body.to_bytes())) } else { Err(status) }
    }
}

/// A message behind the five bytes that gRPC puts before each: not compressed, and so long.
fn frame<Q: Message>(message: &Q) -> Bytes {
    let length = u32::try_from(message.encoded_len()).unwrap();
    [&[0], &length.to_be_bytes()[..], &message.encode_to_vec()].concat().into()
}

fn messages(mut frames: &[u8]) -> Vec<Response> {
    let mut all = Vec::new();
    while let Some((head, rest)) = frames.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let (message, next) = rest.split_at(usize::try_from(length).unwrap());
        all.push(Response::decode(message).unwrap());
        frames = next;
    }
    all
}
