//! From the bytes of a point to an object that may be sent: nothing in them is believed.

use serde_json::Value;

use crate::object::ResourceType;

/// Largest object that is looked at, in bytes. The API server stores at most 1.5 MiB; JSON is
/// larger than what is stored of it.
pub const MOST_BYTES: usize = 3 << 20;

/// Bytes of a point that are not the object they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Larger than any object can be.
    #[error("it has {bytes} bytes, no object has more than {MOST_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not JSON, or nested absurdly.
    #[error("it is not the JSON of an object: {0}")]
    NotJson(String),
    /// Another object than the place where it lies says.
    #[error("its {field} is `{found}`, the place where it lies says `{expected}`")]
    Misplaced {
        /// `apiVersion`, `kind`, `metadata.namespace` or `metadata.name`.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
}

/// Parses an object that lies at the place of this type and namespace.
pub fn read(of: &ResourceType, namespace: Option<&str>, json: &[u8]) -> Result<Value, Unusable> {
    if json.len() > MOST_BYTES {
        return Err(Unusable::TooLarge { bytes: json.len() });
    }
    // The parser refuses to nest deeper than 128.
    let object: Value = serde_json::from_slice(json).map_err(|error| Unusable::NotJson(error.to_string()))?;
    let expect = |field: &'static str, found: &Value, expected: &str| match found.as_str().unwrap_or_default()
    {
        found if found == expected => Ok(()),
        found => Err(Unusable::Misplaced { field, found: found.to_owned(), expected: expected.to_owned() }),
    };
    expect("apiVersion", &object["apiVersion"], &of.api_version())?;
    expect("kind", &object["kind"], &of.kind)?;
    expect("metadata.namespace", &object["metadata"]["namespace"], namespace.unwrap_or_default())?;
    if name(&object).is_empty() {
        return Err(Unusable::NotJson("metadata.name is missing".to_owned()));
    }
    Ok(object)
}

/// The name of an object; empty if it has none.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> ResourceType {
        ResourceType {
            group: String::new(),
            version: "v1".into(),
            kind: "Secret".into(),
            plural: "secrets".into(),
            namespaced: true,
        }
    }

    fn read_in_shop(json: &str) -> Result<Value, Unusable> {
        read(&secrets(), Some("shop"), json.as_bytes())
    }

    #[test]
    fn an_object_must_be_what_its_place_says() {
        let good = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"shop"}}"#;
        assert_eq!(name(&read_in_shop(good).unwrap()), "a");
        for (from, to, field) in [
            ("v1", "v2", "apiVersion"),
            ("Secret", "ClusterRoleBinding", "kind"),
            ("shop", "kube-system", "metadata.namespace"),
        ] {
            let error = read_in_shop(&good.replace(from, to)).unwrap_err();
            assert!(matches!(&error, Unusable::Misplaced { field: f, .. } if *f == field), "{error}");
        }
        let nameless = good.replace(r#""name":"a","#, "");
        assert!(read_in_shop(&nameless).is_err());
    }

    #[test]
    fn hostile_bytes_are_errors() {
        for bad in ["", "[]", "3", "{", "\u{0}", r#"{"apiVersion":"v1","kind":"Secret","metadata":[]}"#] {
            assert!(read_in_shop(bad).is_err(), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(read_in_shop(&deep), Err(Unusable::NotJson(_))));
        let large = vec![b' '; MOST_BYTES + 1];
        assert_eq!(read(&secrets(), None, &large), Err(Unusable::TooLarge { bytes: MOST_BYTES + 1 }));
    }
}
