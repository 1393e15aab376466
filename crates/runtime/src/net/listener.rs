//! Accepting connections.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use monoio::net::ListenerOpts;

use super::TcpStream;

/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 1024;

/// A listening socket of one shard. Every shard may listen on the same address: the kernel
/// spreads connections over them.
pub struct TcpListener {
    listener: monoio::net::TcpListener,
    addr: SocketAddr,
}

impl TcpListener {
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        let options = ListenerOpts::new().reuse_port(true).reuse_addr(true).backlog(BACKLOG);
        let listener = monoio::net::TcpListener::bind_with_config(addr, &options)?;
        let addr = listener.local_addr()?;
        Ok(TcpListener { listener, addr })
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection. When this is dropped while pending a connection may be lost.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, peer) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(TcpStream::new(stream, peer))
    }
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TcpListener({})", self.addr)
    }
}

/// A port that is taken but not listened on, so that every shard can be told the same one before
/// any of them starts. It receives no connection.
#[derive(Debug)]
pub struct HeldPort {
    _socket: OwnedFd,
    addr: SocketAddr,
}

impl HeldPort {
    /// Takes `addr`; port 0 takes a free one. Fails with `AddrInUse` if somebody listens there
    /// who does not share.
    pub fn take(addr: SocketAddr) -> io::Result<HeldPort> {
        let domain = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: takes three integers and touches no memory of ours.
        #[expect(unsafe_code, reason = "a socket that is bound but does not listen")]
        let fd = unsafe { libc::socket(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else has it.
        #[expect(unsafe_code, reason = "takes ownership of a fresh descriptor")]
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        for option in [libc::SO_REUSEADDR, libc::SO_REUSEPORT] {
            set(&socket, option)?;
        }
        bind(&socket, addr)?;
        // Only to ask for the address: it is a bound socket, not a listening one.
        let listener = StdTcpListener::from(socket.try_clone()?);
        let addr = listener.local_addr()?;
        Ok(HeldPort { _socket: socket, addr })
    }

    /// The address with the port that is held.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn set(socket: &OwnedFd, option: i32) -> io::Result<()> {
    let on: libc::c_int = 1;
    let len = libc::socklen_t::try_from(size_of_val(&on)).expect("four bytes");
    // SAFETY: the kernel reads `len` bytes of `on`, which lives through the call.
    #[expect(unsafe_code, reason = "socket options have no safe interface")]
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const on).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &OwnedFd, addr: SocketAddr) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let result = match addr {
        SocketAddr::V4(addr) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::sa_family_t::try_from(libc::AF_INET).expect("small"),
                sin_port: addr.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                sin_zero: [0; 8],
            };
            let len = libc::socklen_t::try_from(size_of_val(&raw)).expect("a few bytes");
            // SAFETY: the kernel reads `len` bytes of `raw`, which lives through the call.
            #[expect(unsafe_code, reason = "bind without listen has no safe interface")]
            unsafe {
                libc::bind(fd, (&raw const raw).cast(), len)
            }
        }
        SocketAddr::V6(addr) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::sa_family_t::try_from(libc::AF_INET6).expect("small"),
                sin6_port: addr.port().to_be(),
                sin6_flowinfo: addr.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                sin6_scope_id: addr.scope_id(),
            };
            let len = libc::socklen_t::try_from(size_of_val(&raw)).expect("a few bytes");
            // SAFETY: the kernel reads `len` bytes of `raw`, which lives through the call.
            #[expect(unsafe_code, reason = "bind without listen has no safe interface")]
            unsafe {
                libc::bind(fd, (&raw const raw).cast(), len)
            }
        }
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
