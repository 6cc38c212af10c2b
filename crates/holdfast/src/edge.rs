//! The edge of the program: the clock and the source of randomness that everything below is given.

use jiff::Timestamp;
use rand::TryRng as _;

/// The present time.
#[allow(clippy::disallowed_methods, reason = "this is the edge where the clock is read")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// `N` bytes from the operating system's generator, fit for keys.
///
/// # Errors
/// If the operating system has no randomness to give.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_keys_differ() {
        assert_ne!(super::random::<32>().unwrap(), super::random::<32>().unwrap());
    }
}
