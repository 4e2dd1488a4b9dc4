//! Pure: how processes share the partitions, each by itself, from the same facts.

/// What a process sees of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) is_paused: bool,
    /// Partition, epoch, and whether somebody holds it.
    pub(super) leases: Vec<(i32, i64, bool)>,
    /// Other processes that were seen lately.
    pub(super) others: usize,
}

/// What follows for a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Somebody else has them.
    pub(super) lost: Vec<i32>,
    /// To be given back, so that another one has as many.
    pub(super) give_back: Vec<i32>,
    /// How many to ask for.
    pub(super) take: usize,
}

impl Seen {
    /// What follows for a process that holds these partitions, by epoch.
    pub(super) fn plan(&self, mine: &[(i32, i64)]) -> Plan {
        let is_mine = |&(partition, epoch): &(i32, i64)| {
            self.leases
                .iter()
                .any(|lease| lease.0 == partition && lease.1 == epoch)
        };
        let lost = mine
            .iter()
            .filter(|lease| !is_mine(lease))
            .map(|lease| lease.0)
            .collect::<Vec<_>>();
        let mut kept = mine
            .iter()
            .filter(|lease| is_mine(lease))
            .map(|lease| lease.0)
            .collect::<Vec<_>>();
        let fair = self.leases.len().div_ceil(self.others + 1);
        let give_back = kept.split_off(kept.len().min(fair));
        let free = self.leases.iter().filter(|lease| !lease.2).count();
        Plan {
            lost,
            give_back,
            take: fair.saturating_sub(kept.len()).min(free),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(others: usize, held: &[bool]) -> Seen {
        Seen {
            is_paused: false,
            leases: (0..).zip(held).map(|(n, held)| (n, 1, *held)).collect(),
            others,
        }
    }

    #[test]
    fn who_has_more_than_its_share_gives_back_and_who_has_less_asks() {
        let plan = seen(1, &[true; 4]).plan(&[(0, 1), (1, 1), (2, 1), (3, 1)]);
        assert_eq!((plan.give_back, plan.take), (vec![2, 3], 0));
        let plan = seen(1, &[true, true, false, false]).plan(&[]);
        assert_eq!((plan.give_back, plan.take), (vec![], 2));
    }

    #[test]
    fn what_has_another_epoch_is_lost() {
        let plan = seen(0, &[true, true]).plan(&[(0, 1), (1, 0)]);
        assert_eq!((plan.lost, plan.take), (vec![1], 0));
    }
}
