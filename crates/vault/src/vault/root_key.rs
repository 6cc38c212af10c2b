//! The key of one tenant in one vault, from which all others are derived.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};

/// Crockford's base 32: no I, L, O or U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX: &str = "HF1";
const KEY: usize = 32;
const CHECKSUM: usize = 3;
/// 35 bytes are exactly 56 digits.
const TEXT: usize = (KEY + CHECKSUM) * 8 / 5;
const GROUP: usize = 4;

/// The key of one tenant in one vault, from which all others are derived. Never printed.
#[derive(Clone)]
pub struct RootKey(Zeroizing<[u8; KEY]>);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(secret)")
    }
}

impl RootKey {
    /// The key made of 32 bytes from a cryptographic random generator.
    pub fn from_random(mut bytes: [u8; KEY]) -> Self {
        let key = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        key
    }

    /// The form to be written down and kept elsewhere: `HF1-` and 14 groups of 4 characters, the
    /// last ones a checksum.
    pub fn recovery_text(&self) -> String {
        let mut bytes = Zeroizing::new([0; KEY + CHECKSUM]);
        bytes[..KEY].copy_from_slice(&*self.0);
        bytes[KEY..].copy_from_slice(&checksum(&self.0));
        let digit = |at: usize| {
            let (byte, shift) = (at * 5 / 8, at * 5 % 8);
            let pair = u16::from(bytes[byte]) << 8 | u16::from(*bytes.get(byte + 1).unwrap_or(&0));
            char::from(DIGITS[usize::from(pair >> (11 - shift) & 31)])
        };
        let mut text = PREFIX.to_owned();
        for at in 0..TEXT {
            if at % GROUP == 0 {
                text.push('-');
            }
            text.push(digit(at));
        }
        text
    }

    /// Reads the recovery text. Case, blanks and dashes do not matter; O is read as 0, I and L as 1.
    ///
    /// # Errors
    /// [`Error::InvalidRecoveryKey`]
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |reason: String| Error::InvalidRecoveryKey { reason };
        let compact: Zeroizing<String> = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect::<String>()
            .to_uppercase()
            .into();
        let digits = compact
            .strip_prefix(PREFIX)
            .ok_or_else(|| invalid(format!("it does not begin with {PREFIX}-")))?;
        if digits.chars().count() != TEXT {
            return Err(invalid(format!(
                "it has {} characters after {PREFIX} instead of {TEXT}",
                digits.chars().count()
            )));
        }
        let mut bytes = Zeroizing::new([0; KEY + CHECKSUM]);
        for (at, c) in digits.chars().enumerate() {
            let value = value_of(c).ok_or_else(|| {
                invalid(format!("`{c}` in group {} is no character of a key", at / GROUP + 1))
            })?;
            let (byte, shift) = (at * 5 / 8, at * 5 % 8);
            let pair = u16::from(value) << (11 - shift);
            bytes[byte] |= (pair >> 8) as u8;
            if let Some(next) = bytes.get_mut(byte + 1) {
                *next |= pair as u8;
            }
        }
        let mut key = Zeroizing::new([0; KEY]);
        key.copy_from_slice(&bytes[..KEY]);
        if checksum(&key) != bytes[KEY..] {
            return Err(invalid("its checksum does not match, so a character is wrong".to_owned()));
        }
        Ok(Self(key))
    }

    /// `N` bytes for one purpose (HKDF-SHA256, RFC 5869).
    pub(super) fn derive<const N: usize>(&self, purpose: &str) -> Zeroizing<[u8; N]> {
        let mut derived = Zeroizing::new([0; N]);
        // Fails only beyond 8,160 bytes.
        let _ =
            Hkdf::<Sha256>::new(Some(b"holdfast 1"), &*self.0).expand(purpose.as_bytes(), derived.as_mut());
        derived
    }
}

fn value_of(c: char) -> Option<u8> {
    let c = match c {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    DIGITS.iter().position(|&digit| char::from(digit) == c).map(|at| at as u8)
}

fn checksum(key: &[u8; KEY]) -> [u8; CHECKSUM] {
    let digest = Sha256::new_with_prefix(b"holdfast recovery key 1").chain_update(key).finalize();
    [digest[0], digest[1], digest[2]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn recovery_text_comes_back_however_it_is_typed(bytes: [u8; 32]) {
            let key = RootKey::from_random(bytes);
            let text = key.recovery_text();
            prop_assert_eq!(text.len(), 3 + 14 * 5);
            let typed = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l").replacen("hfl", "HF1", 1);
            prop_assert_eq!(*RootKey::parse(&typed).unwrap().0, bytes);
        }

        #[test]
        fn one_wrong_character_is_noticed(bytes: [u8; 32], at in 0usize..56, other in 0usize..32) {
            let mut text = RootKey::from_random(bytes).recovery_text().into_bytes();
            let at = 4 + at + at / 4;
            prop_assume!(text[at] != DIGITS[other]);
            text[at] = DIGITS[other];
            let error = RootKey::parse(std::str::from_utf8(&text).unwrap()).unwrap_err();
            prop_assert_eq!(error.code(), "vault.invalid_recovery_key");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "begin with HF1"),
            ("HF1-AAAA", "4 characters"),
            (&*format!("HF1{}", "U".repeat(56)), "`U`"),
        ] {
            assert!(RootKey::parse(text).unwrap_err().to_string().contains(reason), "{text}");
        }
    }

    #[test]
    fn purposes_are_independent_and_derivation_is_fixed_for_ever() {
        let key = RootKey::from_random([1; 32]);
        assert_ne!(*key.derive::<32>("a"), *key.derive::<32>("b"));
        assert_eq!(
            hex::encode(*key.derive::<32>("test")),
            "f18950a0f6c28726491f1a9062c1877b05adc81c49f9fc05116d80f152b93748"
        );
        assert_eq!(format!("{key:?}"), "RootKey(secret)");
    }
}
