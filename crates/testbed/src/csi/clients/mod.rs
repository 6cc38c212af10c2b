//! What clients in the cluster ask for the metadata of snapshots.
//!
//! The protocol is that of kubernetes-csi's external-snapshot-metadata, which stands between such clients and a driver;
//! as a program it cannot be had here, so the driver stands there itself. A client finds it by the object
//! `SnapshotMetadataService` called as the driver, proves who it is by a token for the audience that this names, and
//! may ask about VolumeSnapshots of a namespace in which it may get them.

mod cluster;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tonic::Status;

use super::driver::Driver;
use super::rpc::{self, Answer, Answers, Asked, streaming};
use super::wire::{ClientAllocated, ClientDelta, GetAllocated, GetDelta, Metadata};
use crate::client;
use crate::error::{At, Result};
use cluster::Cluster;

/// How clients in the cluster reach a driver, and how it knows them.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Where it listens for them.
    pub address: SocketAddr,
    /// File of its certificate.
    pub certificate: PathBuf,
    /// File of its key.
    pub key: PathBuf,
    /// Kubeconfig of a user that may review tokens and access, and read snapshots.
    pub kubeconfig: PathBuf,
    /// The audience that their tokens are for.
    pub audience: String,
}

/// What is asked, and of whom it is found out whether it may be.
struct Service {
    driver: Arc<Driver>,
    cluster: Cluster,
}

/// Answers clients until it fails.
pub(super) async fn serve(clients: Clients, driver: Arc<Driver>) -> Result<()> {
    let acceptor = tls::acceptor(&clients.certificate, &clients.key)?;
    let cluster =
        Cluster::new(client::connect(&clients.kubeconfig).await?, driver.name.clone(), clients.audience);
    let service = Arc::new(Service { driver, cluster });
    let at = || PathBuf::from(clients.address.to_string());
    let listener = TcpListener::bind(clients.address).await.at("listen on", at())?;
    loop {
        let (stream, _) = listener.accept().await.at("accept on", at())?;
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            match acceptor.accept(stream).await {
                Ok(stream) => rpc::converse(stream, service, answer).await,
                Err(error) => eprintln!("connection: {error}"),
            }
        });
    }
}

async fn answer(service: Arc<Service>, asked: Asked) -> Answer {
    match asked.uri().path() {
        "/snapshotmetadata.SnapshotMetadata/GetMetadataAllocated" => {
            streaming(service, asked, Service::allocated).await
        }
        "/snapshotmetadata.SnapshotMetadata/GetMetadataDelta" => {
            streaming(service, asked, Service::delta).await
        }
        _ => rpc::unknown(&asked),
    }
}

impl Service {
    async fn allocated(self: Arc<Self>, asked: ClientAllocated, to: Answers<Metadata>) -> Result<(), Status> {
        let ClientAllocated { security_token, namespace, snapshot_name, starting_offset, max_results } =
            asked;
        given("snapshot_name", &snapshot_name)?;
        self.admit(&security_token, &namespace).await?;
        let snapshot_id = self.cluster.handle(&namespace, &snapshot_name).await?;
        let asked = GetAllocated { snapshot_id, starting_offset, max_results };
        rpc::apart(move || self.driver.allocated(&asked, &to)).await
    }

    async fn delta(self: Arc<Self>, asked: ClientDelta, to: Answers<Metadata>) -> Result<(), Status> {
        let ClientDelta { security_token, namespace, base_id, target_name, starting_offset, max_results } =
            asked;
        given("base_snapshot_id", &base_id)?;
        given("target_snapshot_name", &target_name)?;
        self.admit(&security_token, &namespace).await?;
        let target_id = self.cluster.handle(&namespace, &target_name).await?;
        let asked = GetDelta { base_id, target_id, starting_offset, max_results };
        rpc::apart(move || self.driver.delta(&asked, &to)).await
    }

    /// Lets a client go on that may ask about snapshots of `namespace`.
    async fn admit(&self, token: &str, namespace: &str) -> Result<(), Status> {
        given("security_token", token)?;
        given("namespace", namespace)?;
        let user = self.cluster.user(token).await?;
        self.cluster.check_access(user, namespace).await
    }
}

fn given(field: &str, value: &str) -> Result<(), Status> {
    if value.is_empty() { Err(Status::invalid_argument(format!("{field} is missing"))) } else { Ok(()) }
}
