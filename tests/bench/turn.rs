//! Pure: whose turn it is. Each round begins one further on, so that whoever comes first, or behind whom, is not always the same.

/// The places of so many things in the order of a round.
pub(crate) fn turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

#[cfg(test)]
mod tests {
    use super::turns;

    #[test]
    fn each_is_first_once_and_all_have_their_turn() {
        let order = |round| turns(3, round).collect::<Vec<_>>();
        assert_eq!([order(0), order(1), order(2)], [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
        assert_eq!(order(3), order(0));
        assert_eq!(turns(0, 5).count(), 0);
    }
}
