//! Vaults made, added, checked and refused.

use crate::program::{Program, files};

#[test]
fn a_vault_is_made_and_its_key_escrowed() {
    let program = Program::new();
    let said = program.ok(&[
        "vault",
        "init",
        "v",
        "--url",
        &program.url("v"),
        "--recovery-key",
        &program.path("v.recovery"),
    ]);
    let id = said.stdout.lines().find_map(|line| line.strip_prefix("Id:")).unwrap().trim().to_owned();
    insta::assert_snapshot!(program.stable(&said.stdout).replace(&id, "ID"));
    let recovery = std::fs::read_to_string(program.file("v.recovery")).unwrap();
    let key = recovery.lines().find(|line| !line.starts_with('#')).unwrap();
    assert!(key.len() > 40, "{recovery}");
    assert!(!said.stdout.contains(key) && !said.stderr.contains(key), "the key itself is not printed");
    for file in files(&program.file("v")) {
        let content = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains(key), "{}", file.display());
    }
    assert_eq!(program.ok(&["vault", "check"]).stdout, "");
}

#[test]
fn an_init_that_fails_leaves_no_recovery_key_and_no_name() {
    let program = Program::with_vault();
    let (url, key) = (program.url("v"), program.path("w.recovery"));
    let said = program.expect(1, &["vault", "init", "w", "--url", &url, "--recovery-key", &key]);
    assert!(said.stderr.contains("already"), "{said:?}");
    assert!(said.stderr.contains("vault add"), "{said:?}");
    assert!(!program.file("w.recovery").exists());
    assert_eq!(program.ok(&["vault", "list"]).stdout.lines().count(), 2);
}

#[test]
fn the_recovery_key_must_be_new_and_outside_the_home() {
    let program = Program::with_vault();
    let url = program.url("w");
    let said = program.expect(2, &["vault", "init", "w", "--url", &url, "--recovery-key", "home/w.recovery"]);
    assert!(said.stderr.contains("escrow"), "{said:?}");
    let said = program.expect(1, &["vault", "init", "w", "--url", &url, "--recovery-key", "v.recovery"]);
    assert!(said.stderr.contains("exists already"), "{said:?}");
    assert!(!program.file("w").join("holdfast.json").exists());
}

#[test]
fn another_machine_sees_the_applications_by_the_recovery_key() {
    let (here, there) = (Program::with_vault(), Program::new());
    here.ok(&["app", "add", "shop", "--namespace", "shop"]);
    let said = there.ok(&[
        "vault",
        "add",
        "dr",
        "--url",
        &here.url("v"),
        "--recovery-key",
        &here.path("v.recovery"),
    ]);
    assert_eq!(said.stdout, "vault/dr added\n");
    assert!(said.stderr.contains("holds 1 application"), "{said:?}");
    assert!(there.ok(&["app", "list"]).stdout.contains("shop"));
}

#[test]
fn a_wrong_key_is_named_and_nothing_is_kept() {
    let (here, other, there) = (Program::with_vault(), Program::with_vault(), Program::new());
    let said = there.expect(
        1,
        &["vault", "add", "dr", "--url", &here.url("v"), "--recovery-key", &other.path("v.recovery")],
    );
    assert!(said.stderr.contains("the key does not open"), "{said:?}");
    assert_eq!(there.ok(&["vault", "list"]).stdout, "");

    let recovery = std::fs::read_to_string(here.file("v.recovery")).unwrap();
    let key = recovery.lines().find(|line| !line.starts_with('#')).unwrap();
    let last = if key.ends_with('A') { "B" } else { "A" };
    std::fs::write(there.file("typo"), format!("{}{last}", &key[..key.len() - 1])).unwrap();
    let said = there.expect(1, &["vault", "add", "dr", "--url", &here.url("v"), "--recovery-key", "typo"]);
    assert!(said.stderr.contains("not a valid recovery key"), "{said:?}");
}

#[test]
fn a_wrong_place_and_a_wrong_name_are_told() {
    let program = Program::with_vault();
    let said = program.expect(
        1,
        &[
            "vault",
            "add",
            "w",
            "--url",
            &program.url("nowhere"),
            "--recovery-key",
            &program.path("v.recovery"),
        ],
    );
    assert!(said.stderr.contains("there is no vault"), "{said:?}");
    let said = program.expect(1, &["app", "list", "--vault", "tokyo"]);
    assert!(said.stderr.starts_with("error: there is no vault `tokyo`; there is: v\n"), "{said:?}");
    let said = program.expect(1, &["vault", "init", "x", "--url", "ftp://x/y", "--recovery-key", "k"]);
    assert!(said.stderr.contains("s3://, gs://, az:// or file:///"), "{said:?}");
    assert!(!program.file("k").exists());
}

#[test]
fn a_vault_of_a_newer_format_is_refused() {
    let program = Program::with_vault();
    let path = program.file("v/holdfast.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let version = json.as_object_mut().unwrap().values_mut().find(|v| v.as_u64() == Some(1)).unwrap();
    *version = 999.into();
    std::fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
    let said = program.expect(1, &["app", "list"]);
    assert!(said.stderr.contains("format version 999") && said.stderr.contains("newer holdfast"), "{said:?}");
}

#[test]
fn one_lost_vault_does_not_hide_the_others() {
    let program = Program::with_vault();
    program.ok(&["app", "add", "shop", "--namespace", "shop"]);
    program.ok(&[
        "vault",
        "init",
        "w",
        "--url",
        &program.url("w"),
        "--recovery-key",
        &program.path("w.recovery"),
    ]);
    std::fs::remove_dir_all(program.file("w")).unwrap();
    let said = program.ok(&["app", "show", "shop"]);
    assert!(said.stderr.starts_with("warning: left out: vault `w`"), "{said:?}");
    assert!(said.stdout.contains("shop"), "{said:?}");
}

#[test]
fn restic_is_told_where_and_with_what() {
    let program = Program::with_vault();
    program.ok(&["app", "add", "shop", "--namespace", "shop"]);
    let stdout = program.ok(&["vault", "restic-env", "shop"]).stdout;
    let id = program.ok(&["app", "list", "-o", "json"]).json()[0]["id"].as_str().unwrap().to_owned();
    let place = format!("export RESTIC_REPOSITORY='{}/tenants/default/apps/{id}'", program.path("v"));
    assert_eq!(stdout.lines().next().unwrap(), place);
    let password = stdout.lines().find_map(|line| line.strip_prefix("export RESTIC_PASSWORD='")).unwrap();
    assert_eq!(password.trim_end_matches('\'').len(), 64);
}
