//! Serves a driver: what it is told, and which function answers which RPC.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use tonic::Status;

use super::catalogue::Catalogue;
use super::clients::{self, Clients};
use super::driver::Driver;
use super::pool::Pool;
use super::rpc::{self, Answer, Answers, Asked, streaming, unary};
use super::wire::{GetAllocated, GetDelta, Metadata};
use crate::error::Result;
use crate::tool::blocking;

/// How one driver process is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name, as in a StorageClass's `provisioner`.
    pub name: String,
    /// The node that it serves.
    pub node: String,
    /// Directory of the pool; drivers of several nodes may share one.
    pub pool: PathBuf,
    /// Where it listens.
    pub socket: PathBuf,
    /// Where it listens for the kubelet to register it, as [`registration_socket`] gives it; nowhere if `None`.
    pub registration: Option<PathBuf>,
    /// Whether it takes snapshots.
    pub snapshots: bool,
    /// How clients in the cluster ask it for the metadata of snapshots, if they can.
    pub clients: Option<Clients>,
}

/// Serves volumes as `options` say, until it fails.
///
/// # Errors
/// If the pool cannot be mounted or a socket cannot be listened on.
pub async fn run(options: Options) -> Result<()> {
    let Options { name, node, pool, socket, registration, snapshots, clients } = options;
    let pool = blocking("opening the pool", move || Pool::open(&pool)).await?;
    let catalogue = Catalogue::at(pool.records());
    let driver = Arc::new(Driver { name, node, socket: socket.clone(), snapshots, pool, catalogue });
    let mut served: Vec<BoxFuture<'_, Result<()>>> =
        vec![rpc::serve(&socket, driver.clone(), answer).boxed()];
    if let Some(path) = &registration {
        served.push(rpc::serve(path, driver.clone(), answer_registration).boxed());
    }
    if let Some(clients) = clients {
        served.push(clients::serve(clients, driver).boxed());
    }
    try_join_all(served).await.map(drop)
}

/// The socket by which the kubelet finds a plugin in its directory of plugins.
///
/// The kubelet sends the socket's path as HTTP/2 authority, with `/` as `%2F`, which a host's name must not have but a
/// user's may: with an `@` in the file's name all before it is read as a user, and the request is well-formed.
#[must_use]
pub fn registration_socket(registry: &Path, name: &str) -> PathBuf {
    registry.join(format!("hf@{name}.sock"))
}

async fn answer_registration(driver: Arc<Driver>, asked: Asked) -> Answer {
    match asked.uri().path() {
        "/pluginregistration.Registration/GetInfo" => unary(driver, asked, Driver::registration).await,
        "/pluginregistration.Registration/NotifyRegistrationStatus" => {
            unary(driver, asked, Driver::registered).await
        }
        _ => rpc::unknown(&asked),
    }
}

async fn answer(driver: Arc<Driver>, asked: Asked) -> Answer {
    let path = asked.uri().path().to_owned();
    let Some((service, method)) = path.strip_prefix("/csi.v1.").and_then(|rest| rest.split_once('/')) else {
        return rpc::unknown(&asked);
    };
    let (heedful, wanted) = (driver.clone(), method.to_owned());
    if let Err(status) = rpc::apart(move || heedful.check_not_refused(&wanted)).await {
        return rpc::refused(&asked, status);
    }
    match service {
        "Identity" => answer_identity(driver, method, asked).await,
        "Controller" => answer_controller(driver, method, asked).await,
        "Node" => answer_node(driver, method, asked).await,
        "GroupController" if driver.snapshots => answer_group_controller(driver, method, asked).await,
        "SnapshotMetadata" if driver.snapshots => answer_metadata(driver, method, asked).await,
        _ => rpc::unknown(&asked),
    }
}

async fn answer_identity(driver: Arc<Driver>, method: &str, asked: Asked) -> Answer {
    match method {
        "GetPluginInfo" => unary(driver, asked, Driver::plugin_info).await,
        "GetPluginCapabilities" => unary(driver, asked, Driver::plugin_capabilities).await,
        "Probe" => unary(driver, asked, Driver::probe).await,
        _ => rpc::unknown(&asked),
    }
}

async fn answer_controller(driver: Arc<Driver>, method: &str, asked: Asked) -> Answer {
    match method {
        "ControllerGetCapabilities" => unary(driver, asked, Driver::controller_capabilities).await,
        "CreateVolume" => unary(driver, asked, Driver::create_volume).await,
        "DeleteVolume" => unary(driver, asked, Driver::delete_volume).await,
        "ControllerExpandVolume" => unary(driver, asked, Driver::expand_volume).await,
        "ValidateVolumeCapabilities" => unary(driver, asked, Driver::validate_capabilities).await,
        "ListVolumes" => unary(driver, asked, Driver::list_volumes).await,
        "GetCapacity" => unary(driver, asked, Driver::capacity).await,
        "CreateSnapshot" if driver.snapshots => unary(driver, asked, Driver::create_snapshot).await,
        "DeleteSnapshot" if driver.snapshots => unary(driver, asked, Driver::delete_snapshot).await,
        "GetSnapshot" if driver.snapshots => unary(driver, asked, Driver::get_snapshot).await,
        "ListSnapshots" if driver.snapshots => unary(driver, asked, Driver::list_snapshots).await,
        _ => rpc::unknown(&asked),
    }
}

async fn answer_node(driver: Arc<Driver>, method: &str, asked: Asked) -> Answer {
    match method {
        "NodeGetInfo" => unary(driver, asked, Driver::node_info).await,
        "NodeGetCapabilities" => unary(driver, asked, Driver::node_capabilities).await,
        "NodePublishVolume" => unary(driver, asked, Driver::publish).await,
        "NodeUnpublishVolume" => unary(driver, asked, Driver::unpublish).await,
        "NodeGetVolumeStats" => unary(driver, asked, Driver::stats).await,
        _ => rpc::unknown(&asked),
    }
}

async fn answer_group_controller(driver: Arc<Driver>, method: &str, asked: Asked) -> Answer {
    match method {
        "GroupControllerGetCapabilities" => unary(driver, asked, Driver::group_capabilities).await,
        "CreateVolumeGroupSnapshot" => unary(driver, asked, Driver::create_group).await,
        "DeleteVolumeGroupSnapshot" => unary(driver, asked, Driver::delete_group).await,
        "GetVolumeGroupSnapshot" => unary(driver, asked, Driver::get_group).await,
        _ => rpc::unknown(&asked),
    }
}

async fn answer_metadata(driver: Arc<Driver>, method: &str, asked: Asked) -> Answer {
    match method {
        "GetMetadataAllocated" => streaming(driver, asked, allocated).await,
        "GetMetadataDelta" => streaming(driver, asked, delta).await,
        _ => rpc::unknown(&asked),
    }
}

async fn allocated(driver: Arc<Driver>, asked: GetAllocated, to: Answers<Metadata>) -> Result<(), Status> {
    rpc::apart(move || driver.allocated(&asked, &to)).await
}

async fn delta(driver: Arc<Driver>, asked: GetDelta, to: Answers<Metadata>) -> Result<(), Status> {
    rpc::apart(move || driver.delta(&asked, &to)).await
}
