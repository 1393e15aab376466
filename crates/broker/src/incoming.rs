//! From the bytes of a connection to whole frames.
//!
//! Reads into memory that grows where it lies, so a body is not copied to make room; what came of a
//! frame together with the one before it is copied once, in front. Who may have memory is
//! [`crate::admission`]'s to say: a frame that has to wait holds its first bytes, twelve if
//! memory was short when it began.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use buf::{Buffer, Sealed};
use env::sync::race;
use env::{Group, Stream};
use wire::frame::{LENGTH_BYTES, PREFIX_BYTES};
use wire::{FrameLimits, Verdict};

use crate::admission::{Begun, FIRST_BYTES, LOOK_PAUSE};
use crate::shard::{Shard, World};

/// Between two tries to get a piece of the pool.
const MEMORY_PAUSE: Duration = Duration::from_millis(2);
/// How long a frame waits for a piece of the pool, at most: then what frees memory does not get
/// on, and the connection is closed. For its turn among the frames it waits without a limit.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(60);
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
struct Rest {
    view: Sealed,
    /// Of the block they lie in.
    block_bytes: usize,
    /// What reserved that block.
    begun: Begun,
}

/// The beginning of a frame: the buffer, and how many of its bytes have come.
type Part = (Buffer, usize);

/// The beginning of a frame that holds no memory: at most what decides about it, and every frame is
/// longer than that.
#[derive(Default)]
struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    have: usize,
}

impl Prefix {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes[self.have..self.have + bytes.len()].copy_from_slice(bytes);
        self.have += bytes.len();
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.have]
    }
}

/// A connection that is read.
struct Source<'a, S> {
    stream: &'a S,
    limits: &'a FrameLimits,
    incoming: &'a mut Incoming,
}

impl<E: World> Shard<E> {
    /// The next frame without its length; `None` at the end of the connection.
    pub(crate) async fn read_frame<S: Stream>(
        &self,
        stream: &S,
        limits: &FrameLimits,
        incoming: &mut Incoming,
    ) -> io::Result<Option<Sealed>> {
        let rest = incoming.rest.take();
        let mut from = Source { stream, limits, incoming };
        let Some(rest) = rest else {
            stream.readable().await?;
            let begun = self.begin_frame(stream);
            return self.begin_reading(&mut from, begun, Prefix::default()).await;
        };
        let Verdict::Read { len, .. } = judge(limits, &rest.view)? else {
            let mut prefix = Prefix::default();
            prefix.add(&rest.view);
            let Rest { view, begun, .. } = rest;
            drop(view);
            begun.took(0);
            begun.release_head();
            begun.excuse(false);
            return self.begin_reading(&mut from, begun, prefix).await;
        };
        let total = LENGTH_BYTES + len;
        if total <= rest.view.len() {
            return Ok(Some(self.cut(rest, len, incoming)));
        }
        self.take_turn(&rest.begun, total).await?;
        let have = rest.view.len();
        let first = self.inner.admission.next_bytes(have, total);
        let mut buffer = self.provide(&rest.begun, None, first, total).await?;
        buffer.copy_in(0, &rest.view);
        let Rest { view, begun, .. } = rest;
        drop(view);
        begun.release_head();
        self.read_body(&mut from, begun, (buffer, have), total).await
    }

    fn begin_frame<S: Stream>(&self, stream: &S) -> Begun {
        let stream = stream.clone();
        self.inner.admission.begin(Box::new(move || stream.close()))
    }

    /// Reads a frame of which not even the length is known.
    async fn begin_reading<S: Stream>(
        &self,
        from: &mut Source<'_, S>,
        begun: Begun,
        mut prefix: Prefix,
    ) -> io::Result<Option<Sealed>> {
        loop {
            let expected = from.incoming.expected_bytes.max(FIRST_BYTES);
            for bytes in [Begun::head_bytes(expected), FIRST_BYTES] {
                if begun.take_head(bytes) {
                    if let Some(mut buffer) = self.try_provide((bytes, expected)) {
                        begun.took(buffer.capacity());
                        buffer.as_mut_slice()[..prefix.have].copy_from_slice(prefix.as_slice());
                        return self.read_head(from, begun, (buffer, prefix.have)).await;
                    }
                    begun.release_head();
                }
            }
            // Memory is short: only what decides is read, and no memory kept while it does not come.
            let page = self.provide(&begun, None, FIRST_BYTES, FIRST_BYTES).await?;
            let (read, page) = from.stream.read(page, 0, PREFIX_BYTES - prefix.have).await;
            match read? {
                0 if prefix.have == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => prefix.add(&page.as_slice()[..n]),
            }
            drop(page);
            begun.took(0);
            begun.heard(prefix.have);
            self.watch_frames();
            if let Verdict::Read { len, .. } = judge(from.limits, prefix.as_slice())? {
                let total = LENGTH_BYTES + len;
                self.take_turn(&begun, total).await?;
                let first = self.inner.admission.next_bytes(prefix.have, total);
                let mut buffer = self.provide(&begun, None, first, total).await?;
                buffer.copy_in(0, prefix.as_slice());
                return self.read_body(from, begun, (buffer, prefix.have), total).await;
            }
            from.stream.readable().await?;
        }
    }

    /// Reads a frame into memory that was taken before its length was known.
    async fn read_head<S: Stream>(
        &self,
        from: &mut Source<'_, S>,
        begun: Begun,
        (mut buffer, mut have): Part,
    ) -> io::Result<Option<Sealed>> {
        loop {
            // Large frames are read one by one, so that nothing of the next has to be copied.
            let mut until = from.incoming.expected_bytes.max(FIRST_BYTES);
            if let Verdict::Read { len, .. } = judge(from.limits, &buffer.as_slice()[..have])? {
                let total = LENGTH_BYTES + len;
                until = total.max(FIRST_BYTES);
                if total <= have {
                    let block_bytes = buffer.capacity();
                    from.incoming.expected_bytes = total;
                    let all = Rest { view: buffer.seal(have), block_bytes, begun };
                    return Ok(Some(self.cut(all, len, from.incoming)));
                }
                if buffer.capacity() < total {
                    self.take_turn(&begun, total).await?;
                    let buffer = self.enlarge(&begun, (buffer, have), total).await?;
                    begun.release_head();
                    return self.read_body(from, begun, (buffer, have), total).await;
                }
            }
            if 0 < have {
                begun.heard(have);
                self.watch_frames();
            }
            let room = buffer.capacity().min(until.max(have + 1)) - have;
            let (read, back) = from.stream.read(buffer, have, room).await;
            buffer = back;
            match read? {
                0 if have == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => have += n,
            }
        }
    }

    /// Reads the rest of a frame that reserved all of its `total` bytes.
    async fn read_body<S: Stream>(
        &self,
        from: &mut Source<'_, S>,
        begun: Begun,
        (mut buffer, mut have): Part,
        total: usize,
    ) -> io::Result<Option<Sealed>> {
        while have < total {
            begun.heard(have);
            self.watch_frames();
            if have == buffer.capacity() {
                buffer = self.enlarge(&begun, (buffer, have), total).await?;
            }
            let room = buffer.capacity().min(total) - have;
            let (read, back) = from.stream.read(buffer, have, room).await;
            buffer = back;
            match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => have += n,
            }
        }
        from.incoming.expected_bytes = total;
        Ok(Some(buffer.seal(total).slice(LENGTH_BYTES..total)))
    }

    /// Takes the first frame, of `len` bytes behind its length, off `all`; the rest is kept.
    fn cut(&self, all: Rest, len: usize, incoming: &mut Incoming) -> Sealed {
        let Rest { view, block_bytes, begun } = all;
        let total = LENGTH_BYTES + len;
        let frame = view.slice(LENGTH_BYTES..total);
        if total < view.len() {
            // Until the next frame is asked for, nobody can be blamed for what lies here.
            begun.excuse(true);
            let view = view.slice(total..view.len());
            incoming.rest = Some(Rest { view, block_bytes, begun });
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

    /// Reserves all `total` bytes of a frame; waits for its turn, as long as that takes.
    async fn take_turn(&self, begun: &Begun, total: usize) -> io::Result<()> {
        begun.excuse(false);
        if let Some(turn) = begun.ask(total) {
            self.watch_frames();
            turn.await.ok_or(io::ErrorKind::OutOfMemory)?;
        }
        Ok(())
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
        let admission = &self.inner.admission;
        let more = bytes.saturating_sub(buffer.as_ref().map_or(0, Buffer::capacity));
        let mut buffer = buffer;
        if admission.has_piece_waiters() || !self.grow_or_take(&mut buffer, (bytes, most)) {
            begun.excuse(true);
            let _waits = (begun.wait_for_piece(), admission.wait_for_memory());
            let deadline = self.env().now().plus(MEMORY_WAIT_MAX);
            let first = async { Some(admission.pieces.enter().await) };
            let limit = async {
                self.env().sleep(MEMORY_WAIT_MAX).await;
                None
            };
            let _turn = race(first, limit).await.ok_or(io::ErrorKind::OutOfMemory)?;
            while !self.grow_or_take(&mut buffer, (bytes, most)) {
                if deadline <= self.env().now() {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                self.inner.was_short.set(true);
                admission.make_way(more);
                self.committer().memory_wanted();
                self.env().sleep(MEMORY_PAUSE).await;
            }
            begun.excuse(false);
        }
        let buffer = buffer.expect("it was provided");
        begun.took(buffer.capacity());
        Ok(buffer)
    }

    fn grow_or_take(&self, buffer: &mut Option<Buffer>, (bytes, most): (usize, usize)) -> bool {
        let Some(grown) = buffer else {
            *buffer = self.try_provide((bytes, most));
            return buffer.is_some();
        };
        let more = bytes.saturating_sub(grown.capacity());
        self.has_room_for_frame(more) && self.env().pool().grow(grown, bytes).is_ok()
    }

    /// A new buffer, if the memory is there.
    fn try_provide(&self, (bytes, most): (usize, usize)) -> Option<Buffer> {
        if !self.has_room_for_frame(bytes) {
            return None;
        }
        self.env().pool().growing(bytes, most).ok()
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

    /// Sees to it that frames which do not get on end, as long as there are unfinished ones.
    fn watch_frames(&self) {
        if self.inner.admission.is_watched.replace(true) {
            return;
        }
        let shard = self.clone();
        self.env().spawn(Group::System, async move {
            let admission = Rc::clone(&shard.inner.admission);
            loop {
                let seen = admission.shortage().seen();
                let Some(pause) = admission.look() else { break };
                let short = async {
                    admission.shortage().after(seen).await;
                    // Nobody is overdue at once, and many may begin to wait one after the other.
                    shard.env().sleep(LOOK_PAUSE).await;
                };
                race(short, shard.env().sleep(pause)).await;
            }
            admission.is_watched.set(false);
        });
    }
}

fn judge(limits: &FrameLimits, beginning: &[u8]) -> io::Result<Verdict> {
    limits.judge(beginning).map_err(io::Error::other)
}
