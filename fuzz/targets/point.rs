//! `point.json`: what was understood is the same after it was written.
#![no_main]

use holdfast_model::point::Point;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(point) = serde_json::from_slice::<Point>(json) else { return };
    let written = serde_json::to_vec(&point).expect("a point can be written");
    let again: Point = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("it can be written again"), written);
});
