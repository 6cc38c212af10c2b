//! What the access modes of a claim mean for movers: who may have its volume, and who may write to it.

use serde_json::{Value, json};

const ONCE: &str = "ReadWriteOnce";
const READ_MANY: &str = "ReadOnlyMany";
const WRITE_MANY: &str = "ReadWriteMany";
const ONE_POD: &str = "ReadWriteOncePod";

/// The access modes of a claim or a volume, as its `spec` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessModes(Vec<String>);

impl AccessModes {
    /// Of a claim's or a PersistentVolume's manifest.
    pub(crate) fn of(object: &Value) -> Self {
        let modes = object["spec"]["accessModes"].as_array().into_iter().flatten();
        Self(modes.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Whether nobody may write.
    pub(crate) fn is_read_only(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|mode| mode == READ_MANY)
    }

    /// Whether one pod may have it, and none of ours beside that.
    pub(crate) fn is_for_one_pod(&self) -> bool {
        self.has(ONE_POD)
    }

    /// Whether pods of several nodes may have it at once.
    pub(crate) fn is_for_many(&self) -> bool {
        self.has(READ_MANY) || self.has(WRITE_MANY)
    }

    /// Those by which a mover can fill a volume that is to have these.
    pub(crate) fn writable(&self) -> Self {
        if self.is_read_only() { Self(vec![ONCE.to_owned()]) } else { self.clone() }
    }

    /// Whether a volume that was made with these serves a claim with those: whoever may write may also read, but a
    /// volume that one node writes to is none for writers of several.
    pub(crate) fn serve(&self, wanted: &Self) -> bool {
        // What says nothing is not judged.
        self.0.is_empty() || self.has(WRITE_MANY) || !wanted.has(WRITE_MANY)
    }

    /// As `accessModes` of a manifest.
    pub(crate) fn manifest(&self) -> Value {
        json!(self.0)
    }

    fn has(&self, wanted: &str) -> bool {
        self.0.iter().any(|mode| mode == wanted)
    }
}

impl std::fmt::Display for AccessModes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(modes: &[&str]) -> AccessModes {
        AccessModes::of(&json!({"spec": {"accessModes": modes}}))
    }

    #[test]
    fn a_volume_for_readers_is_filled_by_one_writer() {
        assert_eq!(modes(&[READ_MANY]).writable(), modes(&[ONCE]));
        for same in [&[ONCE][..], &[WRITE_MANY], &[ONE_POD], &[ONCE, READ_MANY]] {
            assert_eq!(modes(same).writable(), modes(same));
        }
        assert!(modes(&[READ_MANY]).is_read_only() && !modes(&[ONCE, READ_MANY]).is_read_only());
        assert!(!modes(&[]).is_read_only());
    }

    #[test]
    fn only_a_volume_for_many_writers_serves_many_writers() {
        assert!(!modes(&[ONCE]).serve(&modes(&[WRITE_MANY])));
        assert!(modes(&[WRITE_MANY]).serve(&modes(&[WRITE_MANY])));
        for wanted in [ONCE, READ_MANY, ONE_POD] {
            assert!(modes(&[ONCE]).serve(&modes(&[wanted])) && modes(&[WRITE_MANY]).serve(&modes(&[wanted])));
        }
        assert!(modes(&[]).serve(&modes(&[WRITE_MANY])), "what is not said is not judged");
    }
}
