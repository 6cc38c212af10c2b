//! Trees: what was understood is the same after it was written, and can be shown.
#![no_main]

use holdfast_vault::Tree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(mut tree) = Tree::from_json(json) else { return };
    // A name that occurs twice is read, as far as it goes, and never written.
    let Ok(written) = tree.to_json() else { return };
    tree.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let again = Tree::from_json(&written).expect("what was written can be read");
    assert_eq!(again, tree);
    for node in &tree.nodes {
        let _ = (node.display_name().len(), node.blobs().len());
        assert_eq!(tree.get(&node.name).map(|found| &found.name), Some(&node.name));
    }
});
