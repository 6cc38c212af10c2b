//! What the point does not have goes, if it is of the application, no data, and in a point made before.

use std::sync::{Arc, Mutex};

use holdfast_cluster::Cluster;
use holdfast_model::Outcome;
use holdfast_model::restore::plan::{SkipRule, Verdict as Planned};
use holdfast_model::restore::verification::DeviationKind;
use holdfast_model::restore::{Existing, Policies, RestoreReport, Terms, Verdict};
use holdfast_protect::restore::{DryRuns, PlanRequest, RestoreRequest, VerifyRequest, plan, restore, verify};

use crate::restore::support::{Protected, admin, problems, sites, terms, with};

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: kiosk}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: page, namespace: kiosk}
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: kiosk}
stringData: {pin: '4711'}
";

/// Everything that came after the backup, and what of it stays.
const LATER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: kiosk-other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: foreign, namespace: kiosk-other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: later, namespace: kiosk-1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: marked, namespace: kiosk-1, labels: {holdfast.dev/exclude: 'true'}}
---
apiVersion: v1
kind: Secret
metadata: {name: late, namespace: kiosk-1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stall, namespace: kiosk-1}
spec:
  replicas: 1
  selector: {matchLabels: {app: stall}}
  template:
    metadata: {labels: {app: stall}}
    spec: {containers: [{name: c, image: kiosk.example/stall:1}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: gold, namespace: kiosk-1}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster, namespace: kiosk-1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: moving, namespace: kiosk-1}
";

fn pruning(policies: &[&str]) -> Terms {
    let existing = Policies::parse(policies).unwrap();
    Terms { existing, ..terms(&["kiosk=kiosk-1"], Existing::None) }
}

async fn restored(of: &Protected, target: &Cluster, policies: &[&str], is_safe: bool) -> RestoreReport {
    let before = match is_safe {
        true => Some(of.backup_before(target, &["kiosk-1"]).await.id),
        false => None,
    };
    let request = of.request(target).await;
    restore(RestoreRequest { terms: pruning(policies), before, ..request }).await.unwrap()
}

fn names(told: &[String]) -> Vec<&str> {
    told.iter().map(|line| line.split_once(':').unwrap().0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_point_does_not_have_goes_and_nothing_else() {
    let [a, b] = sites().await;
    a.apply(SHOP).await.unwrap();
    let kiosk = Protected::new("kiosk", &["kiosk"]).await;
    kiosk.backup(&admin(a).await).await;
    let target = admin(b).await;
    let first = restored(&kiosk, &target, &["prune"], false).await;
    assert_eq!(first.outcome, Outcome::Completed, "nothing is there to be deleted: {}", problems(&first));

    b.apply(LATER).await.unwrap();
    let uid = ["-n", "kiosk-1", "get", "configmap", "cluster", "-o", "jsonpath={.metadata.uid}"];
    let owner = b.kubectl(&uid).await.unwrap();
    let owned = |kind: &str, name: &str, rest: &str| {
        format!(
            "apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: kiosk-1\n  ownerReferences: \
             [{{apiVersion: v1, kind: ConfigMap, name: cluster, uid: {owner}}}]\n{rest}---\n"
        )
    };
    let spec = "spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Mi}}}\n";
    let below = owned("PersistentVolumeClaim", "silver", spec) + &owned("ConfigMap", "belongs", "");
    b.apply(&below).await.unwrap();

    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = heard.clone();
    let request = kiosk.request(&target).await;
    let (cluster, repository) = (request.cluster, request.repository);
    let told = plan(PlanRequest {
        cluster: cluster.clone(),
        repository: repository.clone(),
        point: request.point.clone(),
        movers: false,
        terms: pruning(&["prune"]),
        dry_runs: DryRuns::Sampled,
        clock: request.clock.clone(),
        observer: request.observer.clone(),
        on_object: Some(Arc::new(move |planned| {
            if matches!(planned.verdict, Planned::Delete) {
                assert!(planned.live.is_some());
                sink.lock().unwrap().push(planned.object.to_string());
            }
        })),
    })
    .await
    .unwrap();
    let mut heard = std::mem::take(&mut *heard.lock().unwrap());
    heard.sort();
    let all = [
        "configmaps kiosk-1/later",
        "configmaps kiosk-1/moving",
        "deployments.apps kiosk-1/stall",
        "secrets kiosk-1/late",
    ];
    assert_eq!(heard, all, "{:?}", told.problems);
    let data: Vec<String> = told
        .objects
        .iter()
        .filter(|planned| matches!(planned.verdict, Planned::Skip { rule: SkipRule::HoldsData, .. }))
        .map(|planned| planned.object.to_string())
        .collect();
    assert_eq!(data, ["configmaps kiosk-1/cluster", "persistentvolumeclaims kiosk-1/gold"]);

    let difference = verify(VerifyRequest {
        cluster,
        repository,
        point: request.point,
        selection: Default::default(),
        mapping: pruning(&[]).mapping,
        modifiers: Vec::new(),
        exact: true,
        clock: request.clock,
        observer: request.observer,
    })
    .await
    .unwrap();
    let extra = difference.deviations.iter().filter(|found| found.kind == DeviationKind::Extra).count();
    assert_eq!((extra, difference.deviating, difference.outcome), (6, 6, Outcome::Partial));

    let unsafe_ = restored(&kiosk, &target, &["prune"], false).await;
    assert_eq!((unsafe_.outcome, unsafe_.count(Verdict::Deleted)), (Outcome::Partial, 0));
    let some = restored(&kiosk, &target, &["secrets=prune"], true).await;
    assert_eq!(some.outcome, Outcome::Completed, "{}", problems(&some));
    assert_eq!(names(&with(&some, Verdict::Deleted)), ["secrets kiosk-1/late"]);

    let before = kiosk.backup_before(&target, &["kiosk-1"]).await.id;
    b.kubectl(&[
        "-n",
        "kiosk-1",
        "patch",
        "configmap",
        "moving",
        "--type=merge",
        "-p",
        r#"{"data":{"x":"y"}}"#,
    ])
    .await
    .unwrap();
    let request = kiosk.request(&target).await;
    let moved = restore(RestoreRequest { terms: pruning(&["prune"]), before: Some(before), ..request }).await;
    let moved = moved.unwrap();
    let gone = ["configmaps kiosk-1/later", "deployments.apps kiosk-1/stall"];
    assert_eq!(names(&with(&moved, Verdict::Deleted)), gone, "{}", problems(&moved));
    assert_eq!(names(&with(&moved, Verdict::Failed)), ["configmaps kiosk-1/moving"]);
    assert_eq!(moved.outcome, Outcome::Partial, "what moved since the point before is in no point");
    assert!(problems(&moved).contains("restore.not_pruned"), "{}", problems(&moved));

    let last = restored(&kiosk, &target, &["prune"], true).await;
    assert_eq!(last.outcome, Outcome::Completed, "{}", problems(&last));
    assert_eq!(names(&with(&last, Verdict::Deleted)), ["configmaps kiosk-1/moving"]);
    let kept = with(&last, Verdict::Kept);
    assert_eq!(names(&kept), ["configmaps kiosk-1/cluster", "persistentvolumeclaims kiosk-1/gold"]);
    assert!(kept[0].contains("silver") || kept[0].contains("persistentvolumeclaims"), "{kept:?}");
    let left = b.kubectl(&["-n", "kiosk-1", "get", "configmaps,secrets,pvc", "-o", "name"]).await.unwrap();
    let left: Vec<&str> = left.split_whitespace().filter(|name| !name.contains("kube-root-ca")).collect();
    assert_eq!(
        left,
        [
            "configmap/belongs",
            "configmap/cluster",
            "configmap/marked",
            "configmap/page",
            "secret/key",
            "persistentvolumeclaim/gold",
            "persistentvolumeclaim/silver"
        ]
    );
    b.kubectl(&["-n", "kiosk-other", "get", "configmap", "foreign"]).await.unwrap();
    let again = restored(&kiosk, &target, &["prune"], true).await;
    assert_eq!((again.outcome, again.count(Verdict::Deleted)), (Outcome::Completed, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_point_prunes_nothing() {
    let [a, b] = sites().await;
    a.apply(&SHOP.replace("kiosk", "stand")).await.unwrap();
    let stand = Protected::new("stand", &["stand", "stand-gone"]).await;
    let point = stand.backup(&admin(a).await).await;
    assert_eq!(point.outcome, Outcome::Partial, "a namespace is missing");
    b.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: stand}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: later, namespace: stand}\n")
        .await
        .unwrap();
    let target = admin(b).await;
    let before = stand.backup_before(&target, &["stand"]).await.id;
    let terms = terms(&[], Existing::Prune);
    let request = RestoreRequest { terms, before: Some(before), ..stand.request(&target).await };
    let report = restore(request).await.unwrap();
    assert_eq!(report.count(Verdict::Deleted), 0);
    assert!(problems(&report).contains("restore.not_pruned"), "{}", problems(&report));
}
