//! From the bytes of a connection to whole frames.
//!
//! Reads into memory that grows where it lies, so a body is not copied to make room; what came of a
//! frame together with the one before it is copied once, in front. Who may have memory is
//! [`crate::admission`]'s to say.

use std::io;
use std::time::Duration;

use buf::{Buffer, Sealed};
use env::sync::race;
use env::{Group, Stream};
use wire::frame::LENGTH_BYTES;
use wire::{FrameLimits, Verdict};

use crate::admission::{Begun, SILENCE_MAX};
use crate::shard::{Shard, World};

/// First memory of a connection's first frame, in bytes.
const FIRST_BYTES: usize = 4 << 10;
/// Between two tries to reserve memory for a frame.
const MEMORY_PAUSE: Duration = Duration::from_millis(2);
/// How long a frame waits for memory before its connection is closed.
pub(crate) const MEMORY_WAIT_MAX: Duration = Duration::from_secs(30);
/// A frame that fills less than a quarter of a block larger than this is copied out of it: it may
/// be held for long, and would hold the block.
const LOOSE_BYTES_MIN: usize = 16 << 10;

/// What was read of the connection beyond the last frame, and how large the next may be.
#[derive(Default)]
pub(crate) struct Incoming {
    /// What came behind the last frame; empty mostly.
    rest: Option<Rest>,
    /// Length of the last frame: the next is probably like it, so that it is read in one piece
    /// into the memory where it stays.
    expected_bytes: usize,
}

/// Bytes that came with an earlier frame.
#[derive(Clone)]
struct Rest {
    view: Sealed,
    /// Of the block they lie in.
    block_bytes: usize,
}

/// The beginning of a frame: the buffer, and how many of its bytes have come.
type Part = (Buffer, usize);

impl<E: World> Shard<E> {
    /// The next frame without its length; `None` at the end of the connection.
    pub(crate) async fn read_frame<S: Stream>(
        &self,
        stream: &S,
        limits: &FrameLimits,
        incoming: &mut Incoming,
    ) -> io::Result<Option<Sealed>> {
        let rest = incoming.rest.take();
        let mut most = incoming.expected_bytes.max(FIRST_BYTES);
        if let Some(rest) = &rest {
            if let Verdict::Read { len, .. } = judge(limits, &rest.view)? {
                most = LENGTH_BYTES + len;
                if most <= rest.view.len() {
                    return Ok(Some(self.cut(rest.clone(), len, incoming)));
                }
            }
        } else {
            stream.readable().await?;
        }
        let begun = self.inner.admission.begin();
        let arrived = rest.as_ref().map_or(0, |rest| rest.view.len());
        let first = self.inner.admission.first_bytes(most).max(arrived);
        let mut part = (self.provide(&begun, None, first, most).await?, arrived);
        if let Some(rest) = rest {
            part.0.copy_in(0, &rest.view);
        }
        self.finish_frame(stream, limits, incoming, (&begun, part)).await
    }

    /// Reads the rest of a frame that has begun.
    async fn finish_frame<S: Stream>(
        &self,
        stream: &S,
        limits: &FrameLimits,
        incoming: &mut Incoming,
        (begun, (mut buffer, mut have)): (&Begun, Part),
    ) -> io::Result<Option<Sealed>> {
        loop {
            // Large frames are read one by one, so that nothing of the next has to be copied.
            let mut until = incoming.expected_bytes.max(FIRST_BYTES);
            if let Verdict::Read { len, .. } = judge(limits, &buffer.as_slice()[..have])? {
                let total = LENGTH_BYTES + len;
                until = total.max(FIRST_BYTES);
                if total <= have {
                    let block_bytes = buffer.capacity();
                    incoming.expected_bytes = total;
                    let all = Rest { view: buffer.seal(have), block_bytes };
                    return Ok(Some(self.cut(all, len, incoming)));
                }
                if have == buffer.capacity() || buffer.most() < total {
                    buffer = self.enlarge(begun, (buffer, have), total).await?;
                }
            }
            if 0 < have {
                begun.heard(self.env().now(), || {
                    let stream = stream.clone();
                    Box::new(move || stream.close())
                });
                self.watch_frames();
            }
            let room = buffer.capacity().min(until.max(have + 1)) - have;
            let (read, back) = stream.read(buffer, have, room).await;
            buffer = back;
            match read? {
                0 if have == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => have += n,
            }
        }
    }

    /// Takes the first frame, of `len` bytes behind its length, off `all`; the rest is kept.
    fn cut(&self, all: Rest, len: usize, incoming: &mut Incoming) -> Sealed {
        let Rest { view, block_bytes } = all;
        let total = LENGTH_BYTES + len;
        let frame = view.slice(LENGTH_BYTES..total);
        if total < view.len() {
            let view = view.slice(total..view.len());
            incoming.rest = Some(Rest { view, block_bytes });
        }
        if LOOSE_BYTES_MIN < block_bytes
            && total * 4 < block_bytes
            && let Ok(mut own) = self.env().pool().buffer(len)
        {
            own.copy_in(0, &frame);
            return own.seal(len);
        }
        frame
    }

    /// More memory for a frame of `total` bytes: in place if its buffer was meant to be so long.
    async fn enlarge(
        &self,
        begun: &Begun,
        (buffer, have): Part,
        total: usize,
    ) -> io::Result<Buffer> {
        let bytes = self.inner.admission.next_bytes(have, total).max(have + 1);
        if total <= buffer.most() {
            return self.provide(begun, Some(buffer), bytes, total).await;
        }
        // While both are there, both count in the pool, the larger one in the share.
        let mut larger = self.provide(begun, None, bytes, total).await?;
        larger.copy_in(0, &buffer.as_slice()[..have]);
        Ok(larger)
    }

    /// Memory for a frame, before anything is read into it: `bytes` in all, in addresses for
    /// `most`. Waits in line while there is none.
    async fn provide(
        &self,
        begun: &Begun,
        buffer: Option<Buffer>,
        bytes: usize,
        most: usize,
    ) -> io::Result<Buffer> {
        let more = bytes - buffer.as_ref().map_or(0, Buffer::capacity).min(bytes);
        let mut buffer = buffer;
        if !begun.is_next() || !self.try_provide(begun, &mut buffer, (bytes, most)) {
            let mut place = begun.queue();
            let deadline = self.env().now().plus(MEMORY_WAIT_MAX);
            loop {
                let now = self.env().now();
                if deadline <= now {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                if !begun.passes() {
                    race(place.come_first(), self.env().sleep(deadline.since(now))).await;
                }
                if self.try_provide(begun, &mut buffer, (bytes, most)) {
                    break;
                }
                self.inner.admission.make_way(more, self.env().now());
                self.committer().memory_wanted();
                self.env().sleep(MEMORY_PAUSE).await;
            }
        }
        let buffer = buffer.expect("it was provided");
        begun.took(buffer.capacity(), self.env().now());
        Ok(buffer)
    }

    /// Takes the memory if it is there.
    fn try_provide(
        &self,
        begun: &Begun,
        buffer: &mut Option<Buffer>,
        (bytes, most): (usize, usize),
    ) -> bool {
        let more = bytes.saturating_sub(buffer.as_ref().map_or(0, Buffer::capacity));
        if !begun.may_take(more) || !self.has_room_for_frame(more) {
            return false;
        }
        let pool = self.env().pool();
        match buffer {
            Some(buffer) => pool.grow(buffer, bytes).is_ok(),
            None => {
                *buffer = pool.growing(bytes, most).ok();
                buffer.is_some()
            }
        }
    }

    /// Whether the pool may give `bytes` to a frame; what is cached makes room. Frames leave a
    /// quarter of the pool: to what becomes of them, and to what frees the rest.
    fn has_room_for_frame(&self, bytes: usize) -> bool {
        let pool = self.env().pool();
        let most = pool.limit() - pool.limit() / 4;
        let lacks = || (pool.used() + bytes).saturating_sub(most);
        let wanted = most.saturating_sub(bytes);
        pool.collect_down_to(wanted);
        if 0 < lacks() {
            self.evict(lacks().max(pool.limit() / 32));
            pool.collect_down_to(wanted);
        }
        lacks() == 0
    }

    /// Sees to it that frames which go silent end, as long as there are unfinished ones.
    fn watch_frames(&self) {
        if self.inner.admission.is_watched.replace(true) {
            return;
        }
        let shard = self.clone();
        self.env().spawn(Group::System, async move {
            let admission = &shard.inner.admission;
            loop {
                shard.env().sleep(SILENCE_MAX / 8).await;
                if !admission.end_silent(shard.env().now()) {
                    break;
                }
            }
            admission.is_watched.set(false);
        });
    }
}

fn judge(limits: &FrameLimits, beginning: &[u8]) -> io::Result<Verdict> {
    limits.judge(beginning).map_err(io::Error::other)
}
