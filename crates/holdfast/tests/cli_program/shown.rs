//! What the program says of itself: help, version, schemas, completion; and how fast it starts.

use std::time::Instant;

use crate::program::Program;

#[test]
fn every_command_has_help() {
    let program = Program::new();
    let mut all = String::new();
    for command in commands(&program, &[]) {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = program.ok(&arguments).stdout;
        // What all commands share is shown once.
        let own =
            if command.is_empty() { &help[..] } else { help.split("\nGlobal options:").next().unwrap() };
        all.push_str(&format!("$ holdfast {}\n{}\n\n", arguments.join(" "), own.trim_end()));
    }
    insta::assert_snapshot!(all);
}

/// The commands that help lists, and theirs in turn; hidden ones are not among them.
fn commands(program: &Program, parent: &[String]) -> Vec<Vec<String>> {
    let arguments: Vec<&str> = parent.iter().map(String::as_str).chain(["--help"]).collect();
    let help = program.ok(&arguments).stdout;
    let mut found = vec![parent.to_vec()];
    let section = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    for line in section.lines().take_while(|line| !line.is_empty()) {
        let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else { continue };
        let name = name.split_whitespace().next().unwrap().to_owned();
        found.extend(commands(program, &[parent, &[name]].concat()));
    }
    found
}

#[test]
fn versions_are_told_to_people_and_machines() {
    let program = Program::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(program.ok(&["--version"]).stdout, format!("holdfast {version}\n"));
    let json = program.ok(&["version", "-o", "json"]).json();
    assert_eq!((&json["version"], &json["pointFormat"]), (&version.into(), &2.into()));
    assert!(program.ok(&["version"]).stdout.contains("holdfast.dev/v1alpha1"));
}

#[test]
fn every_kind_has_a_schema_in_json_and_yaml() {
    let program = Program::new();
    for kind in ["Site", "cluster", "Vault", "application", "policy"] {
        let json = program.ok(&["schema", kind]).json();
        assert!(json["properties"]["spec"].is_object(), "{kind}: {json}");
        assert!(program.ok(&["schema", kind, "-o", "yaml"]).stdout.contains("properties:"));
    }
}

#[test]
fn shells_get_their_completion() {
    let program = Program::new();
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef holdfast"), ("fish", "complete -c holdfast")]
    {
        let script = program.ok(&["completion", shell]).stdout;
        assert!(script.contains(mark), "{shell}");
        assert!(script.contains("restic-env"), "{shell}");
    }
}

/// The bound is 50 ms for a release build on an idle machine; a shared one proves nothing, so the
/// figure is printed and not asserted.
#[test]
fn it_starts_fast() {
    let program = Program::new();
    let times: Vec<_> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            program.ok(&["vault", "list"]);
            begun.elapsed()
        })
        .collect();
    println!("start to end of `vault list`: {:?} at best", times.iter().min().unwrap());
}
