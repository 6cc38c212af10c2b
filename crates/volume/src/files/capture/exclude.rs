//! Paths that a capture leaves out, and those that it takes all the same.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};
use crate::files::place::Place;

/// Globs over paths relative to the volume's root; `*` does not cross a `/`, `**` does. The last
/// pattern that a path matches decides; a leading `!` takes in again what an earlier one left out.
#[derive(Default)]
pub(in crate::files) struct Excludes {
    patterns: GlobSet,
    /// Of each pattern, whether it takes in.
    takes_in: Vec<bool>,
    /// The directories above what is taken in again, as far as the pattern names them.
    ways: Vec<Vec<u8>>,
}

impl Excludes {
    pub(in crate::files) fn new(patterns: &[String]) -> Result<Self> {
        let invalid = |error: globset::Error| Error::Spec { reason: error.to_string() };
        let mut all = Self::default();
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let (takes_in, pattern) = match pattern.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, pattern.as_str()),
            };
            let relative = pattern.trim_start_matches('/');
            set.add(GlobBuilder::new(relative).literal_separator(true).build().map_err(invalid)?);
            all.takes_in.push(takes_in);
            if takes_in {
                all.ways.push(literal(relative).as_bytes().to_vec());
            }
        }
        all.patterns = set.build().map_err(invalid)?;
        Ok(all)
    }

    /// Whether this entry is left out. Costs nothing where there are no patterns.
    pub(super) fn matches(&self, place: &Place<'_>) -> bool {
        !self.takes_in.is_empty() && self.matches_path(&place.path())
    }

    /// The same of an entry at this path, relative to the volume's root.
    pub(in crate::files) fn matches_path(&self, path: &[u8]) -> bool {
        let deciding = self.patterns.matches(String::from_utf8_lossy(path).as_ref()).into_iter().max();
        deciding.is_some_and(|at| !self.takes_in[at] && !self.leads_on(path))
    }

    /// Whether something that is taken in may lie below.
    fn leads_on(&self, path: &[u8]) -> bool {
        self.ways.iter().any(|way| {
            way.strip_prefix(path).is_some_and(|rest| rest.first().is_none_or(|next| *next == b'/'))
        })
    }
}

/// The part of a glob before its first directory with a wildcard.
fn literal(pattern: &str) -> &str {
    let wild = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    match wild == pattern.len() {
        true => pattern,
        false => pattern[..wild].rfind('/').map_or("", |slash| &pattern[..slash]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves_out(patterns: &[&str], path: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let excludes = Excludes::new(&patterns).unwrap();
        fn of(excludes: &Excludes, above: &Place<'_>, path: &str) -> bool {
            match path.split_once('/') {
                Some((name, rest)) => of(excludes, &above.entry(name.as_bytes()), rest),
                None => excludes.matches(&above.entry(path.as_bytes())),
            }
        }
        of(&excludes, &Place::ROOT, path)
    }

    #[test]
    fn globs_speak_of_paths_below_the_root() {
        let patterns = ["/lost+found", "**/*.tmp", "a/*"];
        for (path, left_out) in
            [("lost+found", true), ("a/x", true), ("a/b/c.tmp", true), ("a", false), ("a/b/c", false)]
        {
            assert_eq!(leaves_out(&patterns, path), left_out, "{path}");
        }
        assert!(Excludes::new(&["a[".into()]).is_err());
    }

    #[test]
    fn what_is_taken_in_again_is_reached() {
        let patterns = ["**", "!data/pg/**", "**/*.log", "!keep"];
        for (path, left_out) in [
            ("data", false),
            ("data/other", true),
            ("data/pg", false),
            ("data/pg/base", false),
            ("data/pg/base/1.log", true),
            ("keep", false),
            ("keep-not", true),
            ("tmp", true),
        ] {
            assert_eq!(leaves_out(&patterns, path), left_out, "{path}");
        }
    }
}
