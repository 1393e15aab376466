//! Names that say nothing: files and types called after no concept.

use super::Violation;

/// Stems of files and names of directories.
const FILES: [&str; 7] = ["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Words inside the names of types.
const WORDS: [&str; 6] = ["Common", "Helper", "Impl", "Manager", "Util", "Utils"];

/// A banned file or directory name in `path`.
pub(crate) fn check_path(path: &str) -> Option<Violation> {
    let banned = path
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .find(|part| FILES.contains(part))?;
    let what = format!("`{banned}` names no concept: put it where its vocabulary is used");
    Some(Violation::new(path, 0, "name", what))
}

/// What is wrong with the name of a type.
pub(crate) fn check_type(name: &str) -> Option<String> {
    let banned = camel_words(name).into_iter().find(|word| WORDS.contains(word))?;
    Some(format!("`{name}`: `{banned}` says nothing, name what it is"))
}

/// `LogManager2` is `Log`, `Manager2`... split before each capital; digits end a word.
fn camel_words(name: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, letter)| letter.is_uppercase() || letter.is_ascii_digit())
            .map_or(rest.len(), |(place, _)| place);
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_without_a_concept_are_caught() {
        assert!(check_path("crates/broker/src/utils.rs").is_some());
        assert!(check_path("crates/broker/src/common/mod.rs").is_some());
        assert!(check_path("crates/broker/src/commons.rs").is_none());
        assert!(check_path("crates/record/src/offset.rs").is_none());
    }

    #[test]
    fn a_banned_word_is_caught_anywhere_in_a_type_name() {
        assert!(check_type("ManagerOfLogs").is_some());
        assert!(check_type("LogImpl2").is_some());
        assert!(check_type("LogUtils").is_some());
        assert!(check_type("Implementation").is_none());
        assert!(check_type("Utility").is_none());
    }
}
