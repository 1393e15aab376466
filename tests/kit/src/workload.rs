//! Records made from a seed: the same seed gives the same bytes on every machine.

/// What the value of a record looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Lines of a log: about 2:1 under lz4.
    Text,
    /// Bytes that do not compress.
    Noise,
}

/// A stream of keys and values. It never ends and holds no record twice in its memory.
#[derive(Debug, Clone)]
pub struct Workload {
    state: u64,
    flavour: Flavour,
    value_bytes: usize,
    keys: u64,
    words: Vec<u8>,
}

const WORDS: [&str; 24] = [
    "level=info",
    "level=warn",
    "request",
    "partition",
    "offset=",
    "shard=",
    "duration_us=",
    "client=",
    "topic=orders",
    "status=200",
    "status=404",
    "method=GET",
    "path=/api/v1/items",
    "bytes=",
    "retry",
    "connection closed",
    "trace=",
    "span=",
    "region=eu-west",
    "user=",
    "cache=miss",
    "cache=hit",
    "upstream=",
    "queue=",
];

impl Workload {
    /// Values of exactly `value_bytes`; keys from a set of `keys` (0: no keys).
    pub fn new(seed: u64, flavour: Flavour, value_bytes: usize, keys: u64) -> Workload {
        let mut load = Workload { state: seed, flavour, value_bytes, keys, words: Vec::new() };
        if flavour == Flavour::Text {
            load.words = load.make_text(value_bytes.max(1) * 64);
        }
        load
    }

    /// The next number: splitmix64.
    pub fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0; the bias of the remainder does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_number() % bound
    }

    /// The key of the next record, 16 bytes of text, if this workload has keys.
    pub fn key(&mut self) -> Option<Vec<u8>> {
        (self.keys > 0).then(|| format!("key-{:012}", self.below(self.keys)).into_bytes())
    }

    /// The value of the next record.
    pub fn value(&mut self) -> Vec<u8> {
        match self.flavour {
            Flavour::Noise => {
                let mut value = Vec::with_capacity(self.value_bytes + 8);
                while value.len() < self.value_bytes {
                    value.extend_from_slice(&self.next_number().to_le_bytes());
                }
                value.truncate(self.value_bytes);
                value
            }
            Flavour::Text => {
                let span = self.words.len() - self.value_bytes;
                let bound = u64::try_from(span + 1).expect("a length fits");
                let start = usize::try_from(self.below(bound)).expect("below a length");
                self.words[start..start + self.value_bytes].to_vec()
            }
        }
    }

    fn make_text(&mut self, bytes: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes + 64);
        let count = u64::try_from(WORDS.len()).expect("a length fits");
        while text.len() < bytes {
            let word = WORDS[usize::try_from(self.below(count)).expect("below a length")];
            text.extend_from_slice(word.as_bytes());
            if word.ends_with('=') {
                text.extend_from_slice(format!("{:x}", self.next_number() >> 24).as_bytes());
            }
            text.push(if self.below(12) == 0 { b'\n' } else { b' ' });
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_records() {
        let make = || {
            let mut load = Workload::new(7, Flavour::Text, 100, 10);
            (0..50).map(|_| (load.key(), load.value())).collect::<Vec<_>>()
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn values_have_the_length_asked_for() {
        for flavour in [Flavour::Text, Flavour::Noise] {
            for bytes in [0, 1, 7, 1024] {
                assert_eq!(Workload::new(1, flavour, bytes, 0).value().len(), bytes);
            }
        }
    }

    #[test]
    fn keys_come_from_a_set_of_the_size_asked_for() {
        let mut load = Workload::new(3, Flavour::Noise, 1, 5);
        let keys: std::collections::BTreeSet<_> = (0..200).filter_map(|_| load.key()).collect();
        assert_eq!(keys.len(), 5);
        assert_eq!(Workload::new(3, Flavour::Noise, 1, 0).key(), None);
    }
}
