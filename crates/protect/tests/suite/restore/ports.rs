//! Node ports: chosen ones are kept where they are free, and given up, and said to be, where they are not.

use holdfast_model::Outcome;
use holdfast_model::restore::Verdict;
use holdfast_testbed::Site;

use crate::restore::support::{Protected, admin, problems, sites};

const HARBOUR: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: harbour}
---
apiVersion: v1
kind: Service
metadata: {name: chosen, namespace: harbour}
spec: {type: NodePort, ports: [{port: 80, nodePort: 31741}]}
---
apiVersion: v1
kind: Service
metadata: {name: allocated, namespace: harbour}
spec: {type: NodePort, ports: [{port: 80}]}
";

async fn port(site: &Site, namespace: &str, service: &str) -> u16 {
    let place = "jsonpath={.spec.ports[0].nodePort}";
    let port = site.kubectl(&["-n", namespace, "get", "service", service, "-o", place]).await.unwrap();
    port.parse().expect("a port")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_port_is_kept_where_it_is_free_and_told_where_it_is_taken() {
    let [a, b] = sites().await;
    a.apply(HARBOUR).await.unwrap();
    let harbour = Protected::new("harbour", &["harbour"]).await;
    harbour.backup(&admin(a).await).await;
    let target = admin(b).await;

    // Preserved.
    let first = harbour.restore(&target, &[]).await;
    assert_eq!(first.outcome, Outcome::Completed, "{}", problems(&first));
    assert_eq!(port(b, "harbour", "chosen").await, 31741);

    // Occupied, by the one that was just restored.
    let second = harbour.restore(&target, &["harbour=harbour-2"]).await;
    assert_eq!(second.outcome, Outcome::Partial);
    let [problem] = &second.problems[..] else { panic!("{}", problems(&second)) };
    assert_eq!(
        (problem.code.as_str(), problem.subject.as_str()),
        ("restore.node_port_taken", "services harbour-2/chosen")
    );
    let other = port(b, "harbour-2", "chosen").await;
    assert!(other != 31741 && other >= 30_000, "{other}");
    assert!(port(b, "harbour-2", "allocated").await != port(b, "harbour", "allocated").await);

    // Freed.
    b.kubectl(&["delete", "namespace", "harbour", "harbour-2"]).await.unwrap();
    let third = harbour.restore(&target, &["harbour=harbour-3"]).await;
    assert_eq!(third.outcome, Outcome::Completed, "{}", problems(&third));
    assert_eq!(port(b, "harbour-3", "chosen").await, 31741);
    let again = harbour.restore(&target, &["harbour=harbour-3"]).await;
    assert_eq!(
        (again.outcome, again.count(Verdict::Created)),
        (Outcome::Completed, 0),
        "{}",
        problems(&again)
    );
}
