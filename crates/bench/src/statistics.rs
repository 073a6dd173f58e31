//! What several runs say together.

/// The value in the middle; of an even number, the mean of the two in the middle. `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(half)?);
    Some(f64::midpoint(*low, *high))
}

/// The median of `theirs / ours` of each pair: what two runs one after the other have in common, such as a machine that is
/// busy, is in neither.
pub(crate) fn median_ratio(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
    median(pairs.into_iter().filter(|(_, ours)| *ours > 0.0).map(|(theirs, ours)| theirs / ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn a_ratio_is_that_of_pairs_and_not_of_medians() {
        // The machine slept through the second pair and half of the third.
        let pairs = [(4.0, 1.0), (40.0, 10.0), (4.0, 8.0), (5.0, 1.0), (4.4, 1.1)];
        assert_eq!(median_ratio(pairs), Some(4.0));
        assert_eq!(median_ratio([(1.0, 0.0)]), None);
    }
}
