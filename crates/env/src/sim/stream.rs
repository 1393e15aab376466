//! Connections inside a simulation: two ends, bounded, late, cut into pieces of any size.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;

use buf::{Buffer, Sealed};

use super::SimEnv;
use super::engine::{Engine, Event};
use super::rng::mix;
use crate::Stream;
use crate::sync::Signal;

/// The longest that bytes are on their way, in virtual nanoseconds.
const LATENCY_MAX: u64 = 200_000;

/// Bytes on their way in one direction, chosen between these for each connection.
const BUFFER_BYTES: (u64, u64) = (1 << 10, 256 << 10);

/// One end of a simulated connection. Dropping the last handle of an end closes it.
#[derive(Clone)]
pub struct SimStream {
    end: Rc<End>,
}

struct End {
    engine: Rc<Engine>,
    reads: Rc<Pipe>,
    writes: Rc<Pipe>,
    read: Use,
    write: Use,
    written: Cell<u64>,
    name: String,
}

/// One direction of a connection.
struct Pipe {
    pieces: RefCell<VecDeque<Piece>>,
    /// Bytes written and not yet read.
    queued: Cell<usize>,
    queued_max: usize,
    writer_closed: Cell<bool>,
    reader_closed: Cell<bool>,
    readable: Signal,
    writable: Signal,
}

struct Piece {
    arrives_at: u64,
    bytes: Vec<u8>,
    read: usize,
}

/// Whether an operation of one kind is under way: there is at most one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Busy,
    /// One was dropped before it was done.
    Spoiled,
}

struct Use(Cell<State>);

impl Use {
    fn begin(&self, what: &str, name: &str) -> InUse<'_> {
        match self.0.get() {
            State::Free => {}
            State::Busy => panic!("two {what}s of {name} at once"),
            State::Spoiled => {
                panic!("a {what} of {name} was dropped while pending: bytes are lost")
            }
        }
        self.0.set(State::Busy);
        InUse(self)
    }
}

struct InUse<'a>(&'a Use);

impl InUse<'_> {
    fn done(self) {
        self.0.0.set(State::Free);
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if self.0.0.get() == State::Busy {
            self.0.0.set(State::Spoiled);
        }
    }
}

/// The two ends of a new connection. Its speed and how it cuts what is written into pieces
/// follow from the seed.
#[must_use]
pub fn pair<M>(env: &SimEnv<M>) -> (SimStream, SimStream) {
    let engine = &env.engine;
    let (one, other) = (Pipe::new(engine), Pipe::new(engine));
    let number = engine.rng().below(50_000);
    let end = |reads: &Rc<Pipe>, writes: &Rc<Pipe>, peer: &str| SimStream {
        end: Rc::new(End {
            engine: Rc::clone(engine),
            reads: Rc::clone(reads),
            writes: Rc::clone(writes),
            read: Use(Cell::new(State::Free)),
            write: Use(Cell::new(State::Free)),
            written: Cell::new(0),
            name: format!("sim-{peer}:{number}"),
        }),
    };
    (end(&one, &other, "b"), end(&other, &one, "a"))
}

impl Pipe {
    fn new(engine: &Engine) -> Rc<Pipe> {
        let (least, most) = BUFFER_BYTES;
        let queued_max = least + engine.rng().below(most - least);
        Rc::new(Pipe {
            pieces: RefCell::default(),
            queued: Cell::new(0),
            queued_max: usize::try_from(queued_max).expect("a small number"),
            writer_closed: Cell::new(false),
            reader_closed: Cell::new(false),
            readable: Signal::new(),
            writable: Signal::new(),
        })
    }

    /// Bytes that have arrived.
    fn arrived(&self, now: u64) -> usize {
        let pieces = self.pieces.borrow();
        let arrived = pieces.iter().take_while(|piece| piece.arrives_at <= now);
        arrived.map(|piece| piece.bytes.len() - piece.read).sum()
    }

    /// Whether the end was reached: nothing more will arrive.
    fn at_end(&self) -> bool {
        self.reader_closed.get() || self.writer_closed.get() && self.pieces.borrow().is_empty()
    }

    fn take(&self, into: &mut [u8]) {
        let mut pieces = self.pieces.borrow_mut();
        let mut done = 0;
        while done < into.len() {
            let piece = pieces.front_mut().expect("as many bytes have arrived");
            let n = (piece.bytes.len() - piece.read).min(into.len() - done);
            into[done..done + n].copy_from_slice(&piece.bytes[piece.read..piece.read + n]);
            piece.read += n;
            done += n;
            if piece.read == piece.bytes.len() {
                pieces.pop_front();
            }
        }
        drop(pieces);
        self.queued.set(self.queued.get() - done);
        self.writable.notify();
    }

    fn put(self: &Rc<Self>, engine: &Engine, bytes: &[u8]) {
        let earliest = self.pieces.borrow().back().map_or(0, |piece| piece.arrives_at);
        let arrives_at = earliest.max(engine.now() + engine.latency(LATENCY_MAX));
        self.queued.set(self.queued.get() + bytes.len());
        let piece = Piece { arrives_at, bytes: bytes.to_vec(), read: 0 };
        self.pieces.borrow_mut().push_back(piece);
        let pipe = Rc::clone(self);
        let arrive = move || pipe.readable.notify();
        engine.after(arrives_at - engine.now(), Event::Run(Box::new(arrive)));
    }
}

impl End {
    /// How many of at most `most` bytes one operation moves: all, one, or anything between.
    fn piece(&self, most: usize) -> usize {
        match self.engine.rng().below(8) {
            0 => 1,
            1..4 => 1 + self.engine.rng().index(most),
            _ => most,
        }
    }

    fn close(&self) {
        for pipe in [&self.reads, &self.writes] {
            let closed = if Rc::ptr_eq(pipe, &self.reads) {
                pipe.pieces.borrow_mut().clear();
                &pipe.reader_closed
            } else {
                &pipe.writer_closed
            };
            closed.set(true);
            pipe.readable.notify();
            pipe.writable.notify();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}

impl Stream for SimStream {
    /// # Panics
    /// If `len` is 0 or beyond the buffer, on two reads at once, and after a read that was
    /// dropped while pending: mistakes of the caller.
    async fn read(&self, mut into: Buffer, at: usize, len: usize) -> (io::Result<usize>, Buffer) {
        assert!(len > 0 && at + len <= into.capacity(), "read of {len} bytes to {at}");
        let end = &self.end;
        let reading = end.read.begin("read", &end.name);
        let n = loop {
            let seen = end.reads.readable.seen();
            let arrived = end.reads.arrived(end.engine.now()).min(len);
            if arrived > 0 {
                break end.piece(arrived);
            }
            if end.reads.at_end() {
                break 0;
            }
            end.reads.readable.after(seen).await;
        };
        end.reads.take(&mut into.as_mut_slice()[at..at + n]);
        end.engine.trace(300, n as u64);
        reading.done();
        (Ok(n), into)
    }

    async fn readable(&self) -> io::Result<()> {
        let end = &self.end;
        loop {
            let seen = end.reads.readable.seen();
            if end.reads.arrived(end.engine.now()) > 0 || end.reads.at_end() {
                return Ok(());
            }
            end.reads.readable.after(seen).await;
        }
    }

    /// # Panics
    /// On two writes at once.
    async fn write_all(&self, parts: Vec<Sealed>) -> io::Result<()> {
        let end = &self.end;
        let writing = end.write.begin("write", &end.name);
        let pipe = &end.writes;
        for part in &parts {
            let mut done = 0;
            while done < part.len() {
                let seen = pipe.writable.seen();
                if pipe.writer_closed.get() || pipe.reader_closed.get() {
                    writing.done();
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                let room = pipe.queued_max - pipe.queued.get();
                if room == 0 {
                    pipe.writable.after(seen).await;
                    continue;
                }
                let n = end.piece(room.min(part.len() - done));
                pipe.put(&end.engine, &part[done..done + n]);
                end.engine.trace(301, mix(n as u64));
                done += n;
                end.written.set(end.written.get() + n as u64);
            }
        }
        writing.done();
        Ok(())
    }

    fn written(&self) -> u64 {
        self.end.written.get()
    }

    fn close(&self) {
        self.end.close();
    }

    fn peer(&self) -> String {
        self.end.name.clone()
    }
}

impl SimStream {
    /// Whether the other end has closed the connection, read to its end or not.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.end.reads.writer_closed.get()
    }
}

impl fmt::Debug for SimStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimStream(to {})", self.end.name)
    }
}
