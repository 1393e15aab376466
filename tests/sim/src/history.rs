//! What clients know: what they sent, what was acknowledged, what they saw. And the rules that hold between
//! that and a broker that recovered.
//!
//! An unacknowledged record is *unknown*: it may be there or not, but at most once when its producer is
//! idempotent. What was acknowledged, and what anybody saw, is there, at its offset, for ever.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What every complaint of a history begins with.
pub const BROKEN: &str = "the history is broken";

/// A partition of a topic by index.
pub type Place = (String, i32);

/// What happened, over every incarnation of the broker. A handle; clones are the same history.
#[derive(Clone, Debug, Default)]
pub struct History {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Values by place and offset that must be there.
    certain: BTreeMap<(Place, i64), (Vec<u8>, Why)>,
    /// Every value that was ever sent to a place.
    sent: BTreeMap<Place, Vec<Vec<u8>>>,
    acknowledged: usize,
    seen: usize,
}

/// Why a record must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was acknowledged with `acks=all`.
    Acknowledged,
    /// A consumer saw it.
    Seen,
}

impl History {
    /// A producer is about to send `values`.
    pub fn sends(&self, place: &Place, values: &[Vec<u8>]) {
        let mut inner = self.inner.borrow_mut();
        inner.sent.entry(place.clone()).or_default().extend(values.iter().cloned());
    }

    /// `values` were acknowledged at `base_offset` and the offsets that follow it.
    pub fn acknowledged(&self, place: &Place, base_offset: i64, values: &[Vec<u8>]) {
        for (offset, value) in (base_offset..).zip(values) {
            self.must_hold(place, offset, value, Why::Acknowledged);
        }
    }

    /// A consumer saw `value` at `offset`.
    pub fn saw(&self, place: &Place, offset: i64, value: &[u8]) {
        self.must_hold(place, offset, value, Why::Seen);
    }

    fn must_hold(&self, place: &Place, offset: i64, value: &[u8], why: Why) {
        let mut inner = self.inner.borrow_mut();
        match why {
            Why::Acknowledged => inner.acknowledged += 1,
            Why::Seen => inner.seen += 1,
        }
        let before =
            inner.certain.entry((place.clone(), offset)).or_insert_with(|| (value.to_vec(), why));
        assert!(
            before.0 == value,
            "{BROKEN}: {place:?} offset {offset}: {} was {:?}, now {} is {why:?}",
            label(&before.0),
            before.1,
            label(value),
        );
    }

    /// Records acknowledged and records seen so far.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.inner.borrow();
        (inner.acknowledged, inner.seen)
    }

    /// Holds everything that is in a place, `(offset, value)` in order, against what must be.
    ///
    /// # Errors
    /// If something that must be there is not, if something is there that nobody sent, twice, or
    /// out of the order in which its producer sent it; says what.
    pub fn check(&self, place: &Place, found: &[(i64, Vec<u8>)]) -> Result<(), String> {
        let inner = self.inner.borrow();
        let by_offset: BTreeMap<i64, &Vec<u8>> =
            found.iter().map(|(offset, value)| (*offset, value)).collect();
        let first = (place.clone(), i64::MIN);
        let certain = inner.certain.range(first..).take_while(|((at, _), _)| at == place);
        for ((_, offset), (value, why)) in certain {
            let there = by_offset.get(offset).copied();
            if there != Some(value) {
                return Err(format!(
                    "{BROKEN}: {place:?} offset {offset}: {} was {why:?}, after recovery there is {}",
                    label(value),
                    there.map_or("nothing".to_owned(), |other| label(other)),
                ));
            }
        }
        let nothing = Vec::new();
        check_order(place, inner.sent.get(place).unwrap_or(&nothing), found)
    }
}

/// Everything that was found was sent, and nothing of one producer is twice or out of order.
fn check_order(place: &Place, sent: &[Vec<u8>], found: &[(i64, Vec<u8>)]) -> Result<(), String> {
    let order: BTreeMap<&Vec<u8>, usize> =
        sent.iter().enumerate().map(|(at, value)| (value, at)).collect();
    let mut last_of: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (offset, value) in found {
        let wrong = |what| format!("{BROKEN}: {place:?} offset {offset}: {} {what}", label(value));
        let at = *order.get(value).ok_or_else(|| wrong("was sent by nobody"))?;
        let producer = value.iter().copied().take_while(|byte| *byte != b'-').collect();
        if last_of.insert(producer, at).is_some_and(|before| at <= before) {
            return Err(wrong("is there twice or out of order"));
        }
    }
    Ok(())
}

/// The beginning of a value, which names it.
fn label(value: &[u8]) -> String {
    let len = value.len().min(16);
    format!("{:?} ({} bytes)", String::from_utf8_lossy(&value[..len]), value.len())
}
