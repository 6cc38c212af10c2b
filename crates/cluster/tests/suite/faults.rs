//! What becomes of requests when the API server, or the way to it, is not well.

use std::time::{Duration, Instant};

use crate::support::{Answer, Asked, FaultServer, connect, impatient, status};
use futures::StreamExt;
use holdfast_cluster::{
    Cluster, Created, Delete, Deleted, Error, ListEvent, ListOptions, Reason, Settings, Stored, Write, kinds,
};
use serde_json::{Value, json};

const SECRETS: &str = "/api/v1/namespaces/shop/secrets";
const TILL: &str = "/api/v1/namespaces/shop/secrets/till";

fn secret(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"}})
}

fn page(from: usize, to: usize, next: Option<&str>, version: &str) -> Answer {
    let items: Vec<Value> = (from..to).map(|number| secret(&format!("s{number}"))).collect();
    Answer::ok(json!({"kind": "SecretList", "apiVersion": "v1", "items": items,
        "metadata": {"resourceVersion": version, "continue": next.unwrap_or_default()}}))
}

/// Names in the order of arrival, `Restarted` as `!`, and the resourceVersion of the end.
async fn listed(cluster: &Cluster) -> Result<(Vec<String>, Option<String>), Error> {
    let options = ListOptions { page: 2, ..ListOptions::in_namespace("shop") };
    let mut events = Box::pin(cluster.list(&kinds::secrets(), options));
    let (mut names, mut version) = (Vec::new(), None);
    while let Some(event) = events.next().await {
        match event? {
            ListEvent::Page { items, .. } => names.extend(items.into_iter().map(|item| item.metadata.name)),
            ListEvent::Restarted => names.push("!".to_owned()),
            ListEvent::Done { resource_version } => version = Some(resource_version),
        }
    }
    Ok((names, version))
}

#[tokio::test]
async fn a_storm_of_429_is_ridden_out_with_fewer_requests_at_once() {
    let mut refused = 0;
    let server = FaultServer::start(move |_| {
        refused += 1;
        match refused {
            1..=20 => {
                Answer::With(429, "Retry-After", "1", status(429, "TooManyRequests", "try again later"))
            }
            _ => Answer::ok(secret("till")),
        }
    })
    .await;
    let cluster = server.cluster_with(Settings { concurrency: 8, ..Settings::default() }).await;
    let kind = kinds::secrets();
    let gets = (0..16).map(|_| cluster.get(&kind, Some("shop"), "till"));
    for got in futures::future::join_all(gets).await {
        assert!(got.unwrap().is_some());
    }
    assert!(cluster.concurrency() < 8, "{}", cluster.concurrency());
    assert_eq!(server.count("GET", TILL), 16 + 20);
}

#[tokio::test]
async fn an_overload_that_lasts_is_told_once_patience_ends() {
    let busy = || Answer::With(429, "Retry-After", "1", status(429, "TooManyRequests", "no seats left"));
    let server = FaultServer::start(move |_| busy()).await;
    let cluster = server.cluster_with(impatient(Duration::from_secs(2))).await;
    let error = cluster.get(&kinds::secrets(), Some("shop"), "till").await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("cluster.busy", true));
    let text = error.to_string();
    assert!(
        text.starts_with(
            "cannot get secrets shop/till on cluster faulty: 429: no seats left (tried 2 times); "
        )
    );
}

#[tokio::test]
async fn an_expired_list_begins_anew() {
    let mut round = 0;
    let server = FaultServer::start(move |asked| match (asked.query("continue"), round) {
        (None, 0) => page(0, 2, Some("a"), "10"),
        (Some("a"), 0) => page(2, 4, Some("b"), "10"),
        (Some("b"), 0) => {
            round += 1;
            Answer::status(410, "Expired", "The provided continue parameter is too old")
        }
        (None, 1) => page(1, 5, Some("c"), "20"),
        (Some("c"), 1) => page(5, 6, None, "20"),
        other => panic!("{other:?}"),
    })
    .await;
    let (names, version) = listed(&server.cluster().await).await.unwrap();
    assert_eq!(names, ["s0", "s1", "s2", "s3", "!", "s1", "s2", "s3", "s4", "s5"]);
    assert_eq!(version.as_deref(), Some("20"));
    let limits: Vec<String> =
        server.asked().iter().map(|asked| asked.query("limit").unwrap().to_owned()).collect();
    assert_eq!(limits, ["2", "2", "2", "8", "8"]);
}

#[tokio::test]
async fn a_list_that_keeps_expiring_is_asked_for_in_one_piece() {
    let server = FaultServer::start(|asked| match (asked.query("limit"), asked.query("continue")) {
        (Some(_), None) => page(0, 2, Some("t"), "10"),
        (Some(_), Some(_)) => Answer::status(410, "Expired", "too old"),
        (None, _) => page(0, 5, None, "30"),
    })
    .await;
    let (names, version) = listed(&server.cluster().await).await.unwrap();
    assert_eq!(names.iter().filter(|name| *name == "!").count(), 3);
    assert_eq!(names[names.len() - 5..], ["s0", "s1", "s2", "s3", "s4"]);
    assert_eq!(version.as_deref(), Some("30"));
}

#[tokio::test]
async fn the_next_page_is_on_its_way_while_one_is_handled_and_no_more_than_that() {
    let server = FaultServer::start(|asked| match asked.query("continue") {
        None => page(0, 2, Some("a"), "1"),
        Some("a") => page(2, 4, Some("b"), "1"),
        Some(_) => page(4, 5, None, "1"),
    })
    .await;
    let cluster = server.cluster().await;
    let options = ListOptions { page: 2, ..ListOptions::in_namespace("shop") };
    let mut events = Box::pin(cluster.list(&kinds::secrets(), options));
    assert!(matches!(events.next().await, Some(Ok(ListEvent::Page { .. }))));
    let limit = Instant::now() + Duration::from_secs(5);
    while server.count("GET", SECRETS) < 2 && Instant::now() < limit {
        tokio::task::yield_now().await;
    }
    // Long enough for a third request, if there were one.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.count("GET", SECRETS), 2);
}

#[tokio::test]
async fn broken_replies_to_reads_are_read_again() {
    let mut answers = vec![
        Answer::Reply(500, status(500, "InternalError", "etcdserver: leader changed")),
        Answer::HangUp,
        Answer::Half(secret("till").to_string()),
        Answer::Reply(503, status(503, "ServiceUnavailable", "the server is shutting down")),
    ];
    let server =
        FaultServer::start(move |_| answers.pop().unwrap_or_else(|| Answer::ok(secret("till")))).await;
    let got = server.cluster().await.get(&kinds::secrets(), Some("shop"), "till").await.unwrap();
    assert_eq!(got, Some(secret("till")));
    assert_eq!(server.count("GET", TILL), 5);
}

#[tokio::test]
async fn a_reply_that_never_comes_is_given_up() {
    let server = FaultServer::start(|_| Answer::Silence).await;
    let settings = Settings {
        timeout: Duration::from_millis(200),
        patience: Duration::from_millis(300),
        concurrency: 1,
    };
    let error = server.cluster_with(settings).await.get(&kinds::nodes(), None, "n").await.unwrap_err();
    assert_eq!(error.code(), "cluster.interrupted");
    assert!(error.to_string().contains("no answer within"), "{error}");
}

#[tokio::test]
async fn a_conversion_webhook_that_is_down_is_named_after_few_attempts() {
    let message = "conversion webhook for shop.example/v1, Kind=Till failed: Post \"https://conv.shop.svc:443/\": \
                   dial tcp 10.0.0.1:443: connect: connection refused";
    let server = FaultServer::start(move |_| Answer::status(500, "InternalError", message)).await;
    let error = listed(&server.cluster().await).await.unwrap_err();
    let expected = Reason::WebhookDown("conversion webhook for shop.example/v1, Kind=Till".into());
    assert_eq!(error.reason(), Some(&expected));
    assert!(
        error
            .to_string()
            .starts_with("cannot list secrets in namespace shop on cluster faulty: 500: conversion")
    );
    assert_eq!(server.count("GET", SECRETS), 3);
}

#[tokio::test]
async fn an_answer_of_something_else_is_not_taken_for_a_list() {
    for body in ["<html>please log in</html>", "{\"items\":[[]]}", "{\"metadata\":{}"] {
        let server = FaultServer::start(move |_| Answer::Reply(200, body.to_owned())).await;
        let error = listed(&server.cluster().await).await.unwrap_err();
        assert_eq!(error.code(), "cluster.malformed", "{body}");
    }
}

/// A create whose first reply is lost and whose second is `AlreadyExists`.
async fn create_after_lost_reply(found: Value) -> Created {
    let mut posts = 0;
    let server = FaultServer::start(move |asked: &Asked| {
        if asked.is("GET", TILL) {
            return Answer::ok(found.clone());
        }
        posts += 1;
        match posts {
            1 => Answer::HangUp,
            _ => Answer::status(409, "AlreadyExists", "secrets \"till\" already exists"),
        }
    })
    .await;
    let cluster = server.cluster().await;
    let created = cluster.create(&kinds::secrets(), &secret("till"), &Write::default()).await.unwrap();
    assert_eq!(server.count("POST", SECRETS), 2);
    created
}

fn made_by(manager: &str, at: &str) -> Value {
    json!({"metadata": {"name": "till", "creationTimestamp": at, "managedFields": [{"manager": manager}]}})
}

#[tokio::test]
async fn a_create_whose_reply_was_lost_knows_its_own() {
    let ours = made_by("holdfast", "2026-01-01T00:00:00Z");
    let stored = Stored { object: ours.clone(), warnings: Vec::new() };
    assert_eq!(create_after_lost_reply(ours).await, Created::New(stored));
    for found in [made_by("kubectl", "2026-01-01T00:00:00Z"), made_by("holdfast", "2025-12-31T23:00:00Z")] {
        assert_eq!(create_after_lost_reply(found.clone()).await, Created::AlreadyThere(found));
    }
}

#[tokio::test]
async fn what_must_not_happen_twice_is_not_sent_twice() {
    let server = FaultServer::start(|_| Answer::HangUp).await;
    let cluster = server.cluster().await;
    let kind = kinds::secrets();
    let patch = json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "x"}]);
    let error = cluster.json_patch(&kind, Some("shop"), "till", &patch, &Write::default()).await.unwrap_err();
    assert_eq!(error.code(), "cluster.interrupted");
    assert_eq!(server.count("PATCH", TILL), 1);

    let nameless = json!({"kind": "Secret", "metadata": {"generateName": "x-", "namespace": "shop"}});
    cluster.create(&kind, &nameless, &Write::default()).await.unwrap_err();
    assert_eq!(server.count("POST", SECRETS), 1);

    cluster.delete(&kind, Some("shop"), "till", &Delete::default()).await.unwrap_err();
    assert_eq!(server.count("DELETE", TILL), 1);
}

#[tokio::test]
async fn a_delete_whose_reply_was_lost_has_deleted() {
    let mut deletes = 0;
    let server = FaultServer::start(move |_| {
        deletes += 1;
        match deletes {
            1 => Answer::HangUp,
            _ => Answer::status(404, "NotFound", "secrets \"till\" not found"),
        }
    })
    .await;
    let cluster = server.cluster().await;
    let delete = Delete { uid: Some("u".into()), ..Delete::default() };
    let kind = kinds::secrets();
    assert_eq!(cluster.delete(&kind, Some("shop"), "till", &delete).await.unwrap(), Deleted::Gone);
    assert_eq!(cluster.delete(&kind, Some("shop"), "till", &delete).await.unwrap(), Deleted::NotThere);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_its_address_at_once() {
    let began = Instant::now();
    let error = connect("http://127.0.0.1:1", "token: x", Settings::default()).await.unwrap_err();
    assert_eq!(error.code(), "cluster.unreachable");
    let text = error.to_string();
    assert!(text.contains("faulty is unreachable at http://127.0.0.1:1: Connection refused"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_wait_survives_disconnects_and_expiry() {
    let object = |version: u32, phase: &str| {
        json!({"metadata": {"name": "till", "namespace": "shop", "uid": "u",
            "resourceVersion": version.to_string()}, "status": {"phase": phase}})
    };
    let line = |kind: &str, object: Value| json!({"type": kind, "object": object}).to_string();
    let mut watches = 0;
    let server = FaultServer::start(move |asked| {
        if asked.query("watch").is_none() {
            let items = [object(watches, "Pending")];
            return Answer::ok(json!({"metadata": {"resourceVersion": "5"}, "items": items}));
        }
        assert_eq!(asked.query("fieldSelector"), Some("metadata.name%3Dtill"));
        watches += 1;
        match watches {
            1 => Answer::HangUp,
            2 => {
                let gone: Value =
                    serde_json::from_str(&status(410, "Expired", "too old resource version")).unwrap();
                Answer::Lines(vec![line("ERROR", gone)])
            }
            3 => Answer::Lines(vec![line("MODIFIED", object(7, "Running"))]),
            _ => Answer::Lines(vec![line("MODIFIED", object(8, "Bound"))]),
        }
    })
    .await;
    let cluster = server.cluster().await;
    let bound = |object: Option<&Value>| object.is_some_and(|object| object["status"]["phase"] == "Bound");
    let kind = kinds::secrets();
    let limit = Duration::from_secs(20);
    let found = cluster.wait(&kind, Some("shop"), "till", "till to be bound", limit, bound).await.unwrap();
    assert_eq!(found.unwrap()["metadata"]["resourceVersion"], "8");
}

#[tokio::test]
async fn a_wait_that_runs_out_of_time_says_what_it_saw_last() {
    let items = [json!({"metadata": {"name": "till"}, "status": {"phase": "Pending"}})];
    let server = FaultServer::start(move |asked| match asked.query("watch") {
        None => Answer::ok(json!({"metadata": {"resourceVersion": "5"}, "items": items})),
        Some(_) => Answer::Silence,
    })
    .await;
    let cluster = server.cluster().await;
    let limit = Duration::from_millis(300);
    let error = cluster
        .wait(&kinds::pods(), Some("shop"), "till", "pod shop/till to run", limit, |_| false)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "pod shop/till to run did not come about within 300 ms: pods shop/till on cluster faulty is Pending"
    );
}

#[tokio::test]
async fn a_watch_without_the_right_fails_at_once() {
    let message = "secrets is forbidden: User \"eve\" cannot watch resource \"secrets\"";
    let server = FaultServer::start(move |asked| match asked.query("watch") {
        None => page(0, 0, None, "5"),
        Some(_) => Answer::status(403, "Forbidden", message),
    })
    .await;
    let cluster = server.cluster().await;
    let limit = Duration::from_secs(60);
    let error =
        cluster.wait(&kinds::secrets(), Some("shop"), "till", "till", limit, |_| false).await.unwrap_err();
    assert!(error.to_string().contains(r#"resources ["secrets"], verbs ["watch"]"#), "{error}");
}

#[tokio::test]
async fn a_server_without_aggregated_discovery_is_asked_group_by_group() {
    let server = FaultServer::start(|asked| {
        let version = |version: &str| json!({"groupVersion": format!("x.io/{version}"), "version": version});
        let resource = |name: &str, kind: &str| {
            json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list"]})
        };
        match asked.target.as_str() {
            "/api" => Answer::ok(json!({"kind": "APIVersions", "versions": ["v1"]})),
            "/api/v1" => Answer::ok(json!({"kind": "APIResourceList",
                "resources": [resource("pods", "Pod"), resource("pods/log", "Pod")]})),
            "/apis" => Answer::ok(json!({"kind": "APIGroupList", "groups": [
                {"name": "x.io", "versions": [version("v1beta1"), version("v1")], "preferredVersion": version("v1")},
                {"name": "metrics.io", "versions": [{"groupVersion": "metrics.io/v1", "version": "v1"}]}]})),
            "/apis/x.io/v1" | "/apis/x.io/v1beta1" => {
                Answer::ok(json!({"kind": "APIResourceList", "resources": [resource("tills", "Till")]}))
            }
            _ => Answer::status(403, "Forbidden", "the server behind it is down"),
        }
    })
    .await;
    let found = server.cluster().await.discover().await.unwrap();
    assert_eq!(found.find("x.io", "Till").unwrap().version, "v1");
    assert!(found.find("", "Pod").unwrap().has_subresource("log"));
    assert_eq!(found.preferred().count(), 2);
    assert_eq!(found.stale.len(), 1);
    assert_eq!(found.stale[0].group, "metrics.io");
}
