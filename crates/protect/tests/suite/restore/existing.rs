//! What is at the target already is not disturbed, and what differs is told.

use holdfast_model::Outcome;
use holdfast_model::restore::{Existing, Verdict};
use holdfast_protect::restore::{RestoreRequest, restore};

use crate::restore::support::{Protected, admin, problems, sites, terms};

const BANK: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: rates, namespace: bank}
data: {eur: '1.0'}
---
apiVersion: v1
kind: Secret
metadata: {name: vault, namespace: bank}
stringData: {pin: '4711'}
---
apiVersion: v1
kind: Service
metadata: {name: desk, namespace: bank}
spec: {ports: [{port: 80}], selector: {app: desk}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: clerk, namespace: bank}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bank-clerks}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: clerk, namespace: bank}]
";

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_named_and_replaced_only_when_asked() {
    let [a, b] = sites().await;
    a.apply(BANK).await.unwrap();
    let bank = Protected::new("bank", &["bank"]).await;
    bank.backup(&admin(a).await).await;
    let target = admin(b).await;
    let first = bank.restore(&target, &["bank=bank-1"]).await;
    assert_eq!(first.outcome, Outcome::Completed, "{}", problems(&first));

    for patch in [
        ["patch", "configmap", "rates", "--type=merge", "-p", r#"{"data":{"eur":"2.0","usd":"1.1"}}"#],
        ["patch", "secret", "vault", "--type=merge", "-p", r#"{"stringData":{"pin":"0815"}}"#],
        ["patch", "service", "desk", "--type=merge", "-p", r#"{"spec":{"selector":{"app":"other"}}}"#],
    ] {
        b.kubectl(&[&["-n", "bank-1"], patch.as_slice()].concat()).await.unwrap();
    }
    let second = bank.restore(&target, &["bank=bank-1"]).await;
    assert_eq!(second.outcome, Outcome::Partial);
    assert_eq!(second.count(Verdict::Differs), 3, "{:?}", second.objects);
    let told = problems(&second);
    assert!(told.contains("configmaps bank-1/rates") && told.contains("data.eur, data.usd"), "{told}");
    let whole = serde_json::to_string(&second).unwrap();
    assert!(!whole.contains("0815") && !whole.contains("MDgxNQ") && !whole.contains("NDcxMQ"), "{whole}");
    let live = b
        .kubectl(&["-n", "bank-1", "get", "configmap", "rates", "-o", "jsonpath={.data.eur}"])
        .await
        .unwrap();
    assert_eq!(live, "2.0", "nothing was changed");

    let terms = terms(&["bank=bank-1"], Existing::Replace);
    let request = bank.request(&target).await;
    let third = restore(RestoreRequest { terms, ..request }).await.unwrap();
    assert_eq!(third.outcome, Outcome::Completed, "{}", problems(&third));
    assert_eq!(third.count(Verdict::Updated), 3, "{:?}", third.objects);
    let live =
        b.kubectl(&["-n", "bank-1", "get", "configmap", "rates", "-o", "jsonpath={.data}"]).await.unwrap();
    assert_eq!(live, r#"{"eur":"1.0"}"#, "what was added since is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_both_use_gets_subjects_added() {
    let [a, _] = sites().await;
    a.apply(&BANK.replace("bank", "till")).await.unwrap();
    let till = Protected::new("till", &["till"]).await;
    let cluster = admin(a).await;
    till.backup(&cluster).await;
    // Beside the original, on the same cluster.
    let report = till.restore(&cluster, &["till=till-copy"]).await;
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    let subjects = a
        .kubectl(&["get", "clusterrolebinding", "till-clerks", "-o", "jsonpath={.subjects[*].namespace}"])
        .await
        .unwrap();
    assert_eq!(subjects, "till till-copy");
    let original = a
        .kubectl(&["-n", "till", "get", "configmap", "rates", "-o", "jsonpath={.metadata.annotations}"])
        .await
        .unwrap();
    assert!(!original.contains("restored-from"), "{original}");
    let again = till.restore(&cluster, &["till=till-copy"]).await;
    assert_eq!(again.outcome, Outcome::Completed, "{}", problems(&again));
    assert_eq!((again.count(Verdict::Created), again.count(Verdict::Updated)), (0, 0), "{:?}", again.objects);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_updated_is_created_anew_and_data_never() {
    let claim = |mode: &str| {
        format!(
            "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: safe, namespace: coinage}}\n\
             spec: {{accessModes: [{mode}], storageClassName: none, resources: {{requests: {{storage: 1Mi}}}}}}\n"
        )
    };
    let [a, b] = sites().await;
    a.apply(&(BANK.replace("bank", "coinage") + &claim("ReadWriteOnce"))).await.unwrap();
    let coinage = Protected::new("coinage", &["coinage"]).await;
    coinage.backup(&admin(a).await).await;
    let fixed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rates, namespace: coinage}\nimmutable: true\ndata: {eur: '9.0'}\n";
    let space = "apiVersion: v1\nkind: Namespace\nmetadata: {name: coinage}\n---\n";
    b.apply(&(space.to_owned() + fixed + &claim("ReadWriteMany"))).await.unwrap();
    let target = admin(b).await;
    let restored = async |existing| {
        let (terms, request) = (terms(&[], existing), coinage.request(&target).await);
        restore(RestoreRequest { terms, ..request }).await.unwrap()
    };
    let refused = restored(Existing::Replace).await;
    assert_eq!(
        (refused.outcome, refused.count(Verdict::Failed)),
        (Outcome::Partial, 2),
        "{}",
        problems(&refused)
    );

    let uid = ["-n", "coinage", "get", "pvc", "safe", "-o", "jsonpath={.metadata.uid}"];
    let before = b.kubectl(&uid).await.unwrap();
    let anew = restored(Existing::Recreate).await;
    assert_eq!((anew.outcome, anew.count(Verdict::Failed)), (Outcome::Partial, 1), "{}", problems(&anew));
    assert!(problems(&anew).contains("persistentvolumeclaims coinage/safe"), "{}", problems(&anew));
    assert_eq!(b.kubectl(&uid).await.unwrap(), before, "the claim is the same");
    let data = ["-n", "coinage", "get", "configmap", "rates", "-o", "jsonpath={.data.eur}{.immutable}"];
    assert_eq!(b.kubectl(&data).await.unwrap(), "1.0");
    let again = restored(Existing::Recreate).await;
    assert_eq!(again.count(Verdict::Updated), 0, "{:?}", again.objects);
}
