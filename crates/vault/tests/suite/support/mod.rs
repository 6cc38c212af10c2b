//! What the integration tests share: stock restic as oracle, a walker, trees of files.

pub mod bytes;
pub mod files;
#[allow(dead_code, reason = "the example that wrote the golden vault uses the rest")]
pub mod golden;
pub mod restic;
pub mod walk;

pub use bytes::{noise, text};
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
