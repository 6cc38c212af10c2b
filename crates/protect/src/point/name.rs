//! How objects are called in a point: their files, and the parts of directories with thousands of them.

use sha2::{Digest, Sha256};

/// Longest name of an object that is used as it is, in bytes; with `.json` it stays well below
/// NAME_MAX, also for programs that append something of their own.
const LONGEST: usize = 235;
/// How much of a longer name is kept, in bytes.
const KEPT: usize = 200;
/// Stands in shortened names and in no other.
const SHORTENED: char = '~';
/// Begins the name of a part of a directory.
const PART: char = '@';
/// One object in so many begins a part, by a hash of its name.
const PART_LENGTH: u16 = 512;

/// Name of the file of an object: `<name>.json`. A name that is too long, or cannot be a file's, is
/// shortened and made unique by a hash (`~` marks it); the true name is in the object.
pub fn file_name(object: &str) -> String {
    format!("{}.json", stem(object))
}

/// The name of the object whose file is called so; `None` if that is a shortened one, or no object's.
pub(super) fn object_name(file: &str) -> Option<&str> {
    file.strip_suffix(".json").filter(|name| !name.contains(SHORTENED))
}

/// Name of the part of a directory whose first object has this name.
pub(super) fn part_name(first: &str) -> String {
    format!("{PART}{}", stem(first))
}

/// Where the first object of a part stands in the order of names, as far as the part's name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin<'a> {
    /// With this name.
    At(&'a str),
    /// Somewhere: its name is shortened.
    Unknown,
}

/// Where a part of this name begins; `None` if it is not the name of a part.
pub(super) fn begin_of(part: &str) -> Option<Begin<'_>> {
    let first = part.strip_prefix(PART)?;
    Some(if first.contains(SHORTENED) { Begin::Unknown } else { Begin::At(first) })
}

/// Whether an object of this name begins a part. Only the name decides, so that what is added or
/// removed changes the part that it is in and no other.
pub(super) fn begins_part(object: &str) -> bool {
    let [high, low, ..] = Sha256::digest(object.as_bytes())[..] else { return false };
    u16::from_be_bytes([high, low]).is_multiple_of(PART_LENGTH)
}

/// Part of an object in a directory that was split as points of format 1 are: by a hash of the
/// name, two hexadecimal digits.
pub fn hashed_part(object: &str) -> String {
    hex(&Sha256::digest(object.as_bytes())[..1])
}

/// Whether a directory of objects may have a part of this name, in any format.
pub(super) fn is_part(directory: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    begin_of(directory).is_some() || directory.len() == 2 && directory.bytes().all(is_digit)
}

fn stem(object: &str) -> String {
    let plain = object.len() <= LONGEST && !object.contains([SHORTENED, '/', '\0']);
    if plain && !object.is_empty() {
        return object.to_owned();
    }
    let kept = object.floor_char_boundary(KEPT);
    let readable = object[..kept].replace(['/', '\0'], "_");
    let digest = Sha256::digest(object.as_bytes());
    format!("{readable}{SHORTENED}{}", hex(&digest[..8]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_files_can_have_are_kept() {
        for name in ["web", "system:node-proxier", "@web", &"x".repeat(235)] {
            assert_eq!(file_name(name), format!("{name}.json"));
            assert_eq!(object_name(&file_name(name)), Some(name));
            assert_eq!(begin_of(&part_name(name)), Some(Begin::At(name)));
        }
    }

    #[test]
    fn other_names_are_shortened_and_stay_apart() {
        let (a, b) =
            (file_name(&format!("{}a", "x".repeat(240))), file_name(&format!("{}b", "x".repeat(240))));
        assert!(a.len() <= 240 && b.len() <= 240 && a != b);
        let odd = ["a/b", "a_b", "a\0b", "", "~"];
        for (at, name) in odd.iter().enumerate() {
            let file = file_name(name);
            assert!(!file.contains(['/', '\0']), "{file}");
            assert!(odd[at + 1..].iter().all(|other| file_name(other) != file), "{file}");
        }
        for name in ["a/b", "~", ""] {
            assert_eq!(object_name(&file_name(name)), None);
            assert_eq!(begin_of(&part_name(name)), Some(Begin::Unknown));
        }
        // A name that looks like a shortened one does not take its place.
        let shortened = file_name("a/b");
        assert_ne!(file_name(shortened.trim_end_matches(".json")), shortened);
        assert!(file_name(&"ü".repeat(130)).starts_with("üü"));
    }

    #[test]
    fn parts_are_told_from_other_directories() {
        assert_eq!(hashed_part("c-17"), "fc");
        for part in ["00", "f3", "@web", "@", &part_name("a/b")] {
            assert!(is_part(part), "{part}");
        }
        for other in ["", "0", "F3", "0g", "000", "web", "web.json"] {
            assert!(!is_part(other), "{other}");
        }
        assert_eq!(begin_of("f3"), None);
    }

    #[test]
    fn one_name_in_512_begins_a_part_and_always_does() {
        let begin: Vec<String> =
            (0..51_200).map(|n| format!("s-{n:06}")).filter(|n| begins_part(n)).collect();
        assert!((70..130).contains(&begin.len()), "{}", begin.len());
        assert_eq!(begin[..2], ["s-000881", "s-001279"]);
    }
}
