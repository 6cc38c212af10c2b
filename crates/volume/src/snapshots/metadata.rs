//! How a mover asks a driver which blocks of a snapshot changed: where the service is, and a token that is good for
//! nothing else.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast_cluster::{Cluster, kinds};
use holdfast_model::ResourceType;
use holdfast_model::label::{METADATA_ACCOUNT, SYSTEM_NAMESPACE};
use serde_json::Value;

use crate::error::Result;
use crate::mover::{MetadataAccess, Token};
use crate::system;

/// Versions of the SnapshotMetadataService that are understood, the best first.
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
/// How long a mover may take to ask; no less is given out.
const TOKEN: Duration = Duration::from_secs(3_600);

fn services(version: &str) -> ResourceType {
    let (kind, plural) = ("SnapshotMetadataService", "snapshotmetadataservices");
    kinds::resource("cbt.storage.k8s.io", version, kind, plural, false)
}

/// How `driver` is asked about a VolumeSnapshot of ours. `None` where it tells nobody.
pub(crate) async fn access(
    cluster: &Cluster,
    driver: &str,
    snapshot: &str,
    base: Option<String>,
) -> Result<Option<MetadataAccess>> {
    let Some(service) = service(cluster, driver).await? else { return Ok(None) };
    let text = |key: &str| service["spec"][key].as_str().unwrap_or_default().to_owned();
    let (address, audience) = (text("address"), text("audience"));
    let Some(ca) = STANDARD.decode(text("caCert")).ok().and_then(|ca| String::from_utf8(ca).ok()) else {
        tracing::warn!(driver, "its SnapshotMetadataService has no PEM in `caCert`, so it is not asked");
        return Ok(None);
    };
    system::ensure_metadata(cluster, &address).await?;
    let token = cluster.token(SYSTEM_NAMESPACE, METADATA_ACCOUNT, &audience, TOKEN).await?;
    let (namespace, snapshot) = (SYSTEM_NAMESPACE.to_owned(), snapshot.to_owned());
    Ok(Some(MetadataAccess { address, ca, token: Token(token), namespace, snapshot, base }))
}

/// The object that says where a driver's service is; it has the driver's name.
async fn service(cluster: &Cluster, driver: &str) -> Result<Option<Value>> {
    for version in VERSIONS {
        match cluster.get(&services(version), None, driver).await {
            Ok(Some(service)) => return Ok(Some(service)),
            Ok(None) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
