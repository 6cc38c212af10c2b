//! The documents say what the sources say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "what fails here fails the test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// First parts of codes.
const ROOMS: [&str; 11] =
    ["cli", "model", "vault", "cluster", "protect", "object", "file", "hook", "volume", "restore", "sweep"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = vec![directory.to_owned()];
    while let Some(next) = rest.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rest.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

fn is_code(word: &str) -> bool {
    let of_point = ["point.unreadable", "point.foreign_file"].contains(&word);
    let (room, rest) = word.split_once('.').unwrap_or((word, ""));
    let plain = rest.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
    of_point || (ROOMS.contains(&room) && !rest.is_empty() && plain)
}

/// Pieces of a text between two equal marks.
fn between(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.lines().flat_map(move |line| line.split(mark).skip(1).step_by(2))
}

#[test]
fn every_code_is_in_failure_modes_and_no_other() {
    let mut sources = BTreeSet::new();
    for room in ["model", "vault", "cluster", "volume", "protect", "holdfast"] {
        for path in files(&root().join("crates").join(room).join("src"), "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            let without_tests = text.split("#[cfg(test)]").next().unwrap_or_default();
            sources.extend(between(without_tests, '"').filter(|word| is_code(word)).map(str::to_owned));
        }
    }
    let text = std::fs::read_to_string(root().join("docs/failure-modes.md")).unwrap();
    let documented: BTreeSet<String> =
        between(&text, '`').filter(|word| is_code(word)).map(str::to_owned).collect();
    let missing: Vec<_> = sources.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&sources).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not documented: {missing:?}; in no source: {gone:?}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files(&root().join("docs"), "md");
    documents.extend(["README.md", "ARCHITECTURE.md"].map(|name| root().join(name)));
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = document.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {link}, which is not there", document.display());
        }
    }
}
