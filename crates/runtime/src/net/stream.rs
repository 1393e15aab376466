//! One connection.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use buf::{Buffer, Sealed};
use env::Stream;
use monoio::io::{AsyncReadRent, AsyncWriteRent};

use super::parts::{Part, Parts, Room};

/// A TCP connection. A handle; the socket is closed when the last clone is dropped and its last
/// operation is over.
#[derive(Clone)]
pub struct TcpStream {
    inner: Rc<Inner>,
}

struct Inner {
    stream: UnsafeCell<monoio::net::TcpStream>,
    peer: SocketAddr,
    is_reading: Cell<bool>,
    is_writing: Cell<bool>,
    written: Cell<u64>,
}

/// One operation of a direction; ends also when its future is dropped.
struct Busy<'a>(&'a Cell<bool>);

impl<'a> Busy<'a> {
    fn new(flag: &'a Cell<bool>, what: &str) -> Busy<'a> {
        assert!(!flag.replace(true), "two {what} of one connection at a time");
        Busy(flag)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl TcpStream {
    pub(super) fn new(stream: monoio::net::TcpStream, peer: SocketAddr) -> TcpStream {
        let inner = Inner {
            stream: UnsafeCell::new(stream),
            peer,
            is_reading: Cell::new(false),
            is_writing: Cell::new(false),
            written: Cell::new(0),
        };
        TcpStream { inner: Rc::new(inner) }
    }

    pub(crate) async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = monoio::net::TcpStream::connect_addr(addr).await?;
        stream.set_nodelay(true)?;
        Ok(TcpStream::new(stream, addr))
    }

    fn stream(&self) -> &monoio::net::TcpStream {
        // SAFETY: exclusive references exist only while an operation is created (`receive`,
        // `send`, `send_parts`), none of which calls back into this.
        #[expect(unsafe_code, reason = "see `operation`")]
        unsafe {
            &*self.inner.stream.get()
        }
    }

    /// Lets `create` make an operation. The driver wants `&mut` although its operations hold
    /// only a counted descriptor, and says that reads and writes are independent
    /// (`impl Split for TcpStream`).
    #[expect(clippy::mut_from_ref, reason = "the reference does not leave this function's caller")]
    fn operation(&self) -> &mut monoio::net::TcpStream {
        // SAFETY: the shard has one thread. Callers use the reference to create one operation,
        // which takes a counted descriptor out of it; `is_reading` and `is_writing` keep that to
        // one of each direction, and the driver declares the two directions independent.
        #[expect(unsafe_code, reason = "the driver's read and write take an exclusive reference")]
        unsafe {
            &mut *self.inner.stream.get()
        }
    }

    async fn write_one(&self, view: Sealed) -> io::Result<()> {
        let mut part = Part { view, skip: 0 };
        while part.skip < part.view.len() {
            let (result, back) = self.operation().write(part).await;
            part = back;
            part.skip += self.progress(result)?;
        }
        Ok(())
    }

    async fn write_many(&self, views: Vec<Sealed>) -> io::Result<()> {
        let total: usize = views.iter().map(|view| view.len()).sum();
        let mut views = views;
        let mut done = 0;
        while done < total {
            let (result, back) = self.operation().writev(Parts::new(views, done)).await;
            views = back.into_views();
            done += self.progress(result)?;
        }
        Ok(())
    }

    /// Bytes written; none is an error, an interruption is none.
    fn progress(&self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Ok(n) => {
                self.inner.written.set(self.inner.written.get() + n as u64);
                Ok(n)
            }
            Err(error) => Err(error),
        }
    }
}

impl Stream for TcpStream {
    async fn read(&self, into: Buffer, at: usize, len: usize) -> (io::Result<usize>, Buffer) {
        let _busy = Busy::new(&self.inner.is_reading, "reads");
        let mut room = Room::new(into, at, len);
        loop {
            let (result, back) = self.operation().read(room).await;
            room = back;
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return (result, room.buffer),
            }
        }
    }

    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        let stream = self.clone();
        async move { stream.stream().readable(false).await }
    }

    async fn write_all(&self, parts: Vec<Sealed>) -> io::Result<()> {
        let _busy = Busy::new(&self.inner.is_writing, "writes");
        let mut parts = parts;
        parts.retain(|part| !part.is_empty());
        match parts.len() {
            0 => Ok(()),
            1 => self.write_one(parts.pop().expect("one is there")).await,
            _ => self.write_many(parts).await,
        }
    }

    fn written(&self) -> u64 {
        self.inner.written.get()
    }

    fn close(&self) {
        // SAFETY: takes two integers; the descriptor is open as long as `self`.
        #[expect(unsafe_code, reason = "shutdown without taking the stream")]
        // A peer that is gone already makes this fail, which is what was wanted.
        let _ = unsafe { libc::shutdown(self.stream().as_raw_fd(), libc::SHUT_RDWR) };
    }

    fn peer(&self) -> String {
        self.inner.peer.to_string()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpStream({})", self.inner.peer)
    }
}
