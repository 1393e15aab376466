//! The text format of Java properties, as far as a reader must know it.
//!
//! A line is a key, a separator (`=`, `:` or white space) and a value. `#` and `!` begin a comment;
//! a backslash at the end goes on with the next line; inside it takes away a character's meaning,
//! makes the usual control characters, or `\uXXXX`.

use std::collections::BTreeMap;

use super::{FileError, text};

/// Reads properties. Of a key that stands twice the last value counts.
pub(super) fn decode(bytes: &[u8]) -> Result<BTreeMap<String, String>, FileError> {
    let mut properties = BTreeMap::new();
    let mut lines = (1..).zip(text(bytes)?.lines());
    while let Some((line, text)) = lines.next() {
        let text = text.trim_start_matches(is_blank);
        if text.is_empty() || text.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = text.trim_end_matches('\r').to_owned();
        while goes_on(&whole) {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(next.trim_end_matches('\r').trim_start_matches(is_blank));
        }
        let (key, value) = split(&whole);
        properties.insert(unescape(key, line)?, unescape(value, line)?);
    }
    Ok(properties)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Whether the line ends with an odd number of backslashes.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (is_blank(c) || matches!(c, '=' | ':'));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

fn unescape(text: &str, line: usize) -> Result<String, FileError> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                None => break,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let what = "\\u must be followed by four hexadecimal digits";
                    let bad = FileError::Line { line, what };
                    let digits = chars.as_str().get(..4).ok_or(bad.clone())?;
                    let digits = digits.to_owned();
                    chars.nth(3);
                    units.push(u16::from_str_radix(&digits, 16).map_err(|_| bad)?);
                    continue;
                }
                Some(other) => other,
            },
            other => other,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| FileError::NotText { line })
}

/// A value as a writer must put it so that every reader gets it back.
pub(super) fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (place, c) in value.chars().enumerate() {
        match c {
            ' ' if place == 0 => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}
