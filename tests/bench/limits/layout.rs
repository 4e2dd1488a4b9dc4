//! Pure: how many databases, Redis and streams there are, and the fewest that hold a bound.

use super::assumed::Assumed;
use super::ends::{Each, parcel};
use super::known::Known;
use super::simulation::{Costs, Pattern, Plan, Service, run};

/// A Redis does as much besides the entries of a parcel as for so many entries: MULTI, the look for the predecessor, the mark, EXEC.
pub(super) const PARCEL_AS_ENTRIES: f64 = 10.0;
/// Each part is at most so full where nothing is searched for.
pub(super) const FULL: f64 = 0.6;
/// No part is fuller, whatever a bound allows: a run of seconds does not see how a queue grows that is fuller.
const FULLEST: f64 = 0.97;
/// Seconds of the runs by which the fewest are found.
const LASTS: f64 = 8.0;

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) databases: usize,
    pub(super) nodes: usize,
    /// Of each database, with a consumer each.
    pub(super) streams: usize,
}

/// What each part takes, from what was measured.
pub(super) fn costs(known: &Known, assumed: &Assumed) -> Costs {
    let each = Each::of(known);
    let floor = known.floor.value / 1e3;
    Costs {
        commit: Service::new(
            floor,
            each.append / assumed.cores.value,
            assumed.sessions.value as u64,
        ),
        cut: Service::new(known.late.value / 1e3, each.of_relay(), assumed.read.value as u64),
        parcel: Service::new(PARCEL_AS_ENTRIES * each.redis, each.redis, parcel(assumed) as u64),
        round_trip: assumed.round_trip.value / 1e3,
        apply: Service::new(floor, 1.0 / known.applied.value, assumed.window.value as u64),
    }
}

/// Events a second that a database with its relay takes at most.
pub(super) fn of_database(costs: &Costs) -> f64 {
    costs.commit.capacity().min(costs.cut.capacity())
}

/// As many as a rate needs if each is at most so full.
pub(super) fn filled(costs: &Costs, rate: f64, full: f64) -> Layout {
    let count = |capacity: f64| (rate / (capacity * full)).ceil().max(1.0) as usize;
    let databases = count(of_database(costs));
    Layout {
        databases,
        nodes: count(costs.parcel.capacity()).min(databases),
        streams: count(costs.apply.capacity()).div_ceil(databases),
    }
}

/// The fewest by which the slowest hundredth of the events has its effect within a bound; none if no number does.
///
/// First databases (by then half of the bound may be used up, until the event is on its stream), then Redis (three quarters), then streams
/// and consumers. Groups of databases that share a Redis know nothing of each other, so one group is run.
pub(super) fn fewest(costs: Costs, pattern: Pattern, rate: f64, bound: f64) -> Option<Layout> {
    let least = filled(&costs, rate, FULLEST);
    let ample =
        |databases: usize| filled(&costs, rate, 0.25).streams.max(2) * least.databases / databases + 1;
    let databases = smallest(least.databases, least.databases * 8, |databases| {
        let layout = Layout {
            databases,
            nodes: databases,
            streams: ample(databases),
        };
        group(costs, pattern, rate, layout).published.at(0.99) <= bound * 0.5
    })?;
    let nodes = smallest(least.nodes.min(databases), databases, |nodes| {
        let layout = Layout {
            databases,
            nodes,
            streams: ample(databases),
        };
        group(costs, pattern, rate, layout).published.at(0.99) <= bound * 0.75
    })?;
    let consumers = filled(&costs, rate, FULLEST).streams * least.databases;
    let streams = smallest(consumers.div_ceil(databases).max(1), consumers * 8, |streams| {
        let layout = Layout {
            databases,
            nodes,
            streams,
        };
        group(costs, pattern, rate, layout).applied.at(0.99) <= bound
    })?;
    Some(Layout {
        databases,
        nodes,
        streams,
    })
}

/// One Redis with the most databases that any has.
fn group(costs: Costs, pattern: Pattern, rate: f64, layout: Layout) -> super::simulation::Outcome {
    let databases = layout.databases.div_ceil(layout.nodes);
    run(&Plan {
        databases,
        nodes: 1,
        streams: layout.streams,
        rate: rate * databases as f64 / layout.databases as f64,
        pattern,
        lasts: LASTS,
        warms: 2.0,
        seed: 7,
        stalls: Vec::new(),
        look_every: LASTS,
        costs,
    })
}

/// The least of these numbers that is enough, if more is never less enough.
fn smallest(least: usize, most: usize, mut is_enough: impl FnMut(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (least, least);
    while !is_enough(high) {
        if high >= most {
            return None;
        }
        (low, high) = (high + 1, (high + high.div_ceil(4)).min(most));
    }
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::{Costs, Pattern, Service, fewest, filled, smallest};

    #[test]
    fn the_smallest_is_found_and_where_none_is_enough_none_is() {
        for enough in [3, 4, 17, 20] {
            assert_eq!(smallest(3, 20, |number| number >= enough), Some(enough));
        }
        assert_eq!(smallest(3, 20, |_| false), None);
    }

    #[test]
    fn a_tighter_bound_needs_no_less_and_an_impossible_one_has_no_number() {
        let costs = Costs {
            commit: Service::new(0.001, 0.000_02, 200),
            cut: Service::new(0.002, 0.000_01, 4_000),
            parcel: Service::new(0.000_05, 0.000_005, 500),
            round_trip: 0.000_5,
            apply: Service::new(0.002, 0.000_06, 128),
        };
        let of = |bound| fewest(costs, Pattern::BURSTY, 100_000.0, bound);
        // In bursts a batch of the consumer alone takes 10 ms: 30 ms is out of reach with any number.
        let (Some(tight), Some(wide)) = (of(0.05), of(0.5)) else {
            panic!("both can be held");
        };
        assert!(tight.databases > wide.databases && tight.nodes >= wide.nodes);
        assert!(tight.databases * tight.streams >= wide.databases * wide.streams);
        assert!(wide.databases >= filled(&costs, 100_000.0, 1.0).databases);
        assert_eq!(of(0.001), None);
    }
}
