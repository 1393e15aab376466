//! The bytes of a file: sparse, copied on write, scrambled.

use std::collections::BTreeMap;
use std::rc::Rc;

use buf::PAGE;

type Page = [u8; PAGE];

/// The bytes of a file. A page that was never written is not stored. What is stored is mixed
/// with a key, so that nobody can read a simulated file but through the seam. Cloning shares
/// the pages.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// By number of the page. May hold bytes beyond `len` only between [`Content::put`] and
    /// [`Content::cut`].
    pages: BTreeMap<u64, Rc<Page>>,
    len: u64,
    key: u64,
}

fn place(position: u64) -> (u64, usize) {
    let page = PAGE as u64;
    (position / page, usize::try_from(position % page).expect("below a page"))
}

/// Copies `from` to `to`, mixing in `key`; `at` is the place of the first byte in its page.
fn scramble(to: &mut [u8], from: &[u8], key: u64, at: usize) {
    to.copy_from_slice(from);
    let turn = u32::try_from(at % 8 * 8).expect("below 64");
    let key = key.rotate_right(turn);
    let (words, rest) = to.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ key).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_le_bytes()) {
        *byte ^= key;
    }
}

impl Content {
    pub(crate) fn new(key: u64) -> Content {
        Content { pages: BTreeMap::new(), len: 0, key }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Writes `data` at `position`, extending the length to its end.
    pub(crate) fn write(&mut self, position: u64, data: &[u8]) {
        self.put(position, data);
        self.len = self.len.max(position + data.len() as u64);
    }

    /// Writes `data` at `position` and leaves the length alone, even if it is shorter.
    pub(crate) fn put(&mut self, position: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let (number, at) = place(position + done as u64);
            let n = (PAGE - at).min(data.len() - done);
            let key = self.key;
            let page = self.pages.entry(number).or_insert_with(|| {
                let mut page = [0; PAGE];
                scramble(&mut page, &[0; PAGE], key, 0);
                Rc::new(page)
            });
            let page = &mut Rc::make_mut(page)[at..at + n];
            scramble(page, &data[done..done + n], key, at);
            done += n;
        }
    }

    /// Reads from `position` into the start of `into` as far as there are bytes; how many.
    pub(crate) fn read(&self, position: u64, into: &mut [u8]) -> usize {
        let there = usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX);
        let len = there.min(into.len());
        let mut done = 0;
        while done < len {
            let (number, at) = place(position + done as u64);
            let n = (PAGE - at).min(len - done);
            let part = &mut into[done..done + n];
            match self.pages.get(&number) {
                Some(page) => scramble(part, &page[at..at + n], self.key, at),
                None => part.fill(0),
            }
            done += n;
        }
        len
    }

    /// Sets the length; what lies beyond it is gone, what is new reads as zeros unless it was
    /// [`put`](Content::put) there.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.cut(len);
        }
        self.len = len;
    }

    /// Forgets every byte from `len` on, also beyond the length.
    pub(crate) fn cut(&mut self, len: u64) {
        let (number, at) = place(len);
        let mut beyond = self.pages.split_off(&number);
        if at > 0
            && let Some(mut page) = beyond.remove(&number)
        {
            let zeros = [0; PAGE];
            scramble(&mut Rc::make_mut(&mut page)[at..], &zeros[at..], self.key, at);
            self.pages.insert(number, page);
        }
        self.len = self.len.min(len);
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).expect("a simulated file fits memory")];
        self.read(0, &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_reads_as_written_and_is_stored_otherwise() {
        let mut content = Content::new(0x0102_0304_0506_0708);
        let data: Vec<u8> = (0..10_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        content.write(4093, &data);
        assert_eq!(content.len(), 14_093);
        let all = content.to_vec();
        assert!(all[..4093].iter().all(|byte| *byte == 0));
        assert_eq!(&all[4093..], &data[..]);
        assert_ne!(content.pages[&1][..], data[3..4099]);
    }

    #[test]
    fn what_was_cut_off_comes_back_as_zeros() {
        let mut content = Content::new(77);
        content.write(0, &[9; 9000]);
        content.set_len(5);
        content.set_len(9000);
        let all = content.to_vec();
        assert_eq!(all[..5], [9; 5]);
        assert!(all[5..].iter().all(|byte| *byte == 0));
    }
}
