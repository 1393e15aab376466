//! What a client of an old Fetch cannot read: zstd (KIP-110).

use buf::Sealed;
use record::{Codec, Header, layout::HEADER_LEN};

/// Fetch may carry zstd from this version on.
pub(crate) const FIRST_WITH_ZSTD: i16 = 10;

/// Whether a batch of `parts`, which together are whole batches, is compressed with zstd.
pub(crate) fn hold_zstd(parts: &[Sealed]) -> bool {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut at = 0;
    while at < total {
        let Ok(header) = Header::read(&front(parts, at)) else { return false };
        if header.attributes.codec() == Ok(Codec::Zstd) {
            return true;
        }
        at += header.len;
    }
    false
}

/// The bytes of a header at `at`, which may lie in several parts; fewer at the end.
fn front(parts: &[Sealed], mut at: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    for part in parts {
        if part.len() <= at {
            at -= part.len();
            continue;
        }
        let wanted = HEADER_LEN - bytes.len();
        bytes.extend(part[at..].iter().take(wanted));
        at = 0;
        if bytes.len() == HEADER_LEN {
            break;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use buf::Pool;

    /// A header that says `codec`, followed by `body` bytes.
    fn batch(codec: u8, body: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN + body];
        let length = i32::try_from(HEADER_LEN + body - 12).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        bytes[22] = codec;
        bytes
    }

    #[test]
    fn zstd_is_found_wherever_the_parts_are_cut() {
        let pool = Pool::new(0, 1 << 20);
        let plain = [batch(0, 5), batch(3, 70), batch(2, 0)].concat();
        let mixed = [plain.clone(), batch(4, 9)].concat();
        for cut in 0..plain.len() {
            let parts = |all: &[u8]| {
                [&all[..cut], &all[cut..]].map(|bytes| {
                    let mut buffer = pool.buffer(bytes.len().max(1)).unwrap();
                    buffer.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
                    buffer.seal(bytes.len())
                })
            };
            assert!(!hold_zstd(&parts(&plain)), "cut at {cut}");
            assert!(hold_zstd(&parts(&mixed)), "cut at {cut}");
        }
        assert!(!hold_zstd(&[]));
    }
}
