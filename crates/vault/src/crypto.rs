//! The format's authenticated encryption: AES-256-CTR with Poly1305-AES (Bernstein 2005).
//!
//! A sealed piece is `nonce (16) ‖ ciphertext ‖ tag (16)`; the tag covers the ciphertext.

use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use poly1305::Poly1305;
use rand::Rng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

type Aes256Ctr = ctr::Ctr128BE<aes::Aes256>;

/// Length of the nonce before a ciphertext.
pub(crate) const NONCE: usize = 16;
/// Length of the tag behind a ciphertext.
pub(crate) const TAG: usize = 16;
/// What sealing adds to a plaintext.
pub(crate) const OVERHEAD: usize = NONCE + TAG;

/// The ciphertext was not made with this key, or was altered since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its authentication tag does not match: it was altered, or made with another key")]
pub(crate) struct Unauthentic;

/// An encryption and authentication key.
#[derive(Clone)]
pub(crate) struct Key {
    encrypt: Zeroizing<[u8; 32]>,
    mac: MacKey,
}

#[derive(Clone)]
struct MacKey {
    cipher: aes::Aes128,
    k: Zeroizing<[u8; 16]>,
    r: Zeroizing<[u8; 16]>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(secret)")
    }
}

/// A key as it stands in a key file, base64 in JSON.
#[derive(Serialize, Deserialize, zeroize::ZeroizeOnDrop)]
struct WireKey {
    mac: WireMac,
    encrypt: String,
}

#[derive(Serialize, Deserialize, zeroize::ZeroizeOnDrop)]
struct WireMac {
    k: String,
    r: String,
}

impl Key {
    /// From 64 bytes: encryption key, then the two halves of the authentication key.
    pub(crate) fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut encrypt = [0; 32];
        let (mut k, mut r) = ([0; 16], [0; 16]);
        encrypt.copy_from_slice(&bytes[..32]);
        k.copy_from_slice(&bytes[32..48]);
        r.copy_from_slice(&bytes[48..]);
        let mac = MacKey { cipher: aes::Aes128::new(&k.into()), k: k.into(), r: r.into() };
        Self { encrypt: encrypt.into(), mac }
    }

    /// A key nobody else has.
    pub(crate) fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 64]);
        rand::rng().fill_bytes(bytes.as_mut());
        Self::from_bytes(&bytes)
    }

    /// The JSON of a master key.
    pub(crate) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let wire = WireKey {
            mac: WireMac { k: BASE64.encode(*self.mac.k), r: BASE64.encode(*self.mac.r) },
            encrypt: BASE64.encode(*self.encrypt),
        };
        // Three strings always serialize.
        Zeroizing::new(serde_json::to_vec(&wire).unwrap_or_default())
    }

    /// A master key from its JSON; `None` if it is not one.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        let wire: WireKey = serde_json::from_slice(json).ok()?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        for part in [&wire.encrypt, &wire.mac.k, &wire.mac.r] {
            bytes.extend(Zeroizing::new(BASE64.decode(part).ok()?).iter());
        }
        Some(Self::from_bytes(bytes.as_slice().try_into().ok()?))
    }

    /// Seals in place: `piece` is room for the nonce, the plaintext, and room for the tag.
    pub(crate) fn seal_in_place(&self, piece: &mut [u8]) {
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        self.seal_with_nonce(nonce, piece);
    }

    fn seal_with_nonce(&self, nonce: [u8; NONCE], piece: &mut [u8]) {
        let (head, rest) = piece.split_at_mut(NONCE);
        let (text, tag) = rest.split_at_mut(rest.len() - TAG);
        head.copy_from_slice(&nonce);
        self.stream(&nonce).apply_keystream(text);
        tag.copy_from_slice(&self.mac.tag(&nonce, text));
    }

    /// A sealed copy of `plain`.
    pub(crate) fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut piece = Vec::with_capacity(plain.len() + OVERHEAD);
        piece.resize(NONCE, 0);
        piece.extend_from_slice(plain);
        piece.resize(plain.len() + OVERHEAD, 0);
        self.seal_in_place(&mut piece);
        piece
    }

    /// Checks and decrypts in place, and returns the plaintext within `piece`.
    pub(crate) fn open_in_place<'p>(&self, piece: &'p mut [u8]) -> Result<&'p mut [u8], Unauthentic> {
        let (text, nonce) = self.verified(piece)?;
        let text = &mut piece[text];
        self.stream(&nonce).apply_keystream(text);
        Ok(text)
    }

    /// Checks `piece` and decrypts it to the end of `plain`.
    pub(crate) fn open_into(&self, piece: &[u8], plain: &mut Vec<u8>) -> Result<(), Unauthentic> {
        let (text, nonce) = self.verified(piece)?;
        let start = plain.len();
        plain.extend_from_slice(&piece[text]);
        self.stream(&nonce).apply_keystream(&mut plain[start..]);
        Ok(())
    }

    fn verified(&self, piece: &[u8]) -> Result<(std::ops::Range<usize>, [u8; NONCE]), Unauthentic> {
        let (nonce, rest) = piece.split_first_chunk::<NONCE>().ok_or(Unauthentic)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(Unauthentic)?;
        // Compared without branches on the content, so that timing tells nothing.
        let differing = self.mac.tag(nonce, text).iter().zip(tag).fold(0, |all, (a, b)| all | (a ^ b));
        if std::hint::black_box(differing) != 0 {
            return Err(Unauthentic);
        }
        Ok((NONCE..NONCE + text.len(), *nonce))
    }

    fn stream(&self, nonce: &[u8; NONCE]) -> Aes256Ctr {
        Aes256Ctr::new((&*self.encrypt).into(), nonce.into())
    }
}

impl MacKey {
    fn tag(&self, nonce: &[u8; NONCE], text: &[u8]) -> [u8; TAG] {
        let mut masked = aes::Block::from(*nonce);
        self.cipher.encrypt_block(&mut masked);
        let mut key = poly1305::Key::default();
        key[..16].copy_from_slice(&*self.r);
        key[16..].copy_from_slice(&masked);
        let tag = Poly1305::new(&key).compute_unpadded(text);
        key.as_mut_slice().zeroize();
        tag.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of "The Poly1305-AES message-authentication code", appendix B.
    #[test]
    fn tags_agree_with_the_paper() {
        let cases = [
            (
                "f3f6",
                "851fc40c3467ac0be05cc20404f3f700",
                "ec074c835580741701425b623235add6",
                "fb447350c4e868c52ac3275cf9d4327e",
                "f4c633c3044fc145f84f335cb81953de",
            ),
            (
                "",
                "a0f3080000f46400d0c7e9076c834403",
                "75deaa25c09f208e1dc4ce6b5cad3fbf",
                "61ee09218d29b0aaed7e154a2c5509cc",
                "dd3fab2251f11ac759f0887129cc2ee7",
            ),
        ];
        for (text, r, k, nonce, tag) in cases {
            let bytes = |hex: &str| hex::decode(hex).unwrap();
            let key: Vec<u8> = [vec![1; 32], bytes(k), bytes(r)].concat();
            let key = Key::from_bytes(key.as_slice().try_into().unwrap());
            let nonce = bytes(nonce).try_into().unwrap();
            assert_eq!(hex::encode(key.mac.tag(&nonce, &bytes(text))), tag);
        }
    }

    #[test]
    fn sealed_pieces_open_and_any_flipped_bit_is_noticed() {
        let key = Key::random();
        for length in [0, 1, 15, 16, 17, 1000] {
            let plain: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let sealed = key.seal(&plain);
            let mut opened = Vec::new();
            key.open_into(&sealed, &mut opened).unwrap();
            assert_eq!(opened, plain);
            for at in 0..sealed.len() {
                let mut altered = sealed.clone();
                altered[at] ^= 1 << (at % 8);
                assert_eq!(key.open_in_place(&mut altered).unwrap_err(), Unauthentic, "{at}");
            }
        }
        assert_eq!(key.open_in_place(&mut [0; 31]).unwrap_err(), Unauthentic);
    }

    #[test]
    fn a_key_survives_its_json_and_is_not_printed() {
        let key = Key::random();
        let again = Key::from_json(&key.to_json()).unwrap();
        let mut sealed = key.seal(b"x");
        assert_eq!(again.open_in_place(&mut sealed).unwrap(), b"x");
        assert_eq!(format!("{key:?}"), "Key(secret)");
        assert!(Key::from_json(b"{\"mac\":{\"k\":\"\",\"r\":\"\"},\"encrypt\":\"\"}").is_none());
    }
}
