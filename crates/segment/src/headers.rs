//! The headers of a segment file, one after the other.

use env::Env;
use record::{Header, Offset};

use crate::limits::HEADERS_PER_TURN;
use crate::reader::FileReader;
use crate::walk::{Bounds, Miss, header_at};
use crate::{Flaw, ReadError};

/// A walk over the headers of a segment file.
#[derive(Debug)]
pub(crate) struct Headers {
    /// Where the next header lies.
    pub(crate) position: u64,
    /// The next batch begins at or above this offset.
    pub(crate) next: Offset,
    turn: usize,
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A batch that begins at this position.
    Batch(u64, Header),
    /// The end of the segment.
    End,
    /// Something that is no batch that belongs here.
    Bad(Flaw),
}

impl Headers {
    /// Begins at `position`, where a batch begins whose base offset is at least `next`.
    pub(crate) fn new(position: u64, next: Offset) -> Headers {
        Headers { position, next, turn: 0 }
    }

    /// The next header. The bytes of its batch need not have been read. After the first that is
    /// no batch there is nothing more.
    pub(crate) async fn next<E: Env>(
        &mut self,
        reader: &mut FileReader<E>,
        bounds: Bounds<'_>,
    ) -> Result<Next, ReadError> {
        self.turn += 1;
        if HEADERS_PER_TURN <= self.turn {
            self.turn = 0;
            reader.env.yield_if_needed().await;
        }
        loop {
            if bounds.limit <= self.position {
                return Ok(Next::End);
            }
            match header_at(&reader.image, self.position, self.next, bounds) {
                Ok(header) => {
                    let position = self.position;
                    self.position += header.len as u64;
                    self.next = header.next_offset();
                    return Ok(Next::Batch(position, header));
                }
                Err(Miss::Bad(flaw)) => return Ok(Next::Bad(flaw)),
                Err(Miss::Need { from, to }) => {
                    if !reader.need(from, to).await? {
                        return Ok(Next::Bad(Flaw::Short));
                    }
                }
            }
        }
    }
}
