//! The table of results, for the terminal and for docs/conformance.md.

use std::fmt;

/// How a scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds; the note says what was seen.
    Passed(String),
    /// It does not; the reason.
    Failed(String),
    /// There was no time left for it.
    NotRun,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed(_) => f.write_str("passed"),
            Verdict::Failed(_) => f.write_str("failed"),
            Verdict::NotRun => f.write_str("not run"),
        }
    }
}

impl Verdict {
    fn note(&self) -> &str {
        match self {
            Verdict::Passed(note) | Verdict::Failed(note) => note,
            Verdict::NotRun => "no time left",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The scenario.
    pub name: &'static str,
    /// The client it uses.
    pub client: &'static str,
    /// The client's version.
    pub version: &'static str,
    /// What it ran against: `1 shard`, `2 shards`, `Kafka 4.3.1`.
    pub against: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// One line for the terminal.
pub fn table(row: &Row) -> String {
    let Row { name, client, version, against, verdict, seconds } = row;
    let verdict_word = verdict.to_string();
    format!(
        "{verdict_word:8} {name:26} {client:28} {version:8} {against:12} {seconds:6.1} s  {}",
        verdict.note()
    )
}

/// The page docs/conformance.md.
pub fn markdown(rows: &[Row], machine: &str, command: &str) -> String {
    let mut page = format!(
        "# Clients\n\nUnmodified clients and tools against the release binary. Written by \
         `{command}`; {machine}.\n\n\
         | scenario | client | version | against | result | note |\n\
         | --- | --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        let note = row.verdict.note().replace('|', "/").replace('\n', " ");
        page.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            row.name, row.client, row.version, row.against, row.verdict, note
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: Verdict) -> Row {
        Row {
            name: "kcat",
            client: "kcat",
            version: "1.7.1",
            against: "2 shards".to_owned(),
            verdict,
            seconds: 1.0,
        }
    }

    #[test]
    fn a_note_cannot_break_the_table() {
        let rows = [row(Verdict::Failed("a | b\nc".to_owned()))];
        let page = markdown(&rows, "a machine", "cargo xtask conformance");
        assert!(
            page.ends_with("| `kcat` | kcat | 1.7.1 | 2 shards | failed | a / b c |\n"),
            "{page}"
        );
    }

    #[test]
    fn a_scenario_that_was_not_run_says_so() {
        assert!(table(&row(Verdict::NotRun)).starts_with("not run  kcat"));
    }
}
