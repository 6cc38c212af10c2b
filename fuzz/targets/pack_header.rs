//! Headers of packs: sealed ones by somebody who has the key, and any bytes at the end of a file.
#![no_main]

use holdfast_vault::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| {
    let (size, bytes) = input;
    fuzzing::pack_header(bytes, size);
    fuzzing::pack_tail(bytes, u64::from(size));
});
