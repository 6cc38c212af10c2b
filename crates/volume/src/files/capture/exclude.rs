//! Paths that a capture leaves out.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};
use crate::files::place::Place;

/// Globs over paths relative to the volume's root; `*` does not cross a `/`, `**` does.
pub(in crate::files) struct Excludes(GlobSet);

impl Excludes {
    pub(in crate::files) fn new(patterns: &[String]) -> Result<Self> {
        let invalid = |error: globset::Error| Error::Spec { reason: error.to_string() };
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let relative = pattern.trim_start_matches('/');
            set.add(GlobBuilder::new(relative).literal_separator(true).build().map_err(invalid)?);
        }
        Ok(Self(set.build().map_err(invalid)?))
    }

    /// Whether this entry is left out. Costs nothing where there are no patterns.
    pub(super) fn matches(&self, place: &Place<'_>) -> bool {
        !self.0.is_empty() && self.matches_path(&place.path())
    }

    /// The same of an entry at this path, relative to the volume's root.
    pub(in crate::files) fn matches_path(&self, path: &[u8]) -> bool {
        self.0.is_match(String::from_utf8_lossy(path).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_speak_of_paths_below_the_root() {
        let excludes = Excludes::new(&["/lost+found".into(), "**/*.tmp".into(), "a/*".into()]).unwrap();
        let (top, a) = (Place::ROOT.entry(b"lost+found"), Place::ROOT.entry(b"a"));
        assert!(excludes.matches(&top) && excludes.matches(&a.entry(b"x")));
        assert!(excludes.matches(&a.entry(b"b").entry(b"c.tmp")));
        assert!(!excludes.matches(&a) && !excludes.matches(&a.entry(b"b").entry(b"c")));
        assert!(Excludes::new(&["a[".into()]).is_err());
    }
}
