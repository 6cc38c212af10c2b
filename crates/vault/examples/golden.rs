//! Wrote `tests/golden/format-1`. A later format gets a directory of its own beside it: what was
//! written once has to be readable for ever.
//!
//! `cargo run -p holdfast-vault --example golden -- DIRECTORY`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    unreachable_pub,
    dead_code,
    missing_docs,
    reason = "shares what the tests know of the vault"
)]

use holdfast_vault::{Credentials, Store, StoreOptions, Vault};

#[path = "../tests/suite/support/bytes.rs"]
mod bytes;
#[path = "../tests/suite/support/golden.rs"]
mod golden;

use bytes::{noise, text};

#[tokio::main]
async fn main() {
    let directory = std::env::args().nth(1).expect("name a directory that does not exist yet");
    std::fs::create_dir(&directory).unwrap();
    let url = format!("file://{}", std::fs::canonicalize(directory).unwrap().display());
    let store = Store::connect(&url, &StoreOptions::default(), &Credentials::none()).unwrap();
    let (vault, _) = Vault::init(store, golden::init()).await.unwrap();
    let tenant = vault.create_tenant(&golden::tenant(), golden::root_key()).await.unwrap();
    for entry in golden::entries() {
        tenant.put_entry("application", golden::application().as_str(), &entry).await.unwrap();
    }
    let repository = tenant.create_repository(&golden::application()).await.unwrap();
    let first = golden::write(&repository, 0, None).await;
    golden::write(&repository, 1, Some(first)).await;
}
