//! Index files of a repository, and the names of packs.
#![no_main]

use holdfast_vault::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    fuzzing::index_file(json);
    if let Ok(name) = std::str::from_utf8(json) {
        fuzzing::pack_name(name);
    }
});
