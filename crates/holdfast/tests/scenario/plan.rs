//! A whole application's restore is shown before it is made, and again after it and after changes.

use serde_json::Value;

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::{Stand, apply, kubectl};

const NAME: &str = "plan";
const LATEST: &str = "plan/latest";

/// The plan of restoring the shop to the other site.
fn plan(program: &Program, code: i32, more: &[&str]) -> Value {
    let command = ["restore", LATEST, "--to", "b", "--allow-privileged", "--plan", "-o", "json"];
    program.expect(code, &[&command[..], more].concat()).json()
}

/// Objects of the plan in `verdict`, as `plural/name`.
fn named(plan: &Value, verdict: &str) -> Vec<String> {
    let objects = plan["objects"].as_array().unwrap().iter();
    let wanted = objects.filter(|planned| planned["verdict"] == verdict);
    let name = |part: &Value| part.as_str().unwrap().to_owned();
    let mut found: Vec<String> = wanted
        .map(|one| format!("{}/{}", name(&one["object"]["plural"]), name(&one["object"]["name"])))
        .collect();
    found.sort();
    found
}

fn count(plan: &Value, verdict: &str) -> u64 {
    let levels = plan["levels"].as_array().unwrap().iter();
    let kinds = levels.flat_map(|level| level["kinds"].as_array().unwrap());
    kinds.filter_map(|kind| kind["verdicts"][verdict].as_u64()).sum()
}

/// Names and versions of all that a restore of the shop could touch.
fn versions(at: &Shop<'_>) -> String {
    let kinds = "configmaps,secrets,services,serviceaccounts,roles,rolebindings,deployments,statefulsets,cronjobs,\
                 persistentvolumeclaims,networkpolicies,poddisruptionbudgets,ingresses,catalogs,pods";
    // What controllers write by themselves is left out: status moves versions.
    let columns = "custom-columns=K:.kind,N:.metadata.name,U:.metadata.uid,G:.metadata.generation,D:.data,L:.metadata.labels,A:.metadata.annotations";
    at.kubectl(&["get", kinds, "-o", columns, "--no-headers"])
}

#[test]
fn a_restore_is_shown_before_and_after_it_is_made() {
    let stand = Stand::get();
    let program = Program::new(stand, NAME);
    let shop = Shop::deploy(&stand.a, NAME);
    program.init_vault();
    program.add(NAME, &shop.application());
    program.ok(&["backup", NAME, "--context", stand.a.name()]);

    let empty = plan(&program, 0, &[]);
    assert_eq!(
        (empty["outcome"].as_str(), empty["format"].as_u64()),
        (Some("Completed"), Some(1)),
        "{empty:#}"
    );
    assert!(count(&empty, "unknown") > 10, "{empty:#}");
    assert_eq!(kubectl(&stand.b, &["get", "namespace", NAME, "--ignore-not-found"]), "");

    apply(&stand.b, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAME}}}}}"));
    let at_b = Shop::at(&stand.b, NAME);
    at_b.until(&["get", "serviceaccount/default", "configmap/kube-root-ca.crt", "-o", "name"], |said| {
        said.lines().count() == 2
    });
    let ready = plan(&program, 0, &["--dry-run=all"]);
    for verdict in ["update", "conflict", "cannot"] {
        assert!(named(&ready, verdict).is_empty(), "{verdict}: {ready:#}");
    }
    assert!(count(&ready, "create") > 15, "{ready:#}");

    let restored = program.ok(&["restore", LATEST, "--to", "b", "--allow-privileged", "-o", "json"]).json();
    assert_eq!(restored["outcome"], "Completed", "{restored:#}");
    let shown = program.ok(&["run", "show", "latest", "-o", "json"]).json();
    assert_eq!(shown["restore"], restored, "what a run did is kept");
    let runs = program.ok(&["run", "list"]).stdout;
    assert!(runs.contains("backup plan") && runs.contains("restore 2"), "{runs}");
    let before = versions(&at_b);
    let same = plan(&program, 0, &[]);
    for verdict in ["create", "update", "conflict", "cannot", "unknown"] {
        assert_eq!(count(&same, verdict), 0, "{verdict} after a restore: {same:#}");
    }
    for skipped in same["objects"].as_array().unwrap() {
        let (rule, object) = (skipped["rule"].as_str().unwrap(), &skipped["object"]);
        let own = rule == "describes-target" && object["plural"] == "namespaces";
        assert!(["not-sent", "left-to-owner"].contains(&rule) || own, "{skipped:#}");
    }
    let verified = program.ok(&["verify", LATEST, "--against", "b", "-o", "json"]).json();
    assert_eq!(
        (&verified["outcome"], &verified["deviating"]),
        (&"Completed".into(), &0.into()),
        "{verified:#}"
    );
    assert!(verified["identical"].as_u64() > Some(15), "{verified:#}");
    assert_eq!(versions(&at_b), before, "a plan has written something");

    changes_are_shown(&program, &at_b);
    a_plan_is_applied_as_shown_or_refused(&program, &at_b);
    stand.retire(&[NAME]);
}

/// Four objects are changed and one is deleted: just those are named.
fn changes_are_shown(program: &Program, at_b: &Shop<'_>) {
    for change in [
        ["patch", "cronjob", "report", "--type=merge", "-p", r#"{"spec":{"schedule":"18 4 * * *"}}"#],
        ["patch", "secret", "db", "--type=merge", "-p", r#"{"stringData":{"password":"wrong-horse"}}"#],
        ["patch", "catalog", "summer", "--type=merge", "-p", r#"{"spec":{"currency":"USD"}}"#],
        ["patch", "pdb", "web", "--type=merge", "-p", r#"{"metadata":{"labels":{"by":"hand"}}}"#],
    ] {
        at_b.kubectl(&change);
    }
    at_b.kubectl(&["delete", "networkpolicy", "db"]);
    let changed = ["catalogs/summer", "cronjobs/report", "poddisruptionbudgets/web", "secrets/db"];
    let left = plan(program, 3, &[]);
    assert_eq!(named(&left, "conflict"), changed);
    assert_eq!(count(&left, "create"), 1, "{left:#}");
    let verified = program.expect(3, &["verify", LATEST, "--against", "b", "-o", "json"]).json();
    let deviating = |kind: &str| {
        let all = verified["deviations"].as_array().unwrap().iter();
        all.filter(|one| one["kind"] == kind).count()
    };
    assert_eq!((deviating("differs"), deviating("missing")), (4, 1), "{verified:#}");
    let only = ["verify", LATEST, "--against", "b", "--kinds", "services", "-o", "json"];
    assert_eq!(program.ok(&only).json()["deviating"], 0);
    let shown = program
        .ok(&[
            "restore",
            LATEST,
            "--to",
            "b",
            "--allow-privileged",
            "--plan",
            "--existing",
            "replace",
            "--diff",
        ])
        .stdout;
    for line in [
        "Would be changed (4)",
        "~ spec.schedule: \"18 4 * * *\" → \"17 3 * * *\"",
        "~ spec.currency: \"USD\" → \"EUR\"",
        "- metadata.labels",
        "~ data.password\n",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("horse"), "{shown}");
}

/// A plan is made of what was changed, and the cluster changes once more before it is applied.
fn a_plan_is_applied_as_shown_or_refused(program: &Program, at_b: &Shop<'_>) {
    let files = ["first.plan", "second.plan"].map(|name| program.path(name).to_string_lossy().into_owned());
    plan(program, 0, &["--existing", "replace", "--plan-file", &files[0]]);
    at_b.kubectl(&[
        "patch",
        "secret",
        "db",
        "--type=merge",
        "-p",
        r#"{"stringData":{"password":"third-horse"}}"#,
    ]);
    at_b.kubectl(&["delete", "role", "web"]);
    let before = versions(at_b);
    let restore = |file| ["restore", LATEST, "--to", "b", "--plan-file", file, "-o", "json"];
    let refused = program.expect(1, &restore(&files[0])).stderr;
    for told in [
        "cli.cluster_moved",
        "secrets plan/db has changed",
        "roles.rbac.authorization.k8s.io plan/web was planned as identical and is create now",
    ] {
        assert!(refused.contains(told), "{told} is not in\n{refused}");
    }
    assert_eq!(versions(at_b), before, "a refused plan has changed something");

    plan(program, 0, &["--existing", "replace", "--plan-file", &files[1]]);
    let applied = program.ok(&restore(&files[1])).json();
    assert_eq!(applied["outcome"], "Completed", "{applied:#}");
    let after = plan(program, 0, &[]);
    for verdict in ["create", "update", "conflict", "cannot", "unknown"] {
        assert_eq!(count(&after, verdict), 0, "{verdict}: {after:#}");
    }
}
