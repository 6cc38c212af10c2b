//! An application of one site runs at another, under another name of its namespace.

use holdfast_cluster::{ListOptions, kinds};
use holdfast_model::restore::{Mapping, Verdict, comparable};
use holdfast_model::{Outcome, ResourceType};
use holdfast_testbed::{Site, fixtures};
use serde_json::{Value, json};

use crate::restore::support::{Protected, admin, problems, sites, with};

const SHOP: &str = include_str!("shop.yaml");

async fn deploy(site: &Site) {
    site.apply(&fixtures::kwok_namespace("shop")).await.unwrap();
    let (definition, rest) = SHOP.split_once("\n---\n").unwrap();
    site.apply(definition).await.unwrap();
    let established = std::time::Duration::from_secs(20);
    site.wait("default", "crd/tills.shop.example", "condition=Established", established).await.unwrap();
    site.apply(rest).await.unwrap();
    let patch = r#"{"imagePullSecrets":[{"name":"registry"}]}"#;
    site.kubectl(&["-n", "shop", "patch", "serviceaccount", "default", "-p", patch]).await.unwrap();
    for (owner, kind, owned) in [
        ("tills.shop.example/front", "Till", "till-state"),
        ("deployment/web", "Deployment", "web-state"),
        ("tills.shop.example/front", "Till", "till-claim"),
    ] {
        let uid =
            site.kubectl(&["-n", "shop", "get", owner, "-o", "jsonpath={.metadata.uid}"]).await.unwrap();
        let api = if kind == "Till" { "shop.example/v1" } else { "apps/v1" };
        let name = owner.split('/').next_back().unwrap();
        let object = if owned == "till-claim" { "persistentvolumeclaim" } else { "configmap" };
        let patch = json!({"metadata": {"ownerReferences": [
            {"apiVersion": api, "kind": kind, "name": name, "uid": uid.trim(), "controller": true}]}});
        site.kubectl(&["-n", "shop", "patch", object, owned, "--type=merge", "-p", &patch.to_string()])
            .await
            .unwrap();
    }
    let minute = std::time::Duration::from_secs(60);
    site.wait("shop", "deployment/web", "condition=Available", minute).await.unwrap();
    site.wait("shop", "job/seed", "condition=Complete", minute).await.unwrap();
}

async fn objects(site: &Site, of: &ResourceType, namespace: &str) -> Vec<Value> {
    let cluster = admin(site).await;
    let all = cluster.list_all(of, ListOptions::in_namespace(namespace)).await.unwrap();
    all.iter().map(|object| object.parse().unwrap()).collect()
}

/// The objects as they are to be compared, with the names of the other site.
async fn comparables(site: &Site, of: &ResourceType, namespace: &str, mapping: &Mapping) -> Vec<Value> {
    let kind = of.group_kind();
    let owned =
        |object: &Value| object["metadata"]["ownerReferences"].is_array() && *of != kinds::config_maps();
    let objects = objects(site, of, namespace).await.into_iter();
    let objects = objects.filter(|object| !owned(object) && object["metadata"]["name"] != "kube-root-ca.crt");
    objects
        .map(|mut object| {
            mapping.apply(&kind, &mut object);
            comparable(&kind, &object)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_one_site_runs_at_another() {
    let [a, b] = sites().await;
    deploy(a).await;
    let shop = Protected::new("shop", &["shop"]).await;
    let point = shop.backup(&admin(a).await).await;
    assert_eq!(point.outcome, Outcome::Completed, "{:?}", point.problems);

    let target = admin(b).await;
    let report = shop.restore(&target, &["shop=shop-eu"]).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert!(report.ready_millis.is_some());
    let skipped = with(&report, Verdict::Skipped).join("\n");
    for (object, reason) in [
        ("jobs.batch shop/seed", "run again"),
        ("pods shop-eu/web-", "left to ReplicaSet.apps web-"),
        ("replicasets.apps shop-eu/web-", "left to Deployment.apps web"),
        ("configmaps shop/kube-root-ca.crt", "certificate authority"),
    ] {
        assert!(
            skipped.lines().any(|line| line.contains(object) && line.contains(reason)),
            "{object} in\n{skipped}"
        );
    }
    let mapping = Mapping::parse(&["shop=shop-eu"], &[]).unwrap();
    for of in [
        kinds::config_maps(),
        kinds::secrets(),
        kinds::service_accounts(),
        kinds::services(),
        kinds::deployments(),
        kinds::stateful_sets(),
        kinds::cron_jobs(),
        kinds::roles(),
        kinds::role_bindings(),
        kinds::resource("shop.example", "v1", "Till", "tills", true),
        kinds::resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true),
        kinds::resource("networking.k8s.io", "v1", "Ingress", "ingresses", true),
        kinds::resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ] {
        let (source, restored) = (
            comparables(a, &of, "shop", &mapping).await,
            comparables(b, &of, "shop-eu", &Mapping::default()).await,
        );
        assert!(!source.is_empty(), "{of}");
        assert_eq!(restored, source, "{of}");
    }
    owners_are_linked(b).await;
    let service = &objects(b, &kinds::services(), "shop-eu").await;
    let chosen = service.iter().find(|service| service["metadata"]["name"] == "door").unwrap();
    assert_eq!(chosen["spec"]["ports"][0]["nodePort"], 30911, "a chosen node port is kept");

    let again = shop.restore(&target, &["shop=shop-eu"]).await;
    assert_eq!(again.outcome, Outcome::Completed, "{}", problems(&again));
    assert_eq!((again.count(Verdict::Created), again.count(Verdict::Updated)), (0, 0), "{:?}", again.objects);
    assert_eq!(
        again.count(Verdict::Unchanged),
        report.count(Verdict::Created) + report.count(Verdict::Updated) + report.count(Verdict::Unchanged)
    );
}

async fn owners_are_linked(site: &Site) {
    let till = site
        .kubectl(&["-n", "shop-eu", "get", "tills.shop.example/front", "-o", "jsonpath={.metadata.uid}"])
        .await
        .unwrap();
    let maps = objects(site, &kinds::config_maps(), "shop-eu").await;
    let claims = objects(site, &kinds::persistent_volume_claims(), "shop-eu").await;
    for (all, name) in [(&maps, "till-state"), (&claims, "till-claim")] {
        let owned = all.iter().find(|object| object["metadata"]["name"] == name).unwrap();
        assert_eq!(owned["metadata"]["ownerReferences"][0]["uid"], till.trim(), "{name}");
    }
    let web = maps.iter().find(|object| object["metadata"]["name"] == "web-state").unwrap();
    assert_eq!(web["metadata"]["ownerReferences"][0]["kind"], "Deployment");
    let orphan = maps.iter().find(|object| object["metadata"]["name"] == "settings").unwrap();
    assert!(orphan["metadata"].get("ownerReferences").is_none());
}

const PUMP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: pumps}
---
apiVersion: field.example/v1
kind: Pump
metadata: {name: north, namespace: pumps}
spec: {litres: 5, quiet: true}
";

/// A definition of pumps with these properties of their spec.
fn pumps(properties: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: pumps.field.example}}
spec:
  group: field.example
  scope: Namespaced
  names: {{kind: Pump, plural: pumps, singular: pump}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {properties}}}}}}}}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_the_target_does_not_know_are_told() {
    let [a, b] = sites().await;
    for (site, properties) in
        [(a, "{litres: {type: integer}, quiet: {type: boolean}}"), (b, "{litres: {type: integer}}")]
    {
        site.apply(&pumps(properties)).await.unwrap();
        let established = std::time::Duration::from_secs(20);
        site.wait("default", "crd/pumps.field.example", "condition=Established", established).await.unwrap();
    }
    a.apply(PUMP).await.unwrap();
    let pumps = Protected::new("pumps", &["pumps"]).await;
    pumps.backup(&admin(a).await).await;
    let report = pumps.restore(&admin(b).await, &[]).await;
    assert_eq!(report.outcome, Outcome::Partial);
    let told = problems(&report);
    assert!(
        told.contains("restore.fields_dropped")
            && told.contains("pumps/north")
            && told.contains("\"spec.quiet\""),
        "{told}"
    );
    let again = pumps.restore(&admin(b).await, &[]).await;
    assert_eq!((again.outcome, problems(&again)), (Outcome::Partial, told), "it is no less missing");
}
