//! What the integration tests share: stock restic as oracle, a walker, trees of files.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod files;
pub mod restic;
pub mod walk;

use holdfast_vault::{CreateOptions, Credentials, Repository, RepositoryPassword, Store, StoreOptions};

/// Password of the tests' repositories.
pub const PASSWORD: &str = "correct horse battery staple";

/// A new repository in `directory`.
pub async fn create(directory: &std::path::Path) -> Repository {
    Repository::create(store(directory), &password(), CreateOptions::default()).await.unwrap()
}

/// The repository in `directory`.
pub async fn open(directory: &std::path::Path) -> Repository {
    Repository::open(store(directory), &password()).await.unwrap()
}

/// A store over `directory` that does not wait for the disk.
pub fn store(directory: &std::path::Path) -> Store {
    let options = StoreOptions { no_sync: true, ..StoreOptions::default() };
    Store::connect(&format!("file://{}", directory.display()), &options, &Credentials::none()).unwrap()
}

pub fn password() -> RepositoryPassword {
    RepositoryPassword::new(PASSWORD)
}

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
