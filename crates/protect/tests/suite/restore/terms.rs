//! What of a point is restored, and what a restore may do to what is there.

use holdfast_model::Outcome;
use holdfast_model::restore::modifier::Modifier;
use holdfast_model::restore::plan::{Plan, VerdictKind};
use holdfast_model::restore::{Existing, Layer, Mapping, Policies, RestoreReport, Selection, Terms, Verdict};
use holdfast_protect::restore::{DryRuns, PlanRequest, RestoreRequest, plan, restore};
use holdfast_testbed::Site;

use crate::restore::support::{Protected, admin, problems, sites, terms};

/// An application of one namespace, `NAME` in the text.
const MINT: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: NAME}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coins, namespace: NAME, labels: {tier: front}}
data: {gold: '1', silver: '1'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: NAME}
data: {paper: '1'}
---
apiVersion: v1
kind: Secret
metadata: {name: plates, namespace: NAME, labels: {tier: front}}
stringData: {pin: '4711'}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME-watch}
rules: [{apiGroups: [''], resources: [nodes], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAME-watch}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAME-watch}
subjects: [{kind: ServiceAccount, name: default, namespace: NAME}]
";

async fn mint(site: &Site, name: &str) -> Protected {
    site.apply(&MINT.replace("NAME", name)).await.unwrap();
    let mint = Protected::new(name, &[name]).await;
    mint.backup(&admin(site).await).await;
    mint
}

async fn restored(of: &Protected, site: &Site, terms: Terms) -> RestoreReport {
    let request = of.request(&admin(site).await).await;
    restore(RestoreRequest { terms, ..request }).await.unwrap()
}

async fn planned(of: &Protected, site: &Site, terms: Terms) -> Plan {
    let request = of.request(&admin(site).await).await;
    let request = PlanRequest {
        cluster: request.cluster,
        repository: request.repository,
        point: request.point,
        movers: false,
        terms,
        dry_runs: DryRuns::Sampled,
        clock: request.clock,
        observer: request.observer,
        on_object: None,
    };
    plan(request).await.unwrap()
}

fn existing(policies: &[&str]) -> Terms {
    Terms { existing: Policies::parse(policies).unwrap(), ..terms(&[], Existing::None) }
}

fn told(report: &RestoreReport, object: &str) -> (Verdict, String) {
    let found = report.objects.iter().find(|result| result.object.to_string() == object);
    let found = found.unwrap_or_else(|| panic!("{object} is not in {:?}", report.objects));
    (found.verdict, found.reason.clone())
}

async fn data(site: &Site, namespace: &str, name: &str) -> String {
    site.kubectl(&["-n", namespace, "get", "configmap", name, "-o", "jsonpath={.data}"]).await.unwrap()
}

async fn patch(site: &Site, namespace: &str, name: &str, data: &str) {
    let patch = format!(r#"{{"data":{data}}}"#);
    let command = ["-n", namespace, "patch", "configmap", name, "--type=merge", "-p", &patch];
    site.kubectl(&command).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_adds_and_sets_and_takes_nothing_from_others() {
    let [a, b] = sites().await;
    let mint = mint(a, "mint").await;
    let first = restored(&mint, b, existing(&[])).await;
    assert_eq!(first.outcome, Outcome::Completed, "{}", problems(&first));

    // Added since: it stays, and nothing is lacking.
    patch(b, "mint", "notes", r#"{"more":"1"}"#).await;
    // Somebody else's value by now: a conflict that names them.
    patch(b, "mint", "coins", r#"{"gold":"9","copper":"1"}"#).await;
    let merged = restored(&mint, b, existing(&["merge"])).await;
    assert_eq!(merged.outcome, Outcome::Partial);
    let (verdict, reason) = told(&merged, "configmaps mint/coins");
    assert_eq!(verdict, Verdict::Differs);
    assert!(reason.contains("kubectl-patch manages .data.gold"), "{reason}");
    assert_eq!(merged.problems.len(), 1, "{}", problems(&merged));
    assert_eq!(data(b, "mint", "coins").await, r#"{"copper":"1","gold":"9","silver":"1"}"#);

    // What the last restore wrote is ours to change; what others added stays.
    patch(a, "mint", "coins", r#"{"silver":"2"}"#).await;
    patch(a, "mint", "coins", r#"{"gold":"9"}"#).await;
    mint.backup(&admin(a).await).await;
    let merged = restored(&mint, b, existing(&["merge"])).await;
    assert_eq!(merged.outcome, Outcome::Completed, "{}", problems(&merged));
    assert_eq!(told(&merged, "configmaps mint/coins").0, Verdict::Updated);
    assert_eq!(data(b, "mint", "coins").await, r#"{"copper":"1","gold":"9","silver":"2"}"#);
    let again = restored(&mint, b, existing(&["merge"])).await;
    assert_eq!(
        (again.outcome, again.count(Verdict::Updated)),
        (Outcome::Completed, 0),
        "{:?}",
        again.objects
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_policy_that_names_a_kind_decides() {
    let [a, b] = sites().await;
    let mint = mint(a, "till-policy").await;
    restored(&mint, b, existing(&[])).await;
    for name in ["coins", "notes"] {
        patch(b, "till-policy", name, r#"{"extra":"1"}"#).await;
    }
    b.kubectl(&["patch", "clusterrole", "till-policy-watch", "--type=merge", "-p", r#"{"rules":[]}"#])
        .await
        .unwrap();
    let policies = ["replace", "configmaps=none", "ConfigMap:tier=front=replace"];
    let report = restored(&mint, b, existing(&policies)).await;
    assert_eq!(told(&report, "configmaps till-policy/coins").0, Verdict::Updated);
    assert_eq!(told(&report, "configmaps till-policy/notes").0, Verdict::Differs);
    let (verdict, reason) = told(&report, "clusterroles.rbac.authorization.k8s.io till-policy-watch");
    assert_eq!(verdict, Verdict::Differs, "others may use it: {reason}");
    let named = [&policies[..], &["clusterroles=replace"]].concat();
    let report = restored(&mint, b, existing(&named)).await;
    let (verdict, _) = told(&report, "clusterroles.rbac.authorization.k8s.io till-policy-watch");
    assert_eq!(verdict, Verdict::Updated, "{}", problems(&report));
}

/// What a replacement changes is managed by holdfast from then on, and the rest stays with its manager: whoever
/// applied it can go on doing so with the values of the point, and is told of a conflict with others.
#[tokio::test(flavor = "multi_thread")]
async fn who_applied_an_object_can_go_on_after_it_was_replaced() {
    let [a, _] = sites().await;
    mint(a, "applied").await;
    let directory = tempfile::tempdir().unwrap();
    let apply = async |version: &str| {
        let file = directory.path().join("rates.yaml");
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: rates, namespace: applied}}\n\
             data: {{version: '{version}', constant: x}}\n"
        );
        std::fs::write(&file, text).unwrap();
        let file = file.to_string_lossy().into_owned();
        a.kubectl(&["apply", "--server-side", "--field-manager=gitops", "-f", &file]).await
    };
    apply("1").await.unwrap();
    let mint = Protected::new("applied-again", &["applied"]).await;
    mint.backup(&admin(a).await).await;
    apply("2").await.unwrap();
    let report = restored(&mint, a, existing(&["replace"])).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert_eq!(data(a, "applied", "rates").await, r#"{"constant":"x","version":"1"}"#);
    apply("1").await.expect("the point's values are no conflict");
    let refused = apply("2").await.unwrap_err().to_string();
    assert!(refused.contains("conflict") && refused.contains("holdfast"), "{refused}");
    let managers = ["-n", "applied", "get", "configmap", "rates", "--show-managed-fields", "-o"];
    let managers = a
        .kubectl(&[&managers[..], &["jsonpath={.metadata.managedFields[*].manager}"]].concat())
        .await
        .unwrap();
    assert!(managers.contains("gitops") && managers.contains("holdfast"), "{managers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gives_power_is_written_only_when_that_is_allowed() {
    let [a, b] = sites().await;
    let mint = mint(a, "power").await;
    let without = Terms { allow_privileged: false, ..terms(&[], Existing::None) };
    let binding = "clusterrolebindings.rbac.authorization.k8s.io power-watch";
    let is_there = async || {
        b.kubectl(&["get", "clusterrolebinding", "power-watch", "--ignore-not-found", "-o", "name"])
            .await
            .unwrap()
    };

    let planned = planned(&mint, b, without.clone()).await;
    assert_eq!((planned.outcome, planned.count(VerdictKind::Cannot)), (Outcome::Partial, 1));
    let shown = planned.objects.iter().find(|planned| planned.object.to_string() == binding).unwrap();
    assert!(!shown.privilege.is_empty(), "{shown:?}");

    let report = restored(&mint, b, without.clone()).await;
    assert_eq!(report.outcome, Outcome::Partial);
    let [problem] = &report.problems[..] else { panic!("{}", problems(&report)) };
    assert_eq!((problem.code.as_str(), problem.subject.as_str()), ("restore.privileged", binding));
    assert!(problem.message.contains("grants ClusterRole power-watch to ServiceAccount power/default"));
    assert_eq!(is_there().await, "");

    let report = restored(&mint, b, existing(&[])).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert_ne!(is_there().await, "");
    // It gives nothing that is not there by now.
    let report = restored(&mint, b, without).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_point_is_restored_and_no_more() {
    let [a, b] = sites().await;
    let mint = mint(a, "part").await;
    let only = |selection: Selection, name: &str| {
        let mapping = Mapping::parse(&[format!("part={name}")], &[]).unwrap();
        Terms { mapping, selection, ..terms(&[], Existing::None) }
    };
    let names = async |namespace: &str| {
        let kinds = "configmaps,secrets";
        let found = b.kubectl(&["-n", namespace, "get", kinds, "-o", "name"]).await.unwrap();
        let mut found: Vec<String> =
            found.lines().filter(|name| !name.contains("kube-root-ca")).map(str::to_owned).collect();
        found.sort();
        found
    };
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();

    let kinds = Selection { kinds: strings(&["secrets"]), ..Selection::default() };
    let report = restored(&mint, b, only(kinds, "part-kinds")).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert_eq!(names("part-kinds").await, ["secret/plates"]);
    assert_eq!(report.count(Verdict::Created), 2, "it and its namespace: {:?}", report.kinds);

    let labels = Selection { labels: "tier=front".into(), layer: Layer::Namespaced, ..Selection::default() };
    let report = restored(&mint, b, only(labels, "part-labels")).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert_eq!(names("part-labels").await, ["configmap/coins", "secret/plates"]);

    let condition = "has(object.data.plates) || object.metadata.name.matches('^coi.s$')".to_owned();
    let condition = Selection { condition, layer: Layer::Namespaced, ..Selection::default() };
    let report = restored(&mint, b, only(condition, "part-condition")).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert_eq!(names("part-condition").await, ["configmap/coins"]);
    let condition = "object.metadata.nmae == 'coins'".to_owned();
    let misspelt = Selection { condition, layer: Layer::Namespaced, ..Selection::default() };
    let report = restored(&mint, b, only(misspelt, "part-condition")).await;
    assert_eq!(report.outcome, Outcome::Partial, "nothing is what was chosen");

    let one = Selection { objects: strings(&["configmap/part/no*"]), ..Selection::default() };
    let report = restored(&mint, b, only(one, "part-one")).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert_eq!(names("part-one").await, ["configmap/notes"]);

    let objects = strings(&["configmap/part/notes", "configmap/part/ntoes"]);
    let typing_error = Selection { objects, ..Selection::default() };
    let report = restored(&mint, b, only(typing_error.clone(), "part-one")).await;
    assert_eq!(report.outcome, Outcome::Partial);
    let told = "configmap/part/ntoes: the point has no such object";
    assert!(problems(&report).contains(told), "{}", problems(&report));
    let plan = planned(&mint, b, only(typing_error, "part-one")).await;
    assert_eq!((plan.outcome, plan.problems.len()), (Outcome::Partial, 1), "{:?}", plan.problems);

    let role = ["get", "clusterrole", "part-watch", "--ignore-not-found", "-o", "name"];
    assert_eq!(b.kubectl(&role).await.unwrap(), "", "it was not among what was chosen");
    let cluster = Selection { layer: Layer::Cluster, ..Selection::default() };
    let report = restored(&mint, b, only(cluster, "part-cluster")).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert_ne!(b.kubectl(&role).await.unwrap(), "");
    let space = ["get", "namespace", "part-cluster", "--ignore-not-found", "-o", "name"];
    assert_eq!(b.kubectl(&space).await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_changed_on_their_way_and_a_plan_says_so() {
    let [a, b] = sites().await;
    let mint = mint(a, "changed").await;
    a.apply(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: press, namespace: changed}\nspec:\n  replicas: 0\n  \
         selector: {matchLabels: {app: press}}\n  template:\n    metadata: {labels: {app: press}}\n    spec:\n      \
         nodeSelector: {zone: a}\n      containers: [{name: c, image: 'mint/press:1'}]\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: door, namespace: changed}\nspec:\n  \
         ingressClassName: brass\n  rules: [{host: door.mint.example}]\n  tls: [{hosts: [door.mint.example]}]\n",
    )
    .await
    .unwrap();
    mint.backup(&admin(a).await).await;
    let mapping = Mapping::default()
        .with_images(&["docker.io/mint=registry.dr/mint"])
        .and_then(|mapping| mapping.with_hosts(&["mint.example=dr.mint.example"]))
        .and_then(|mapping| mapping.with_ingress_classes(&["brass=iron"]))
        .and_then(|mapping| mapping.with_node_labels(&["zone=a:b"]))
        .unwrap();
    let modifiers = |gold: &str| -> Vec<Modifier> {
        let all = serde_json::json!([
            {"select": {"kinds": ["configmaps"], "labels": "tier=front"},
             "patch": [{"op": "test", "path": "/data/gold", "value": gold}, {"op": "replace", "path": "/data/gold", "value": "3"}]},
            {"select": {"objects": ["deployment/press"]}, "merge": {"metadata": {"labels": {"at": "dr"}}}},
        ]);
        serde_json::from_value(all).unwrap()
    };
    let with = |modifiers| Terms { mapping: mapping.clone(), modifiers, ..existing(&["replace"]) };
    let first = restored(&mint, b, with(modifiers("1"))).await;
    assert_eq!(first.outcome, Outcome::Completed, "{}", problems(&first));
    let said = async |kind: &str, name: &str, place: &str| {
        let place = format!("jsonpath={{{place}}}");
        b.kubectl(&["-n", "changed", "get", kind, name, "-o", &place]).await.unwrap()
    };
    assert_eq!(data(b, "changed", "coins").await, r#"{"gold":"3","silver":"1"}"#);
    let pod = ".spec.template.spec";
    assert_eq!(
        said("deployment", "press", &format!("{pod}.containers[0].image")).await,
        "registry.dr/mint/press:1"
    );
    assert_eq!(said("deployment", "press", &format!("{pod}.nodeSelector.zone")).await, "b");
    assert_eq!(said("deployment", "press", ".metadata.labels.at").await, "dr");
    assert_eq!(said("ingress", "door", ".spec.rules[0].host").await, "door.dr.mint.example");
    assert_eq!(said("ingress", "door", ".spec.tls[0].hosts[0]").await, "door.dr.mint.example");
    assert_eq!(said("ingress", "door", ".spec.ingressClassName").await, "iron");

    let same = planned(&mint, b, with(modifiers("1"))).await;
    assert!(same.is_nothing_to_do(), "{:?}", same.objects);
    // Whose test does not hold changes nothing, so the point's own value would come back.
    let other = planned(&mint, b, with(modifiers("2"))).await;
    assert_eq!(other.count(VerdictKind::Update), 1, "{:?}", other.objects);

    let misfit = serde_json::json!([{"select": {"kinds": ["configmaps"]},
        "patch": [{"op": "remove", "path": "/data/gold"}]}]);
    let report = restored(&mint, b, with(serde_json::from_value(misfit).unwrap())).await;
    let [problem] = &report.problems[..] else { panic!("{}", problems(&report)) };
    assert_eq!(
        (problem.code.as_str(), problem.subject.as_str()),
        ("restore.modifier", "configmaps changed/notes")
    );
}
