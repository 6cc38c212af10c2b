//! A small generator of reproducible numbers: SplitMix64 (Steele, Lea, Flood 2014).

/// Numbers that follow from a seed, the same on every machine and in every version.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// A number between 0 and 1.
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A length between two bounds, each doubling as likely as the next.
    pub fn length(&mut self, least: usize, most: usize) -> usize {
        let (least, most) = (least as f64, most as f64);
        (least * (most / least).powf(self.fraction())) as usize
    }

    /// Appends bytes that do not compress.
    pub fn noise(&mut self, length: usize, out: &mut Vec<u8>) {
        let end = out.len() + length;
        while out.len() < end {
            out.extend_from_slice(&self.number().to_le_bytes());
        }
        out.truncate(end);
    }
}
