//! Objects of a real cluster in a repository, and what is said of those that are not.

use crate::support::backup::{
    LIMIT, admin, application, as_account, newest, objects, repository, request, site,
};
use holdfast_model::Consistency;
use holdfast_model::Outcome;
use holdfast_protect::backup::backup;
use holdfast_protect::rbac::{self, Purpose, Reach};

const BANK: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tills.bank.example}
spec:
  group: bank.example
  scope: Namespaced
  names: {kind: Till, plural: tills, singular: till}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: bank-high}
value: 1000
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bank-teller, labels: {bank: "yes"}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bank-all}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {bank: "yes"}}]}
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bank-global}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bank-all}
subjects: [{kind: ServiceAccount, namespace: bank, name: teller}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: not-of-the-bank}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, namespace: default, name: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers, namespace: bank}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, namespace: bank, name: teller}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: teller, namespace: bank}
---
apiVersion: v1
kind: Secret
metadata: {name: vault, namespace: bank}
stringData: {combination: "12-34-56", odd: "ü\u0001\"\\"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cache, namespace: bank, labels: {holdfast.dev/exclude: "true"}}
data: {a: b}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: idle, namespace: bank}
spec: {accessModes: [ReadWriteOnce], storageClassName: none-such, resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: desk, namespace: bank}
spec:
  selector: {matchLabels: {app: desk}}
  template:
    metadata: {labels: {app: desk}}
    spec:
      priorityClassName: bank-high
      terminationGracePeriodSeconds: 0
      containers:
      - {name: desk, image: "testbed.local/busybox:1", imagePullPolicy: Never, command: [sleep, "1000"]}
      volumes: [{name: scratch, emptyDir: {}}]
"#;

const TILL: &str = r#"{"apiVersion": "bank.example/v1", "kind": "Till", "metadata": {"name": "one", "namespace": "bank"},
    "coins": [1.50, 9007199254740993]}"#;

async fn open_the_bank() {
    let site = site().await;
    site.apply(BANK).await.unwrap();
    site.kubectl(&["wait", "--for=condition=Established", "crd/tills.bank.example"]).await.unwrap();
    site.apply(TILL).await.unwrap();
    site.wait("bank", "deployment/desk", "condition=Available", LIMIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_captured_with_what_it_needs_and_an_unchanged_one_adds_next_to_nothing() {
    open_the_bank().await;
    let (cluster, repository) = (admin().await, repository().await);
    let point = backup(request(&cluster, &repository, application("bank", &["bank"]))).await.unwrap();
    assert_eq!(point.problems, []);
    assert_eq!((point.outcome, point.consistency), (Outcome::Completed, Consistency::Application));
    assert!(!point.cluster.uid.is_empty() && point.cluster.version.starts_with('v'));
    assert!(
        point.cluster.images["testbed.local/busybox:1"].contains("sha256:"),
        "{:?}",
        point.cluster.images
    );
    let left_out: Vec<&str> = point.excluded.iter().map(|left| left.subject.as_str()).collect();
    for subject in [
        "configmaps bank/cache",
        "data of claim bank/idle",
        "emptyDir volume scratch of Deployment bank/desk",
    ] {
        assert!(left_out.contains(&subject), "{subject} not in {left_out:?}");
    }

    let open = newest(&repository).await;
    assert_eq!(open.point, point);
    let all = objects(&open).await;
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "namespaces bank",
        "secrets bank/vault",
        "tills.bank.example bank/one",
        "customresourcedefinitions.apiextensions.k8s.io tills.bank.example",
        "priorityclasses.scheduling.k8s.io bank-high",
        "clusterroles.rbac.authorization.k8s.io bank-teller",
        "clusterroles.rbac.authorization.k8s.io bank-all",
        "clusterrolebindings.rbac.authorization.k8s.io bank-global",
        "rolebindings.rbac.authorization.k8s.io bank/viewers",
        "deployments.apps bank/desk",
        "persistentvolumeclaims bank/idle",
    ] {
        assert!(names.contains(&name), "{name} not in {names:?}");
    }
    assert!(
        names.iter().all(|name| !name.contains("not-of-the-bank") && !name.contains("cache")),
        "{names:?}"
    );
    assert!(
        !names.iter().any(|name| name.starts_with("events") || name.ends_with("clusterroles view")),
        "{names:?}"
    );

    // Byte for byte as the server sends it, numbers that no float can hold included.
    let (_, till) = all.iter().find(|(name, _)| name == "tills.bank.example bank/one").unwrap();
    let captured = open.read(till).await.unwrap();
    let live = cluster.get_raw(&till.resource, Some("bank"), "one").await.unwrap().unwrap();
    let text = String::from_utf8(captured.to_vec()).unwrap();
    assert!(text.contains("9007199254740993"), "{text}");
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(json(&captured), json(&live.json));

    let again = backup(request(&cluster, &repository, application("bank", &["bank"]))).await.unwrap();
    assert_eq!(again.parent.as_ref(), Some(&point.id));
    // The pod's and the Deployment's own objects are unchanged; only point.json and its path are new.
    assert!(again.stored.bytes_new < 40_000, "{:?} after {:?}", again.stored, point.stored);
    assert_eq!(newest(&repository).await.point.id, again.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_printed_roles_are_enough_and_one_right_less_is_told() {
    let site = site().await;
    site.kubectl(&["create", "namespace", "counted"]).await.unwrap();
    site.kubectl(&["create", "secret", "generic", "-n", "counted", "gold", "--from-literal=bars=7"])
        .await
        .unwrap();
    for manifest in rbac::manifests(Purpose::Backup, &Reach::Namespaces(vec!["counted".into()])) {
        site.apply(&manifest.to_string()).await.unwrap();
    }
    let (cluster, repository) = (as_account("holdfast-system", "holdfast-backup").await, repository().await);
    let point = backup(request(&cluster, &repository, application("counted", &["counted"]))).await.unwrap();
    assert_eq!(point.problems, []);
    assert!(point.kinds.iter().any(|kind| kind.resource.plural == "secrets" && kind.objects == 1));

    let blind =
        serde_json::json!([{"op": "replace", "path": "/rules/0/resources", "value": ["configmaps", "pods"]}]);
    let blind = blind.to_string();
    site.kubectl(&["patch", "role", "-n", "counted", "holdfast-backup", "--type=json", "-p", &blind])
        .await
        .unwrap();
    let point = backup(request(&cluster, &repository, application("counted", &["counted"]))).await.unwrap();
    assert_eq!(point.outcome, Outcome::Partial);
    let secrets = point.problems.iter().find(|problem| problem.subject == "all secrets in namespace counted");
    let secrets = secrets.unwrap_or_else(|| panic!("{:#?}", point.problems));
    assert_eq!(secrets.code, "object.unreadable");
    assert!(secrets.message.contains("verbs [\"list\"]"), "{secrets}");
    // The claims could not be seen either, and that is said too.
    assert!(point.problems.iter().any(|problem| problem.subject.contains("persistentvolumeclaims")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named_and_the_rest_is_captured() {
    let site = site().await;
    site.kubectl(&["create", "namespace", "broken"]).await.unwrap();
    let definition = |conversion: &str, preferred: &str| {
        format!(
            r#"{{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {{"name": "gates.broken.example"}},
            "spec": {{"group": "broken.example", "scope": "Namespaced", "names": {{"kind": "Gate", "plural": "gates"}},
            {conversion} "versions": [
                {{"name": "v1", "served": true, "storage": true, "schema": {{"openAPIV3Schema": {{"type": "object"}}}}}},
                {{"name": "v2", "served": {preferred}, "storage": false, "schema": {{"openAPIV3Schema": {{"type": "object"}}}}}}]}}}}"#
        )
    };
    site.apply(&definition("", "false")).await.unwrap();
    site.kubectl(&["wait", "--for=condition=Established", "crd/gates.broken.example"]).await.unwrap();
    site.apply(r#"{"apiVersion": "broken.example/v1", "kind": "Gate", "metadata": {"name": "g", "namespace": "broken"}}"#)
        .await
        .unwrap();
    let webhook = r#""conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:9/convert"}}},"#;
    site.apply(&definition(webhook, "true")).await.unwrap();

    let (cluster, repository) = (admin().await, repository().await);
    let wanted = application("broken", &["broken", "no-such"]);
    // The server takes a moment to serve the second version.
    let point = loop {
        let point = backup(request(&cluster, &repository, wanted.clone())).await.unwrap();
        if point.cluster.api_versions.iter().any(|version| version == "broken.example/v2") {
            break point;
        }
    };
    site.kubectl(&["delete", "crd", "gates.broken.example", "--wait=false"]).await.unwrap();
    assert_eq!(point.outcome, Outcome::Partial);
    let subjects: Vec<&str> = point.problems.iter().map(|problem| problem.subject.as_str()).collect();
    assert_eq!(
        subjects,
        ["namespace no-such", "all gates.broken.example in namespace broken"],
        "{:#?}",
        point.problems
    );
    assert!(point.problems[1].message.contains("webhook"), "{}", point.problems[1]);
    assert!(point.kinds.iter().any(|kind| kind.resource.plural == "serviceaccounts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_being_deleted_is_told() {
    let site = site().await;
    site.kubectl(&["create", "namespace", "going"]).await.unwrap();
    site.apply(
        r#"{"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "stays", "namespace": "going", "finalizers": ["test.example/hold"]}}"#,
    )
    .await
    .unwrap();
    site.kubectl(&["delete", "namespace", "going", "--wait=false"]).await.unwrap();
    let (cluster, repository) = (admin().await, repository().await);
    let point = backup(request(&cluster, &repository, application("going", &["going*"]))).await.unwrap();
    assert_eq!(point.problems.len(), 1, "{:?}", point.problems);
    assert_eq!((point.outcome, point.problems[0].code.as_str()), (Outcome::Partial, "namespace.terminating"));
    let patch = r#"{"metadata": {"finalizers": null}}"#;
    site.kubectl(&["patch", "configmap", "-n", "going", "stays", "--type=merge", "-p", patch]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_without_any_namespace_is_refused() {
    let (cluster, repository) = (admin().await, repository().await);
    let error =
        backup(request(&cluster, &repository, application("none", &["no-such-*"]))).await.unwrap_err();
    assert_eq!(error.code(), "protect.empty", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_objects_in_one_namespace_are_split_and_all_come_back() {
    const COUNT: usize = 4200;
    let site = site().await;
    site.kubectl(&["create", "namespace", "many"]).await.unwrap();
    let cluster = admin().await;
    let of = holdfast_cluster::kinds::config_maps();
    let numbers = futures::stream::iter(0..COUNT);
    futures::StreamExt::for_each_concurrent(numbers, 32, |number| {
        let (cluster, of) = (cluster.clone(), of.clone());
        async move {
            let object = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("c-{number}"), "namespace": "many"}});
            cluster.create(&of, &object, &holdfast_cluster::Write::default()).await.unwrap();
        }
    })
    .await;
    let repository = repository().await;
    let point = backup(request(&cluster, &repository, application("many", &["many"]))).await.unwrap();
    let open = newest(&repository).await;
    let all = objects(&open).await;
    let maps: Vec<_> = all.iter().filter(|(name, _)| name.starts_with("configmaps many/c-")).collect();
    assert_eq!(maps.len(), COUNT);
    let directory = "resources/core/v1/configmaps/many/@";
    assert!(maps.iter().all(|(_, entry)| entry.path.starts_with(directory)), "{}", maps[0].1.path);
    for (_, entry) in &maps {
        assert_eq!(open.object(&entry.object_ref().unwrap()).await.unwrap().as_ref(), Some(entry));
    }
    assert_eq!(point.kinds.iter().map(|kind| kind.objects).sum::<u64>(), all.len() as u64);
}
