//! Types of values, and whether a text is one.

/// The type of a configuration, as `DescribeConfigs` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// `true` or `false`, in any case of letters.
    Boolean,
    /// A text.
    String,
    /// A 32-bit integer.
    Int,
    /// A 16-bit integer.
    Short,
    /// A 64-bit integer.
    Long,
    /// A floating-point number.
    Double,
    /// Texts with commas between them.
    List,
    /// The name of a class. None can be set here.
    Class,
    /// A secret, never shown.
    Password,
}

impl ConfigKind {
    /// The number of the type in the protocol.
    pub const fn code(self) -> i8 {
        match self {
            ConfigKind::Boolean => 1,
            ConfigKind::String => 2,
            ConfigKind::Int => 3,
            ConfigKind::Short => 4,
            ConfigKind::Long => 5,
            ConfigKind::Double => 6,
            ConfigKind::List => 7,
            ConfigKind::Class => 8,
            ConfigKind::Password => 9,
        }
    }
}

/// What a value must fulfil beyond its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// Nothing.
    Any,
    /// A number from the first to the second, both inclusive.
    Range(i64, i64),
    /// A number from this one on.
    AtLeast(i64),
    /// A number from 0 to 1, both inclusive.
    Fraction,
    /// -1 or a number from 1 to 9: the levels of gzip.
    GzipLevel,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of these texts.
    ListOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
}

/// One configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfigDef {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigKind,
    /// Its default; `None` when nothing holds unless it is set.
    pub default: Option<&'static str>,
    /// What a value must fulfil.
    pub check: Check,
    /// What it does. Empty where the name says all that matters here.
    pub doc: &'static str,
}

/// Why a text is no value of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// It is not of the type.
    #[error("it is not {0}")]
    Type(&'static str),
    /// It is of the type, but not allowed.
    #[error("it must be {0}")]
    Rule(String),
}

impl ConfigDef {
    /// Whether `text` is a value of this configuration.
    ///
    /// # Errors
    ///
    /// See [`BadValue`].
    pub fn check(&self, text: &str) -> Result<(), BadValue> {
        let text = text.trim();
        match self.kind {
            ConfigKind::Boolean => {
                parse_bool(text).ok_or(BadValue::Type("true or false"))?;
            }
            ConfigKind::Int => self.check_number(i64::from(
                text.parse::<i32>().map_err(|_| BadValue::Type("a 32-bit integer"))?,
            ))?,
            ConfigKind::Short => self.check_number(i64::from(
                text.parse::<i16>().map_err(|_| BadValue::Type("a 16-bit integer"))?,
            ))?,
            ConfigKind::Long => self.check_number(
                text.parse::<i64>().map_err(|_| BadValue::Type("a 64-bit integer"))?,
            )?,
            ConfigKind::Double => {
                let value = parse_double(text).ok_or(BadValue::Type("a number"))?;
                if self.check == Check::Fraction && !(0.0..=1.0).contains(&value) {
                    return Err(BadValue::Rule("between 0 and 1".to_owned()));
                }
            }
            ConfigKind::List | ConfigKind::String => self.check_text(text)?,
            ConfigKind::Class | ConfigKind::Password => {}
        }
        Ok(())
    }

    fn check_number(&self, value: i64) -> Result<(), BadValue> {
        let rule = |fulfilled: bool, text: &dyn Fn() -> String| {
            if fulfilled { Ok(()) } else { Err(BadValue::Rule(text())) }
        };
        match self.check {
            Check::Range(min, max) => {
                rule((min..=max).contains(&value), &|| format!("between {min} and {max}"))
            }
            Check::AtLeast(min) => rule(value >= min, &|| format!("at least {min}")),
            Check::GzipLevel => rule(value == -1 || (1..=9).contains(&value), &|| {
                "-1 or between 1 and 9".to_owned()
            }),
            _ => Ok(()),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), BadValue> {
        match self.check {
            Check::OneOf(allowed) if !allowed.contains(&text) => {
                Err(BadValue::Rule(format!("one of {}", allowed.join(", "))))
            }
            Check::ListOf(allowed) if list_items(text).any(|item| !allowed.contains(&item)) => {
                Err(BadValue::Rule(format!("a list of {}", allowed.join(", "))))
            }
            Check::ThrottledReplicas if !are_throttled_replicas(text) => {
                Err(BadValue::Rule("* or a list of partition:broker".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// The items of a list value: what stands between commas, without the spaces around it. The empty
/// text is the empty list.
pub fn list_items(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let mut items = text.split(',').map(str::trim);
    if text.is_empty() {
        items.next();
    }
    items
}

fn are_throttled_replicas(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_pair = |item: &str| {
        item.split_once(':').is_some_and(|(left, right)| is_number(left) && is_number(right))
    };
    // Kafka does not see commas at the end.
    let text = text.trim_end_matches([',', ' ']);
    text == "*" || list_items(text).all(is_pair)
}

/// A boolean as Kafka reads it.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A number; unlike Java's reader this takes neither hexadecimal digits nor "not a number".
fn parse_double(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| !value.is_nan())
}
