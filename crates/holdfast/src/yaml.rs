//! Manifests and values as YAML: several documents of one file, each told apart by its `kind`.

use holdfast_model::manifest::Manifest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The fields that tell what a document is, before it is read in full.
#[derive(Deserialize)]
struct Frame {
    kind: String,
}

/// Reads and validates all manifests of a file; `place` is how errors call it.
pub(crate) fn manifests(place: &str, text: &str) -> Result<Vec<Manifest>> {
    documents(text).iter().map(|document| manifest(place, document)).collect()
}

/// One manifest. The kind is read first, so that the parser of exactly that kind can name line and
/// column of what it does not understand.
fn manifest(place: &str, document: &str) -> Result<Manifest> {
    let Frame { kind } = parse(place, document)?;
    let manifest = match kind.as_str() {
        "Site" => Manifest::Site(parse(place, document)?),
        "Cluster" => Manifest::Cluster(parse(place, document)?),
        "Vault" => Manifest::Vault(parse(place, document)?),
        "Application" => Manifest::Application(parse(place, document)?),
        "Policy" => Manifest::Policy(parse(place, document)?),
        _ => return Err(Error::UnknownKind { place: place.to_owned(), kind }),
    };
    manifest
        .validate()
        .map_err(|invalid| Error::Unreadable { place: place.to_owned(), reason: invalid.to_string() })?;
    Ok(manifest)
}

/// Reads a file of one document.
pub(crate) fn parse<T: DeserializeOwned>(place: &str, text: &str) -> Result<T> {
    serde_saphyr::from_str(text)
        .map_err(|error| Error::Unreadable { place: place.to_owned(), reason: error.to_string() })
}

/// Splits a file at its `---` lines, which YAML knows at the start of a line alone. Each document
/// is preceded by as many empty lines as stood before it, so that lines are numbered as in the file.
fn documents(text: &str) -> Vec<String> {
    let mut documents = Vec::new();
    let mut current = String::new();
    for (number, line) in text.lines().enumerate() {
        let marker = line == "---" || line.starts_with("--- ") || line.starts_with("---\t");
        if marker {
            documents.push(std::mem::replace(&mut current, "\n".repeat(number + 1)));
        } else {
            current.push_str(line);
            current.push('\n');
        }
    }
    documents.push(current);
    documents.retain(|document| document.lines().any(has_content));
    documents
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// A value as one YAML document that ends in a line break.
pub(crate) fn to_string<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let mut text = serde_saphyr::to_string(value)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "# sites and vaults\n---\napiVersion: holdfast.dev/v1alpha1\nkind: Site\nmetadata: {name: a}\nspec: {}\n---\n\
        apiVersion: holdfast.dev/v1alpha1\nkind: Vault\nmetadata:\n  name: v\nspec:\n  url: file:///srv/v\n";

    #[test]
    fn a_file_of_several_documents_is_read_whole() {
        let kinds: Vec<_> = manifests("x.yaml", TWO).unwrap().iter().map(Manifest::kind).collect();
        assert_eq!(kinds, ["Site", "Vault"]);
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_line_in_the_file() {
        let error = manifests("x.yaml", &TWO.replace("  url:", "  uri:")).unwrap_err().to_string();
        assert!(error.contains("unknown field `uri`"), "{error}");
        assert!(error.contains("line 13"), "{error}");
    }

    #[test]
    fn an_unknown_kind_and_a_bad_name_are_refused() {
        let error = manifests("x.yaml", &TWO.replace("kind: Site", "kind: Sitte")).unwrap_err();
        assert_eq!(error.to_string(), "x.yaml: `kind: Sitte` is not known");
        let error = manifests("x.yaml", &TWO.replace("name: v", "name: ../v")).unwrap_err();
        assert!(error.to_string().contains("`../v`"), "{error}");
    }

    #[test]
    fn strings_that_look_like_something_else_survive() {
        for text in [
            "yes",
            "null",
            "1e3",
            "0x10",
            "~",
            "- a",
            "a: b",
            " x",
            "*x",
            "#",
            "",
            "2026-11-22",
            "a\nb\n\n",
            "\t",
            "'",
            "\"",
            "012",
            "🦀",
            "a #b",
            "1_000",
            ".inf",
        ] {
            let value = serde_json::json!({"key": text, "list": [text]});
            let yaml = to_string(&value).unwrap();
            let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
            assert_eq!(back, value, "{yaml}");
        }
    }
}
