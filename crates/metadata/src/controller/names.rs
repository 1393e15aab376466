//! Names of topics.

use crate::image::Image;

/// The longest name, in bytes: a directory's name must hold it with a partition's number.
const NAME_BYTES_MAX: usize = 249;

/// Why a text cannot be a topic's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameWhy {
    /// It is empty.
    #[error("a topic name must not be empty")]
    Empty,
    /// It is `.` or `..`.
    #[error("a topic name must not be . or ..")]
    Dots,
    /// It is longer than 249 bytes.
    #[error("a topic name must not be longer than 249 bytes")]
    TooLong,
    /// It has a character other than letters, digits, `.`, `_` and `-`.
    #[error("a topic name must consist of ASCII letters, digits, '.', '_' and '-'")]
    Character,
    /// Another topic's name differs only in `.` and `_`, which metrics cannot tell apart.
    #[error("the topic name collides with {other}: they differ only in '.' and '_'")]
    Collides {
        /// The other topic.
        other: String,
    },
}

/// Checks a name by itself.
///
/// # Errors
///
/// All of [`NameWhy`] but `Collides`.
pub fn check_topic_name(name: &str) -> Result<(), NameWhy> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match name {
        "" => Err(NameWhy::Empty),
        "." | ".." => Err(NameWhy::Dots),
        _ if name.len() > NAME_BYTES_MAX => Err(NameWhy::TooLong),
        _ if !name.bytes().all(is_allowed) => Err(NameWhy::Character),
        _ => Ok(()),
    }
}

/// Which names of topics there are, as metrics see them. Built once for a request, and only when a
/// name of it can collide at all.
pub(super) struct Collisions {
    taken: std::collections::BTreeMap<String, String>,
}

fn folded(name: &str) -> String {
    name.replace('.', "_")
}

fn can_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

impl Collisions {
    pub(super) fn new<'a>(image: &Image, mut asked: impl Iterator<Item = &'a str>) -> Collisions {
        let mut taken = std::collections::BTreeMap::new();
        if asked.any(can_collide) {
            let names = image.topics_by_name().map(|topic| &*topic.name);
            let names = names.filter(|name| can_collide(name));
            taken.extend(names.map(|name| (folded(name), name.to_owned())));
        }
        Collisions { taken }
    }

    pub(super) fn check(&self, name: &str) -> Result<(), NameWhy> {
        match self.taken.get(&folded(name)) {
            Some(other) if other != name => Err(NameWhy::Collides { other: other.clone() }),
            _ => Ok(()),
        }
    }

    pub(super) fn take(&mut self, name: &str) {
        if can_collide(name) {
            self.taken.insert(folded(name), name.to_owned());
        }
    }
}
