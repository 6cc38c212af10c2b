//! Locks of writers that died.

use holdfast_vault::WriterOptions;

/// Only those that are known to be dead lose their locks; a living writer keeps its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_locks_of_dead_owners_are_removed_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let repository = crate::support::create(directory.path()).await;
    let owned = |owner: &str| WriterOptions { owner: owner.into(), ..WriterOptions::default() };
    let locks = || std::fs::read_dir(directory.path().join("locks")).unwrap().count();
    let dead = repository.writer(owned("run-dead")).await.unwrap();
    let living = repository.writer(owned("run-living")).await.unwrap();
    std::mem::forget(dead); // its lock stays, as after a kill
    assert_eq!(locks(), 2);
    assert_eq!(repository.remove_locks_of(&["run-dead".into(), "run-unknown".into()]).await.unwrap(), 1);
    assert_eq!(locks(), 1);
    living.flush().await.unwrap();
    living.close().await.unwrap();
    assert_eq!(locks(), 0);
}
