//! Which files a tree has: how many of which kind, how long, in which directories.

use std::path::PathBuf;

use super::content::PAGE;
use super::{Entry, Kind, Random};

/// A part of the mix.
struct Share {
    name: &'static str,
    suffix: &'static str,
    kind: Kind,
    files: usize,
    least: usize,
    most: usize,
}

/// 47,000 files of 3.4 GiB: what a volume of an application platform holds.
const MIX: &[Share] = &[
    Share { name: "src", suffix: "rs", kind: Kind::Text, files: 30_000, least: 300, most: 60_000 },
    Share { name: "doc", suffix: "md", kind: Kind::Text, files: 3_500, least: 2_000, most: 200_000 },
    Share { name: "log", suffix: "json", kind: Kind::Records, files: 7_500, least: 10_000, most: 400_000 },
    Share { name: "lib", suffix: "so", kind: Kind::Binary, files: 2_500, least: 20_000, most: 1_500_000 },
    Share { name: "media", suffix: "jpg", kind: Kind::Packed, files: 1_500, least: 40_000, most: 1_600_000 },
    Share { name: "base", suffix: "db", kind: Kind::Pages, files: 12, least: 45 << 20, most: 75 << 20 },
];

/// Files that are the same as another one.
const COPIES: usize = 1_988;

/// The realistic mix; `scale` 1 is 3.4 GiB in 47,000 files.
pub fn mix(seed: u64, scale: f64) -> Vec<Entry> {
    let mut random = Random::new(seed);
    let mut entries = Vec::new();
    for share in MIX {
        for number in 0..scaled(share.files, scale) {
            let length = random.length(share.least, share.most);
            let length = if share.kind == Kind::Pages { length / PAGE * PAGE } else { length };
            let path = path(share.name, number, share.suffix);
            entries.push(Entry { path, kind: share.kind, length, seed: random.number() });
        }
    }
    let originals = entries.len() - scaled(12, scale);
    for number in 0..scaled(COPIES, scale) {
        let same = entries[random.below(originals)].clone();
        entries.push(Entry { path: path("copy", number, "bak"), ..same });
    }
    entries
}

/// 200,000 small files, if `scale` is 1.
pub fn small(seed: u64, scale: f64) -> Vec<Entry> {
    let mut random = Random::new(seed);
    (0..scaled(200_000, scale)).map(|number| small_file(path("small", number, "txt"), &mut random)).collect()
}

/// So many small files, a tenth of them in one directory.
pub fn many(seed: u64, count: usize) -> Vec<Entry> {
    let mut random = Random::new(seed);
    let flat = count / 10;
    let place = |number: usize| match number.checked_sub(count - flat) {
        Some(number) => PathBuf::from(format!("flat/flat-{number:06}.txt")),
        None => path("small", number, "txt"),
    };
    (0..count).map(|number| small_file(place(number), &mut random)).collect()
}

fn small_file(path: PathBuf, random: &mut Random) -> Entry {
    let kinds =
        [Kind::Text, Kind::Text, Kind::Text, Kind::Records, Kind::Records, Kind::Binary, Kind::Packed];
    Entry {
        path,
        kind: kinds[random.below(kinds.len())],
        length: random.length(100, 8_192),
        seed: random.number(),
    }
}

fn scaled(count: usize, scale: f64) -> usize {
    ((count as f64 * scale).round() as usize).max(1)
}

/// Sixty files to a directory, twenty directories to the next.
fn path(name: &str, number: usize, suffix: &str) -> PathBuf {
    let (group, directory) = (number / 1200, number / 60 % 20);
    PathBuf::from(format!("{name}/{group:03}/{directory:02}/{name}-{number:06}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tree::bytes_of;

    #[test]
    fn the_mix_has_the_size_it_promises() {
        let entries = mix(1, 1.0);
        assert_eq!(entries.len(), 47_000);
        let gib = bytes_of(&entries) as f64 / f64::from(1 << 30);
        assert!((3.3..3.5).contains(&gib), "{gib}");
    }

    #[test]
    fn small_files_are_many_and_small() {
        let entries = small(1, 1.0);
        assert_eq!(entries.len(), 200_000);
        assert!(entries.iter().all(|entry| (100..=8_192).contains(&entry.length)));
    }

    #[test]
    fn of_many_files_a_tenth_is_in_one_directory() {
        let entries = many(1, 2_000);
        let flat = entries.iter().filter(|entry| entry.path.starts_with("flat")).count();
        assert_eq!((entries.len(), flat), (2_000, 200));
    }
}
