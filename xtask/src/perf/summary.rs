//! Medians and ranges over pairs, and whether a target holds.

use super::measure::Figures;
use super::scenario::Goal;

/// The two sides of one pair; a side that was not run has no figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pair {
    pub(crate) evenkeel: Figures,
    pub(crate) kafka: Figures,
}

/// Median, lowest, highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The spread of some values; `None` without any. Of an even number the median is the mean of the
/// middle two.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    };
    Some(Spread { median, low, high })
}

/// One figure over all pairs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub(crate) evenkeel: Option<Spread>,
    pub(crate) kafka: Option<Spread>,
    /// Of the pairs' ratios, Evenkeel divided by Kafka: not the ratio of the medians.
    pub(crate) ratio: Option<Spread>,
}

/// Compares one figure.
pub(crate) fn compare(pairs: &[Pair], figure: &str) -> Comparison {
    let of = |side: fn(&Pair) -> &Figures| {
        spread(pairs.iter().filter_map(|pair| side(pair).get(figure).copied()).collect())
    };
    let ratio = |pair: &Pair| {
        let kafka = *pair.kafka.get(figure)?;
        let evenkeel = *pair.evenkeel.get(figure)?;
        (kafka != 0.0).then(|| evenkeel / kafka)
    };
    Comparison {
        evenkeel: of(|pair| &pair.evenkeel),
        kafka: of(|pair| &pair.kafka),
        ratio: spread(pairs.iter().filter_map(ratio).collect()),
    }
}

/// The bound as text, and whether the medians meet it; `None` when it was not measured.
pub(crate) fn judge(goal: &Goal, comparison: &Comparison) -> (String, Option<bool>) {
    let ratio = comparison.ratio.map(|spread| spread.median);
    let own = comparison.evenkeel.map(|spread| spread.median);
    if let Some(bound) = goal.ratio_max {
        return (format!("<= {bound}x"), ratio.map(|ratio| ratio <= bound));
    }
    if let Some(bound) = goal.ratio_min {
        return (format!(">= {bound}x"), ratio.map(|ratio| ratio >= bound));
    }
    if let Some(bound) = goal.at_least {
        return (format!(">= {bound}"), own.map(|own| own >= bound));
    }
    let bound = goal.at_most.unwrap_or(f64::INFINITY);
    (format!("<= {bound}"), own.map(|own| own <= bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(evenkeel: f64, kafka: f64) -> Pair {
        let figures = |value: f64| Figures::from([("f".to_owned(), value)]);
        Pair { evenkeel: figures(evenkeel), kafka: figures(kafka) }
    }

    const NO_BOUND: Goal = Goal {
        figure: String::new(),
        ratio_max: None,
        ratio_min: None,
        at_most: None,
        at_least: None,
    };

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let found = spread(vec![4.0, 1.0, 3.0, 2.0]).expect("values");
        assert_eq!(found, Spread { median: 2.5, low: 1.0, high: 4.0 });
        assert_eq!(spread(Vec::new()), None);
    }

    #[test]
    fn the_ratio_is_taken_pair_by_pair() {
        // The ratio of the medians would be 1; the machine became slower in between.
        let pairs = [pair(1.0, 2.0), pair(2.0, 4.0), pair(8.0, 2.0)];
        let ratio = compare(&pairs, "f").ratio.expect("measured");
        assert_eq!(ratio, Spread { median: 0.5, low: 0.5, high: 4.0 });
    }

    #[test]
    fn each_kind_of_bound_is_judged() {
        let comparison = compare(&[pair(1.0, 2.0)], "f");
        let met = |goal: Goal| judge(&goal, &comparison).1;
        assert_eq!(met(Goal { ratio_max: Some(0.5), ..NO_BOUND }), Some(true));
        assert_eq!(met(Goal { ratio_max: Some(0.4), ..NO_BOUND }), Some(false));
        assert_eq!(met(Goal { ratio_min: Some(0.5), ..NO_BOUND }), Some(true));
        assert_eq!(met(Goal { ratio_min: Some(0.6), ..NO_BOUND }), Some(false));
        assert_eq!(met(Goal { at_most: Some(1.0), ..NO_BOUND }), Some(true));
        assert_eq!(met(Goal { at_most: Some(0.9), ..NO_BOUND }), Some(false));
        assert_eq!(met(Goal { at_least: Some(1.0), ..NO_BOUND }), Some(true));
        assert_eq!(met(Goal { at_least: Some(1.1), ..NO_BOUND }), Some(false));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let one_sided = Pair { kafka: Figures::new(), ..pair(1.0, 1.0) };
        let comparison = compare(&[one_sided], "f");
        assert_eq!(judge(&Goal { ratio_max: Some(1.0), ..NO_BOUND }, &comparison).1, None);
    }
}
