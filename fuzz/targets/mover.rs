//! What a mover's container prints, and the instructions it is given.
#![no_main]

use holdfast_volume::mover::{Event, MoverSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(event) = Event::parse(text) {
        let line = serde_json::to_string(&event).expect("an event can be written");
        assert!(!line.contains('\n'), "an event is one line");
        assert_eq!(Event::parse(&line), Some(event));
    }
    if let Ok(spec) = serde_json::from_str::<MoverSpec>(text) {
        let json = serde_json::to_string(&spec).expect("instructions can be written");
        assert_eq!(serde_json::from_str::<MoverSpec>(&json).ok(), Some(spec));
    }
});
