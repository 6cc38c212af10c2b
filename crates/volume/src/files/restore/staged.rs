//! Names under which what takes the place of something else is made, before it does so at once.

use sha2::{Digest, Sha256};

use super::names::Names;

const PREFIX: &[u8] = b".holdfast-restore-";
/// Bytes of the hash in a name, two digits each.
const HASH: usize = 8;

/// The name for what is to become `name`: always the same, so that a second run finds what the first
/// has left, and none that the directory is to have.
pub(super) fn name_for(name: &[u8], names: &Names) -> Vec<u8> {
    let mut hash = Sha256::digest(name);
    loop {
        let staged = [PREFIX, hex::encode(&hash[..HASH]).as_bytes()].concat();
        if names.get(&staged).is_none() {
            return staged;
        }
        hash = Sha256::digest(hash);
    }
}

/// Whether a name is one of these, of whatever run.
pub(super) fn is_one(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|hash| hash.len() == 2 * HASH && hash.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use holdfast_vault::{Node, NodeKind, Tree};

    use super::*;

    #[test]
    fn a_name_is_the_same_every_time_unless_the_directory_has_it() {
        let names = |nodes| Names::new(&Arc::new(Tree { nodes }));
        let first = name_for(b"db", &names(Vec::new()));
        assert!(is_one(&first) && first == name_for(b"db", &names(Vec::new())));
        assert_ne!(first, name_for(b"db2", &names(Vec::new())));
        let taken = names(vec![Node::new(first.clone(), NodeKind::File)]);
        let second = name_for(b"db", &taken);
        assert!(is_one(&second) && second != first);
        assert!(!is_one(b".holdfast-restore-") && !is_one(b"x.holdfast-restore-0011223344556677"));
    }
}
