//! What is wrong with a command line is told with exit code 2 and a next step.

use crate::program::{Program, finish};

#[test]
fn a_wrong_command_line_exits_with_2() {
    let program = Program::new();
    let cases: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["vault"],
        &["vault", "init", "v"],
        &["vault", "init", "v", "--url", "file:///x"],
        &["vault", "list", "-o", "xml"],
        &["app", "add", "shop"],
        &["app", "add", "--namespace", "shop"],
        &["app", "add", "shop", "-n", "shop", "-f", "x.yaml"],
        &["vault", "list", "--log", "loud"],
        &["schema", "Backup"],
        &["vault", "init", "v", "--recovery-key", "k"],
    ];
    for arguments in cases {
        let said = program.expect(2, arguments);
        assert!(said.stdout.is_empty() && !said.stderr.is_empty(), "{said:?}");
    }
}

#[test]
fn errors_are_json_for_machines() {
    let program = Program::new();
    let said = program.expect(1, &["app", "list", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!(error["error"]["code"], "cli.not_ready");
    assert!(error["error"]["hint"].as_str().unwrap().contains("vault init"));
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let program = Program::new();
    let mut command = program.command(&["schema", "application"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let said = finish(command);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
}

#[test]
fn without_any_directory_the_home_is_asked_for() {
    let program = Program::new();
    let mut command = program.command(&["vault", "list"]);
    command.env_remove("HOLDFAST_HOME");
    let said = finish(command);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("hint:  set HOLDFAST_HOME or pass --home DIR"), "{said:?}");
}
