//! One client connection: frames in, stage 1 in order, answers out in order.
//!
//! Two tasks: the reader takes one frame after the other and begins each request; the writer sends
//! the answers in the order of their requests, whenever they are done. An idle connection holds no
//! buffer. A client that does not read its answers stops its own reader when
//! `requests_in_flight` of them wait, or `produces_in_flight` small ones.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use buf::{Charge, Sealed};
use env::sync::{Receiver, Signal, oneshot};
use env::{Group, Stream};
use wire::{ApiKey, FrameLimits, Refusal, Request};

use crate::charge::Need;
use crate::incoming::Incoming;
use crate::options::frame_bytes_max;
use crate::shard::{Shard, World};

/// What becomes of one request.
pub(crate) enum Answer {
    /// Write this.
    Send(Vec<Sealed>),
    /// Nothing is owed (`acks=0`).
    Nothing,
    /// The connection must end.
    Close,
}

/// Why a frame became no request.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Frame(#[from] Refusal),
    #[error("no memory for its decoded form")]
    NoRoom,
}

/// An answer that is owed.
struct Owed {
    answer: Receiver<Answer>,
    to_produce: bool,
}

/// What reader and writer share.
struct Line {
    /// In the order of their requests.
    owed: RefCell<VecDeque<Owed>>,
    /// How many of them answer a Produce.
    to_produce: Cell<usize>,
    changed: Signal,
    reading: Cell<bool>,
    writing: Cell<bool>,
}

impl<E: World> Shard<E> {
    /// Serves one connection until either side ends it.
    pub async fn serve<S: Stream>(self, stream: S) {
        let _open = self.inner.tally.connection();
        let line = Rc::new(Line {
            owed: RefCell::default(),
            to_produce: Cell::new(0),
            changed: Signal::new(),
            reading: Cell::new(true),
            writing: Cell::new(true),
        });
        let writer = self.clone().write_answers(Rc::clone(&line), stream.clone());
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

    async fn begin_request(&self, line: &Rc<Line>, frame: Sealed) -> io::Result<()> {
        let (sender, answer) = oneshot();
        let since = self.env().now();
        let decoded = self.decode(frame).await;
        let to_produce =
            decoded.as_ref().is_ok_and(|(request, _)| request.header.key == ApiKey::Produce);
        line.owe(Owed { answer, to_produce });
        match decoded {
            Ok((request, charge)) => {
                let key = request.header.key;
                let group = crate::dispatch::group_of(key);
                let stage_two = self.take_in(request).await;
                let shard = self.clone();
                self.env().spawn(group, async move {
                    let answer = stage_two.await;
                    drop(charge);
                    let tally = &shard.inner.tally;
                    tally.answered(key, group, shard.env().now().since(since));
                    if matches!(answer, Answer::Close) {
                        tally.failed(key);
                    }
                    sender.send(answer);
                });
                Ok(())
            }
            Err(Refused::Frame(Refusal::ApiVersionsUnsupported { correlation_id, .. })) => {
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

    /// Decodes a frame into memory that was charged before.
    async fn decode(&self, frame: Sealed) -> Result<(Request, Charge), Refused> {
        let measured = wire::measure(frame)?;
        let charge = self
            .charge(measured.footprint_bytes(), Need::Decode)
            .await
            .map_err(|_| Refused::NoRoom)?;
        Ok((measured.decode()?, charge))
    }

    async fn wait_for_room(&self, line: &Line) {
        let limits = &self.inner.options.limits;
        loop {
            let seen = line.changed.seen();
            let to_produce = line.to_produce.get();
            let others = line.owed.borrow().len() - to_produce;
            let room = others < limits.requests_in_flight && to_produce < limits.produces_in_flight;
            if room || !line.writing.get() {
                return;
            }
            line.changed.after(seen).await;
        }
    }
}

impl Line {
    fn owe(&self, owed: Owed) {
        self.to_produce.set(self.to_produce.get() + usize::from(owed.to_produce));
        self.owed.borrow_mut().push_back(owed);
        self.changed.notify();
    }

    fn next_owed(&self) -> Option<Receiver<Answer>> {
        let owed = self.owed.borrow_mut().pop_front()?;
        self.to_produce.set(self.to_produce.get() - usize::from(owed.to_produce));
        Some(owed.answer)
    }
}

impl<E: World> Shard<E> {
    /// Ends the connections of clients that do not read their answers, for ever.
    pub(crate) async fn watch_writes(self) {
        while !self.inner.closing.get() {
            self.env().sleep(crate::outgoing::LOOK_PAUSE).await;
            let is_short = self.inner.was_short.replace(false) || self.inner.admission.is_short();
            let ended = self.inner.outgoing.end_stalled(self.env().now(), is_short);
            if 0 < ended {
                tracing::info!(ended, "connections of clients that do not read their answers");
            }
        }
    }

    async fn write_answers<S: Stream>(self, line: Rc<Line>, stream: S) {
        loop {
            let seen = line.changed.seen();
            let Some(receiver) = line.next_owed() else {
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
                    let (written, close) = (stream.clone(), stream.clone());
                    let writing = self.inner.outgoing.begin(
                        self.env().now(),
                        move || written.written(),
                        move || close.close(),
                    );
                    let done = stream.write_all(parts).await;
                    drop(writing);
                    if done.is_err() {
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
}
