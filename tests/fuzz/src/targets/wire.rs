//! Requests: the limits of a frame, and the decoder. Input: the bytes of a connection.

use buf::{Pool, Sealed};
use wire::frame::LENGTH_BYTES;
use wire::{FrameLimits, Verdict};

/// Longest frame that is allowed here, in bytes.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Judges the frames in `data` one after the other, and decodes those that are whole.
///
/// # Panics
/// If a verdict asks for less than it had, or a decoded request is not the one that was judged.
pub fn wire(data: &[u8]) {
    let limits = FrameLimits::new(FRAME_BYTES_MAX);
    let pool = Pool::new(0, 4 << 20);
    let mut rest = data;
    while let Ok(verdict) = limits.judge(rest) {
        match verdict {
            Verdict::More { bytes } => {
                assert!(rest.len() < bytes, "it has {} and wants {bytes}", rest.len());
                return;
            }
            Verdict::Read { len, start } => {
                assert!(len <= limits.of(start.key), "longer than allowed");
                let Some(frame) = rest.get(LENGTH_BYTES..LENGTH_BYTES + len) else { return };
                if let Ok(request) = wire::decode(sealed(&pool, frame)) {
                    assert_eq!(request.header.key, start.key);
                    assert_eq!(request.header.version, start.version);
                    assert_eq!(request.header.correlation_id, start.correlation_id);
                }
                rest = &rest[LENGTH_BYTES + len..];
            }
        }
    }
}

fn sealed(pool: &Pool, bytes: &[u8]) -> Sealed {
    let mut buffer = pool.buffer(bytes.len()).expect("one frame at a time");
    buffer.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
    buffer.seal(bytes.len())
}
