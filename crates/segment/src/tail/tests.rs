//! Tests of `tail`.

use super::*;

struct Bench {
    pool: Pool,
    tail: Tail,
    growth: Growth,
    /// What the segment should hold.
    want: Vec<u8>,
    now_ms: i64,
}

impl Bench {
    fn new(limit_bytes: usize) -> Bench {
        let (pool, tail) = (Pool::new(0, limit_bytes), Tail::default());
        Bench { pool, tail, growth: Growth::default(), want: Vec::new(), now_ms: 0 }
    }

    /// Appends `len` bytes that tell where they are. Offsets are positions.
    fn append(&mut self, len: usize) -> Result<(), OverBudget> {
        let at = self.want.len();
        let bytes: Vec<u8> = (at..at + len).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        let mark = Mark { base: offset(at), position: at as u64 };
        let (head, rest) = bytes.split_at(16.min(len));
        let (pool, growth) = (&self.pool, &mut self.growth);
        let mut source = Source { pool, growth, now_ms: self.now_ms };
        self.tail.append(mark, head, rest, &mut source)?;
        self.want.extend(bytes);
        Ok(())
    }

    fn truncate(&mut self, to: usize) {
        self.tail.truncate(to as u64);
        self.want.truncate(to);
    }

    /// Everything that is in memory is right, up to the end.
    fn check(&self, from: usize) {
        let range = self.tail.range();
        assert_eq!(range, from as u64..self.want.len() as u64);
        let views = self.tail.image(range).views(0..u64::MAX);
        let have: Vec<u8> = views.iter().flat_map(|view| view.to_vec()).collect();
        assert!(have == self.want[from..], "the bytes differ");
    }
}

fn offset(at: usize) -> Offset {
    Offset::new(i64::try_from(at).unwrap()).unwrap()
}

#[test]
fn a_batch_may_lie_across_chunks() {
    let mut bench = Bench::new(16 << 20);
    for len in [100, 16_300, 61, 5000, 70_000, 3_000_000] {
        bench.append(len).unwrap();
    }
    bench.check(0);
}

#[test]
fn chunks_grow_while_they_fill_fast_and_shrink_when_slow() {
    let mut bench = Bench::new(16 << 20);
    let mut sizes = Vec::new();
    for (len, ms) in [(16, 0), (64, 0), (256, 0), (1024, 0), (1024, 40_000), (256, 40_000), (1, 0)]
    {
        bench.now_ms += ms;
        let before = bench.tail.memory_bytes();
        bench.append(len << 10).unwrap();
        sizes.push((bench.tail.memory_bytes() - before) >> 10);
    }
    assert_eq!(sizes, [16, 64, 256, 1024, 1024, 256, 256]);
    bench.check(0);
}

#[test]
fn without_memory_nothing_changes() {
    let mut bench = Bench::new(128 << 10);
    bench.append(15 << 10).unwrap();
    assert!(bench.append(200 << 10).is_err());
    bench.check(0);
    bench.append(1024).unwrap();
    bench.append(1).unwrap();
    bench.check(0);
}

#[test]
fn what_is_truncated_is_appended_to_in_a_fresh_page() {
    let mut bench = Bench::new(16 << 20);
    bench.append(10_000).unwrap();
    let lent = bench.tail.image(0..10_000).views(0..10_000);
    let before: Vec<u8> = bench.want.clone();
    bench.truncate(9_000);
    bench.append(16).unwrap();
    bench.append(20_000).unwrap();
    bench.check(0);
    assert!(lent[0][..] == before[..], "a view that was lent never changes");
    bench.truncate(8192);
    bench.append(100).unwrap();
    bench.truncate(8200);
    bench.truncate(8192 + 4);
    bench.append(100).unwrap();
    bench.truncate(0);
    bench.append(5).unwrap();
    bench.check(0);
}

#[test]
fn after_eviction_it_goes_on_inside_a_page() {
    let mut bench = Bench::new(16 << 20);
    bench.append(16 << 10).unwrap();
    bench.append(5000).unwrap();
    assert_eq!(bench.tail.evict(20_000, usize::MAX), 16 << 10, "the second is not clean");
    bench.check(16 << 10);
    let end = bench.want.len();
    assert_eq!(bench.tail.evict(end as u64, usize::MAX), 64 << 10);
    assert_eq!(bench.tail.range(), 0..0);
    bench.append(100).unwrap();
    bench.check(end);
    bench.truncate(end + 50);
    bench.append(10_000).unwrap();
    bench.check(end);
}

#[test]
fn marks_find_the_batch_before() {
    let mut bench = Bench::new(16 << 20);
    for _ in 0..1000 {
        bench.append(100).unwrap();
    }
    for target in [0, 1, 8191, 8200, 8299, 50_000, 99_999] {
        let mark = bench.tail.find(offset(target)).unwrap();
        assert_eq!(mark.position, u64::try_from(mark.base.raw()).unwrap());
        let behind = offset(target).since(mark.base);
        assert!((0..8192 + 100).contains(&behind), "{behind} bytes behind");
    }
    let within = bench.tail.find_within(offset(90_000), 20_000).unwrap();
    assert!((20_000 - 8292..=20_000).contains(&within.position));
    bench.tail.evict(99_000, 1);
    assert_eq!(bench.tail.find(offset(10)), None);
    bench.truncate(30_000);
    assert!(bench.tail.find(offset(99_999)).unwrap().position < 30_000);
}
