//! A pod of ours in the application's namespace that keeps a claim mounted while a mover works on it.

use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::{Problem, RunId};

use super::CaptureRequest;
use super::launch::refused;
use crate::manifest;
use crate::settings::MoverSettings;
use crate::system::network_policies;

/// A holder pod that runs, or is about to.
pub(crate) struct Holder {
    namespace: String,
    name: String,
}

impl Holder {
    /// The holder of this run and claim, whether it is there or not.
    pub(crate) fn of(run: &RunId, request: &CaptureRequest) -> Holder {
        let name = manifest::name("holdfast-holder", &[run.as_str(), &request.claim]);
        Holder { namespace: request.namespace.clone(), name }
    }

    /// Name of the pod.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes the pod and waits until it has the claim mounted. The policy that cuts it off the
    /// network comes first.
    pub(crate) async fn start(
        cluster: &Cluster,
        settings: &MoverSettings,
        run: &RunId,
        request: &CaptureRequest,
    ) -> Result<Holder, Problem> {
        let subject = request.subject();
        let holder = Holder::of(run, request);
        let started = holder.create(cluster, settings, run, request).await;
        match started {
            Ok(None) => Ok(holder),
            Ok(Some(reason)) => {
                holder.end(cluster).await;
                Err(Problem::new("volume.holder", &subject, format!("no pod has it mounted, and ours cannot: {reason}"))
                    .hint("see `kubectl describe pod` in the application's namespace; quota, the mover image and the volume's node are the usual reasons"))
            }
            Err(error) => {
                holder.end(cluster).await;
                let message = format!("no pod has it mounted, and ours cannot: {error}");
                Err(Problem::new("volume.holder", &subject, message))
            }
        }
    }

    fn create<'a>(
        &'a self,
        cluster: &'a Cluster,
        settings: &'a MoverSettings,
        run: &'a RunId,
        request: &'a CaptureRequest,
    ) -> BoxFuture<'a, Result<Option<String>, holdfast_cluster::Error>> {
        Box::pin(async move {
            let write = Write::default();
            let policy = manifest::holder_policy(&self.name, run, &self.namespace);
            cluster.create(&network_policies(), &policy, &write).await?;
            let pod = manifest::holder(&self.name, run, &self.namespace, &request.claim, settings);
            cluster.create(&kinds::pods(), &pod, &write).await?;
            let what = format!("pod {} to mount the claim", self.name);
            let pods = kinds::pods();
            let pod = cluster
                .wait(&pods, Some(&self.namespace), &self.name, &what, settings.start_timeout, |pod| {
                    pod.is_none_or(|pod| pod["status"]["phase"] != "Pending" || refused(pod).is_some())
                })
                .await?;
            Ok(match pod {
                None => Some("it was deleted".to_owned()),
                Some(pod) if pod["status"]["phase"] == "Running" => None,
                Some(pod) => refused(&pod).or_else(|| Some(format!("it is {}", pod["status"]["phase"]))),
            })
        })
    }

    /// Removes the pod and its policy and waits until the claim is let go of.
    pub(crate) fn end<'a>(&'a self, cluster: &'a Cluster) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let (pods, namespace) = (kinds::pods(), Some(self.namespace.as_str()));
            // What cannot be removed now is labelled, ends by its deadline, and is swept.
            let _ = cluster.delete(&pods, namespace, &self.name, &Delete::default()).await;
            let gone = Duration::from_secs(30);
            let _ = cluster
                .wait(&pods, namespace, &self.name, "the holder to be gone", gone, |pod| pod.is_none())
                .await;
            let _ = cluster.delete(&network_policies(), namespace, &self.name, &Delete::default()).await;
        })
    }
}
