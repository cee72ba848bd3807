//! MTProto 2.0 encryption, both directions.
//!
//! Key derivation as in <https://core.telegram.org/mtproto/description#defining-aes-key-and-initialization-vector>:
//! `x` is 0 for what a client sends and 8 for what the server sends.

use std::fmt;

use grammers_crypto::aes::{ige_decrypt, ige_encrypt};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes before the ciphertext: the key's id (8) and the message key (16).
pub(crate) const HEADER_BYTES: usize = 24;
/// Least padding the protocol asks for.
const MIN_PADDING: usize = 12;

/// A 2048-bit authorization key and its id. Its `Debug` output shows the id only.
#[derive(Clone)]
pub(crate) struct AuthKey {
    data: [u8; 256],
    id: [u8; 8],
}

impl AuthKey {
    pub(crate) fn new(data: [u8; 256]) -> Self {
        let digest = Sha1::digest(data);
        let mut id = [0; 8];
        id.copy_from_slice(&digest[12..20]);
        Self { data, id }
    }

    /// The lower 64 bits of the key's SHA-1, which start every encrypted packet.
    pub(crate) fn id(&self) -> [u8; 8] {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; 256] {
        &self.data
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthKey")
            .field("id", &u64::from_le_bytes(self.id))
            .finish_non_exhaustive()
    }
}

/// Who encrypted a packet; the value is the protocol's `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client = 0,
    Server = 8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CryptError {
    #[error("the ciphertext's length is no multiple of the block size")]
    Length,
    #[error("the packet names another authorization key")]
    Key,
    #[error("the message key does not fit the plaintext")]
    Tampered,
}

/// How many padding bytes follow a plaintext of `len` bytes (12 to 27).
pub(crate) fn padding(len: usize) -> usize {
    MIN_PADDING + (16 - (len + MIN_PADDING) % 16) % 16
}

/// Encrypts `packet` in place: its first [`HEADER_BYTES`] are room for the header, the rest is
/// plaintext with its padding, a multiple of 16 bytes.
pub(crate) fn encrypt(key: &AuthKey, sender: Sender, packet: &mut [u8]) {
    let (header, plaintext) = packet.split_at_mut(HEADER_BYTES);
    let message_key = message_key(key, sender, plaintext);
    let (aes_key, iv) = derive(key, sender, &message_key);
    ige_encrypt(plaintext, &aes_key, &iv);
    header[..8].copy_from_slice(&key.id);
    header[8..].copy_from_slice(&message_key);
}

/// Decrypts `packet` in place and gives its plaintext with the padding.
///
/// # Errors
/// [`CryptError`] when the packet is for another key, has no whole number of blocks, or was
/// tampered with.
pub(crate) fn decrypt<'p>(key: &AuthKey, sender: Sender, packet: &'p mut [u8]) -> Result<&'p mut [u8], CryptError> {
    if packet.len() < HEADER_BYTES + 16 || !(packet.len() - HEADER_BYTES).is_multiple_of(16) {
        return Err(CryptError::Length);
    }
    let (header, ciphertext) = packet.split_at_mut(HEADER_BYTES);
    if header[..8] != key.id {
        return Err(CryptError::Key);
    }
    let mut claimed = [0; 16];
    claimed.copy_from_slice(&header[8..]);
    let (aes_key, iv) = derive(key, sender, &claimed);
    ige_decrypt(ciphertext, &aes_key, &iv);
    if message_key(key, sender, ciphertext) != claimed {
        return Err(CryptError::Tampered);
    }
    Ok(ciphertext)
}

fn message_key(key: &AuthKey, sender: Sender, plaintext: &[u8]) -> [u8; 16] {
    let x = sender as usize;
    let large = Sha256::new()
        .chain_update(&key.data[88 + x..88 + x + 32])
        .chain_update(plaintext)
        .finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&large[8..24]);
    short
}

fn derive(key: &AuthKey, sender: Sender, message_key: &[u8; 16]) -> ([u8; 32], [u8; 32]) {
    let x = sender as usize;
    let a = Sha256::new()
        .chain_update(message_key)
        .chain_update(&key.data[x..x + 36])
        .finalize();
    let b = Sha256::new()
        .chain_update(&key.data[40 + x..40 + x + 36])
        .chain_update(message_key)
        .finalize();
    let mut aes_key = [0; 32];
    aes_key[..8].copy_from_slice(&a[..8]);
    aes_key[8..24].copy_from_slice(&b[8..24]);
    aes_key[24..].copy_from_slice(&a[24..]);
    let mut iv = [0; 32];
    iv[..8].copy_from_slice(&b[..8]);
    iv[8..24].copy_from_slice(&a[8..24]);
    iv[24..].copy_from_slice(&b[24..]);
    (aes_key, iv)
}

#[cfg(test)]
mod tests {
    use grammers_crypto::DequeBuffer;
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> AuthKey {
        let mut data = [0; 256];
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = (i as u8).wrapping_mul(31).wrapping_add(seed);
        }
        AuthKey::new(data)
    }

    fn packet(plaintext: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES];
        packet.extend_from_slice(plaintext);
        packet.resize(packet.len() + padding(plaintext.len()), 7);
        packet
    }

    proptest! {
        #[test]
        fn what_is_encrypted_decrypts(plaintext in proptest::collection::vec(any::<u8>(), 0..2_000), seed: u8) {
            for sender in [Sender::Client, Sender::Server] {
                let mut packet = packet(&plaintext);
                encrypt(&key(seed), sender, &mut packet);
                let opened = decrypt(&key(seed), sender, &mut packet).unwrap();
                prop_assert_eq!(&opened[..plaintext.len()], &plaintext[..]);
                prop_assert!((12..=27).contains(&(opened.len() - plaintext.len())));
            }
        }

        #[test]
        fn a_flipped_bit_is_rejected(plaintext in proptest::collection::vec(any::<u8>(), 0..500), at: prop::sample::Index, bit in 0..8_u8) {
            let mut packet = packet(&plaintext);
            encrypt(&key(1), Sender::Client, &mut packet);
            let at = at.index(packet.len());
            packet[at] ^= 1 << bit;
            prop_assert!(decrypt(&key(1), Sender::Client, &mut packet).is_err());
        }

        #[test]
        fn any_bytes_are_rejected_in_peace(mut bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            prop_assert!(decrypt(&key(1), Sender::Client, &mut bytes).is_err());
        }

        /// The client library is the other party: it opens what the server seals and the
        /// server opens what it seals.
        #[test]
        fn agrees_with_the_client_library(plaintext in proptest::collection::vec(any::<u8>(), 16..500)) {
            let theirs = grammers_crypto::AuthKey::from_bytes(*key(3).bytes());
            let mut sealed = packet(&plaintext);
            encrypt(&key(3), Sender::Server, &mut sealed);
            let opened = grammers_crypto::decrypt_data_v2(&mut sealed, &theirs).unwrap();
            prop_assert_eq!(&opened[..plaintext.len()], &plaintext[..]);

            let mut buffer = DequeBuffer::with_capacity(0, 0);
            buffer.extend(plaintext.iter().copied());
            grammers_crypto::encrypt_data_v2(&mut buffer, &theirs);
            let mut sealed = buffer.as_ref().to_vec();
            let opened = decrypt(&key(3), Sender::Client, &mut sealed).unwrap();
            prop_assert_eq!(&opened[..plaintext.len()], &plaintext[..]);
        }
    }

    #[test]
    fn directions_do_not_mix() {
        let mut packet = packet(b"to the client");
        encrypt(&key(1), Sender::Server, &mut packet);
        assert_eq!(decrypt(&key(1), Sender::Client, &mut packet), Err(CryptError::Tampered));
    }
}
