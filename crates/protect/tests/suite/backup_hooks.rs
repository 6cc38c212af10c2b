//! Hooks in real containers: their order, their failures, and the release of the application
//! whatever becomes of the run.

use std::sync::Arc;
use std::time::Duration;

use crate::support::backup::{LIMIT, Recorder, admin, application, repository, request, site};
use holdfast_model::hook::{ExecHook, HoldHook, HookTarget, Hooks};
use holdfast_protect::backup::{Application, backup};
use holdfast_protect::hooks::Sessions;
use holdfast_protect::point;
use holdfast_protect::sweep;

/// A namespace with one pod, ready for hooks.
async fn with_pod(namespace: &str) -> Application {
    let site = site().await;
    site.kubectl(&["create", "namespace", namespace]).await.unwrap();
    let pod = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod",
        "metadata": {{"name": "db", "namespace": "{namespace}", "labels": {{"app": "db"}}}},
        "spec": {{"terminationGracePeriodSeconds": 0, "containers": [{{"name": "db", "image": "testbed.local/busybox:1",
            "imagePullPolicy": "Never", "command": ["sh", "-c", "touch /tmp/log; sleep 1000"]}}]}}}}"#
    );
    site.apply(&pod).await.unwrap();
    site.wait(namespace, "pod/db", "condition=Ready", LIMIT).await.unwrap();
    application(namespace, &[namespace])
}

async fn log(namespace: &str) -> String {
    site()
        .await
        .exec(namespace, "db", &["cat", "/tmp/log"])
        .await
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn target() -> HookTarget {
    HookTarget { namespace: None, labels: [("app".to_owned(), "db".to_owned())].into(), container: None }
}

fn exec(name: &str, script: &str) -> ExecHook {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    ExecHook { name: name.to_owned(), target: target(), command, timeout_seconds: 60 }
}

fn hold(begin: &str) -> HoldHook {
    HoldHook {
        name: "session".to_owned(),
        target: target(),
        command: vec!["sh".to_owned()],
        begin: begin.to_owned(),
        before_late: "echo late >> /tmp/log".to_owned(),
        marker: "echo {token}".to_owned(),
        timeout_seconds: 30,
        max_hold_seconds: 60,
        late: Vec::new(),
    }
}

fn all(begin: &str) -> Hooks {
    Hooks {
        pre: vec![exec("before", "echo pre >> /tmp/log")],
        hold: vec![hold(begin)],
        post: vec![exec("after", "echo post >> /tmp/log")],
        ..Hooks::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_in_their_order_around_the_capture() {
    let (mut shop, cluster, repository) = (with_pod("order").await, admin().await, repository().await);
    shop.spec.hooks = all("echo begin >> /tmp/log; echo some output");
    let mut request = request(&cluster, &repository, shop);
    let recorder = Arc::new(Recorder::default());
    request.observer = recorder.clone();
    let point = backup(request).await.unwrap();
    assert_eq!(log("order").await, "pre begin late post");
    let ran: Vec<(&str, &str, &str)> =
        point.hooks.iter().map(|run| (run.phase.as_str(), run.name.as_str(), run.pod.as_str())).collect();
    let expected =
        [("pre", "before", "order/db"), ("hold", "session", "order/db"), ("post", "after", "order/db")];
    assert_eq!(ran, expected);
    assert_eq!(point.problems, []);
    let steps = recorder.steps();
    let at = |step: &str| {
        steps.iter().position(|known| *known == step).unwrap_or_else(|| panic!("{step} in {steps:?}"))
    };
    assert!(
        at("pre hooks") < at("hold") && at("hold") < at("objects") && at("end hold") < at("commit"),
        "{steps:?}"
    );
    let settled = sweep::sweep(&cluster).await.unwrap();
    assert!(
        !settled.runs.contains(&point.run.to_string()),
        "a run that ended in order leaves nothing: {settled:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_pre_hook_stops_the_backup_and_says_so() {
    let (mut shop, cluster, repository) = (with_pod("refuses").await, admin().await, repository().await);
    shop.spec.hooks = all("true");
    shop.spec.hooks.pre[0] = exec("before", "echo no room left >&2; exit 7");
    let error = backup(request(&cluster, &repository, shop)).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.code(), "protect.hook");
    assert!(text.starts_with("pre hook `before` failed in refuses/db: exit code 7: no room left;"), "{text}");
    assert!(point::list(&repository).await.unwrap().points.is_empty());
    // It had begun, so the application is released all the same.
    assert_eq!(log("refuses").await, "post");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_before_its_time_fails_the_backup_with_its_words() {
    let (mut shop, cluster, repository) = (with_pod("ends").await, admin().await, repository().await);
    shop.spec.hooks = all("echo server is shutting down >&2; exit 3");
    let text = backup(request(&cluster, &repository, shop)).await.unwrap_err().to_string();
    assert!(
        text.contains("hold hook `session` failed in ends/db") && text.contains("server is shutting down"),
        "{text}"
    );
    assert_eq!(log("ends").await, "pre post");
    assert!(point::list(&repository).await.unwrap().points.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_session_is_watched_and_bounded() {
    with_pod("watched").await;
    let (site, cluster) = (site().await, admin().await);
    let run = "r-watched".parse().unwrap();
    let mut sessions = Sessions::default();
    sessions.begin(&cluster, &[hold("true")], &["watched"], &run).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(300), sessions.watch()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    site.kubectl(&["delete", "pod", "-n", "watched", "db", "--wait=false"]).await.unwrap();
    let error = tokio::time::timeout(LIMIT, sessions.watch()).await.unwrap();
    assert!(error.to_string().contains("before its time"), "{error}");
    drop(sessions);

    with_pod("bounded").await;
    let mut sessions = Sessions::default();
    let short = HoldHook { max_hold_seconds: 1, ..hold("true") };
    sessions.begin(&cluster, &[short], &["bounded"], &run).await.unwrap();
    let error = tokio::time::timeout(LIMIT, sessions.watch()).await.unwrap();
    assert!(error.to_string().contains("held for 1 s"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_releases_the_application() {
    let (mut shop, cluster, repository) = (with_pod("cancelled").await, admin().await, repository().await);
    shop.spec.hooks = all("true");
    shop.spec.hooks.pre[0] = exec("before", "echo pre >> /tmp/log; sleep 50");
    let request = request(&cluster, &repository, shop);
    let cancel = request.cancel.clone();
    let running = tokio::spawn(backup(request));
    reaches("cancelled", "pre").await;
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err().code(), "protect.cancelled");
    assert_eq!(log("cancelled").await, "pre post");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_owes_is_paid_by_the_next_command() {
    let (mut shop, cluster, repository) = (with_pod("killed").await, admin().await, repository().await);
    shop.spec.hooks = all("true");
    shop.spec.hooks.pre[0] = exec("before", "echo pre >> /tmp/log; sleep 50");
    let killed = tokio::spawn(backup(request(&cluster, &repository, shop.clone())));
    reaches("killed", "pre").await;
    // To the cluster this is what a SIGKILL is: nothing is released, the lease runs out.
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());

    shop.spec.hooks = Hooks::default();
    let refused = backup(request(&cluster, &repository, shop.clone())).await.unwrap_err();
    assert_eq!(refused.code(), "protect.busy", "{refused}");
    let mut next = request(&cluster, &repository, shop);
    next.wait = Some(LIMIT);
    let point = backup(next).await.unwrap();
    assert_eq!(point.problems, []);
    assert_eq!(log("killed").await, "pre post");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_pays_for_dead_runs_and_leaves_live_ones_alone() {
    let (mut shop, cluster, repository) = (with_pod("swept").await, admin().await, repository().await);
    shop.spec.hooks = all("true");
    shop.spec.hooks.pre[0] = exec("before", "echo pre >> /tmp/log; sleep 50");
    let request = request(&cluster, &repository, shop);
    let run = request.run.to_string();
    let killed = tokio::spawn(backup(request));
    reaches("swept", "pre").await;
    let report = sweep::sweep(&cluster).await.unwrap();
    assert!(report.alive.contains(&run) && !report.runs.contains(&run), "{report:?}");
    killed.abort();
    let settled = async {
        loop {
            let report = sweep::sweep(&cluster).await.unwrap();
            if report.runs.contains(&run) {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let report = tokio::time::timeout(LIMIT, settled).await.unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(log("swept").await, "pre post");
}

/// Waits until the log of a namespace's pod says that.
async fn reaches(namespace: &str, text: &str) {
    let reached = async {
        while log(namespace).await != text {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, reached).await.unwrap();
}
