//! Makes a mover's Job and its Secret, and removes them.

use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_cluster::{Cluster, Delete, ListOptions, Propagation, Write, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::manifest::{self, MoverJob};
use crate::mover::MoverSpec;
use crate::settings::MoverSettings;

/// A mover's Job that runs.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) job: String,
    pub(crate) uid: String,
    /// Its pod, whose container has started.
    pub(crate) pod: String,
    /// uid of the pod.
    pub(crate) pod_uid: String,
}

impl Launch {
    /// Creates the Job suspended, then the Secret that it owns, then lets it run, and waits until
    /// its container has started. What an earlier attempt left under the same name is removed.
    pub(crate) async fn start(
        cluster: &Cluster,
        job: &MoverJob<'_>,
        spec: &MoverSpec,
        deadline: Duration,
    ) -> Result<Launch> {
        let write = Write::default();
        remove(cluster, job.name).await?;
        let created = cluster.create(&kinds::jobs(), &job.manifest(), &write).await?;
        let uid = created.object()["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let text = serde_json::to_string(spec).map_err(|error| Error::Spec { reason: error.to_string() })?;
        let secret = manifest::secret(job.name, job.run, &text, &uid);
        cluster.create(&kinds::secrets(), &secret, &write).await?;
        let resume = json!({"spec": {"suspend": false}});
        cluster.merge_patch(&kinds::jobs(), Some(SYSTEM_NAMESPACE), job.name, &resume, &write).await?;
        let pod = started(cluster, job.name, &job.subject, deadline).await?;
        let text = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        Ok(Launch { job: job.name.to_owned(), uid, pod: text("name"), pod_uid: text("uid") })
    }
}

/// Waits for the Job's pod and for its container to run, or to have run.
fn started<'a>(
    cluster: &'a Cluster,
    job: &'a str,
    subject: &'a str,
    deadline: Duration,
) -> BoxFuture<'a, Result<Value>> {
    Box::pin(async move {
        let began = tokio::time::Instant::now();
        let (jobs, pods, namespace) = (kinds::jobs(), kinds::pods(), Some(SYSTEM_NAMESPACE));
        let active = |job: Option<&Value>| {
            job.is_none_or(|job| job["status"]["active"].as_u64() > Some(0) || is_finished(job))
        };
        let what = format!("the mover of {subject} to get a pod");
        cluster.wait(&jobs, namespace, job, &what, deadline, active).await?;
        let options = ListOptions {
            labels: Some(format!("batch.kubernetes.io/job-name={job}")),
            ..ListOptions::in_namespace(SYSTEM_NAMESPACE)
        };
        let found = cluster.list_all(&pods, options).await?;
        let Some(pod) = found.first() else {
            return Err(failed(
                subject,
                "its Job ended without a pod",
                "see `kubectl describe job` in holdfast-system",
            ));
        };
        let left = deadline.saturating_sub(began.elapsed());
        let what = format!("the mover of {subject} to start");
        let seen =
            cluster.wait(&pods, namespace, &pod.metadata.name, &what, left, has_started_or_cannot).await;
        let pod = match seen {
            Ok(Some(pod)) => pod,
            Ok(None) => return Err(failed(subject, "its pod was deleted", "run it again")),
            Err(holdfast_cluster::Error::NotInTime { last_seen, .. }) => {
                let hint = "see `kubectl describe pod` in holdfast-system; the image, its pull secret and the node are the usual reasons";
                return Err(failed(subject, &format!("its pod did not start: {last_seen}"), hint));
            }
            Err(error) => return Err(error.into()),
        };
        match refused(&pod) {
            Some(reason) => Err(failed(subject, &reason, "check the mover image and its pull policy")),
            None => Ok(pod),
        }
    })
}

fn has_started_or_cannot(pod: Option<&Value>) -> bool {
    pod.is_none_or(|pod| {
        let ended = pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed";
        let statuses = pod["status"]["containerStatuses"].as_array();
        let started = |status: &Value| {
            status["state"]["running"].is_object() || status["state"]["terminated"].is_object()
        };
        ended || statuses.is_some_and(|all| all.iter().any(started)) || refused(pod).is_some()
    })
}

/// Why the pod's containers will never start, if so.
pub(crate) fn refused(pod: &Value) -> Option<String> {
    const HOPELESS: [&str; 3] = ["ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"];
    let both = ["initContainerStatuses", "containerStatuses"];
    both.iter().filter_map(|key| pod["status"][key].as_array()).flatten().find_map(|status| {
        let waiting = &status["state"]["waiting"];
        let reason = waiting["reason"].as_str()?;
        HOPELESS.contains(&reason).then(|| {
            format!(
                "its container cannot start: {reason}: {}",
                waiting["message"].as_str().unwrap_or_default()
            )
        })
    })
}

fn is_finished(job: &Value) -> bool {
    job["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions.iter().any(|condition| {
            condition["status"] == "True"
                && (condition["type"] == "Complete" || condition["type"] == "Failed")
        })
    })
}

fn failed(subject: &str, reason: &str, hint: &str) -> Error {
    let (namespace, claim) = subject.split_once('/').unwrap_or(("", subject));
    Error::Mover {
        namespace: namespace.to_owned(),
        claim: claim.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

/// How long the removal of a Job and its pod is waited for: the pod's grace and some more.
const REMOVAL: Duration = Duration::from_secs(60);

fn remove<'a>(cluster: &'a Cluster, job: &'a str) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let jobs = kinds::jobs();
        let delete = Delete { propagation: Some(Propagation::Foreground), ..Delete::default() };
        cluster.delete(&jobs, Some(SYSTEM_NAMESPACE), job, &delete).await?;
        cluster
            .wait(&jobs, Some(SYSTEM_NAMESPACE), job, "an earlier mover to be gone", REMOVAL, |job| {
                job.is_none()
            })
            .await?;
        Ok(())
    })
}

/// Ends a mover: its pod at once, so that nothing holds the volume, then the Job with the Secret
/// that it owns. What fails here is left to the Job's own end.
pub(crate) async fn end(cluster: &Cluster, settings: &MoverSettings, launch: &Launch) {
    let _ = settings;
    let delete = Delete { uid: Some(launch.pod_uid.clone()), grace_seconds: Some(3), ..Delete::default() };
    let _ = cluster.delete(&kinds::pods(), Some(SYSTEM_NAMESPACE), &launch.pod, &delete).await;
    let delete = Delete {
        uid: Some(launch.uid.clone()),
        propagation: Some(Propagation::Background),
        ..Delete::default()
    };
    let _ = cluster.delete(&kinds::jobs(), Some(SYSTEM_NAMESPACE), &launch.job, &delete).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_can_never_be_pulled_is_told_at_once() {
        let pod = |reason: &str| {
            json!({"status": {"phase": "Pending", "initContainerStatuses": [
            {"state": {"waiting": {"reason": reason, "message": "m"}}}]}})
        };
        assert!(has_started_or_cannot(Some(&pod("ErrImageNeverPull"))));
        assert!(!has_started_or_cannot(Some(&pod("ImagePullBackOff"))), "that may be passing");
        let running =
            json!({"status": {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}});
        assert!(has_started_or_cannot(Some(&running)) && refused(&running).is_none());
        assert!(has_started_or_cannot(None));
    }
}
