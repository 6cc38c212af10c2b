//! A client of gRPC services, written from the protocol alone: frames over HTTP/2, over TLS or a unix socket.

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// Codes of gRPC.
pub const INVALID_ARGUMENT: i32 = 3;
pub const NOT_FOUND: i32 = 5;
pub const PERMISSION_DENIED: i32 = 7;
pub const UNAVAILABLE: i32 = 14;
pub const UNAUTHENTICATED: i32 = 16;

/// A connection to a server.
pub struct Server {
    requests: SendRequest<Full<Bytes>>,
}

impl Server {
    /// Connects to a server that an authority of `ca`, which is PEM, vouches for.
    pub async fn at_address(address: &str, ca: &[u8]) -> Self {
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
        Self::over(connector.connect(ServerName::try_from(host).unwrap(), stream).await.unwrap()).await
    }

    /// Connects to a unix socket.
    pub async fn at_socket(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap()).await
    }

    async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Self {
        let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { requests }
    }

    /// All answers to a request, or the code of the gRPC status.
    pub async fn ask<Q: Message, A: Message + Default>(
        &mut self,
        method: &str,
        request: &Q,
    ) -> Result<Vec<A>, i32> {
        let request = hyper::Request::post(format!("http://server/{method}"))
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

fn messages<A: Message + Default>(mut frames: &[u8]) -> Vec<A> {
    let mut all = Vec::new();
    while let Some((head, rest)) = frames.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let (message, next) = rest.split_at(usize::try_from(length).unwrap());
        all.push(A::decode(message).unwrap());
        frames = next;
    }
    all
}
