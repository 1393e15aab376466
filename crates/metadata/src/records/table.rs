//! The macro that turns a table of fields into a structure with its encoding.
//!
//! A row is `name: Type [since(2) tag(0)] = default;`. Rows stand in the order of the bytes; tagged
//! rows come in the order of their tags. `since` is the first version that has the field, `tag`
//! makes it a tagged field, which is written only when it differs from the default.

/// Where one version puts a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The version has no such field.
    Absent,
    /// In the body, always written.
    Plain,
    /// In the tagged section under this tag.
    Tagged(u32),
}

/// The bracket of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    since: i16,
    tag: Option<u32>,
}

impl Row {
    pub(crate) const ALWAYS: Row = Row { since: 0, tag: None };

    pub(crate) const fn since(self, version: i16) -> Row {
        Row { since: version, tag: self.tag }
    }

    pub(crate) const fn tag(self, tag: u32) -> Row {
        Row { since: self.since, tag: Some(tag) }
    }

    pub(crate) fn place(self, version: i16) -> Place {
        match self.tag {
            _ if version < self.since => Place::Absent,
            None => Place::Plain,
            Some(tag) => Place::Tagged(tag),
        }
    }
}

macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

macro_rules! fields {
    ($( $(#[$meta:meta])* $name:ident { $(
        $(#[$field_meta:meta])*
        $field:ident : $ty:ty $([ $($spec:ident ($arg:literal))* ])? $(= $default:expr)? ;
    )* } )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $ty, )* }

        impl Default for $name {
            fn default() -> $name {
                $name { $( $field: $crate::records::table::default_of!($($default)?), )* }
            }
        }

        impl $crate::records::codec::Field for $name {
            fn write(
                &self,
                out: &mut Vec<u8>,
                version: i16,
            ) -> Result<(), $crate::records::RecordError> {
                // Through a reference, so that a table without rows needs no `mut` of its own.
                let (tags, _) = (&mut $crate::records::codec::Tags::default(), version);
                $( {
                    use $crate::records::table::{Place, Row};
                    const ROW: Row = Row::ALWAYS $($( .$spec($arg) )*)?;
                    let default: $ty = $crate::records::table::default_of!($($default)?);
                    match ROW.place(version) {
                        Place::Plain => self.$field.write(out, version)?,
                        _ if self.$field == default => {}
                        Place::Tagged(tag) => {
                            let mut body = Vec::new();
                            self.$field.write(&mut body, version)?;
                            tags.push(tag, &body)?;
                        }
                        Place::Absent => {
                            return Err($crate::records::RecordError::FieldNotInVersion {
                                structure: stringify!($name),
                                field: stringify!($field),
                                version,
                            });
                        }
                    }
                } )*
                tags.finish(out);
                Ok(())
            }

            fn read(
                input: &mut $crate::records::codec::Input<'_>,
                version: i16,
            ) -> Result<$name, $crate::records::RecordError> {
                let mut whole = $name::default();
                let (value, _) = (&mut whole, version);
                $( {
                    use $crate::records::table::{Place, Row};
                    const ROW: Row = Row::ALWAYS $($( .$spec($arg) )*)?;
                    if ROW.place(version) == Place::Plain {
                        value.$field = $crate::records::codec::Field::read(input, version)?;
                    }
                } )*
                input.tagged(|tag, body| {
                    let _ = (tag, &body, &value);
                    $( {
                        use $crate::records::table::{Place, Row};
                        const ROW: Row = Row::ALWAYS $($( .$spec($arg) )*)?;
                        if ROW.place(version) == Place::Tagged(tag) {
                            value.$field = $crate::records::codec::Field::read(body, version)?;
                            return Ok(true);
                        }
                    } )*
                    Ok(false)
                })?;
                Ok(whole)
            }
        }
    )* };
}

pub(crate) use {default_of, fields};
