//! Failures that a test asks for.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use super::rng::Rng;

/// A kind of disk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as the operations of the seam")]
pub enum Op {
    Open,
    CreateDir,
    Rename,
    Remove,
    List,
    Stat,
    SyncDir,
    Read,
    Write,
    Sync,
    Allocate,
    SetLen,
}

impl Op {
    /// Every kind.
    pub const ALL: [Op; 12] = [
        Op::Open,
        Op::CreateDir,
        Op::Rename,
        Op::Remove,
        Op::List,
        Op::Stat,
        Op::SyncDir,
        Op::Read,
        Op::Write,
        Op::Sync,
        Op::Allocate,
        Op::SetLen,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Op::Open => "open",
            Op::CreateDir => "create_dir",
            Op::Rename => "rename",
            Op::Remove => "remove",
            Op::List => "list",
            Op::Stat => "stat",
            Op::SyncDir => "sync_dir",
            Op::Read => "read",
            Op::Write => "write",
            Op::Sync => "sync",
            Op::Allocate => "allocate",
            Op::SetLen => "set_len",
        }
    }
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// The device failed.
    Eio,
    /// The device is full.
    Enospc,
}

impl Errno {
    pub(crate) const fn raw(self) -> i32 {
        match self {
            Errno::Eio => 5,
            Errno::Enospc => 28,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum When {
    /// The n-th matching call from now, 1 for the next; then never again.
    Nth(u64),
    /// From the n-th matching call on.
    From(u64),
    PerMille(u32),
}

type PathMatch = Rc<dyn Fn(&Path) -> bool>;

/// Makes matching operations fail. An operation that fails leaves what a real one may: a write
/// any part of itself, a sync of a file or directory the loss of everything that was not
/// durable before, anything else nothing.
#[derive(Clone)]
pub struct Fault {
    op: Option<Op>,
    path: Option<PathMatch>,
    errno: Errno,
    when: When,
    seen: u64,
}

impl Fault {
    /// The next call of kind `op`, on any path, fails with `errno`.
    #[must_use]
    pub fn of(op: Op, errno: Errno) -> Fault {
        Fault { op: Some(op), path: None, errno, when: When::Nth(1), seen: 0 }
    }

    /// The next call of any kind fails with `errno`.
    #[must_use]
    pub fn of_any(errno: Errno) -> Fault {
        Fault { op: None, path: None, errno, when: When::Nth(1), seen: 0 }
    }

    /// Only on paths that `matches` accepts. A file is known by the path it was opened with.
    #[must_use]
    pub fn on(self, matches: impl Fn(&Path) -> bool + 'static) -> Fault {
        Fault { path: Some(Rc::new(matches)), ..self }
    }

    /// The `n`-th matching call fails, counting from 1, and no other.
    #[must_use]
    pub fn nth(self, n: u64) -> Fault {
        Fault { when: When::Nth(n), ..self }
    }

    /// The `n`-th matching call and all later ones fail, counting from 1.
    #[must_use]
    pub fn from_nth(self, n: u64) -> Fault {
        Fault { when: When::From(n), ..self }
    }

    /// `n` of 1,000 matching calls fail.
    #[must_use]
    pub fn per_mille(self, n: u32) -> Fault {
        Fault { when: When::PerMille(n), ..self }
    }

    /// Whether this call of `op` on `path` fails.
    pub(crate) fn strikes(&mut self, op: Op, path: &Path, rng: &Rng) -> Option<Errno> {
        let op_fits = self.op.is_none_or(|mine| mine == op);
        if !op_fits || self.path.as_ref().is_some_and(|matches| !matches(path)) {
            return None;
        }
        self.seen += 1;
        let strikes = match self.when {
            When::Nth(n) => self.seen == n,
            When::From(n) => n <= self.seen,
            When::PerMille(n) => rng.per_mille(n),
        };
        strikes.then_some(self.errno)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("op", &self.op)
            .field("errno", &self.errno)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}
