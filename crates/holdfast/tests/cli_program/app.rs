//! Applications declared, listed, shown, changed and removed.

use crate::program::Program;

const BANK: &str = r#"
apiVersion: holdfast.dev/v1alpha1
kind: Application
metadata:
  name: bank
spec:
  cluster: tokyo
  scope:
    namespaces: ["bank", "bank-*", "!bank-test"]
    kinds: ["!events"]
    cluster:
      kinds: ["*.bank.example"]
    withoutData:
    - claim: bank/cache
      reason: rebuilt on start
  hooks:
    hold:
    - name: postgres
      target:
        namespace: bank
        labels: {app: db}
      command: [psql, -X]
      begin: "SELECT pg_backup_start('holdfast');"
      marker: '\echo {token}'
      late:
      - claim: data
        path: pgdata/pg_wal
"#;

fn bank() -> Program {
    let program = Program::with_vault();
    std::fs::write(program.file("bank.yaml"), BANK).unwrap();
    program.ok(&["app", "add", "-f", "bank.yaml"]);
    program
}

#[test]
fn an_application_is_shown_to_people() {
    let program = bank();
    let id = program.ok(&["app", "list", "-o", "json"]).json()[0]["id"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(program.ok(&["app", "show", "bank"]).stdout.replace(&id, "ID"));
    assert_eq!(program.ok(&["app", "show", &id]).stdout, program.ok(&["app", "show", "bank"]).stdout);
}

#[test]
fn what_is_shown_as_yaml_can_be_applied_again() {
    let program = bank();
    let yaml = program.ok(&["app", "show", "bank", "-o", "yaml"]).stdout;
    std::fs::write(program.file("again.yaml"), &yaml).unwrap();
    assert_eq!(program.ok(&["apply", "-f", "again.yaml"]).stdout, "application/bank unchanged\n");
    std::fs::write(program.file("again.yaml"), yaml.replace("tokyo", "osaka")).unwrap();
    assert_eq!(program.ok(&["apply", "-f", "again.yaml"]).stdout, "application/bank configured\n");
    assert!(program.ok(&["app", "list"]).stdout.contains("osaka"));
}

#[test]
fn applications_are_listed() {
    let program = bank();
    program.ok(&["app", "add", "shop", "-n", "shop", "-n", "shop-cache", "--context", "osaka"]);
    insta::assert_snapshot!(program.ok(&["app", "list"]).stdout, @r"
    NAME   NAMESPACES               CLUSTER   VAULT   HOOKS
    bank   bank,bank-*,!bank-test   tokyo     v       1
    shop   shop,shop-cache          osaka     v       0
    ");
}

#[test]
fn names_are_taken_once_and_free_after_removal() {
    let program = bank();
    let said = program.expect(1, &["app", "add", "bank", "-n", "x"]);
    assert!(said.stderr.contains("application `bank` exists already"), "{said:?}");
    let said = program.ok(&["app", "remove", "bank"]);
    assert!(said.stderr.contains("recovery points are kept"), "{said:?}");
    assert_eq!(program.ok(&["app", "list"]).stdout, "");
    program.ok(&["app", "add", "bank", "-n", "x"]);
    let said = program.expect(1, &["app", "show", "shop"]);
    assert!(said.stderr.contains("no application `shop`; there is: bank"), "{said:?}");
}

#[test]
fn a_scope_that_selects_nothing_or_a_bad_name_is_refused() {
    let program = Program::with_vault();
    let said = program.expect(1, &["app", "add", "../x", "-n", "x"]);
    assert!(said.stderr.contains("`../x`"), "{said:?}");
    let said = program.expect(1, &["app", "add", "x", "-n", "shop["]);
    assert!(said.stderr.contains("not a valid glob"), "{said:?}");
}

#[test]
fn with_two_vaults_one_must_be_named() {
    let program = Program::with_vault();
    program.ok(&[
        "vault",
        "init",
        "w",
        "--url",
        &program.url("w"),
        "--recovery-key",
        &program.path("w.recovery"),
    ]);
    let said = program.expect(1, &["app", "add", "shop", "-n", "shop"]);
    assert!(
        said.stderr.contains("there are several vaults: v, w") && said.stderr.contains("--vault NAME"),
        "{said:?}"
    );
    for vault in ["v", "w"] {
        program.ok(&["app", "add", "shop", "-n", "shop", "--vault", vault]);
    }
    let said = program.expect(1, &["app", "show", "shop"]);
    assert!(said.stderr.contains("there are several applications `shop`"), "{said:?}");
    assert!(program.ok(&["app", "show", "shop", "--vault", "w"]).stdout.contains("w"));
}
