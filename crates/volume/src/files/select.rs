//! Choosing files of a volume by paths and patterns, as users of restic know them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobMatcher};

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern: {reason}")]
pub struct InvalidPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong.
    pub reason: String,
}

/// What is chosen of a volume: what a pattern matches, with everything below it.
///
/// A pattern is a path whose names may have `*`, `?` and `[…]`; `**` stands for any number of
/// directories. If it begins with `/` it is one from the volume's root, else from anywhere.
#[derive(Debug, Default)]
pub struct Selection {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    parts: Vec<Part>,
    matched: AtomicBool,
}

#[derive(Debug)]
enum Part {
    /// Any number of names, or none.
    Any,
    /// This name.
    Name(Vec<u8>),
    /// Names like this.
    Glob(Box<GlobMatcher>),
}

/// What a selection says of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chosen {
    /// It is not chosen, nor is anything below it.
    No,
    /// It is not chosen, but something below it may be.
    Through,
    /// It is chosen with everything below it.
    All,
}

impl Selection {
    /// Adds the entry at exactly this path, whatever characters its names have.
    pub fn add_path(&mut self, path: &[u8]) {
        let parts = names(path).map(|name| Part::Name(name.to_vec())).collect();
        self.add(String::from_utf8_lossy(path).into_owned(), parts);
    }

    /// Adds what a pattern matches.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn add_pattern(&mut self, text: &str) -> Result<(), InvalidPattern> {
        let anchor = if text.starts_with('/') { None } else { Some(Part::Any) };
        let parts = names(text.as_bytes()).map(|name| Part::parse(text, name));
        let parts = anchor.into_iter().map(Ok).chain(parts).collect::<Result<_, _>>()?;
        self.add(text.to_owned(), parts);
        Ok(())
    }

    fn add(&mut self, text: String, parts: Vec<Part>) {
        self.patterns.push(Pattern { text, parts, matched: AtomicBool::new(false) });
    }

    /// What is chosen of the entry at `path`, relative to the volume's root. What is chosen is
    /// remembered for [`Selection::unmatched`].
    pub fn of(&self, path: &[u8]) -> Chosen {
        let names: Vec<&[u8]> = names(path).collect();
        let choose = |pattern: &Pattern| {
            let chosen = reach(&pattern.parts, &names);
            if chosen == Chosen::All {
                pattern.matched.store(true, Ordering::Relaxed);
            }
            chosen
        };
        // All of them, so that each is remembered.
        self.patterns.iter().map(choose).fold(Chosen::No, Chosen::max)
    }

    /// The patterns that have chosen nothing so far.
    pub fn unmatched(&self) -> Vec<&str> {
        let unmatched = self.patterns.iter().filter(|pattern| !pattern.matched.load(Ordering::Relaxed));
        unmatched.map(|pattern| pattern.text.as_str()).collect()
    }
}

impl Part {
    fn parse(pattern: &str, name: &[u8]) -> Result<Self, InvalidPattern> {
        if name == b"**" {
            return Ok(Part::Any);
        }
        if !name.iter().any(|byte| b"*?[]{}\\".contains(byte)) {
            return Ok(Part::Name(name.to_vec()));
        }
        let invalid = |reason: String| InvalidPattern { pattern: pattern.to_owned(), reason };
        let text = std::str::from_utf8(name).map_err(|error| invalid(error.to_string()))?;
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let glob = glob.map_err(|error| invalid(error.kind().to_string()))?;
        Ok(Part::Glob(Box::new(glob.compile_matcher())))
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Part::Any => true,
            Part::Name(this) => this == name,
            Part::Glob(glob) => glob.is_match(OsStr::from_bytes(name)),
        }
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}

/// How far the parts of a pattern reach along the names of a path.
fn reach(parts: &[Part], names: &[&[u8]]) -> Chosen {
    let Some((part, rest)) = parts.split_first() else { return Chosen::All };
    let Some((name, below)) = names.split_first() else { return Chosen::Through };
    match part {
        Part::Any => reach(rest, names).max(reach(parts, below)),
        part if part.matches(name) => reach(rest, below),
        _ => Chosen::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(pattern: &str, path: &str) -> Chosen {
        let mut selection = Selection::default();
        selection.add_pattern(pattern).unwrap();
        selection.of(path.as_bytes())
    }

    #[test]
    fn a_path_from_the_root_is_one_place_with_all_below() {
        assert_eq!(chosen("/etc/app", "etc/app"), Chosen::All);
        assert_eq!(chosen("/etc/app/", "etc/app/x/y"), Chosen::All);
        assert_eq!(chosen("/etc/app", "etc"), Chosen::Through);
        assert_eq!(chosen("/etc/app", "srv/etc/app"), Chosen::No);
        assert_eq!(chosen("/", "anything"), Chosen::All);
    }

    #[test]
    fn a_path_without_a_root_is_found_anywhere() {
        assert_eq!(chosen("app.conf", "etc/deep/app.conf"), Chosen::All);
        assert_eq!(chosen("etc/app", "srv/etc/app"), Chosen::All);
        assert_eq!(chosen("app.conf", "etc"), Chosen::Through);
    }

    #[test]
    fn stars_stay_within_a_name_and_two_of_them_do_not() {
        assert_eq!(chosen("/log/*.gz", "log/a.gz"), Chosen::All);
        assert_eq!(chosen("/log/*.gz", "log/a"), Chosen::No);
        assert_eq!(chosen("/log/*.gz", "log/old/a.gz"), Chosen::No);
        assert_eq!(chosen("/log/**/*.gz", "log/old/er/a.gz"), Chosen::All);
        assert_eq!(chosen("/log/**/*.gz", "log/a.gz"), Chosen::All);
        assert_eq!(chosen("/log/**", "log"), Chosen::Through);
        assert_eq!(chosen("/log/**", "log/a"), Chosen::All);
        assert_eq!(chosen("*.gz", "x/\u{fffd}.gz"), Chosen::All);
    }

    #[test]
    fn a_path_is_taken_by_its_letters_where_a_pattern_is_not_meant() {
        let mut selection = Selection::default();
        selection.add_path(b"/a[1]/\xff");
        assert_eq!(selection.of(b"a[1]/\xff"), Chosen::All);
        assert_eq!(selection.of(b"a1"), Chosen::No);
        assert!(selection.add_pattern("a[").is_err());
    }

    #[test]
    fn what_chose_nothing_is_known() {
        let mut selection = Selection::default();
        selection.add_pattern("/a/b").unwrap();
        selection.add_pattern("*.gz").unwrap();
        selection.of(b"a");
        selection.of(b"x.gz");
        assert_eq!(selection.unmatched(), ["/a/b"]);
    }
}
