//! Where the volume of a claim is mounted for writing, and by whom.

use holdfast_cluster::Cluster;
use holdfast_model::label;
use holdfast_model::{Problem, RunId};
use serde_json::Value;

use super::Refill;
use crate::jobs::holder::Holder;
use crate::jobs::source::{self, BoundClaim, Found, Source, SourcePod, Use};
use crate::jobs::{CaptureRequest, Placement};
use crate::manifest::part;
use crate::settings::MoverSettings;

/// A mount that a mover can write to.
pub(super) struct Mount {
    source: Source,
    pod: SourcePod,
    holder: Option<Holder>,
    /// Pods of the application's that may write to it too, by name.
    pub(super) writers: Vec<String>,
}

impl Mount {
    /// Finds one, or makes it by a holder of ours.
    pub(super) async fn of(
        cluster: &Cluster,
        settings: &MoverSettings,
        run: &RunId,
        wanted: &Refill,
        bound: &BoundClaim,
    ) -> Result<Mount, Problem> {
        let users = source::users(cluster, bound).await?;
        let writers = names(users.iter().filter(|pod| is_writer(pod, &wanted.claim)));
        if !writers.is_empty() && !wanted.live {
            return Err(in_use(wanted, &writers));
        }
        // A mount for reading only is of no use.
        let mounted = users.iter().filter(|pod| source::usage(pod, &wanted.claim) != Use::ReadOnly);
        if let Found::Source(source) = source::among(cluster, bound, mounted, settings).await? {
            return Self::new(source, None, writers, wanted);
        }
        if let Some(path) = bound.volume["spec"]["hostPath"]["path"].as_str() {
            // No pod is made for a path that will not be written to.
            source::allowed(path, settings, &wanted.subject())?;
        }
        let request = CaptureRequest::new(&wanted.namespace, &wanted.claim);
        let holder = Holder::start(cluster, settings, run, &request).await?;
        let held = match source::users(cluster, bound).await {
            Ok(users) => {
                let ours = users.iter().filter(|pod| pod["metadata"]["name"] == holder.name());
                source::among(cluster, bound, ours, settings).await
            }
            Err(problem) => Err(problem),
        };
        match held {
            Ok(Found::Source(source)) => Self::new(source, Some(holder), writers, wanted),
            other => {
                holder.end(cluster).await;
                Err(other.err().unwrap_or_else(|| gone(wanted)))
            }
        }
    }

    fn new(
        source: Source,
        holder: Option<Holder>,
        writers: Vec<String>,
        wanted: &Refill,
    ) -> Result<Self, Problem> {
        let pod = source.pod.clone().ok_or_else(|| gone(wanted))?;
        Ok(Self { source, pod, holder, writers })
    }

    /// The pod whose mount it is.
    pub(super) fn pod(&self) -> &SourcePod {
        &self.pod
    }

    /// Its directory on the node.
    pub(super) fn directory(&self) -> &str {
        &self.source.directory
    }

    /// Where a mover finds it.
    pub(super) fn placement(&self) -> Placement {
        Placement { node: Some(self.source.node.clone()), ..Placement::default() }
    }

    /// Removes what was made for it.
    pub(super) async fn release(&self, cluster: &Cluster) {
        if let Some(holder) = &self.holder {
            holder.end(cluster).await;
        }
    }
}

/// Pods of the application's that may write to the claim now, by name.
pub(super) async fn writers(
    cluster: &Cluster,
    bound: &BoundClaim,
    claim: &str,
) -> Result<Vec<String>, Problem> {
    let users = source::users(cluster, bound).await?;
    Ok(names(users.iter().filter(|pod| is_writer(pod, claim))))
}

/// A pod that is still to be scheduled counts: it may start at any moment.
fn is_writer(pod: &Value, claim: &str) -> bool {
    !is_ours(pod) && source::usage(pod, claim) == Use::Writes
}

fn is_ours(pod: &Value) -> bool {
    pod["metadata"]["labels"][label::PART] == part::HOLDER
}

fn names<'a>(pods: impl Iterator<Item = &'a Value>) -> Vec<String> {
    pods.filter_map(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned).collect()
}

fn in_use(wanted: &Refill, writers: &[String]) -> Problem {
    let message = format!("it was not touched: {} may write to it", writers.join(", "));
    Problem::new("volume.in_use", wanted.subject(), message).hint(
        "scale the workload to zero and restore again; or give --live, if the application bears that files change under it: what it has open it goes on with, and what it writes meanwhile may be overwritten or mixed with what is restored",
    )
}

fn gone(wanted: &Refill) -> Problem {
    Problem::new("volume.holder", wanted.subject(), "the pod that held it ended")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_holder_of_ours_is_no_writer_and_a_pod_that_waits_is_one() {
        let mut pod = json!({
            "metadata": {"name": "db-0"},
            "spec": {
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                "containers": [{"volumeMounts": [{"name": "data"}]}],
            },
            "status": {"phase": "Pending"},
        });
        assert!(is_writer(&pod, "data"));
        pod["metadata"]["labels"] = json!({label::PART: part::HOLDER});
        assert!(!is_writer(&pod, "data"));
    }

    #[test]
    fn who_is_in_the_way_is_named_with_what_to_do() {
        let wanted = Refill {
            namespace: "shop".into(),
            claim: "data".into(),
            snapshot: holdfast_vault::SnapshotId::of(b"s"),
            files: crate::mover::FileRestore::default(),
            live: false,
        };
        let problem = in_use(&wanted, &["db-0".into(), "db-1".into()]);
        assert!(problem.message.contains("db-0, db-1") && problem.hint.contains("--live"), "{problem}");
    }
}
