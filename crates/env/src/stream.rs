//! One connection.

use std::future::Future;
use std::io;

use buf::{Buffer, Sealed};

/// The two directions of a byte connection. A handle: clones share the connection, so that one
/// task may read while another writes. There is at most one read and one write at a time.
pub trait Stream: Clone + 'static {
    /// Reads at most `len` bytes into `into` from `at`, at least one unless the peer closed:
    /// 0 is the end. Gives the buffer back, also on failure. Never dropped while pending (a
    /// completed read would be lost): end it with [`close`](Stream::close).
    fn read(
        &self,
        into: Buffer,
        at: usize,
        len: usize,
    ) -> impl Future<Output = (io::Result<usize>, Buffer)>;

    /// Waits until a read would not wait: bytes, the end or an error are there. Holds no buffer,
    /// so that an idle connection costs none.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;

    /// Writes all of `parts`, in order.
    fn write_all(&self, parts: Vec<Sealed>) -> impl Future<Output = io::Result<()>>;

    /// How many bytes were written so far, as far as the connection has taken them from us: whether a
    /// pending [`write_all`](Stream::write_all) gets on.
    fn written(&self) -> u64;

    /// Ends both directions: a pending read returns 0 or an error, a pending write an error.
    fn close(&self);

    /// Where the peer is, for logs: "127.0.0.1:50312".
    fn peer(&self) -> String;
}
