//! Trees: what was understood is the same after it was written, and can be shown.
#![no_main]

use holdfast_vault::Tree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(tree) = Tree::from_json(json) else { return };
    let again = Tree::from_json(&tree.to_json()).expect("what was written can be read");
    assert_eq!(again, tree);
    for node in &tree.nodes {
        let _ = (node.display_name().len(), node.blobs().len());
        assert_eq!(tree.get(&node.name).map(|found| &found.name), Some(&node.name));
    }
});
