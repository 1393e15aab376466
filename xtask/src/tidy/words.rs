//! Words that must not stay in the source, in code and in comments.

use super::Violation;

/// Put together here, so that this file does not hold them.
const WORDS: [(&str, &str); 5] = [
    (concat!("FIX", "ME"), "fix it, or say in docs/acceptance.md what does not hold"),
    (concat!("XX", "X"), "say what is the matter in a sentence"),
    (concat!("TO", "DO"), "do it, or say in docs/acceptance.md what does not hold"),
    (concat!("dbg", "!("), "remove it"),
    (concat!("HA", "CK"), "say why it is so in a sentence"),
];

/// Every banned word in the text.
pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (place, line) in text.lines().enumerate() {
        for (word, advice) in WORDS {
            if has_word(line, word) {
                let what = format!("`{word}`: {advice}");
                found.push(Violation::new(path, place + 1, "word", what));
            }
        }
    }
    found
}

/// Whether `word` stands in `line` with no letter, digit or underscore around it.
fn has_word(line: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let open = word.ends_with('(');
        !before.is_some_and(part) && (open || !after.is_some_and(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_word_is_caught_with_its_line() {
        for (word, _) in WORDS {
            let found = check("a.rs", &format!("//! Header.\n// {word} later\n"));
            assert_eq!((found.len(), found[0].line), (1, 2), "{word}");
        }
        assert_eq!(check("a.rs", concat!("let x = dbg", "!(y);")).len(), 1);
    }

    #[test]
    fn a_word_inside_another_is_nothing() {
        assert_eq!(check("a.rs", concat!("const PREFIX", "MED: &str = \"aXX", "Xb\";")), []);
    }
}
