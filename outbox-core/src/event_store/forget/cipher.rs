//! XChaCha20-Poly1305, with a random nonce of 24 bytes before what is sealed.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// A key of 32 bytes, overwritten when it is dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// A new key.
pub(super) fn new_key() -> Result<Key, &'static str> {
    let mut key = Zeroizing::new([0; 32]);
    OsRng
        .try_fill_bytes(&mut *key)
        .map_err(|_| "the system has no random numbers")?;
    Ok(key)
}

/// What can be opened with the same key and the same context only.
pub(super) fn seal(key: &Key, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut nonce = [0; NONCE_BYTES];
    OsRng
        .try_fill_bytes(&mut nonce)
        .map_err(|_| "the system has no random numbers")?;
    let payload = Payload {
        msg: plain,
        aad: context,
    };
    let cipher = XChaCha20Poly1305::new(&(**key).into());
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| "it is too long to be sealed")?;
    let mut all = Vec::with_capacity(NONCE_BYTES + sealed.len());
    all.extend_from_slice(&nonce);
    all.extend_from_slice(&sealed);
    Ok(all)
}

/// What was sealed.
pub(super) fn open(key: &Key, context: &[u8], all: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let Some((nonce, sealed)) = all.split_first_chunk::<NONCE_BYTES>() else {
        return Err("it is too short");
    };
    let payload = Payload {
        msg: sealed,
        aad: context,
    };
    XChaCha20Poly1305::new(&(**key).into())
        .decrypt(&XNonce::from(*nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| "it was sealed with another key, for another event, or was changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_with_the_same_key_and_context_only() {
        let (key, other) = (new_key().expect("a key"), new_key().expect("a key"));
        let sealed = seal(&key, b"event 7", b"secret").expect("sealed");
        assert_eq!(*open(&key, b"event 7", &sealed).expect("opened"), b"secret");
        assert!(open(&other, b"event 7", &sealed).is_err());
        assert!(open(&key, b"event 8", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, b"event 7", &changed).is_err(), "byte {at}");
            assert!(open(&key, b"event 7", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_is_never_sealed_the_same_way() {
        let key = new_key().expect("a key");
        assert_ne!(
            seal(&key, b"", b"secret").expect("sealed"),
            seal(&key, b"", b"secret").expect("sealed")
        );
    }
}
