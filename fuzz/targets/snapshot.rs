//! Snapshot files: what was understood is the same after it was written.
#![no_main]

use holdfast_vault::Snapshot;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(json) else { return };
    let written = serde_json::to_vec(&snapshot).expect("a snapshot can be written");
    let again: Snapshot = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, snapshot);
});
