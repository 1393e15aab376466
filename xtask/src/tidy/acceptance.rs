//! docs/acceptance.md: every row has a claim, a way to show it, and a result with its date or none.

use super::Violation;

/// The only headings that a table of claims may have.
const HEADING: [&str; 4] = ["claim", "test or command", "result", "date"];

/// What is wrong with the page.
pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut rows = 0;
    for (place, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let cells = cells(line);
        let judged = match &cells[..] {
            cells if cells == HEADING => Ok(()),
            [first, ..] if first.starts_with("---") => Ok(()),
            [claim, show, result, date] => {
                rows += 1;
                row(claim, show, result, date)
            }
            other => Err(format!("{} cells, a row has 4", other.len())),
        };
        if let Err(what) = judged {
            found.push(Violation::new(path, place + 1, "acceptance", what));
        }
    }
    if rows == 0 {
        found.push(Violation::new(path, 0, "acceptance", "it holds no claim"));
    }
    found
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim().trim_start_matches('|');
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner.split('|').map(str::trim).collect()
}

fn row(claim: &str, show: &str, result: &str, date: &str) -> Result<(), String> {
    if claim.is_empty() {
        return Err("a row without a claim".to_owned());
    }
    if show.is_empty() {
        return Err("a claim that nothing shows: name the test or the command".to_owned());
    }
    let known = result.is_empty() || result == "passed" || result.starts_with("passed: ");
    if !known && result.strip_prefix("failed: ").is_none_or(|reason| reason.trim().is_empty()) {
        return Err(format!("result {result:?}: passed, `passed: note` or `failed: reason`"));
    }
    match (result.is_empty(), date.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err("a date without a result".to_owned()),
        (false, true) => Err("a result without a date".to_owned()),
        (false, false) if is_date(date) => Ok(()),
        (false, false) => Err(format!("date {date:?}: YYYY-MM-DD")),
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, digits: usize| {
        (part.len() == digits).then(|| part.parse::<u32>().ok()).flatten()
    };
    match parts[..] {
        [year, month, day] => {
            number(year, 4).is_some()
                && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
                && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(row: &str) -> usize {
        let head = "| claim | test or command | result | date |\n| --- | --- | --- | --- |\n";
        check("docs/acceptance.md", &format!("{head}| good | ci | | |\n{row}\n")).len()
    }

    #[test]
    fn rows_in_order_are_accepted() {
        for row in [
            "| it holds | ci | | |",
            "| it holds | ci | passed | 2026-11-24 |",
            "| it holds | ci | passed: 12 ms | 2026-11-24 |",
            "| it holds | ci | failed: p99 is 0.4x | 2026-11-24 |",
        ] {
            assert_eq!(broken(row), 0, "{row}");
        }
    }

    #[test]
    fn each_flaw_is_caught() {
        for row in [
            "| | ci | | |",
            "| it holds | | | |",
            "| it holds | ci | maybe | 2026-11-24 |",
            "| it holds | ci | failed: | 2026-11-24 |",
            "| it holds | ci | passed | |",
            "| it holds | ci | | 2026-11-24 |",
            "| it holds | ci | passed | 24.11.2026 |",
            "| it holds | ci | passed | 2026-13-24 |",
            "| it holds | ci | passed |",
            "| it holds | a | b | passed | 2026-11-24 |",
        ] {
            assert_eq!(broken(row), 1, "{row}");
        }
    }

    #[test]
    fn a_page_without_claims_is_caught() {
        assert_eq!(check("docs/acceptance.md", "# Acceptance\n").len(), 1);
    }
}
