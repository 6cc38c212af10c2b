//! What is compressed in a repository: blobs, and files outside packs.
#![no_main]

use holdfast_vault::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| {
    let (claimed, bytes) = input;
    fuzzing::blob(bytes, claimed);
    fuzzing::unpacked_file(bytes);
});
