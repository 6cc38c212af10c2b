//! The state of an object in one line, for a person who wonders why it is not ready.

use serde_json::Value;

/// Describes an object by its phase, replicas, containers and unmet conditions.
pub fn describe(object: Option<&Value>) -> String {
    let Some(object) = object else { return "not there".to_owned() };
    let parts: Vec<String> = [deletion(object), phase(object), replicas(object)]
        .into_iter()
        .flatten()
        .chain(containers(object))
        .chain(conditions(object))
        .collect();
    match parts.is_empty() {
        true => "there, without a status that says more".to_owned(),
        false => parts.join("; "),
    }
}

fn deletion(object: &Value) -> Option<String> {
    let since = object["metadata"]["deletionTimestamp"].as_str()?;
    let finalizers = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    let finalizers: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
    Some(match finalizers.is_empty() {
        true => format!("being deleted since {since}"),
        false => format!("being deleted since {since}, held by finalizers {}", finalizers.join(", ")),
    })
}

fn phase(object: &Value) -> Option<String> {
    object["status"]["phase"].as_str().map(str::to_owned)
}

/// `1 of 3 replicas ready`, for what has replicas.
fn replicas(object: &Value) -> Option<String> {
    let status = &object["status"];
    let wanted = object["spec"]["replicas"].as_u64().or_else(|| status["desiredNumberScheduled"].as_u64())?;
    let ready = status["readyReplicas"].as_u64().or_else(|| status["numberReady"].as_u64()).unwrap_or(0);
    Some(format!("{ready} of {wanted} replicas ready"))
}

/// Containers that wait or have failed, with the reason the kubelet gives.
fn containers(object: &Value) -> impl Iterator<Item = String> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let statuses = lists.into_iter().filter_map(|list| object["status"][list].as_array()).flatten();
    statuses.filter_map(|status| {
        let name = status["name"].as_str()?;
        let state = ["waiting", "terminated"].iter().find_map(|state| status["state"].get(*state))?;
        if state["exitCode"].as_i64() == Some(0) {
            return None;
        }
        Some(reasoned(&format!("container {name}"), state))
    })
}

/// Conditions that are not as one would wish. Most are good when True; the exceptions of the core
/// API (pressure on nodes, failed jobs) end in `Pressure`, `Failed`, `Failure` or `Unavailable`.
fn conditions(object: &Value) -> impl Iterator<Item = String> {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter_map(|condition| {
        let (name, status) = (condition["type"].as_str()?, condition["status"].as_str()?);
        let bad_when_true =
            ["Pressure", "Failed", "Failure", "Unavailable"].iter().any(|end| name.ends_with(end));
        let good = if bad_when_true { "False" } else { "True" };
        (status != good).then(|| reasoned(&format!("{name} is {status}"), condition))
    })
}

fn reasoned(what: &str, from: &Value) -> String {
    let texts = ["reason", "message"].iter().filter_map(|key| from[*key].as_str());
    let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
    match texts.is_empty() {
        true => what.to_owned(),
        false => format!("{what}: {}", texts.join(": ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_that_cannot_pull_says_so() {
        let pod = json!({"status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "web",
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}});
        assert_eq!(
            describe(Some(&pod)),
            "Pending; container web: ImagePullBackOff: no such image; Ready is False"
        );
    }

    #[test]
    fn a_namespace_that_does_not_go_names_its_finalizers() {
        let namespace = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a", "b"]},
            "status": {"phase": "Terminating"}});
        assert_eq!(
            describe(Some(&namespace)),
            "being deleted since 2026-01-01T00:00:00Z, held by finalizers a, b; Terminating"
        );
        assert_eq!(describe(None), "not there");
    }

    #[test]
    fn replicas_are_counted() {
        let web = json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 1,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "Quota"},
                {"type": "Progressing", "status": "True"}]}});
        assert_eq!(describe(Some(&web)), "1 of 3 replicas ready; ReplicaFailure is True: Quota");
    }
}
