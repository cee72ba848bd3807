//! Sealing: AES-256-GCM over a session's bytes, bound to the account's name.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// Says what the bytes are, and the version of their form.
const MAGIC: &[u8; 5] = b"TGMS\x01";
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const HEADER_BYTES: usize = MAGIC.len() + KEY_ID_BYTES + NONCE_BYTES;
const KEY_BYTES: usize = 32;
/// Padding or none, standard or URL-safe letters: people paste what their tool printed.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Keys: the first seals, all open, so that a key is changed by putting the new one in front.
pub struct Keyring {
    keys: Vec<SealingKey>,
}

struct SealingKey {
    id: [u8; KEY_ID_BYTES],
    cipher: Aes256Gcm,
}

/// Why a text holds no keys. It never repeats the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadKey {
    /// No key at all.
    #[error("holds no key")]
    Empty,
    /// An entry that is no 32 bytes in hex or base64.
    #[error("entry {0} is not 32 bytes in hex or base64")]
    NotAKey(usize),
}

/// Why a sealed session cannot be opened. None of these goes away by trying again.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// Not a sealed session, or cut short.
    #[error(
        "it is no sealed session, or was cut short: restore it from a backup, or sign in anew with tgmesh login --again"
    )]
    NotSealed,
    /// It was sealed with a key that is not in the list.
    #[error(
        "it was sealed with key {0}, which is not in TELEGRAM_ENCRYPTION_KEY: put that key behind the first, with a comma"
    )]
    UnknownKey(String),
    /// The bytes were changed, or they belong to another account.
    #[error(
        "it was changed after sealing, or it belongs to another account: restore it from a backup, or sign in anew with tgmesh login --again"
    )]
    Tampered,
}

impl Keyring {
    /// Reads a comma list of keys, each 32 bytes in hex or base64.
    ///
    /// # Errors
    /// See [`BadKey`].
    pub fn parse(list: &secrecy::SecretString) -> Result<Self, BadKey> {
        let entries = list.expose_secret().split(',').map(str::trim).enumerate();
        let keys = entries
            .filter(|(_, entry)| !entry.is_empty())
            .map(|(n, entry)| {
                key_bytes(entry)
                    .map(|key| SealingKey::new(&key))
                    .ok_or(BadKey::NotAKey(n + 1))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(BadKey::Empty)
        } else {
            Ok(Self { keys })
        }
    }

    /// Seals with the first key.
    #[must_use]
    pub fn seal(&self, account: &str, plain: &[u8]) -> Vec<u8> {
        // `parse` lets no empty ring through.
        let key = &self.keys[0];
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: plain,
            aad: account.as_bytes(),
        };
        // The cipher fails only above 64 GiB.
        let sealed = key
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .expect("a session is small");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + sealed.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&key.id);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    /// Opens what any of the keys sealed for this account.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open(&self, account: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(SealError::NotSealed)?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or(SealError::NotSealed)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::NotSealed)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == *id)
            .ok_or_else(|| SealError::UnknownKey(hex(id)))?;
        let payload = Payload {
            msg: body,
            aad: account.as_bytes(),
        };
        let plain = key.cipher.decrypt(&Nonce::from(*nonce), payload);
        plain.map(Zeroizing::new).map_err(|_| SealError::Tampered)
    }

    /// Whether this was sealed with the first key; if not, it should be sealed anew.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        let id = sealed.strip_prefix(MAGIC).and_then(|rest| rest.get(..KEY_ID_BYTES));
        id == Some(&self.keys[0].id)
    }
}

/// The id of the key that sealed these bytes; nothing if they are no sealed session.
#[must_use]
pub fn key_id(sealed: &[u8]) -> Option<String> {
    let rest = sealed.strip_prefix(MAGIC)?;
    (sealed.len() >= HEADER_BYTES).then(|| hex(&rest[..KEY_ID_BYTES]))
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| hex(&key.id)).collect();
        f.debug_struct("Keyring").field("ids", &ids).finish()
    }
}

impl SealingKey {
    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut hash = Sha256::new();
        hash.update("tgmesh session key id");
        hash.update(key);
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self {
            id,
            cipher: Aes256Gcm::new(key.into()),
        }
    }
}

fn key_bytes(entry: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if entry.len() == 2 * KEY_BYTES && entry.is_ascii() {
        for (byte, pair) in key.iter_mut().zip(entry.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        return Some(key);
    }
    for letters in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        if let Ok(mut bytes) = GeneralPurpose::new(letters, LENIENT).decode(entry) {
            let fits = bytes.len() == KEY_BYTES;
            if fits {
                key.copy_from_slice(&bytes);
            }
            bytes.zeroize();
            return fits.then_some(key);
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(list: &str) -> Result<Keyring, BadKey> {
        Keyring::parse(&list.to_owned().into())
    }

    fn hex_key(byte: u8) -> String {
        hex(&[byte; 32])
    }

    #[test]
    fn the_same_key_in_any_writing() {
        let sealed = ring(&hex_key(0xfb)).unwrap().seal("alpha", b"secret");
        let base64 = base64::engine::general_purpose::STANDARD.encode([0xfb; 32]);
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([0xfb; 32]);
        for other in [hex_key(0xfb).to_uppercase(), base64, url] {
            assert_eq!(
                ring(&other).unwrap().open("alpha", &sealed).unwrap().as_slice(),
                b"secret"
            );
        }
    }

    #[test]
    fn the_first_seals_and_all_open() {
        let old = ring(&hex_key(1)).unwrap();
        let both = ring(&format!("{}, {}", hex_key(2), hex_key(1))).unwrap();
        let new = ring(&hex_key(2)).unwrap();
        let sealed = old.seal("alpha", b"x");
        assert!(!both.is_current(&sealed));
        assert_eq!(both.open("alpha", &sealed).unwrap().as_slice(), b"x");
        let anew = both.seal("alpha", b"x");
        assert!(both.is_current(&anew) && new.open("alpha", &anew).is_ok());
        assert!(matches!(old.open("alpha", &anew), Err(SealError::UnknownKey(_))));
    }

    #[test]
    fn bad_keys_are_named_by_place_alone() {
        assert_eq!(ring("").unwrap_err(), BadKey::Empty);
        assert_eq!(ring(" , ").unwrap_err(), BadKey::Empty);
        let list = format!("{},hunter2", hex_key(1));
        let error = ring(&list).unwrap_err();
        assert_eq!(error, BadKey::NotAKey(2));
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(ring(&hex_key(1)[..62]).unwrap_err(), BadKey::NotAKey(1));
        assert_eq!(ring(&"zz".repeat(32)).unwrap_err(), BadKey::NotAKey(1));
    }

    #[test]
    fn it_belongs_to_one_account() {
        let ring = ring(&hex_key(1)).unwrap();
        let sealed = ring.seal("alpha", b"x");
        assert_eq!(ring.open("beta", &sealed), Err(SealError::Tampered));
    }

    #[test]
    fn a_ring_prints_no_key() {
        let text = format!("{:?}", ring(&hex_key(0xab)).unwrap());
        assert!(!text.contains("abab"), "{text}");
    }

    proptest! {
        #[test]
        fn sealed_bytes_open(plain: Vec<u8>) {
            let ring = ring(&hex_key(7)).unwrap();
            let sealed = ring.seal("alpha", &plain);
            let opened = ring.open("alpha", &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
        }

        #[test]
        fn any_change_is_noticed(plain: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
            let ring = ring(&hex_key(7)).unwrap();
            let mut sealed = ring.seal("alpha", &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(ring.open("alpha", &sealed).is_err());
            sealed[at] ^= 1 << bit;
            sealed.truncate(at);
            prop_assert!(ring.open("alpha", &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(ring(&hex_key(7)).unwrap().open("alpha", &bytes).is_err());
        }
    }
}
