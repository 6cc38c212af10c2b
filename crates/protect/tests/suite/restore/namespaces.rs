//! Many namespaces.

use holdfast_model::Outcome;
use holdfast_model::restore::{Selection, Terms, Verdict};
use holdfast_protect::restore::{RestoreRequest, restore};

use crate::restore::support::{Protected, admin, problems, sites, terms};

const NAMESPACES: usize = 2_500;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: 2,500 namespaces"]
async fn long_thousands_of_namespaces_are_captured_by_a_glob_and_come_back() {
    let [a, b] = sites().await;
    let names: Vec<String> = (0..NAMESPACES).map(|n| format!("tenant-{n:04}")).collect();
    for some in names.chunks(250) {
        let manifest = |name: &String| {
            format!(
                "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n\
                 apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings, namespace: {name}}}\n\
                 data: {{of: {name}}}\n---\n"
            )
        };
        a.apply(&some.iter().map(manifest).collect::<String>()).await.unwrap();
    }
    let tenants = Protected::new("tenants", &["tenant-*", "!tenant-0007"]).await;
    let point = tenants.backup(&admin(a).await).await;
    assert_eq!(point.outcome, Outcome::Completed, "{:?}", point.problems);

    // Those of one hundred, and then the rest.
    let request = tenants.request(&admin(b).await).await;
    let hundred = Selection { namespaces: vec!["tenant-00*".to_owned()], ..Selection::default() };
    let part = Terms { selection: hundred, ..terms(&[], holdfast_model::restore::Existing::None) };
    let some = restore(RestoreRequest { terms: part, ..request }).await.unwrap();
    assert_eq!(some.outcome, Outcome::Completed, "{}", problems(&some));
    let count = async || {
        // Other tests have some of this name, too.
        let fields =
            ["--field-selector=metadata.name=settings", "-o", "jsonpath={.items[*].metadata.namespace}"];
        let listed = b.kubectl(&[&["get", "configmaps", "-A"], &fields[..]].concat()).await.unwrap();
        listed.split_whitespace().filter(|namespace| namespace.starts_with("tenant-")).count()
    };
    assert_eq!(count().await, 99);
    let all = tenants.restore(&admin(b).await, &[]).await;
    assert_eq!(all.outcome, Outcome::Completed, "{}", problems(&all));
    assert_eq!(count().await, NAMESPACES - 1);
    assert!(all.count(Verdict::Created) >= 2 * (NAMESPACES as u64 - 100), "{:?}", all.kinds);
    // They go with the sites: kubectl deletes three a second.
}
