//! Ways to a cluster: contexts, tokens, exec plugins, proxies, and what is said when one fails.

use std::path::PathBuf;

use crate::support::{Answer, FaultServer, connect, kubeconfig};
use holdfast_cluster::{Cluster, Connect, Result, Settings, contexts, kinds};

async fn with_kubeconfig(text: &str, context: Option<&str>) -> Result<Cluster> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    let context = context.map(str::to_owned);
    Cluster::connect(Connect { kubeconfig: Some(path), context, ..Connect::default() }).await
}

#[tokio::test]
async fn a_context_that_is_not_there_is_told_with_those_that_are() {
    let text = kubeconfig("server: \"http://127.0.0.1:1\"", "token: x");
    let error = with_kubeconfig(&text, Some("prod")).await.unwrap_err();
    assert_eq!(error.code(), "cluster.kubeconfig");
    assert!(error.to_string().contains("there is no context prod; it has: faulty"), "{error}");
    let error = with_kubeconfig("apiVersion: v1\nkind: Config\n", None).await.unwrap_err();
    assert!(
        error.to_string().contains("no current context is set, and it has no contexts at all"),
        "{error}"
    );
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_or_not_yaml_is_named() {
    let missing = PathBuf::from("/nonexistent/kubeconfig");
    let error = Cluster::connect(Connect { kubeconfig: Some(missing.clone()), ..Connect::default() })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/kubeconfig: No such file"), "{error}");
    assert!(contexts(Some(&missing)).is_err());
    let error = with_kubeconfig("clusters: [", None).await.unwrap_err();
    assert_eq!(error.code(), "cluster.kubeconfig");
}

#[tokio::test]
async fn tokens_and_exec_plugins_reach_the_server() {
    let server = FaultServer::start(|_| Answer::status(404, "NotFound", "no")).await;
    let credential = r#"{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"plugged\"}}"#;
    let exec = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: echo, args: [\"{credential}\"]}}"
    );
    for (user, token) in [("token: static", "Bearer static"), (exec.as_str(), "Bearer plugged")] {
        let cluster = connect(&server.address, user, Settings::default()).await.unwrap();
        assert!(cluster.get(&kinds::nodes(), None, "n").await.unwrap().is_none());
        assert_eq!(server.asked().last().unwrap().header("authorization"), Some(token));
    }
    assert!(server.asked()[0].header("user-agent").unwrap().starts_with("holdfast/"));
}

#[tokio::test]
async fn an_exec_plugin_that_fails_is_quoted() {
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, \
                args: [-c, \"echo half a token; exit 3\"]}";
    let error = connect("http://127.0.0.1:1", exec, Settings::default()).await.unwrap_err();
    assert_eq!(error.code(), "cluster.credential");
    assert!(
        error.to_string().contains("exec plugin of the kubeconfig failed with exit status: 3"),
        "{error}"
    );
    assert!(!error.to_string().contains("half a token"), "{error}");
}

/// A plugin's token that the server stops accepting, as an expired session: the plugin is run again.
#[tokio::test]
async fn a_credential_that_expires_under_way_is_renewed() {
    let server = FaultServer::start(|asked| match asked.header("authorization") {
        Some("Bearer second") => Answer::status(404, "NotFound", "no"),
        _ => Answer::status(401, "Unauthorized", "Unauthorized"),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (path, token) = (dir.path().join("kubeconfig"), dir.path().join("token"));
    let script = format!(
        "printf '{{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\",\\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{{\\\"token\\\":\\\"%s\\\"}}}}' $(cat {})",
        token.display()
    );
    let exec = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, \"{script}\"]}}"
    );
    std::fs::write(&path, kubeconfig(&format!("server: \"{}\"", server.address), &exec)).unwrap();
    std::fs::write(&token, "first").unwrap();
    let cluster = Cluster::connect(Connect { kubeconfig: Some(path), ..Connect::default() }).await.unwrap();
    std::fs::write(&token, "second").unwrap();
    let kind = kinds::nodes();
    let gets = (0..4).map(|_| cluster.get(&kind, None, "n"));
    for got in futures::future::join_all(gets).await {
        assert_eq!(got.unwrap(), None);
    }
    // A session that stays refused is told, not renewed for ever.
    let refused = FaultServer::start(|_| Answer::status(401, "Unauthorized", "Unauthorized")).await;
    let cluster = refused.cluster().await;
    let error = cluster.get(&kinds::nodes(), None, "n").await.unwrap_err();
    assert_eq!(error.code(), "cluster.unauthorized");
    assert!(error.to_string().contains("log in again"), "{error}");
    assert!(refused.asked().len() <= 2);
}

#[tokio::test]
async fn outside_a_pod_there_is_no_service_account() {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        let error = Cluster::in_cluster(Connect::default()).await.unwrap_err();
        assert_eq!(error.code(), "cluster.not_in_cluster");
    }
}

#[tokio::test]
async fn a_proxy_of_the_kubeconfig_is_used() {
    // A proxy is asked for a tunnel even to a plain server; this one refuses, which shows it was asked.
    let proxy = FaultServer::start(|_| Answer::Reply(403, "tunnels are closed".into())).await;
    let cluster = format!("server: \"http://apiserver.example:6443\", proxy-url: \"{}\"", proxy.address);
    let error = with_kubeconfig(&kubeconfig(&cluster, "token: x"), None).await.unwrap_err();
    assert_eq!(error.code(), "cluster.unreachable", "{error}");
    assert_eq!(proxy.asked()[0].method, "CONNECT");
    assert_eq!(proxy.asked()[0].target, "apiserver.example:6443");
}
