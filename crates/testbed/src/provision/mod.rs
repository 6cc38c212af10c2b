//! A dynamic provisioner of directories on the host, for sites that have no storage system.
//!
//! It looks at everything anew whenever a claim or a volume changed, so that nothing depends on having seen an event.

mod claim;
mod volume;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions, WatchParams};
use serde_json::json;

use crate::client;
use crate::error::{Error, Result};
use claim::Wanted;

/// Provisioner of `local` volumes: bound to the node on which the first pod is to run.
pub const LOCAL: &str = "testbed.holdfast.dev/local";

/// Provisioner of `hostPath` volumes without a node, the name that a fixture's StorageClass asks for.
pub const HOST_PATH: &str = "k8s.io/minikube-hostpath";

/// How long it waits after an error, and how often it looks even if nothing seems to change.
const PAUSE: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_secs(5);

/// Manifest of a StorageClass of [`LOCAL`].
#[must_use]
pub fn storage_class(name: &str, is_default: bool) -> String {
    let manifest = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": { "storageclass.kubernetes.io/is-default-class": is_default.to_string() },
        },
        "provisioner": LOCAL,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    });
    format!("{manifest:#}\n")
}

/// Serves claims of the cluster of `kubeconfig` with directories below `root`, for ever.
///
/// An API server that is away is waited for; every error is said on standard error and tried again.
pub async fn run(kubeconfig: &Path, root: &Path) -> Result<()> {
    let provisioner =
        Arc::new(Provisioner { client: client::connect(kubeconfig).await?, root: root.to_owned() });
    loop {
        let following = provisioner.clone();
        // A task of its own: even a panic is only an error to start again after.
        let ended = tokio::spawn(async move { following.follow().await }).await;
        if let Some(error) =
            ended.map_or_else(|panic| Some(panic.to_string()), |done| Some(done.err()?.to_string()))
        {
            eprintln!("{error}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

struct Provisioner {
    client: kube::Client,
    root: PathBuf,
}

impl Provisioner {
    /// Looks whenever something changed, until a watch ends.
    async fn follow(&self) -> Result<()> {
        let claims: Api<PersistentVolumeClaim> = Api::all(self.client.clone());
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let watch = WatchParams::default().timeout(60);
        let claims = claims.watch(&watch, "0").await.map_err(Error::kubernetes("watching claims"))?;
        let volumes = volumes.watch(&watch, "0").await.map_err(Error::kubernetes("watching volumes"))?;
        let changes = futures::stream::select(claims.map(|e| e.map(drop)), volumes.map(|e| e.map(drop)));
        // A burst of changes is one reason to look, not many.
        let mut bursts = changes.ready_chunks(256).boxed();
        loop {
            match tokio::time::timeout(LOOK, bursts.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(burst)) => {
                    burst
                        .into_iter()
                        .collect::<kube::Result<Vec<()>>>()
                        .map_err(Error::kubernetes("watching"))?;
                }
                Err(_) => {}
            }
            self.look().await?;
        }
    }

    /// Provisions what is wanted and removes what was released.
    async fn look(&self) -> Result<()> {
        let (list, client) = (ListParams::default(), &self.client);
        let classes = Api::<StorageClass>::all(client.clone()).list(&list).await;
        let classes = classes.map_err(Error::kubernetes("listing storage classes"))?.items;
        let claims = Api::<PersistentVolumeClaim>::all(client.clone()).list(&list).await;
        let claims = claims.map_err(Error::kubernetes("listing claims"))?;
        for wanted in claims.iter().filter_map(|claim| Wanted::by(claim, &classes)) {
            self.provision(&wanted).await?;
        }
        let volumes = Api::<PersistentVolume>::all(client.clone()).list(&list).await;
        for volume in volumes.map_err(Error::kubernetes("listing volumes"))? {
            if volume::is_to_be_deleted(&volume) {
                self.delete(&volume).await?;
            }
        }
        Ok(())
    }

    async fn provision(&self, wanted: &Wanted<'_>) -> Result<()> {
        let name = wanted.volume_name();
        let dir = self.root.join(&name);
        volume::create_directory(&dir)?;
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        match volumes.create(&PostParams::default(), &wanted.volume(&dir)?).await {
            Ok(_) => println!("{} is provisioned for {}", name, wanted.claim()),
            Err(error) if is_code(&error, 409) => {}
            Err(error) => return Err(Error::kubernetes(format!("creating volume {name}"))(error)),
        }
        Ok(())
    }

    /// Removes the directory, then the object that names it: after a crash in between, both are tried again.
    async fn delete(&self, volume: &PersistentVolume) -> Result<()> {
        let name = volume.metadata.name.clone().unwrap_or_default();
        if let Some(dir) = volume::directory(volume, &self.root) {
            crate::tool::blocking("deleting a volume", move || volume::remove_directory(&dir)).await?;
        }
        let same = Preconditions { uid: volume.metadata.uid.clone(), resource_version: None };
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        match volumes.delete(&name, &DeleteParams::default().preconditions(same)).await {
            Ok(_) => println!("{name} is deleted"),
            Err(error) if is_code(&error, 404) || is_code(&error, 409) => {}
            Err(error) => return Err(Error::kubernetes(format!("deleting volume {name}"))(error)),
        }
        Ok(())
    }
}

fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
