//! One HTTP request to a server of object storage, on a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::{Error, Result};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends the bytes of `request`, which asks for the connection to be closed, and gives the body of a good answer.
/// `what` names the request in errors; `trusted` is the certificate of a server that speaks TLS.
pub(crate) async fn exchange(
    to: SocketAddr,
    trusted: Option<CertificateDer<'static>>,
    what: &str,
    request: &str,
) -> Result<String> {
    let refused = |answer: String| Error::S3 { request: what.to_owned(), answer };
    let exchange = async {
        let stream = TcpStream::connect(to).await?;
        match trusted {
            None => converse(stream, request).await,
            Some(certificate) => converse(secured(stream, to, certificate).await?, request).await,
        }
    };
    let answer = match tokio::time::timeout(LIMIT, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Err(_) => return Err(refused(format!("no answer within {LIMIT:?}"))),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') {
        return Ok(body.to_owned());
    }
    Err(refused(format!("{} {body}", head.lines().next().unwrap_or_default())))
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn secured(
    stream: TcpStream,
    to: SocketAddr,
    certificate: CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(std::io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(to.ip()), stream).await
}
