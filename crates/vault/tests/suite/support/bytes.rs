//! Bytes for tests: the same for the same seed, everywhere.

/// xorshift64*: the same bytes for the same seed, everywhere.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// Text-like bytes that compress to about a third.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let words = noise(seed, length / 2 + 8);
    words.iter().flat_map(|byte| format!("word{} ", byte % 97).into_bytes()).take(length).collect()
}
