//! What `build.rs` makes of `proto/`.

/// Descriptors of every file, for reflection.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// `evenkeel.admin.v1`.
#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated"
)]
pub(crate) mod v1 {
    include!(concat!(env!("OUT_DIR"), "/evenkeel.admin.v1.rs"));
}
