//! The hash of a record's key.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::KeyHash;

/// SipHash-2-4 with 128 bits of output under a secret key of the log.
///
/// Keys come from clients, and two keys with one hash would silently be one. Under a key that
/// nobody outside knows, `n` distinct keys of a log collide with probability of at most about
/// `n * n / 2^129`: for 2^32 keys, 2^-65.
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher {
    hasher: SipHasher24,
}

impl KeyHasher {
    /// The hash under `hash_key`.
    #[must_use]
    pub fn new(hash_key: &[u8; 16]) -> KeyHasher {
        KeyHasher { hasher: SipHasher24::new_with_key(hash_key) }
    }

    /// The hash of the bytes of a record's key, little endian as SipHash puts it out.
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = self.hasher;
        hasher.write(key);
        hasher.finish128().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_siphash_2_4_128() {
        // The vectors of the reference implementation: key 00 .. 0f, messages 00, 00 01, and so on.
        let key: [u8; 16] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let hasher = KeyHasher::new(&key);
        let hex = |bytes: KeyHash| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(hasher.hash(b"")), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hex(hasher.hash(&[0])), "da87c1d86b99af44347659119b22fc45");
        assert_ne!(KeyHasher::new(&[0; 16]).hash(b""), hasher.hash(b""));
    }
}
