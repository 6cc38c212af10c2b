//! A plan says what a restore then does, writes nothing, and asks the target whether it would take it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdfast_cluster::{Cluster, Connect};
use holdfast_model::Outcome;
use holdfast_model::restore::plan::{Plan, Planned, SkipRule, Verdict, VerdictKind};
use holdfast_model::restore::{Existing, Verdict as Done};
use holdfast_model::scope::{ClusterScope, Scope};
use holdfast_protect::restore::{DryRuns, PlanRequest, RestoreRequest, plan, restore};
use holdfast_testbed::Site;
use serde_json::{Value, json};

use crate::restore::support::{Protected, admin, problems, sites, terms};

const BANK: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: giro}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: rates, namespace: giro, labels: {argocd.argoproj.io/instance: giro}}
data: {eur: '1.0', usd: '1.1'}
---
apiVersion: v1
kind: Secret
metadata: {name: vault, namespace: giro}
stringData: {pin: '4711'}
---
apiVersion: v1
kind: Service
metadata: {name: desk, namespace: giro}
spec: {ports: [{port: 80}], selector: {app: desk}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: clerk, namespace: giro}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: clerk, namespace: giro}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: clerk, namespace: giro}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: clerk}
subjects: [{kind: ServiceAccount, name: clerk, namespace: giro}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: giro}
spec:
  schedule: '0 3 1 1 *'
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          serviceAccountName: clerk
          containers: [{name: report, image: giro.example/report:1}]
";

/// What each test asks for otherwise.
struct How<'a> {
    namespaces: &'a [&'a str],
    existing: Existing,
    dry_runs: DryRuns,
}

const PLAIN: How<'static> = How { namespaces: &[], existing: Existing::None, dry_runs: DryRuns::Sampled };

/// A plan, and every object of it.
async fn planned(of: &Protected, target: &Cluster, how: How<'_>) -> (Plan, Vec<Planned>) {
    let request = of.request(target).await;
    let all: Arc<Mutex<Vec<Planned>>> = Arc::default();
    let sink = all.clone();
    let request = PlanRequest {
        cluster: request.cluster,
        repository: request.repository,
        point: request.point,
        movers: false,
        terms: terms(how.namespaces, how.existing),
        dry_runs: how.dry_runs,
        clock: request.clock,
        observer: request.observer,
        on_object: Some(Arc::new(move |planned| sink.lock().unwrap().push(planned.clone()))),
    };
    let plan = plan(request).await.unwrap();
    let all = std::mem::take(&mut *all.lock().unwrap());
    (plan, all)
}

fn found<'a>(all: &'a [Planned], object: &str) -> &'a Planned {
    let found = all.iter().find(|planned| planned.object.to_string() == object);
    found.unwrap_or_else(|| panic!("{object} is not in {:?}", told(all)))
}

fn told(all: &[Planned]) -> Vec<String> {
    all.iter().map(|planned| format!("{} {:?}", planned.object, planned.verdict)).collect()
}

fn reason(planned: &Planned) -> &str {
    match &planned.verdict {
        Verdict::Cannot { reason, .. }
        | Verdict::Unknown { reason, .. }
        | Verdict::Conflict { reason, .. } => reason,
        other => panic!("{} has no reason: {other:?}", planned.object),
    }
}

/// Names and versions of what is in a namespace.
async fn versions(site: &Site, namespace: &str) -> String {
    let kinds = "configmaps,secrets,services,serviceaccounts,roles,rolebindings,cronjobs,resourcequotas";
    let columns = "custom-columns=K:.kind,N:.metadata.name,U:.metadata.uid,V:.metadata.resourceVersion";
    site.kubectl(&["-n", namespace, "get", kinds, "-o", columns, "--no-headers"]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_does_what_its_plan_says() {
    let [a, b] = sites().await;
    a.apply(BANK).await.unwrap();
    let bank = Protected::new("giro", &["giro"]).await;
    bank.backup(&admin(a).await).await;
    let target = admin(b).await;
    let names: &[&str] = &["giro=giro-1"];
    let how = || How { namespaces: names, ..PLAIN };

    // Nothing is there: only the namespace can be judged.
    let (first, all) = planned(&bank, &target, how()).await;
    assert_eq!(first.outcome, Outcome::Completed, "{:?}", told(&first.objects));
    assert_eq!(found(&all, "namespaces giro-1").verdict, Verdict::Create);
    let rates = found(&all, "configmaps giro-1/rates");
    assert!(matches!(&rates.verdict, Verdict::Unknown { until, .. } if until == "namespaces"), "{rates:?}");
    assert_eq!(rates.may_revert[0].to_string(), "Argo CD giro");
    assert_eq!(first.waiting[0].objects, first.count(VerdictKind::Unknown));
    assert!(b.kubectl(&["get", "namespace", "giro-1"]).await.is_err(), "a plan has made the namespace");

    // The namespace is there and empty: all would be created, and the server was asked.
    b.apply("{apiVersion: v1, kind: Namespace, metadata: {name: giro-1}}").await.unwrap();
    furnished(b, "giro-1").await;
    let before = versions(b, "giro-1").await;
    let (second, all) = planned(&bank, &target, how()).await;
    assert_eq!(second.outcome, Outcome::Completed, "{:?}", told(&second.objects));
    for object in [
        "configmaps giro-1/rates",
        "secrets giro-1/vault",
        "services giro-1/desk",
        "cronjobs.batch giro-1/report",
    ] {
        assert_eq!(found(&all, object).verdict, Verdict::Create, "{object}");
    }
    assert_eq!(found(&all, "serviceaccounts giro-1/default").verdict, Verdict::Identical);
    let granted = &second.privileged[0];
    assert_eq!(granted.why, ["grants Role clerk to ServiceAccount giro-1/clerk"]);
    assert!(second.dry_runs.made >= 7, "{:?}", second.dry_runs);
    assert_eq!(versions(b, "giro-1").await, before, "a plan has written something");

    let restored = bank.restore(&target, names).await;
    assert_eq!(restored.outcome, Outcome::Completed, "{}", problems(&restored));
    assert_eq!(restored.count(Done::Created), second.count(VerdictKind::Create));

    // Everything is there as it was.
    let (third, all) = planned(&bank, &target, how()).await;
    assert!(third.is_nothing_to_do() && third.outcome == Outcome::Completed, "{:?}", told(&third.objects));
    assert!(
        all.iter().all(|one| matches!(one.verdict, Verdict::Identical | Verdict::Skip { .. })),
        "{:?}",
        told(&all)
    );

    what_was_changed_is_named(b, &bank, &target, names).await;
}

/// What the cluster puts into a new namespace comes a moment after it.
async fn furnished(site: &Site, namespace: &str) {
    let begun = Instant::now();
    let own = ["-n", namespace, "get", "serviceaccount/default", "configmap/kube-root-ca.crt"];
    while site.kubectl(&own).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "namespace {namespace} is not furnished");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn what_was_changed_is_named(b: &Site, bank: &Protected, target: &Cluster, names: &[&str]) {
    for change in [
        [
            "patch",
            "configmap",
            "rates",
            "--type=merge",
            "-p",
            r#"{"data":{"eur":"2.0","usd":null,"chf":"1"}}"#,
        ],
        ["patch", "secret", "vault", "--type=merge", "-p", r#"{"stringData":{"pin":"0815"}}"#],
        ["patch", "cronjob", "report", "--type=merge", "-p", r#"{"spec":{"suspend":true}}"#],
    ] {
        b.kubectl(&[&["-n", "giro-1"], change.as_slice()].concat()).await.unwrap();
    }
    b.kubectl(&["-n", "giro-1", "delete", "role", "clerk"]).await.unwrap();
    let changed = ["configmaps giro-1/rates", "cronjobs.batch giro-1/report", "secrets giro-1/vault"];

    let before = versions(b, "giro-1").await;
    let (left, all) = planned(bank, target, How { namespaces: names, ..PLAIN }).await;
    assert_eq!(left.outcome, Outcome::Partial);
    assert_eq!(
        (left.count(VerdictKind::Conflict), left.count(VerdictKind::Create)),
        (3, 1),
        "{:?}",
        told(&all)
    );
    for object in changed {
        assert!(reason(found(&all, object)).contains("left as it is"));
    }

    let update = How { namespaces: names, existing: Existing::Replace, ..PLAIN };
    let (changing, all) = planned(bank, target, update).await;
    assert_eq!(changing.outcome, Outcome::Completed, "{:?}", told(&changing.objects));
    let named: Vec<String> = changing
        .objects
        .iter()
        .filter(|planned| planned.verdict.kind() == VerdictKind::Update)
        .map(|planned| planned.object.to_string())
        .collect();
    assert_eq!(named, ["configmaps giro-1/rates", "secrets giro-1/vault", "cronjobs.batch giro-1/report"]);
    let shown = serde_json::to_value(found(&all, "configmaps giro-1/rates").verdict.difference()).unwrap();
    let mut places: Vec<(String, Value, Value)> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            (change["path"].as_str().unwrap().to_owned(), change["before"].clone(), change["after"].clone())
        })
        .collect();
    places.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        places,
        [
            ("data.chf".to_owned(), json!("1"), Value::Null),
            ("data.eur".to_owned(), json!("2.0"), json!("1.0")),
            ("data.usd".to_owned(), Value::Null, json!("1.1")),
        ]
    );
    let whole = serde_json::to_string(&(&changing, &all)).unwrap();
    assert!(!whole.contains("0815") && !whole.contains("MDgxNQ") && !whole.contains("NDcxMQ"), "{whole}");
    assert_eq!(versions(b, "giro-1").await, before, "a plan has written something");

    let terms = terms(names, Existing::Replace);
    let request = bank.request(target).await;
    let done = restore(RestoreRequest { terms, ..request }).await.unwrap();
    assert_eq!(done.outcome, Outcome::Completed, "{}", problems(&done));
    assert_eq!((done.count(Done::Updated), done.count(Done::Created)), (3, 1), "{:?}", done.objects);
    let (after, _) = planned(bank, target, How { namespaces: names, ..PLAIN }).await;
    assert!(after.is_nothing_to_do(), "{:?}", told(&after.objects));
}

const PLOT: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: plot}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: open, namespace: plot}
data: {colour: blue}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plain, namespace: plot}
data: {password: hunter2}
---
apiVersion: plan.example/v1
kind: Seed
metadata: {name: carrot, namespace: plot}
spec: {}
";

const SEEDS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: seeds.plan.example}
spec:
  group: plan.example
  scope: Namespaced
  names: {kind: Seed, plural: seeds, singular: seed}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const NO_PLAIN: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: plot-no-plain}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  validations:
  - {expression: '!has(object.data) || !(\"password\" in object.data)', message: no plain passwords}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: plot-no-plain}
spec:
  policyName: plot-no-plain
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: plot}}}
";

const QUOTA: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: plot}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: plot}
spec: {hard: {count/secrets: '4'}}
";

/// A policy holds a moment after it was made, and a quota is counted a moment after.
async fn settle_plot(site: &Site) {
    let (begun, limit) = (Instant::now(), Duration::from_secs(60));
    let denied = ["-n", "plot", "create", "configmap", "x", "--from-literal=password=x", "--dry-run=server"];
    while site.kubectl(&denied).await.is_ok() {
        assert!(begun.elapsed() < limit, "the policy does not hold");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let used = ["-n", "plot", "get", "resourcequota", "few", "-o", "jsonpath={.status.used}"];
    while site.kubectl(&used).await.unwrap().is_empty() {
        assert!(begun.elapsed() < limit, "the quota is not counted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    furnished(site, "plot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_would_refuse_is_told_in_its_words() {
    let [a, b] = sites().await;
    a.apply(SEEDS).await.unwrap();
    a.wait("default", "crd/seeds.plan.example", "condition=Established", Duration::from_secs(20))
        .await
        .unwrap();
    a.apply(PLOT).await.unwrap();
    for number in 0..6 {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"number": number.to_string()},
            "metadata": {"name": format!("s-{number}"), "namespace": "plot"}});
        a.apply(&secret.to_string()).await.unwrap();
    }
    // Without what it needs: the definition of its seeds is not in the point.
    let cluster = ClusterScope { related: false, ..ClusterScope::default() };
    let scope = Scope { namespaces: vec!["plot".to_owned()], cluster, ..Scope::default() };
    let plot = Protected::of("plot", scope).await;
    plot.backup(&admin(a).await).await;
    b.apply(QUOTA).await.unwrap();
    b.apply(NO_PLAIN).await.unwrap();
    settle_plot(b).await;

    let (told_of, all) = planned(&plot, &admin(b).await, PLAIN).await;
    assert_eq!(told_of.outcome, Outcome::Partial);
    let plain = found(&all, "configmaps plot/plain");
    assert!(
        reason(plain).contains("plot-no-plain") && reason(plain).contains("no plain passwords"),
        "{plain:?}"
    );
    assert_eq!(found(&all, "configmaps plot/open").verdict, Verdict::Create);
    let seed = found(&all, "seeds.plan.example plot/carrot");
    assert!(
        matches!(&seed.verdict, Verdict::Cannot { code, .. } if code == "restore.not_served"),
        "{seed:?}"
    );
    let no_room: Vec<&Planned> = all
        .iter()
        .filter(|one| matches!(&one.verdict, Verdict::Cannot { code, .. } if code == "restore.quota"))
        .collect();
    assert_eq!(no_room.len(), 2, "six Secrets, room for four: {:?}", told(&all));
    assert!(reason(no_room[0]).contains("quota `few` allows 4 of count/secrets"), "{:?}", no_room[0]);

    // With the definition in the point, its instances wait for it.
    let related = Protected::new("plot-2", &["plot"]).await;
    related.backup(&admin(a).await).await;
    let (waiting, all) = planned(&related, &admin(b).await, PLAIN).await;
    assert_eq!(
        found(&all, "customresourcedefinitions.apiextensions.k8s.io seeds.plan.example").verdict,
        Verdict::Create
    );
    let seed = found(&all, "seeds.plan.example plot/carrot");
    assert!(
        matches!(&seed.verdict, Verdict::Unknown { until, .. } if until == "custom resource definitions"),
        "{seed:?}"
    );
    assert_eq!(waiting.count(VerdictKind::Unknown), 1);
}

const PRESS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: press}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mast, namespace: press}
data: {title: 'a'}
";

/// A connection of somebody with few rights.
async fn somebody(site: &Site, namespace: &str, rights: &[&str]) -> (Cluster, tempfile::TempDir) {
    site.kubectl(&["-n", namespace, "create", "serviceaccount", "eve"]).await.unwrap();
    site.kubectl(&[&["-n", namespace, "create", "role", "eve"], rights].concat()).await.unwrap();
    let account = format!("--serviceaccount={namespace}:eve");
    site.kubectl(&["-n", namespace, "create", "rolebinding", "eve", "--role=eve", &account]).await.unwrap();
    let token = site.kubectl(&["-n", namespace, "create", "token", "eve"]).await.unwrap();
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(site.kubeconfig()).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    let connect = Connect { kubeconfig: Some(path), ..Connect::default() };
    (Cluster::connect(connect).await.unwrap(), directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_alike_are_asked_for_once_and_rights_beforehand() {
    let [a, b] = sites().await;
    a.apply(PRESS).await.unwrap();
    let secrets: Vec<Value> = (0..60)
        .map(|number| {
            json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"number": number.to_string()},
                "metadata": {"name": format!("s-{number:02}"), "namespace": "press"}})
        })
        .collect();
    a.apply(&json!({"apiVersion": "v1", "kind": "List", "items": secrets}).to_string()).await.unwrap();
    let press = Protected::new("press", &["press"]).await;
    press.backup(&admin(a).await).await;
    b.apply("{apiVersion: v1, kind: Namespace, metadata: {name: press}}").await.unwrap();
    furnished(b, "press").await;

    let (sampled, _) = planned(&press, &admin(b).await, PLAIN).await;
    assert_eq!(sampled.count(VerdictKind::Create), 61, "{:?}", told(&sampled.objects));
    assert_eq!((sampled.dry_runs.made, sampled.dry_runs.inferred), (2, 59));
    let (asked, _) = planned(&press, &admin(b).await, How { dry_runs: DryRuns::All, ..PLAIN }).await;
    assert_eq!((asked.dry_runs.made, asked.dry_runs.inferred), (61, 0));
    assert_eq!(asked.levels, sampled.levels);

    let rights = ["--verb=get,list", "--resource=secrets,configmaps,serviceaccounts"];
    let (eve, _directory) = somebody(b, "press", &rights).await;
    let (refused, all) = planned(&press, &eve, PLAIN).await;
    let mast = found(&all, "configmaps press/mast");
    assert!(matches!(&mast.verdict, Verdict::Cannot { code, .. } if code == "cluster.forbidden"), "{mast:?}");
    assert!(reason(mast).contains("may not create configmaps in namespace press"), "{mast:?}");
    assert_eq!((refused.count(VerdictKind::Create), refused.dry_runs.made), (0, 0));
    let root = all.iter().find(|one| one.object.name == "kube-root-ca.crt");
    assert!(
        root.is_none_or(|one| matches!(one.verdict, Verdict::Skip { rule: SkipRule::NotSent, .. })),
        "{root:?}"
    );
}
