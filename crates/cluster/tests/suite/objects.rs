//! Discovery, lists and writes on a real API server.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::site::{admin, connect, namespace, site};
use futures::StreamExt;
use holdfast_cluster::{
    Cluster, Connect, Created, Delete, Deleted, ListEvent, ListOptions, Propagation, Reason, Write, kinds,
};
use holdfast_model::ResourceType;
use serde_json::{Value, json};

fn config_map(namespace: &str, name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name},
        "data": {"key": value}})
}

async fn make(cluster: &Cluster, object: &Value, of: &ResourceType) -> Value {
    match cluster.create(of, object, &Write::default()).await.unwrap() {
        Created::New(stored) => stored.object,
        Created::AlreadyThere(_) => panic!("it was there before"),
    }
}

#[tokio::test]
async fn facts_and_discovery_tell_what_the_cluster_is() {
    let (site, cluster) = (site().await, admin().await);
    let uid = site.kubectl(&["get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}"]).await.unwrap();
    let discovery = cluster.discover().await.unwrap();
    let facts = cluster.facts_with(&discovery).await.unwrap();
    assert_eq!((cluster.name(), facts.uid.as_str()), ("cluster", uid.trim()));
    assert!(facts.version.git_version.starts_with("v1."), "{:?}", facts.version);
    assert_eq!(facts.nodes.len(), 1);
    assert!(facts.nodes[0].schedulable && facts.nodes[0].kubelet_root.is_some(), "{:?}", facts.nodes);
    assert!(facts.storage_classes.iter().any(|class| class.default));
    assert!(facts.unknown.is_empty(), "{:?}", facts.unknown);
    assert!(facts.api_versions.contains(&"apps/v1".to_owned()));

    let scaler = discovery.find("autoscaling", "HorizontalPodAutoscaler").unwrap();
    assert_eq!(
        (scaler.version.as_str(), scaler.other_versions.as_slice()),
        ("v2", ["v1".to_owned()].as_slice())
    );
    let deployments = discovery.resolve("deploy").unwrap();
    assert_eq!(deployments.of, kinds::deployments());
    assert!(deployments.can("list") && deployments.has_subresource("scale"));
    assert!(discovery.resources.iter().all(|resource| !resource.plural.contains('/')));
}

/// What we write down about kinds that every cluster has is what the server says.
#[tokio::test]
async fn the_kinds_we_know_by_heart_are_the_servers() {
    let discovery = admin().await.discover().await.unwrap();
    for kind in [
        kinds::namespaces(),
        kinds::nodes(),
        kinds::pods(),
        kinds::services(),
        kinds::secrets(),
        kinds::config_maps(),
        kinds::events(),
        kinds::service_accounts(),
        kinds::resource_quotas(),
        kinds::persistent_volumes(),
        kinds::persistent_volume_claims(),
        kinds::deployments(),
        kinds::replica_sets(),
        kinds::stateful_sets(),
        kinds::daemon_sets(),
        kinds::jobs(),
        kinds::cron_jobs(),
        kinds::storage_classes(),
        kinds::ingress_classes(),
        kinds::priority_classes(),
        kinds::runtime_classes(),
        kinds::leases(),
        kinds::roles(),
        kinds::role_bindings(),
        kinds::cluster_roles(),
        kinds::cluster_role_bindings(),
        kinds::custom_resource_definitions(),
    ] {
        let found = discovery.find(&kind.group, &kind.kind);
        assert_eq!(found.map(|found| &found.of), Some(&kind));
    }
}

#[tokio::test]
async fn an_api_group_whose_server_is_down_is_named() {
    let site = site().await;
    let service = r#"{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.gone.example"}, "spec": {"group": "gone.example", "version": "v1",
        "groupPriorityMinimum": 10, "versionPriority": 10, "insecureSkipTLSVerify": true,
        "service": {"namespace": "default", "name": "nobody"}}}"#;
    site.apply(service).await.unwrap();
    let cluster = admin().await;
    let stale = async {
        loop {
            let found = cluster.discover().await.unwrap();
            if found.stale.iter().any(|stale| stale.group == "gone.example" && stale.version == "v1") {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), stale).await.unwrap();
    assert!(found.find("apps", "Deployment").is_some());
    site.kubectl(&["delete", "apiservice", "v1.gone.example"]).await.unwrap();
}

#[tokio::test]
async fn a_list_holds_each_object_once_as_the_server_sent_it() {
    namespace("lists").await;
    let cluster = admin().await;
    let kind = kinds::config_maps();
    let made = futures::stream::iter(0..250)
        .map(|number| {
            let map = config_map("lists", &format!("m{number:03}"), "a < b & \"c\" é");
            let (cluster, kind) = (&cluster, &kind);
            async move { make(cluster, &map, kind).await }
        })
        .buffer_unordered(32)
        .count()
        .await;
    assert_eq!(made, 250);

    let options = ListOptions { page: 40, ..ListOptions::in_namespace("lists") };
    let mut events = Box::pin(cluster.list(&kind, options));
    let (mut objects, mut versions, mut pages, mut done) = (Vec::new(), BTreeSet::new(), 0, None);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ListEvent::Page { items, resource_version, .. } => {
                pages += 1;
                objects.extend(items);
                versions.insert(resource_version);
            }
            ListEvent::Restarted => panic!("nothing expired"),
            ListEvent::Done { resource_version } => done = Some(resource_version),
        }
    }
    let names: BTreeSet<&str> = objects.iter().map(|object| object.metadata.name.as_str()).collect();
    // One more: every namespace has the cluster's CA in a ConfigMap, once the controller made it.
    assert!(
        (250..=251).contains(&names.len()) && objects.len() == names.len(),
        "{} {}",
        names.len(),
        objects.len()
    );
    assert_eq!((pages, versions.len()), (7, 1));
    assert_eq!(done, versions.pop_first());

    let listed = objects.iter().find(|object| object.metadata.name == "m100").unwrap();
    let alone = cluster.get_raw(&kind, Some("lists"), "m100").await.unwrap().unwrap();
    assert_eq!(listed.parse().unwrap(), alone.parse().unwrap());
    assert_eq!(listed.metadata, alone.metadata);
    // The server escapes `<` and `&`; so must what we keep.
    assert!(String::from_utf8_lossy(&listed.json).contains("a \\u003c b \\u0026"));
}

#[tokio::test]
async fn selectors_and_the_whole_cluster_can_be_listed() {
    let site = namespace("selectors").await;
    site.kubectl(&["create", "configmap", "-n", "selectors", "plain"]).await.unwrap();
    site.kubectl(&["create", "configmap", "-n", "selectors", "chosen"]).await.unwrap();
    site.kubectl(&["label", "configmap", "-n", "selectors", "chosen", "tier=gold"]).await.unwrap();
    let cluster = admin().await;
    let labels = ListOptions { labels: Some("tier in (gold, silver)".into()), ..ListOptions::default() };
    let chosen = cluster.list_all(&kinds::config_maps(), labels).await.unwrap();
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[0].object_ref(&kinds::config_maps()).to_string(), "configmaps selectors/chosen");
    let nowhere = ListOptions::in_namespace("no-such-namespace");
    assert!(cluster.list_all(&kinds::config_maps(), nowhere).await.unwrap().is_empty());
}

#[tokio::test]
async fn creating_twice_finds_the_first() {
    namespace("creates").await;
    let (cluster, kind) = (admin().await, kinds::config_maps());
    let dry = cluster.create(&kind, &config_map("creates", "m", "1"), &Write::dry_run()).await.unwrap();
    assert!(matches!(dry, Created::New(_)));
    assert_eq!(cluster.get(&kind, Some("creates"), "m").await.unwrap(), None);

    let first = make(&cluster, &config_map("creates", "m", "1"), &kind).await;
    assert_eq!(first["metadata"]["managedFields"][0]["manager"], "holdfast");
    let again = cluster.create(&kind, &config_map("creates", "m", "2"), &Write::default()).await.unwrap();
    assert_eq!(again, Created::AlreadyThere(first));
    let brief = cluster.create(&kind, &config_map("creates", "b", "1"), &Write::brief()).await.unwrap();
    let Created::New(brief) = brief else { panic!("{brief:?}") };
    assert_eq!((&brief.object["metadata"]["name"], brief.object.get("data")), (&json!("b"), None));
    assert!(brief.warnings.is_empty(), "{brief:?}");

    let mut odd = config_map("creates", "odd", "1");
    odd["colour"] = json!("red");
    let odd = cluster.create(&kind, &odd, &Write::brief()).await.unwrap();
    let Created::New(odd) = odd else { panic!("{odd:?}") };
    assert_eq!(odd.warnings, [r#"unknown field "colour""#]);
    let error = cluster.create(&kind, &config_map("no-such", "m", "1"), &Write::default()).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(
        error.to_string().starts_with("cannot create configmaps no-such/m on cluster cluster: 404"),
        "{error}"
    );
}

#[tokio::test]
async fn applying_respects_other_owners_unless_forced() {
    let site = namespace("applies").await;
    site.kubectl(&["create", "configmap", "-n", "applies", "m", "--from-literal=key=theirs"]).await.unwrap();
    let (cluster, kind) = (admin().await, kinds::config_maps());
    let ours = config_map("applies", "m", "ours");
    let error = cluster.apply(&kind, &ours, false, &Write::default()).await.unwrap_err();
    assert!(error.is_conflict() && error.to_string().contains("kubectl-create"), "{error}");
    let dry = cluster.apply(&kind, &ours, true, &Write::dry_run()).await.unwrap();
    assert_eq!(dry.object["data"]["key"], "ours");
    assert_eq!(cluster.get(&kind, Some("applies"), "m").await.unwrap().unwrap()["data"]["key"], "theirs");
    let applied = cluster.apply(&kind, &ours, true, &Write::default()).await.unwrap();
    assert_eq!(applied.object["data"]["key"], "ours");
}

#[tokio::test]
async fn replacing_and_patching_check_what_they_are_based_on() {
    namespace("changes").await;
    let (cluster, kind, here) = (admin().await, kinds::config_maps(), Some("changes"));
    let old = make(&cluster, &config_map("changes", "m", "1"), &kind).await;
    let patch = json!({"data": {"more": "x"}});
    let newer = cluster.merge_patch(&kind, here, "m", &patch, &Write::default()).await.unwrap();
    assert_eq!(newer["data"], json!({"key": "1", "more": "x"}));
    assert!(cluster.replace(&kind, &old, &Write::default()).await.unwrap_err().is_conflict());
    let mut next = newer.clone();
    next["data"] = json!({"only": "this"});
    let next = cluster.replace(&kind, &next, &Write::default()).await.unwrap();
    assert_eq!(next.object["data"], json!({"only": "this"}));

    let stale =
        json!({"metadata": {"resourceVersion": newer["metadata"]["resourceVersion"]}, "data": {"a": "b"}});
    assert!(
        cluster.merge_patch(&kind, here, "m", &stale, &Write::default()).await.unwrap_err().is_conflict()
    );
    let steps = json!([{"op": "test", "path": "/data/only", "value": "this"}, {"op": "remove", "path": "/data/only"}]);
    cluster.json_patch(&kind, here, "m", &steps, &Write::default()).await.unwrap();
    let error = cluster.json_patch(&kind, here, "m", &steps, &Write::default()).await.unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::Invalid), "{error}");
}

#[tokio::test]
async fn subresources_are_written_on_their_own() {
    let site = namespace("subresources").await;
    site.kubectl(&["create", "quota", "-n", "subresources", "q", "--hard=pods=3"]).await.unwrap();
    let cluster = admin().await;
    let patch = json!({"status": {"used": {"pods": "2"}}});
    let (kind, here) = (kinds::resource_quotas(), Some("subresources"));
    let patched = cluster.merge_patch(&kind, here, "q", &patch, &Write::to("status")).await.unwrap();
    assert_eq!(patched["status"]["used"]["pods"], "2");
}

#[tokio::test]
async fn deleting_checks_identity_and_tells_what_is_held() {
    namespace("deletes").await;
    let (cluster, kind, here) = (admin().await, kinds::config_maps(), Some("deletes"));
    let mut held = config_map("deletes", "m", "1");
    held["metadata"]["finalizers"] = json!(["holdfast.dev/test"]);
    let made = make(&cluster, &held, &kind).await;
    let uid = made["metadata"]["uid"].as_str().unwrap().to_owned();
    let other = Delete { uid: Some("11111111-2222-3333-4444-555555555555".into()), ..Delete::default() };
    assert!(cluster.delete(&kind, here, "m", &other).await.unwrap_err().is_conflict());
    let ours = Delete { uid: Some(uid), propagation: Some(Propagation::Background), ..Delete::default() };
    assert!(matches!(cluster.delete(&kind, here, "m", &ours).await.unwrap(), Deleted::Pending(_)));
    let release = json!({"metadata": {"finalizers": null}});
    cluster.merge_patch(&kind, here, "m", &release, &Write::default()).await.unwrap();
    let limit = Duration::from_secs(20);
    let gone = cluster.wait(&kind, here, "m", "m to go", limit, |object| object.is_none()).await.unwrap();
    assert_eq!(gone, None);
    assert_eq!(cluster.delete(&kind, here, "m", &ours).await.unwrap(), Deleted::NotThere);

    make(&cluster, &config_map("deletes", "n", "1"), &kind).await;
    let dry = Delete { dry_run: true, ..Delete::default() };
    assert_eq!(cluster.delete(&kind, here, "n", &dry).await.unwrap(), Deleted::Gone);
    assert!(cluster.get(&kind, here, "n").await.unwrap().is_some());
    assert_eq!(cluster.delete(&kind, here, "n", &Delete::default()).await.unwrap(), Deleted::Gone);
}

#[tokio::test]
async fn a_namespace_that_is_going_takes_nothing_more() {
    let site = namespace("going").await;
    let (cluster, kind) = (admin().await, kinds::config_maps());
    let mut held = config_map("going", "m", "1");
    held["metadata"]["finalizers"] = json!(["holdfast.dev/test"]);
    make(&cluster, &held, &kind).await;
    site.kubectl(&["delete", "namespace", "going", "--wait=false"]).await.unwrap();
    let error = cluster.create(&kind, &config_map("going", "n", "1"), &Write::default()).await.unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::NamespaceTerminating), "{error}");
    let (all, limit) = (kinds::namespaces(), Duration::from_millis(500));
    let error =
        cluster.wait(&all, None, "going", "going to go", limit, |found| found.is_none()).await.unwrap_err();
    assert!(
        error.to_string().contains("namespaces going on cluster cluster is being deleted since"),
        "{error}"
    );
    let release = json!({"metadata": {"finalizers": null}});
    cluster.merge_patch(&kind, Some("going"), "m", &release, &Write::default()).await.unwrap();
}

#[tokio::test]
async fn a_kind_whose_conversion_webhook_is_down_is_named_and_others_go_on() {
    let site = site().await;
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "tills.shop.example"},
        "spec": {"group": "shop.example", "scope": "Namespaced",
            "names": {"plural": "tills", "singular": "till", "kind": "Till", "listKind": "TillList"},
            "versions": [version("v1beta1", true), version("v1", false)],
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
                "clientConfig": {"service": {"namespace": "default", "name": "nobody"}}}}}});
    site.apply(&definition.to_string()).await.unwrap();
    site.wait("default", "crd/tills.shop.example", "condition=Established", Duration::from_secs(20))
        .await
        .unwrap();
    let cluster = admin().await;
    let discovery = cluster.discover().await.unwrap();
    let stored = discovery.find_at("shop.example/v1beta1", "Till").unwrap();
    let till = json!({"apiVersion": "shop.example/v1beta1", "kind": "Till",
        "metadata": {"namespace": "default", "name": "t"}});
    make(&cluster, &till, stored).await;
    let preferred = discovery.find("shop.example", "Till").unwrap();
    assert_eq!(preferred.version, "v1");
    let error = cluster.list_all(preferred, ListOptions::default()).await.unwrap_err();
    assert!(matches!(error.reason(), Some(Reason::WebhookDown(_))), "{error}");
    assert!(
        error.to_string().starts_with("cannot list tills.shop.example on cluster cluster: 500"),
        "{error}"
    );
    assert!(error.to_string().contains("Kind=Till"), "{error}");
    assert_eq!(cluster.list_all(stored, ListOptions::default()).await.unwrap().len(), 1);
    site.kubectl(&["delete", "crd", "tills.shop.example", "--wait=false"]).await.unwrap();
}

/// A kubeconfig for somebody with only these rights in the namespace.
async fn somebody(name: &str, rights: &[&str]) -> (Cluster, tempfile::TempDir) {
    let site = namespace(name).await;
    site.kubectl(&["create", "serviceaccount", "-n", name, "eve"]).await.unwrap();
    let mut role = vec!["create", "role", "-n", name, "eve"];
    role.extend(rights);
    site.kubectl(&role).await.unwrap();
    let account = format!("--serviceaccount={name}:eve");
    site.kubectl(&["create", "rolebinding", "-n", name, "eve", "--role=eve", &account]).await.unwrap();
    let token = site.kubectl(&["create", "token", "-n", name, "eve"]).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, with_token(&std::fs::read_to_string(site.kubeconfig()).unwrap(), token.trim()))
        .unwrap();
    (connect(path).await, dir)
}

/// The site's kubeconfig, which is JSON, with its user's credential replaced by a token.
fn with_token(kubeconfig: &str, token: &str) -> String {
    let mut config: Value = serde_json::from_str(kubeconfig).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    config.to_string()
}

#[tokio::test]
async fn what_may_not_be_done_says_which_right_is_missing() {
    let (eve, _dir) = somebody("rights", &["--verb=get,list,create", "--resource=configmaps"]).await;
    assert!(eve.can_i("list", "", "configmaps", Some("rights")).await.unwrap());
    assert!(!eve.can_i("list", "", "configmaps", None).await.unwrap());
    assert!(!eve.can_i("create", "", "pods/exec", Some("rights")).await.unwrap());
    let secrets = ListOptions::in_namespace("rights");
    let error = eve.list_all(&kinds::secrets(), secrets).await.unwrap_err();
    assert!(error.is_forbidden(), "{error}");
    let rule =
        r#"it takes a Role in namespace rights with apiGroups [""], resources ["secrets"], verbs ["list"]"#;
    assert!(error.to_string().ends_with(rule), "{error}");
    let facts = eve.facts().await.unwrap();
    let unknown: Vec<&str> = facts.unknown.iter().map(|unknown| unknown.what.as_str()).collect();
    assert!(unknown.contains(&"nodes") && unknown.iter().any(|what| what.contains("uid")), "{unknown:?}");
    assert!(!facts.version.git_version.is_empty());
}

#[tokio::test]
async fn a_wrong_token_or_authority_is_told_at_once() {
    let site = site().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let good = std::fs::read_to_string(site.kubeconfig()).unwrap();
    std::fs::write(&path, with_token(&good, "no-such-token")).unwrap();
    let to = |path: std::path::PathBuf| Connect { kubeconfig: Some(path), ..Connect::default() };
    let error = Cluster::connect(to(path.clone())).await.unwrap_err();
    assert_eq!(error.code(), "cluster.unauthorized", "{error}");

    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{{name: c, cluster: {{server: \"https://{}:6443\"}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n",
        site.address()
    );
    std::fs::write(&path, text).unwrap();
    let began = std::time::Instant::now();
    let error = Cluster::connect(to(path)).await.unwrap_err();
    assert_eq!(error.code(), "cluster.unreachable");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
}
