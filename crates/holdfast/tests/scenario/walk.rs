//! The whole way once: protect, change, protect again, restore elsewhere, and again.

use std::time::Duration;

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::{Stand, until};

/// An application captured at one site runs at the other with every row of its last point.
#[test]
fn an_application_runs_at_the_other_site_with_all_its_rows() {
    walk(Stand::get(), "walk");
}

/// The same from one version of Kubernetes to the next, over the S3 server of another make.
#[test]
#[ignore = "long: builds MinIO and a second version of Kubernetes where they are not cached"]
fn long_an_application_moves_to_a_newer_version_over_another_make_of_s3() {
    walk(&Stand::of_other_makes(), "move");
}

fn walk(stand: &Stand, name: &str) {
    let program = Program::new(stand, name);
    let shop = Shop::deploy(&stand.a, name);
    shop.order(20_000);
    program.init_vault();
    program.add(name, &shop.application());

    let first = program.ok(&["backup", name, "--context", stand.a.name(), "-o", "json"]).json();
    assert_eq!(first["outcome"], "Completed", "{first:#}");
    shop.order(100);
    let wanted = shop.ledger(i64::MAX);
    let second = program.ok(&["backup", name, "--context", stand.a.name(), "-o", "json"]).json();
    assert_eq!(second["parent"], first["id"]);
    let (all, little) = (bytes(&first, "bytesStored"), bytes(&second, "bytesStored"));
    assert!(little * 3 < all, "the second capture stored {little} bytes, the first {all}");

    let latest = format!("{name}/latest");
    let restored =
        program.ok(&["restore", &latest, "--to", stand.b.name(), "--allow-privileged", "-o", "json"]).json();
    assert_eq!(restored["outcome"], "Completed", "{restored:#}");
    let at_b = Shop::at(&stand.b, name);
    assert_eq!(at_b.ledger(i64::MAX), wanted);
    assert_eq!(at_b.page(), format!("{} {} {}", wanted.count, wanted.last, wanted.digest));
    assert_eq!(at_b.kubectl(&["get", "catalogs", "-o", "name"]).lines().count(), 2);
    assert_eq!(
        at_b.kubectl(&["get", "clusterrolebinding", &format!("{name}-node-reader"), "-o", "name"])
            .lines()
            .count(),
        1
    );
    for kind in ["cronjob/report", "hpa/web", "pdb/web", "netpol/db", "ingress/web", "secret/db", "role/web"]
    {
        assert_eq!(at_b.kubectl(&["get", kind, "-o", "name"]).lines().count(), 1, "{kind}");
    }

    let pods = at_b.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]);
    let again =
        program.ok(&["restore", &latest, "--to", stand.b.name(), "--allow-privileged", "-o", "json"]).json();
    assert_eq!(again["outcome"], "Completed", "restoring twice: {again:#}");
    assert_eq!(at_b.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]), pods);

    let check = program.restic(name, &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
    nothing_temporary_is_left(stand, &program, name);
    stand.retire(&[name]);
}

fn bytes(point: &serde_json::Value, field: &str) -> u64 {
    point["stored"][field].as_u64().unwrap_or_else(|| panic!("no stored.{field} in {point:#}"))
}

/// Movers, holders, keys and our own claims of a scenario's runs are gone at both sites, or go within moments.
pub fn nothing_temporary_is_left(stand: &Stand, program: &Program, namespace: &str) {
    let runs = program.runs();
    for site in [&stand.a, &stand.b] {
        let columns = "custom-columns=KIND:.kind,NAME:.metadata.name,RUN:.metadata.labels.holdfast\\.dev/run";
        let ours = ["-l", "holdfast.dev/run", "-o", columns, "--no-headers", "--ignore-not-found"];
        for place in ["holdfast-system", namespace] {
            let kinds = "jobs,pods,secrets,configmaps,persistentvolumeclaims";
            // Other scenarios are at work in the same namespace.
            let is_ours = |line: &str| place == namespace || runs.iter().any(|run| line.ends_with(run));
            // A pod that was told to end still has its grace period.
            until(
                site,
                Duration::from_secs(60),
                &[&["get", kinds, "-n", place], &ours[..]].concat(),
                |there| !there.lines().any(|line| is_ours(line.trim_end())),
            );
        }
    }
}
