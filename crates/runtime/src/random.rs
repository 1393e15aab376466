//! Random bits from the kernel, fetched in blocks.

use std::io;

const BLOCK: usize = 256;

/// A block of unpredictable bytes, each given out once.
pub(crate) struct Random {
    block: [u8; BLOCK],
    at: usize,
}

impl Random {
    pub(crate) fn new() -> io::Result<Random> {
        let mut random = Random { block: [0; BLOCK], at: BLOCK };
        random.fill()?;
        Ok(random)
    }

    pub(crate) fn next(&mut self) -> u64 {
        if self.at == BLOCK {
            // It worked at the start, and the kernel's source does not fail after that.
            self.fill().expect("the kernel's random source worked before");
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.block[self.at..self.at + 8]);
        self.at += 8;
        u64::from_ne_bytes(bytes)
    }

    fn fill(&mut self) -> io::Result<()> {
        // SAFETY: the kernel writes at most `BLOCK` bytes to `block`.
        #[expect(unsafe_code, reason = "getrandom has no safe interface")]
        let got = unsafe { libc::getrandom(self.block.as_mut_ptr().cast(), BLOCK, 0) };
        if usize::try_from(got) != Ok(BLOCK) {
            return Err(io::Error::last_os_error());
        }
        self.at = 0;
        Ok(())
    }
}
