//! Manifests as users write them.
#![no_main]

use holdfast_model::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(manifest) = serde_saphyr::from_str::<Manifest>(text) else { return };
    let _ = manifest.validate();
    let json = serde_json::to_string(&manifest).expect("a manifest can be written");
    let again: Manifest = serde_json::from_str(&json).expect("what was written can be read");
    assert_eq!(again, manifest);
});
