//! Pure: whose turn it is. Each round begins one further on, and each second one goes backwards, so that whoever comes first, or behind
//! whom, is not always the same.

/// The places of so many things in the order of a round.
pub(crate) fn turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    let first = round % count.max(1);
    (0..count).map(move |step| match round.is_multiple_of(2) {
        true => (first + step) % count,
        false => (first + count - step) % count,
    })
}

/// Whether the second of two is first in a round.
pub(crate) fn is_second_first(round: usize) -> bool {
    turns(2, round).next() == Some(1)
}

#[cfg(test)]
mod tests {
    use super::{is_second_first, turns};

    #[test]
    fn each_is_first_once_and_all_have_their_turn_behind_one_and_behind_another() {
        let order = |round| turns(3, round).collect::<Vec<_>>();
        assert_eq!([order(0), order(1), order(2)], [[0, 1, 2], [1, 0, 2], [2, 0, 1]]);
        assert_eq!(turns(0, 5).count(), 0);
        let before_the_third = |round| {
            let order = order(round);
            order.windows(2).find(|pair| pair[1] == 2).map(|pair| pair[0])
        };
        assert_ne!(before_the_third(0), before_the_third(1));
        for round in 0..6 {
            let mut places: Vec<usize> = turns(5, round).collect();
            assert_eq!(places.first(), Some(&(round % 5)));
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn of_two_each_is_first_in_turns() {
        assert_eq!([0, 1, 2, 3].map(is_second_first), [false, true, false, true]);
    }
}
