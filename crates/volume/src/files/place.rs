//! Where a walk is, as a chain of names that is turned into a path only when someone is told.

use std::fmt;

use holdfast_model::Problem;

/// An entry's position below the volume's root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    name: &'a [u8],
    depth: usize,
}

impl<'a> Place<'a> {
    /// The volume's root.
    pub(super) const ROOT: Place<'static> = Place { above: None, name: b"", depth: 0 };

    /// The entry `name` of this directory.
    pub(super) fn entry(&'a self, name: &'a [u8]) -> Place<'a> {
        Place { above: Some(self), name, depth: self.depth + 1 }
    }

    /// How many directories there are above.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The names from the root on.
    pub(super) fn components(&self) -> Vec<&'a [u8]> {
        let mut names = Vec::with_capacity(self.depth);
        let mut at = *self;
        while let Some(above) = at.above {
            names.push(at.name);
            at = *above;
        }
        names.reverse();
        names
    }

    /// The path relative to the root, in the bytes of the file system.
    pub(super) fn path(&self) -> Vec<u8> {
        self.components().join(&b'/')
    }

    /// A problem with this entry.
    pub(super) fn problem(&self, code: &str, message: impl Into<String>) -> Problem {
        Problem::new(code, self.to_string(), message)
    }
}

impl fmt::Display for Place<'_> {
    /// The path relative to the root; `.` is the root itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            0 => f.write_str("."),
            _ => f.write_str(&String::from_utf8_lossy(&self.path())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_its_path() {
        let a = Place::ROOT.entry(b"a");
        let b = a.entry(b"b\xff");
        assert_eq!((Place::ROOT.to_string(), b.to_string()), (".".into(), "a/b\u{fffd}".into()));
        assert_eq!((b.path(), b.depth()), (b"a/b\xff".to_vec(), 2));
    }
}
