//! docs/performance.md: one section for each scenario, replaced when it is measured again.

use std::collections::BTreeSet;

use super::scenario::Scenario;
use super::summary::{Comparison, Pair, Spread, compare, judge};

const HEAD: &str = "# Performance\n\nAgainst Apache Kafka 4.3.1 on the same machine, Evenkeel and \
Kafka in turn, a new directory and a new process for each run. Median and range over the pairs; the \
ratio is the median of the pairs' ratios, Evenkeel divided by Kafka. Absolute numbers of a shared \
machine are no results; ratios in one sitting are. Written by `cargo xtask perf`.\n";

/// The section of a scenario that was just measured.
pub(crate) fn section(scenario: &Scenario, pairs: &[Pair], machine: &str) -> String {
    let mut text = heading(scenario);
    let name = &scenario.name;
    text.push_str(&format!(
        "`cargo xtask perf --only {name}`: {} pairs; {machine}.\n\n\
         | figure | Evenkeel | Kafka | ratio | target | holds |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        pairs.len()
    ));
    let judged: BTreeSet<&str> = scenario.target.iter().map(|goal| goal.figure.as_str()).collect();
    for goal in &scenario.target {
        let comparison = compare(pairs, &goal.figure);
        let (bound, holds) = judge(goal, &comparison);
        let holds = holds.map_or("not measured", |holds| if holds { "yes" } else { "**no**" });
        text.push_str(&row(&goal.figure, &comparison, &bound, holds));
    }
    let measured: BTreeSet<&str> = pairs
        .iter()
        .flat_map(|pair| pair.evenkeel.keys().chain(pair.kafka.keys()))
        .map(String::as_str)
        .collect();
    for figure in measured.difference(&judged) {
        text.push_str(&row(figure, &compare(pairs, figure), "", ""));
    }
    text
}

fn heading(scenario: &Scenario) -> String {
    format!("## `{}`\n\n{}\n\n", scenario.name, scenario.title)
}

fn row(figure: &str, comparison: &Comparison, bound: &str, holds: &str) -> String {
    let Comparison { evenkeel, kafka, ratio } = comparison;
    format!(
        "| {figure} | {} | {} | {} | {bound} | {holds} |\n",
        show(*evenkeel, ""),
        show(*kafka, ""),
        show(*ratio, "x")
    )
}

fn show(spread: Option<Spread>, unit: &str) -> String {
    let Some(Spread { median, low, high }) = spread else { return "-".to_owned() };
    format!("{}{unit} ({}-{})", number(median), number(low), number(high))
}

/// Three significant digits are what a shared machine can carry.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The page with this section in place of the one before; a scenario that was never measured says
/// so, and one that is gone has no section.
pub(crate) fn replace(page: &str, all: &[Scenario], name: &str, section: &str) -> String {
    let mut text = HEAD.to_owned();
    for scenario in all {
        let old = if scenario.name == name { Some(section) } else { find(page, &scenario.name) };
        let missing = format!("{}Not measured yet.\n", heading(scenario));
        text.push('\n');
        text.push_str(old.unwrap_or(&missing).trim_end());
        text.push('\n');
    }
    text
}

fn find<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let start = page.find(&format!("## `{name}`\n"))?;
    let length = page[start + 3..].find("\n## `").map_or(page.len() - start, |end| end + 4);
    Some(&page[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::super::measure::Figures;
    use super::super::scenario::{Act, Goal};
    use super::*;

    fn scenario(name: &str) -> Scenario {
        let goal = Goal {
            figure: "f_ms".to_owned(),
            ratio_max: Some(0.5),
            ratio_min: None,
            at_most: None,
            at_least: None,
        };
        Scenario {
            name: name.to_owned(),
            title: format!("About {name}."),
            act: Act::Idle,
            load: toml::Table::new(),
            topic: Default::default(),
            idle: Default::default(),
            target: vec![goal],
        }
    }

    fn pairs() -> Vec<Pair> {
        let side = |f: f64, g: f64| Figures::from([("f_ms".to_owned(), f), ("g_s".to_owned(), g)]);
        vec![Pair { evenkeel: side(1.0, 3.0), kafka: side(4.0, 3.0) }]
    }

    #[test]
    fn a_section_shows_targets_first_and_then_the_other_figures() {
        let text = section(&scenario("one"), &pairs(), "a machine");
        let target =
            "| f_ms | 1.00 (1.00-1.00) | 4.00 (4.00-4.00) | 0.250x (0.250-0.250) | <= 0.5x | yes |";
        assert!(text.contains(target), "{text}");
        assert!(text.find("| g_s |") > text.find("| f_ms |"), "{text}");
    }

    #[test]
    fn measuring_one_scenario_keeps_the_others() {
        let all = [scenario("one"), scenario("two")];
        let first = replace("", &all, "two", &section(&all[1], &pairs(), "machine A"));
        assert!(first.contains("## `one`\n\nAbout one.\n\nNot measured yet."), "{first}");
        let second = replace(&first, &all, "one", &section(&all[0], &pairs(), "machine B"));
        assert!(second.contains("machine A") && second.contains("machine B"), "{second}");
        assert!(!second.contains("Not measured yet."));
        let again = replace(&second, &all, "two", &section(&all[1], &pairs(), "machine C"));
        assert!(again.contains("machine B") && !again.contains("machine A"), "{again}");
    }
}
