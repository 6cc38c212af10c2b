//! Readiness: restored is not yet running. Workloads are waited for, side by side and no longer
//! than was asked, and whatever is not ready then is told with what it lacks.

use std::time::Duration;

use futures::{StreamExt, stream};
use holdfast_cluster::{Cluster, Error as Cause, ListOptions, describe, kinds};
use holdfast_model::restore::Readiness;
use holdfast_model::{GroupKind, ObjectRef, ResourceType};
use serde_json::Value;
use tokio::time::Instant;

use crate::progress::millis;

/// Workloads that are watched at once.
const AT_ONCE: usize = 64;

/// A restored object that is to become ready.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) of: ResourceType,
    pub(super) target: ObjectRef,
}

/// What readiness means for a kind.
type Test = fn(&Value) -> bool;

const TESTS: &[(&str, &str, Test)] = &[
    ("apps", "Deployment", deployment),
    ("apps", "StatefulSet", stateful_set),
    ("apps", "DaemonSet", daemon_set),
    ("apps", "ReplicaSet", replicas),
    ("", "ReplicationController", replicas),
    ("", "Pod", pod),
    ("batch", "Job", job),
];

fn test(kind: &GroupKind) -> Option<Test> {
    TESTS.iter().find(|(group, name, _)| kind.group == *group && kind.kind == *name).map(|(_, _, test)| *test)
}

/// Whether objects of this kind become ready.
pub(super) fn can_be_ready(kind: &GroupKind) -> bool {
    test(kind).is_some()
}

/// Waits until all candidates are ready, `limit` in all. Times are counted from `began`.
pub(super) async fn wait(
    cluster: &Cluster,
    candidates: Vec<Candidate>,
    limit: Duration,
    began: Instant,
) -> Vec<Readiness> {
    let deadline = Instant::now() + limit;
    let mut all: Vec<Readiness> = stream::iter(candidates)
        .map(|candidate| one(cluster, candidate, deadline, began))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    all.sort_by(|a, b| a.object.cmp(&b.object));
    all
}

async fn one(cluster: &Cluster, candidate: Candidate, deadline: Instant, began: Instant) -> Readiness {
    let Candidate { of, target } = candidate;
    let Some(ready) = test(&of.group_kind()) else {
        return Readiness {
            object: target,
            ready: true,
            millis: millis(began.elapsed()),
            reason: String::new(),
        };
    };
    // Those that come to their turn after the deadline are still looked at once.
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(2));
    let namespace = target.namespace.as_deref();
    let what = format!("{target} to be ready");
    let waited =
        cluster.wait(&of, namespace, &target.name, &what, left, |object| object.is_some_and(ready)).await;
    let reason = match waited {
        Ok(_) => String::new(),
        Err(Cause::NotInTime { last_seen, .. }) => {
            let pods = pods_of(cluster, &of, &target).await;
            std::iter::once(last_seen).chain(pods).collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.to_string(),
    };
    let ready = reason.is_empty();
    Readiness { object: target, ready, millis: millis(began.elapsed()), reason }
}

/// What a workload's first pod that is not ready lacks, if that can be found out.
async fn pods_of(cluster: &Cluster, of: &ResourceType, target: &ObjectRef) -> Option<String> {
    let namespace = target.namespace.as_deref()?;
    let name = if *of == kinds::pods() {
        target.name.clone()
    } else {
        let workload = cluster.get(of, Some(namespace), &target.name).await.ok()??;
        let labels = selector(&workload["spec"]["selector"])?;
        let options = ListOptions { labels: Some(labels), ..ListOptions::in_namespace(namespace) };
        let pods = cluster.list_all(&kinds::pods(), options).await.ok()?;
        let mut pods = pods.iter().filter_map(|pod| pod.parse().ok());
        let pod: Value = pods.find(|value| !pod(value))?;
        let name = pod["metadata"]["name"].as_str()?.to_owned();
        let event = last_warning(cluster, namespace, &name).await;
        return Some(told(&name, &describe(Some(&pod)), event));
    };
    last_warning(cluster, namespace, &name).await
}

fn told(name: &str, state: &str, event: Option<String>) -> String {
    match event {
        Some(event) => format!("pod {name}: {state}; {event}"),
        None => format!("pod {name}: {state}"),
    }
}

/// The newest warning that the cluster's components gave about a pod.
async fn last_warning(cluster: &Cluster, namespace: &str, pod: &str) -> Option<String> {
    let fields = format!("involvedObject.kind=Pod,involvedObject.name={pod},type=Warning");
    let options = ListOptions { fields: Some(fields), ..ListOptions::in_namespace(namespace) };
    let events = cluster.list_all(&kinds::events(), options).await.ok()?;
    let events = events.iter().filter_map(|event| event.parse().ok());
    let newest =
        events.max_by_key(|event: &Value| event["lastTimestamp"].as_str().unwrap_or_default().to_owned())?;
    Some(format!("{}: {}", newest["reason"].as_str()?, newest["message"].as_str()?))
}

/// A label selector as a query. Selectors with expressions are not needed to find a reason.
fn selector(selector: &Value) -> Option<String> {
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object()?;
    let pairs = labels.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty()).map(|pairs| pairs.join(","))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn wanted(object: &Value) -> u64 {
    object["spec"]["replicas"].as_u64().unwrap_or(1)
}

fn observed(object: &Value) -> bool {
    count(&object["status"]["observedGeneration"]) >= count(&object["metadata"]["generation"])
}

fn deployment(object: &Value) -> bool {
    let (status, wanted) = (&object["status"], wanted(object));
    let rolled_out =
        count(&status["updatedReplicas"]) >= wanted && count(&status["availableReplicas"]) >= wanted;
    // A paused one makes no pods by itself.
    observed(object) && (object["spec"]["paused"] == true || rolled_out)
}

fn stateful_set(object: &Value) -> bool {
    observed(object) && count(&object["status"]["readyReplicas"]) >= wanted(object)
}

fn daemon_set(object: &Value) -> bool {
    let status = &object["status"];
    let desired = count(&status["desiredNumberScheduled"]);
    observed(object)
        && status["desiredNumberScheduled"].is_u64()
        && count(&status["updatedNumberScheduled"]) >= desired
        && count(&status["numberReady"]) >= desired
}

fn replicas(object: &Value) -> bool {
    observed(object) && count(&object["status"]["readyReplicas"]) >= wanted(object)
}

fn condition(object: &Value, name: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == name && condition["status"] == "True")
}

fn pod(object: &Value) -> bool {
    condition(object, "Ready") || object["status"]["phase"] == "Succeeded"
}

/// A Job that is at work is as it should be: how long it takes is its own affair.
fn job(object: &Value) -> bool {
    condition(object, "Complete")
        || object["spec"]["suspend"] == true
        || count(&object["status"]["ready"]) > 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_judged_by_the_newest_generation() {
        let web = |observed: u64, available: u64| {
            json!({"metadata": {"generation": 2}, "spec": {"replicas": 2},
                "status": {"observedGeneration": observed, "updatedReplicas": 2, "availableReplicas": available}})
        };
        assert!(deployment(&web(2, 2)));
        assert!(!deployment(&web(1, 2)), "the controller has not looked yet");
        assert!(!deployment(&web(2, 1)));
        assert!(!deployment(&json!({"metadata": {"generation": 1}, "spec": {}, "status": {}})));
        let scaled_down = json!({"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}});
        assert!(deployment(&scaled_down) && stateful_set(&scaled_down));
    }

    #[test]
    fn a_daemon_set_that_nobody_has_looked_at_is_not_ready() {
        assert!(!daemon_set(&json!({"metadata": {}, "status": {}})));
        assert!(daemon_set(&json!({"metadata": {}, "status": {"desiredNumberScheduled": 0}})));
    }

    #[test]
    fn jobs_and_pods_may_have_ended() {
        assert!(job(&json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}})));
        assert!(job(&json!({"status": {"ready": 1}})) && job(&json!({"spec": {"suspend": true}})));
        assert!(!job(&json!({"status": {"active": 1, "ready": 0}})));
        assert!(
            pod(&json!({"status": {"phase": "Succeeded"}})) && !pod(&json!({"status": {"phase": "Running"}}))
        );
    }

    #[test]
    fn selectors_of_all_workloads_are_understood() {
        assert_eq!(selector(&json!({"matchLabels": {"a": "b", "c": "d"}})).as_deref(), Some("a=b,c=d"));
        assert_eq!(selector(&json!({"a": "b"})).as_deref(), Some("a=b"), "of a ReplicationController");
        assert_eq!(selector(&json!(null)), None);
    }
}
