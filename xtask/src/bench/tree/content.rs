//! Bytes that compress and repeat as those of real files do.

use std::io::Write;

use super::Random;

/// What a file is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Source code and prose: lines of words.
    Text,
    /// Logs and exports: JSON records, much alike.
    Records,
    /// Programs and libraries: tables, some text, some zeros, some noise.
    Binary,
    /// Pictures and archives: nothing to compress.
    Packed,
    /// A database: 8 KiB pages of rows, some of them empty.
    Pages,
}

/// Length of a database's page.
pub const PAGE: usize = 8192;

const WORDS: usize = 4096;
const LADDER: usize = 1 << 16;

/// Words, the common ones much more frequent than the rare ones.
#[derive(Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    /// Indexes of words, each as often as the word is frequent.
    ladder: Vec<u16>,
}

impl Vocabulary {
    /// Makes up words from a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let letters = b"etaoinshrdlucmfwypvbgkqjxz";
        let word = |random: &mut Random| {
            let length = 2 + random.below(5) + random.below(5);
            (0..length).map(|_| letters[random.below(26).min(random.below(26))] as char).collect()
        };
        let words = (0..WORDS).map(|_| word(&mut random)).collect();
        // Zipf: the n-th word is 1/n as frequent as the first.
        let ladder = (0..LADDER).map(|_| (WORDS as f64).powf(random.fraction()) as u16 - 1).collect();
        Self { words, ladder }
    }

    /// Appends `length` bytes of a kind.
    pub fn content(&self, kind: Kind, length: usize, random: &mut Random, out: &mut Vec<u8>) {
        let end = out.len() + length;
        while out.len() < end {
            match kind {
                Kind::Text => self.line(random, out),
                Kind::Records => self.record(random, out),
                Kind::Binary => self.section(random, out),
                Kind::Packed => random.noise(end - out.len(), out),
                Kind::Pages => self.page(random, out),
            }
        }
        out.truncate(end);
    }

    fn word(&self, random: &mut Random) -> &[u8] {
        self.words[usize::from(self.ladder[random.below(LADDER)])].as_bytes()
    }

    fn line(&self, random: &mut Random, out: &mut Vec<u8>) {
        out.extend(std::iter::repeat_n(b' ', 4 * random.below(5)));
        for _ in 0..3 + random.below(9) {
            out.extend_from_slice(self.word(random));
            out.push(b"._(,) "[random.below(12).min(5)]);
        }
        out.extend_from_slice(if random.below(4) == 0 { b"{\n" } else { b";\n" });
    }

    fn record(&self, random: &mut Random, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "{{\"time\":\"2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z\",\"level\":\"info\",\"host\":\"node-{}\",\"span\":\"{:016x}\",\"message\":\"",
            1 + random.below(28),
            random.below(24),
            random.below(60),
            random.below(60),
            random.below(1000),
            random.below(40),
            random.number(),
        );
        for _ in 0..4 + random.below(12) {
            out.extend_from_slice(self.word(random));
            out.push(b' ');
        }
        out.extend_from_slice(b"\"}\n");
    }

    fn section(&self, random: &mut Random, out: &mut Vec<u8>) {
        let length = 256 + random.below(4096);
        match random.below(10) {
            0..5 => instructions(length, random, out),
            5..7 => self.content(Kind::Text, length, random, out),
            7 => out.extend(std::iter::repeat_n(0, length)),
            _ => random.noise(length, out),
        }
    }

    fn page(&self, random: &mut Random, out: &mut Vec<u8>) {
        let end = out.len() + PAGE;
        out.extend_from_slice(&random.number().to_le_bytes());
        out.extend_from_slice(&[0, 0, 0, 4, 0, 32, 0, 32]);
        if random.below(12) > 0 {
            let full = PAGE / 2 + random.below(PAGE / 2);
            let mut row = 0u64;
            while out.len() + PAGE < end + full {
                row += 1;
                out.extend_from_slice(&row.to_be_bytes());
                out.extend_from_slice(&random.number().to_le_bytes()[..6]);
                for _ in 0..5 + random.below(5) {
                    out.extend_from_slice(self.word(random));
                    out.push(0);
                }
                random.noise(16, out);
            }
        }
        out.resize(end, 0);
    }
}

/// Words of four bytes of which few are different, as code and its tables have them.
fn instructions(length: usize, random: &mut Random, out: &mut Vec<u8>) {
    let base = random.number() as u32 & 0x00ff_ffff;
    for _ in 0..length / 4 {
        let choice = random.number();
        let word = base ^ ((choice as u32 & 0x1f) << 16) ^ (choice >> 32 & 0x3f3) as u32;
        out.extend_from_slice(&word.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_length_asked_for_and_follows_from_its_seed() {
        let words = Vocabulary::new(1);
        for kind in [Kind::Text, Kind::Records, Kind::Binary, Kind::Packed, Kind::Pages] {
            for length in [1, 100, 20_000] {
                let make = |seed| {
                    let mut out = Vec::new();
                    words.content(kind, length, &mut Random::new(seed), &mut out);
                    out
                };
                assert_eq!(make(1).len(), length);
                assert_eq!(make(1), make(1));
                // One byte may well be the same.
                assert!(length == 1 || make(1) != make(2), "{kind:?} of {length}");
            }
        }
    }
}
