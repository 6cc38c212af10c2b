//! Key files: the master key, sealed with a key derived from the password by scrypt (RFC 7914).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::RepositoryPassword;
use crate::clock::Clock;
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::host;
use crate::id::FileId;
use crate::store::Store;

/// What opening costs whoever guesses a password, and us each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyCost {
    /// For passwords of 256 random bits, which nobody guesses: 1 MiB and a few milliseconds.
    #[default]
    RandomPassword,
    /// For passwords that people choose: 32 MiB and about a tenth of a second.
    HumanPassword,
}

impl KeyCost {
    fn n(self) -> u64 {
        match self {
            KeyCost::RandomPassword => 1 << 10,
            KeyCost::HumanPassword => 1 << 15,
        }
    }
}

/// No more bytes than these are mixed on a key file's word: 128 · N · r of memory, p times over.
const MAX_WORK: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct KeyFile {
    created: Timestamp,
    #[serde(default)]
    username: String,
    #[serde(default)]
    hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

/// Makes a master key and stores it under `password`.
pub(super) async fn create(
    store: &Store,
    password: &RepositoryPassword,
    cost: KeyCost,
    clock: &Clock,
) -> Result<Key> {
    let salt: [u8; 64] = rand::random();
    let mut file = KeyFile {
        created: clock.now(),
        username: host::user_name(),
        hostname: host::name(),
        kdf: "scrypt".to_owned(),
        n: cost.n(),
        r: 8,
        p: 1,
        salt: BASE64.encode(salt),
        data: String::new(),
    };
    let master = Key::random();
    let user = file.derive(password).map_err(Error::Internal)?;
    file.data = BASE64.encode(user.seal(&master.to_json()));
    let json = serde_json::to_vec(&file).map_err(|error| Error::Internal(error.to_string()))?;
    store.put_unique(&format!("keys/{}", FileId::of(&json)), json.into()).await?;
    Ok(master)
}

/// The master key from whichever key file `password` opens.
pub(super) async fn open(store: &Store, password: &RepositoryPassword) -> Result<Key> {
    let names = store.list("keys").await?;
    if names.is_empty() {
        return Err(Error::NotFound { what: "repository", path: store.address() });
    }
    let mut damage = None;
    for listed in names {
        let path = format!("keys/{}", listed.name);
        let content = store.get(&path).await?;
        let (name, password) = (listed.name, password.clone());
        let opened = tokio::task::spawn_blocking(move || try_open(&name, &content, &password)).await;
        match opened.map_err(|error| Error::Internal(error.to_string()))? {
            Ok(Some(key)) => return Ok(key),
            Ok(None) => {}
            Err(reason) => damage = Some(Error::damaged(store.locate(&path), reason)),
        }
    }
    // A damaged key file may be the one that this password belongs to.
    Err(damage.unwrap_or_else(|| Error::WrongKey { what: format!("repository `{}`", store.address()) }))
}

fn try_open(name: &str, content: &[u8], password: &RepositoryPassword) -> Result<Option<Key>, String> {
    if name.parse::<FileId>().is_ok_and(|id| id != FileId::of(content)) {
        return Err("its content does not match its name".to_owned());
    }
    let file: KeyFile = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    let user = file.derive(password)?;
    let mut sealed = BASE64.decode(&file.data).map_err(|error| error.to_string())?;
    match user.open_in_place(&mut sealed) {
        Ok(json) => Key::from_json(json).map(Some).ok_or_else(|| "it holds no master key".to_owned()),
        Err(_) => Ok(None),
    }
}

impl KeyFile {
    /// What deriving a key costs, as far as that can be afforded.
    fn params(&self) -> Result<scrypt::Params, String> {
        if self.kdf != "scrypt" {
            return Err(format!("its key derivation `{}` is not known", self.kdf));
        }
        let Self { n, r, p, .. } = self;
        let work =
            [u64::from(*r), u64::from(*p)].iter().try_fold(128u64, |work, factor| work.checked_mul(*factor));
        let work = work.and_then(|work| work.checked_mul(*n));
        if !n.is_power_of_two() || work.is_none_or(|bytes| bytes > MAX_WORK) {
            return Err(format!("its scrypt parameters N={n}, r={r}, p={p} are out of bounds"));
        }
        scrypt::Params::new(n.trailing_zeros() as u8, *r, *p).map_err(|error| error.to_string())
    }

    fn derive(&self, password: &RepositoryPassword) -> Result<Key, String> {
        let params = self.params()?;
        let salt = BASE64.decode(&self.salt).map_err(|error| error.to_string())?;
        let mut derived = Zeroizing::new([0; 64]);
        scrypt::scrypt(password.expose().as_bytes(), &salt, &params, derived.as_mut())
            .map_err(|error| error.to_string())?;
        Ok(Key::from_bytes(&derived))
    }
}

/// Everything that is done with a key file before a password is tried.
#[cfg(fuzzing)]
pub(crate) fn look_at(content: &[u8]) -> Option<()> {
    let file: KeyFile = serde_json::from_slice(content).ok()?;
    let _ = file.params().ok()?;
    let _ = BASE64.decode(&file.salt).ok()?;
    let mut sealed = BASE64.decode(&file.data).ok()?;
    Key::from_bytes(&[7; 64]).open_in_place(&mut sealed).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_opens_and_a_wrong_one_is_named() {
        let store = Store::in_memory();
        let (right, wrong) = (RepositoryPassword::new("right"), RepositoryPassword::new("wrong"));
        let key = create(&store, &right, KeyCost::RandomPassword, &Clock::default()).await.unwrap();
        let mut sealed = key.seal(b"x");
        assert_eq!(open(&store, &right).await.unwrap().open_in_place(&mut sealed).unwrap(), b"x");
        assert_eq!(open(&store, &wrong).await.unwrap_err().code(), "vault.wrong_key");
    }

    #[tokio::test]
    async fn a_damaged_key_file_is_named() {
        let store = Store::in_memory();
        let password = RepositoryPassword::new("x");
        create(&store, &password, KeyCost::RandomPassword, &Clock::default()).await.unwrap();
        let path = format!("keys/{}", store.list("keys").await.unwrap()[0].name);
        let mut content = store.get(&path).await.unwrap().to_vec();
        content[40] ^= 1;
        store.delete(&path).await.unwrap();
        store.put_unique(&path, content.into()).await.unwrap();
        let error = open(&store, &password).await.unwrap_err();
        assert_eq!(error.code(), "vault.damaged");
        assert!(error.to_string().contains(&path));
    }

    #[test]
    fn absurd_scrypt_parameters_are_refused() {
        let file = |n, r, p| KeyFile {
            created: Timestamp::UNIX_EPOCH,
            username: String::new(),
            hostname: String::new(),
            kdf: "scrypt".to_owned(),
            n,
            r,
            p,
            salt: String::new(),
            data: String::new(),
        };
        let absurd =
            [(1 << 60, 8, 1), (1 << 10, u32::MAX, 1), (0, 8, 1), (1000, 8, 1), (1 << 15, 8, 1 << 20)];
        for (n, r, p) in absurd {
            assert!(file(n, r, p).derive(&RepositoryPassword::new("x")).is_err(), "{n} {r} {p}");
        }
    }
}
