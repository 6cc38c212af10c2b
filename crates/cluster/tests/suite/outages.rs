//! A real API server that goes away under us and comes back, and one that forgets too soon.

use std::time::Duration;

use futures::StreamExt;
use holdfast_cluster::{Cluster, Connect, Exec, ListEvent, ListOptions, Settings, Write, kinds};
use holdfast_testbed::{Partition, Site};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

const LIMIT: Duration = Duration::from_secs(90);

async fn connected(site: &Site) -> Cluster {
    let settings = Settings { timeout: Duration::from_secs(10), ..Settings::default() };
    let connect = Connect { kubeconfig: Some(site.kubeconfig()), settings, ..Connect::default() };
    Cluster::connect(connect).await.unwrap()
}

#[tokio::test]
async fn an_api_server_that_restarts_delays_and_does_not_fail() {
    let mut site = Site::builder("outage").node().start().await.unwrap();
    let cluster = connected(&site).await;
    site.kubectl(&[
        "run",
        "box",
        "--image=testbed.local/busybox:1",
        "--image-pull-policy=Never",
        "--command",
        "--",
        "sleep",
        "600",
    ])
    .await
    .unwrap();
    site.wait("default", "pod/box", "condition=Ready", LIMIT).await.unwrap();
    let exec = Exec {
        namespace: "default".into(),
        pod: "box".into(),
        container: None,
        command: vec!["sh".into(), "-c".into(), "echo begun; sleep 600".into()],
        stdin: false,
    };
    let mut session = cluster.exec(exec).await.unwrap();
    let mut lines = BufReader::new(session.stdout.take().unwrap()).lines();
    if lines.next_line().await.unwrap().as_deref() != Some("begun") {
        panic!("{:?}", session.status().await);
    }
    let waiting = {
        let cluster = cluster.clone();
        let there = |map: Option<&Value>| map.is_some();
        let kind = kinds::config_maps();
        tokio::spawn(async move {
            cluster.wait(&kind, Some("default"), "late", "late to come", LIMIT, there).await
        })
    };

    site.kill_component("kube-apiserver").unwrap();
    assert!(lines.next_line().await.is_err(), "an output cut short must not end well");
    assert_eq!(session.status().await.unwrap_err().code(), "cluster.stream_broken");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "late"}});
    let (kind, write) = (kinds::config_maps(), Write::default());
    let create = cluster.create(&kind, &map, &write);
    let (created, restarted) = futures::join!(create, async { site.restart_component("kube-apiserver") });
    restarted.unwrap();
    created.unwrap();
    assert!(waiting.await.unwrap().unwrap().is_some());

    site.partition(Partition::Blackhole).unwrap();
    let settings =
        Settings { timeout: Duration::from_secs(1), patience: Duration::from_secs(2), ..Settings::default() };
    let connect = Connect { kubeconfig: Some(site.kubeconfig()), settings, ..Connect::default() };
    let error = Cluster::connect(connect).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains(cluster.address()), "{error}");
    site.heal().unwrap();
    assert!(cluster.get(&kinds::config_maps(), Some("default"), "late").await.unwrap().is_some());
    site.stop().await.unwrap();
}

/// The API server forgets old states after seconds instead of five minutes, so that a slow reader's
/// continue token expires. Nothing may be missed or doubled.
#[tokio::test]
async fn a_list_slower_than_the_servers_memory_begins_anew_and_is_whole() {
    let site =
        Site::builder("forgetful").apiserver_flag("--etcd-compaction-interval=2s").start().await.unwrap();
    let cluster = connected(&site).await;
    let kind = kinds::config_maps();
    site.kubectl(&["create", "namespace", "big"]).await.unwrap();
    let make = |number: usize| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": "big", "name": format!("m{number:03}")}});
        let (cluster, kind) = (cluster.clone(), kind.clone());
        async move { cluster.create(&kind, &map, &Write::default()).await.unwrap() }
    };
    futures::stream::iter(0..100).map(make).buffer_unordered(16).count().await;

    let path = "/api/v1/namespaces/big/configmaps?limit=5";
    let first: Value = serde_json::from_str(&site.kubectl(&["get", "--raw", path]).await.unwrap()).unwrap();
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let options = ListOptions { page: 5, ..ListOptions::in_namespace("big") };
    let mut events = Box::pin(cluster.list(&kind, options));
    let mut names = Vec::new();
    let (mut restarts, mut done) = (0, false);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ListEvent::Page { items, .. } => {
                let begin = names.is_empty() && restarts == 0;
                names.extend(items.into_iter().map(|item| item.metadata.name));
                if begin {
                    // A slow reader: the world moves on until a token as old as ours is refused.
                    tokio::time::timeout(LIMIT, expired(&site, &cluster, &token)).await.unwrap();
                }
            }
            ListEvent::Restarted => {
                restarts += 1;
                names.clear();
            }
            ListEvent::Done { .. } => done = true,
        }
    }
    assert!(done && restarts >= 1, "{restarts} restarts");
    names.retain(|name| name.starts_with('m'));
    let expected: Vec<String> = (0..100).map(|number| format!("m{number:03}")).collect();
    assert_eq!(names, expected);
    site.stop().await.unwrap();
}

/// Changes things until the API server refuses the token.
async fn expired(site: &Site, cluster: &Cluster, token: &str) {
    let path = format!("/api/v1/namespaces/big/configmaps?limit=5&continue={token}");
    for round in 0.. {
        let patch = json!({"data": {"round": round.to_string()}});
        let kind = kinds::config_maps();
        cluster.merge_patch(&kind, Some("big"), "m050", &patch, &Write::default()).await.unwrap();
        if site.kubectl(&["get", "--raw", &path]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
