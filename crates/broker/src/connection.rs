//! One client connection: frames in, stage 1 in order, answers out in order.
//!
//! Two tasks: the reader takes one frame after the other and begins each request; the writer sends
//! the answers in the order of their requests, whenever they are done. An idle connection holds no
//! buffer. A client that does not read its answers stops its own reader when
//! `requests_in_flight` of them wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use buf::{Buffer, Sealed};
use env::sync::{Receiver, Signal, oneshot};
use env::{Group, Stream};
use wire::frame::LENGTH_BYTES;
use wire::{FrameLimits, Refusal, Verdict};

use crate::append::has_headroom;
use crate::options::frame_bytes_max;
use crate::shard::{Shard, World};

/// Most memory taken for a frame before its length is known.
const EXPECTED_BYTES_MAX: usize = 256 << 10;
/// Between two tries to reserve memory for a frame.
const MEMORY_PAUSE: Duration = Duration::from_millis(2);
/// How long a frame waits for memory before its connection is closed.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(30);

/// What becomes of one request.
pub(crate) enum Answer {
    /// Write this.
    Send(Vec<Sealed>),
    /// Nothing is owed (`acks=0`).
    Nothing,
    /// The connection must end.
    Close,
}

/// What was read of the connection beyond the last frame, and how large the next may be.
#[derive(Default)]
struct Incoming {
    /// Bytes of the next frame that came with the last one.
    rest: Option<(Buffer, usize)>,
    /// Length of the last frame: the next is probably like it, so that it is read in one piece
    /// into the memory where it stays.
    expected_bytes: usize,
}

/// What reader and writer share.
struct Line {
    answers: RefCell<VecDeque<Receiver<Answer>>>,
    changed: Signal,
    reading: Cell<bool>,
    writing: Cell<bool>,
}

impl<E: World> Shard<E> {
    /// Serves one connection until either side ends it.
    pub async fn serve<S: Stream>(self, stream: S) {
        let line = Rc::new(Line {
            answers: RefCell::default(),
            changed: Signal::new(),
            reading: Cell::new(true),
            writing: Cell::new(true),
        });
        let writer = write_answers(Rc::clone(&line), stream.clone());
        self.env().spawn(Group::Fetch, writer);
        if let Err(error) = self.read_requests(&line, &stream).await {
            tracing::debug!(peer = stream.peer(), %error, "connection ends");
        }
        line.reading.set(false);
        line.changed.notify();
        // The writer finishes what is owed; then both directions end.
        while line.writing.get() {
            let seen = line.changed.seen();
            line.changed.after(seen).await;
        }
        stream.close();
    }

    async fn read_requests<S: Stream>(&self, line: &Rc<Line>, stream: &S) -> io::Result<()> {
        let limits = FrameLimits::new(frame_bytes_max(self.env().pool().limit()));
        let mut incoming = Incoming::default();
        while line.writing.get() {
            let Some(frame) = self.read_frame(stream, &limits, &mut incoming).await? else {
                return Ok(());
            };
            self.begin_request(line, frame).await?;
            self.wait_for_room(line).await;
        }
        Ok(())
    }

    /// The next frame without its length; `None` at the end of the connection.
    async fn read_frame<S: Stream>(
        &self,
        stream: &S,
        limits: &FrameLimits,
        incoming: &mut Incoming,
    ) -> io::Result<Option<Sealed>> {
        let (mut buffer, mut have) = match incoming.rest.take() {
            Some(rest) => rest,
            None => {
                stream.readable().await?;
                (self.reserve(incoming.expected_bytes).await?, 0)
            }
        };
        let len = loop {
            match limits.judge(&buffer.as_slice()[..have]).map_err(io::Error::other)? {
                Verdict::Read { len, .. } => break len,
                Verdict::More { bytes } => {
                    let (read, back) = fill(stream, buffer, have, bytes).await;
                    buffer = back;
                    match read? {
                        Some(now) => have = now,
                        None if have == 0 => return Ok(None),
                        None => return Err(io::ErrorKind::UnexpectedEof.into()),
                    }
                }
            }
        };
        let total = LENGTH_BYTES + len;
        if buffer.capacity() < total {
            let mut larger = self.reserve(total).await?;
            larger.as_mut_slice()[..have].copy_from_slice(&buffer.as_slice()[..have]);
            buffer = larger;
        }
        if have < total {
            let (read, back) = fill(stream, buffer, have, total).await;
            buffer = back;
            have = read?.ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        incoming.expected_bytes = total.min(EXPECTED_BYTES_MAX);
        if total < have {
            let rest = have - total;
            let mut next = self.reserve(incoming.expected_bytes.max(rest)).await?;
            next.as_mut_slice()[..rest].copy_from_slice(&buffer.as_slice()[total..have]);
            incoming.rest = Some((next, rest));
        }
        Ok(Some(buffer.seal(total).slice(LENGTH_BYTES..total)))
    }

    /// Memory for a frame, before its body is read: waits while the shard has none.
    async fn reserve(&self, bytes: usize) -> io::Result<Buffer> {
        let deadline = self.env().now().plus(MEMORY_WAIT_MAX);
        loop {
            if has_headroom(self.env().pool(), bytes)
                && let Ok(buffer) = self.env().pool().buffer(bytes)
            {
                return Ok(buffer);
            }
            if deadline <= self.env().now() {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.evict(bytes);
            self.committer().memory_wanted();
            self.env().sleep(MEMORY_PAUSE).await;
        }
    }

    async fn begin_request(&self, line: &Rc<Line>, frame: Sealed) -> io::Result<()> {
        let (sender, receiver) = oneshot();
        line.answers.borrow_mut().push_back(receiver);
        line.changed.notify();
        match wire::decode(frame) {
            Ok(request) => {
                let group = crate::dispatch::group_of(request.header.key);
                let stage_two = self.take_in(request).await;
                self.env().spawn(group, async move { sender.send(stage_two.await) });
                Ok(())
            }
            Err(Refusal::ApiVersionsUnsupported { correlation_id, .. }) => {
                let pool = self.env().pool();
                let parts = wire::response::unsupported_api_versions(correlation_id, pool);
                sender.send(parts.map_or(Answer::Close, Answer::Send));
                Ok(())
            }
            Err(refusal) => {
                sender.send(Answer::Close);
                Err(io::Error::other(refusal))
            }
        }
    }

    async fn wait_for_room(&self, line: &Line) {
        let max = self.inner.options.limits.requests_in_flight;
        loop {
            let seen = line.changed.seen();
            if line.answers.borrow().len() < max || !line.writing.get() {
                return;
            }
            line.changed.after(seen).await;
        }
    }
}

/// Reads until `buffer` holds at least `to` bytes, of which it has `from`; more if they are there
/// and it has room. Says how many it then holds; `None` if the peer closed.
async fn fill<S: Stream>(
    stream: &S,
    mut buffer: Buffer,
    from: usize,
    to: usize,
) -> (io::Result<Option<usize>>, Buffer) {
    let mut have = from;
    while have < to {
        let room = buffer.capacity() - have;
        let (read, back) = stream.read(buffer, have, room).await;
        buffer = back;
        match read {
            Ok(0) => return (Ok(None), buffer),
            Ok(n) => have += n,
            Err(error) => return (Err(error), buffer),
        }
    }
    (Ok(Some(have)), buffer)
}

async fn write_answers<S: Stream>(line: Rc<Line>, stream: S) {
    loop {
        let seen = line.changed.seen();
        let next = line.answers.borrow_mut().pop_front();
        let Some(receiver) = next else {
            if !line.reading.get() {
                break;
            }
            line.changed.after(seen).await;
            continue;
        };
        let answer = receiver.await.unwrap_or(Answer::Close);
        line.changed.notify();
        match answer {
            Answer::Send(parts) => {
                if stream.write_all(parts).await.is_err() {
                    break;
                }
            }
            Answer::Nothing => {}
            Answer::Close => break,
        }
    }
    line.writing.set(false);
    line.changed.notify();
    // Ends a read that the peer would keep pending.
    stream.close();
}
