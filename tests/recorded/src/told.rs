//! A connection that remembers how much was recorded when each answer was handed to it: nothing that
//! happened later can be a reason for the answer.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use buf::{Buffer, Sealed};
use env::Stream;
use env::recording::Recording;

/// By number of the request, the events before its answer. Numbers are unique in a run.
#[derive(Clone)]
pub(crate) struct Answers {
    recording: Recording,
    places: Arc<Mutex<BTreeMap<i32, usize>>>,
}

impl Answers {
    pub(crate) fn new(recording: &Recording) -> Answers {
        Answers { recording: recording.clone(), places: Arc::default() }
    }

    /// The events before the answer to request `correlation`, which was read.
    pub(crate) fn before(&self, correlation: i32) -> usize {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places[&correlation]
    }

    fn note(&self, parts: &[Sealed]) {
        // The length, then the number of the request.
        let head: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(8).collect();
        let Some(correlation) = head.last_chunk::<4>() else { return };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(i32::from_be_bytes(*correlation), self.recording.len());
    }
}

/// The broker's end of a connection.
#[derive(Clone)]
pub(crate) struct Told<S> {
    pub(crate) inner: S,
    pub(crate) answers: Answers,
}

impl<S: Stream> Stream for Told<S> {
    async fn read(&self, into: Buffer, at: usize, len: usize) -> (io::Result<usize>, Buffer) {
        self.inner.read(into, at, len).await
    }

    async fn readable(&self) -> io::Result<()> {
        self.inner.readable().await
    }

    async fn write_all(&self, parts: Vec<Sealed>) -> io::Result<()> {
        self.answers.note(&parts);
        self.inner.write_all(parts).await
    }

    fn written(&self) -> u64 {
        self.inner.written()
    }

    fn close(&self) {
        self.inner.close();
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}
