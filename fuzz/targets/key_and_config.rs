//! Key files and the `config` of a repository.
#![no_main]

use holdfast_vault::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    fuzzing::key_file(json);
    fuzzing::config(json);
});
