//! Manifests in the home: applied, listed, refused.

use std::os::unix::fs::PermissionsExt;

use crate::program::Program;

const MANIFESTS: &str = "\
apiVersion: holdfast.dev/v1alpha1
kind: Site
metadata:
  name: tokyo
spec:
  role: same-city
---
apiVersion: holdfast.dev/v1alpha1
kind: Vault
metadata:
  name: tokyo
spec:
  url: s3://dr/bank
  endpoint: https://s3.tokyo.bank:9000
  site: tokyo
  credentials: !File /etc/holdfast/tokyo.env
---
apiVersion: holdfast.dev/v1alpha1
kind: Policy
metadata:
  name: gold
spec:
  consistency: application
";

#[test]
fn applying_twice_changes_nothing() {
    let program = Program::new();
    let yaml = MANIFESTS.replace(
        "credentials: !File /etc/holdfast/tokyo.env",
        "credentials:\n    file: /etc/holdfast/tokyo.env",
    );
    std::fs::write(program.file("m.yaml"), &yaml).unwrap();
    assert_eq!(
        program.ok(&["apply", "-f", "m.yaml"]).stdout,
        "site/tokyo created\nvault/tokyo created\npolicy/gold created\n"
    );
    std::fs::write(program.file("m.yaml"), yaml.replace("s3://dr/bank", "s3://dr/bank2")).unwrap();
    let again = program.ok(&["apply", "-f", "m.yaml"]).stdout;
    assert_eq!(again, "site/tokyo unchanged\nvault/tokyo configured\npolicy/gold unchanged\n");
    let list = program.ok(&["vault", "list", "-o", "wide"]).stdout;
    insta::assert_snapshot!(list, @r"
    NAME    URL             SITE    KEY       ENDPOINT                     CREDENTIALS
    tokyo   s3://dr/bank2   tokyo   missing   https://s3.tokyo.bank:9000   /etc/holdfast/tokyo.env
    ");
}

#[test]
fn what_is_listed_as_yaml_can_be_applied_elsewhere() {
    let (here, there) = (Program::with_vault(), Program::new());
    let manifest = here.ok(&["vault", "list", "-o", "json"]).json()[0].clone();
    let mut manifest = manifest.as_object().unwrap().clone();
    manifest.insert("kind".into(), "Vault".into());
    std::fs::write(there.file("v.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    there.ok(&["apply", "-f", "v.json"]);
    assert!(there.ok(&["vault", "list"]).stdout.contains("missing"));
    there.ok(&["vault", "add", "v", "--recovery-key", &here.path("v.recovery")]);
    assert!(there.ok(&["vault", "list"]).stdout.contains("here"));
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_place() {
    let program = Program::new();
    let bad = MANIFESTS.replace("role: same-city", "rule: same-city");
    std::fs::write(program.file("m.yaml"), bad).unwrap();
    let said = program.expect(1, &["apply", "-f", "m.yaml"]);
    assert!(said.stderr.contains("m.yaml: ") && said.stderr.contains("unknown field `rule`"), "{said:?}");
    assert!(said.stderr.contains("line 6"), "{said:?}");
    assert_eq!(program.ok(&["vault", "list"]).stdout, "", "nothing of a bad file is applied");
    assert!(program.expect(1, &["apply", "-f", "none.yaml"]).stderr.contains("cannot read `none.yaml`"));
    std::fs::write(program.file("empty.yaml"), "# nothing\n---\n").unwrap();
    assert!(program.expect(1, &["apply", "-f", "empty.yaml"]).stderr.contains("there is no manifest in it"));
}

#[test]
fn keys_that_others_may_read_are_refused() {
    let program = Program::with_vault();
    let key = program.file("home/keys/v.key");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(&program.file("home"))), (0o600, 0o700));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = program.expect(1, &["app", "list"]);
    assert!(said.stderr.contains("can be read by others (mode 0644)"), "{said:?}");
    assert!(said.stderr.contains("chmod 600"), "{said:?}");
}

#[test]
fn a_damaged_key_file_is_named() {
    let program = Program::with_vault();
    std::fs::write(program.file("home/keys/v.key"), "not a key\n").unwrap();
    let said = program.expect(1, &["app", "list"]);
    assert!(said.stderr.contains("home/keys/v.key"), "{said:?}");
}

#[test]
fn credentials_are_read_from_a_private_file_alone() {
    let program = Program::new();
    std::fs::write(program.file("credentials"), "AWS_ACCESS_KEY_ID=id\nvery-secret\n").unwrap();
    let init = |program: &Program| {
        let (url, key) = (program.url("v"), program.path("v.recovery"));
        program.run(&[
            "vault",
            "init",
            "v",
            "--url",
            &url,
            "--credentials-file",
            "credentials",
            "--recovery-key",
            &key,
        ])
    };
    std::fs::set_permissions(program.file("credentials"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(init(&program).stderr.contains("can be read by others"));
    std::fs::set_permissions(program.file("credentials"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let said = init(&program);
    assert!(said.stderr.contains("line 2 is not of the form KEY=value"), "{said:?}");
    assert!(!said.stderr.contains("very-secret"), "{said:?}");
}
