//! Exec, logs, waits and leases on a real cluster with a node.

use std::time::Duration;

use crate::support::site::{admin, namespace};
use holdfast_cluster::{Cluster, Exec, Lease, LeaseRequest, LogOptions, kinds};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const LIMIT: Duration = Duration::from_secs(60);

/// Starts a pod of busybox in a namespace of its own and waits for it.
async fn pod(namespace_name: &str, script: &str) -> Cluster {
    let site = namespace(namespace_name).await;
    let manifest = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"namespace": "{namespace_name}", "name": "box"}},
            "spec": {{"terminationGracePeriodSeconds": 0, "containers": [{{"name": "box", "image": "testbed.local/busybox:1",
            "imagePullPolicy": "Never", "command": ["sh", "-c", "{script}"]}}]}}}}"#
    );
    site.apply(&manifest).await.unwrap();
    let cluster = admin().await;
    let what = format!("pod {namespace_name}/box to be ready");
    cluster.wait(&kinds::pods(), Some(namespace_name), "box", &what, LIMIT, is_ready).await.unwrap();
    cluster
}

fn is_ready(pod: Option<&Value>) -> bool {
    let conditions = pod.and_then(|pod| pod["status"]["conditions"].as_array());
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    conditions.is_some_and(|conditions| conditions.iter().any(ready))
}

fn command(namespace: &str, arguments: &[&str]) -> Exec {
    Exec {
        namespace: namespace.to_owned(),
        pod: "box".to_owned(),
        container: None,
        command: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        stdin: false,
    }
}

#[tokio::test]
async fn commands_have_input_outputs_and_an_exit_code() {
    let cluster = pod("execs", "sleep 600").await;
    let script = "wc -c; echo oops >&2; exit 3";
    let input = vec![b'x'; 3_000_000];
    let result = cluster.run(command("execs", &["sh", "-c", script]), Some(&input), 1000).await.unwrap();
    assert_eq!((result.code, result.truncated), (3, false));
    assert_eq!(String::from_utf8(result.stdout).unwrap().trim(), "3000000");
    assert_eq!(result.stderr, b"oops\n");

    let much = command("execs", &["sh", "-c", "yes | head -c 5000000"]);
    let result = cluster.run(much.clone(), None, 10).await.unwrap();
    assert_eq!((result.code, result.truncated, result.stdout.len()), (0, true, 10));
    let mut session = cluster.exec(much).await.unwrap();
    let mut all = Vec::new();
    session.stdout.take().unwrap().read_to_end(&mut all).await.unwrap();
    assert_eq!((all.len(), session.status().await.unwrap()), (5_000_000, 0));

    let error = cluster.run(command("execs", &["no-such-program"]), None, 1000).await.unwrap_err();
    assert_eq!(error.code(), "cluster.not_run", "{error}");
    let mut nobody = command("execs", &["true"]);
    nobody.pod = "nobody".to_owned();
    let error = cluster.run(nobody, None, 1000).await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("pods/exec execs/nobody"), "{error}");
}

#[tokio::test]
async fn a_session_is_held_and_talked_to() {
    let cluster = pod("sessions", "sleep 600").await;
    let mut exec = command("sessions", &["sh"]);
    exec.stdin = true;
    let mut session = cluster.exec(exec).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    let mut lines = BufReader::new(session.stdout.take().unwrap()).lines();
    for question in ["1 + 1", "2 * 21"] {
        stdin.write_all(format!("echo answer $(({question}))\n").as_bytes()).await.unwrap();
    }
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "answer 2");
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "answer 42");
    stdin.write_all(b"exit 7\n").await.unwrap();
    assert_eq!(session.status().await.unwrap(), 7);
}

#[tokio::test]
async fn a_container_that_dies_under_a_command_is_not_a_success() {
    let cluster = pod("deaths", "sleep 600").await;
    let mut session = cluster.exec(command("deaths", &["sh", "-c", "echo begun; sleep 600"])).await.unwrap();
    let mut lines = BufReader::new(session.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "begun");
    let delete = holdfast_cluster::Delete { grace_seconds: Some(0), ..Default::default() };
    cluster.delete(&kinds::pods(), Some("deaths"), "box", &delete).await.unwrap();
    match tokio::time::timeout(LIMIT, session.status()).await.unwrap() {
        Ok(code) => assert_eq!(code, 137),
        Err(error) => assert!(matches!(error.code(), "cluster.stream_broken" | "cluster.not_run"), "{error}"),
    }
}

#[tokio::test]
async fn logs_are_followed_to_their_end() {
    let cluster = pod("logs", "for i in 1 2 3; do echo line $i; sleep 1; done; sleep 1").await;
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut lines = cluster.logs("logs", "box", &follow).await.unwrap().lines();
    for expected in ["line 1", "line 2", "line 3"] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(expected));
    }
    assert_eq!(lines.next_line().await.unwrap(), None);
    let tail = LogOptions { tail: Some(1), ..LogOptions::default() };
    let mut text = String::new();
    cluster.logs("logs", "box", &tail).await.unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(cluster.logs("logs", "nobody", &tail).await.err().unwrap().is_not_found());
}

fn wanted(holder: &str, ttl: u64) -> LeaseRequest {
    LeaseRequest {
        namespace: "leases".to_owned(),
        name: "app".to_owned(),
        holder: holder.to_owned(),
        ttl: Duration::from_secs(ttl),
        dead: Vec::new(),
    }
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    let site = namespace("leases").await;
    let cluster = admin().await;
    let racers = (0..8).map(|number| Lease::acquire(&cluster, wanted(&format!("racer-{number}"), 60)));
    let (won, lost): (Vec<_>, Vec<_>) =
        futures::future::join_all(racers).await.into_iter().partition(|outcome| outcome.is_ok());
    assert_eq!((won.len(), lost.len()), (1, 7));
    for outcome in lost {
        assert_eq!(outcome.unwrap_err().code(), "cluster.lease_held");
    }
    let mut lease = won.into_iter().next().unwrap().unwrap();
    lease.renew().await.unwrap();
    lease.release().await.unwrap();

    // The same holder takes its own back at once; another waits until it is given back.
    let first = Lease::acquire(&cluster, wanted("one", 60)).await.unwrap();
    let first_again = Lease::acquire(&cluster, wanted("one", 60)).await.unwrap();
    let waiting = {
        let cluster = cluster.clone();
        tokio::spawn(async move { Lease::acquire_within(&cluster, wanted("two", 60), LIMIT).await })
    };
    let error =
        Lease::acquire_within(&cluster, wanted("three", 60), Duration::from_millis(300)).await.unwrap_err();
    assert!(error.to_string().contains("lease leases/app on cluster cluster is held by one"), "{error}");
    // The older value of the same holder is based on an older version; it leaves the lease alone.
    first.release().await.unwrap();
    first_again.release().await.unwrap();
    waiting.await.unwrap().unwrap().release().await.unwrap();

    // A holder that died loses it once it has expired, and not before.
    let dead = Lease::acquire(&cluster, wanted("dead", 3)).await.unwrap();
    let expiry = dead.valid_until();
    drop(dead);
    let mut heir = Lease::acquire_within(&cluster, wanted("heir", 60), LIMIT).await.unwrap();
    assert!(tokio::time::Instant::now() + Duration::from_secs(1) >= expiry);
    heir.renew().await.unwrap();

    // A kept lease outlives its time to live, and says so when it is taken away.
    heir.release().await.unwrap();
    let kept = Lease::acquire(&cluster, wanted("keeper", 2)).await.unwrap().keep();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!kept.lost().is_cancelled());
    assert_eq!(Lease::acquire(&cluster, wanted("thief", 60)).await.unwrap_err().code(), "cluster.lease_held");
    let steal = r#"{"spec": {"holderIdentity": "thief"}}"#;
    site.kubectl(&["patch", "lease", "-n", "leases", "app", "--type=merge", "-p", steal]).await.unwrap();
    tokio::time::timeout(LIMIT, kept.lost().cancelled()).await.unwrap();
    assert_eq!(kept.release().await.unwrap_err().code(), "cluster.lease_lost");
}
