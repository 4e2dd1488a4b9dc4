//! Pure: what is simulated, and what came of it.

use super::arrivals::Pattern;
use super::delays::Delays;
use super::service::{Service, Stall};

/// What each part takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// A flush of Postgres, with the commits that wait for it.
    pub(crate) commit: Service,
    /// A relay's cycle: cut, commit of the batch, rows.
    pub(crate) cut: Service,
    /// A parcel at its Redis.
    pub(crate) parcel: Service,
    /// Seconds between a relay and its Redis, there and back.
    pub(crate) round_trip: f64,
    /// A consumer of one stream.
    pub(crate) apply: Service,
}

/// Databases alike, each with its relay, its streams and a consumer for each; each relay writes to one Redis.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) databases: usize,
    pub(crate) nodes: usize,
    /// Of each database.
    pub(crate) streams: usize,
    /// Events a second of all databases.
    pub(crate) rate: f64,
    pub(crate) pattern: Pattern,
    /// Seconds in which events come; it goes on until each is through.
    pub(crate) lasts: f64,
    /// Seconds before they count.
    pub(crate) warms: f64,
    pub(crate) seed: u64,
    pub(crate) stalls: Vec<Stall>,
    /// Between two looks at what waits.
    pub(crate) look_every: f64,
    pub(crate) costs: Costs,
}

/// What waits at a moment, in events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) at: f64,
    /// Came, and not committed.
    pub(crate) uncommitted: u64,
    /// Committed, and on no stream.
    pub(crate) unpublished: u64,
    /// On a stream, and without effect.
    pub(crate) unapplied: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Seconds from the moment at which an event came.
    pub(crate) committed: Delays,
    pub(crate) published: Delays,
    pub(crate) applied: Delays,
    /// Of the databases that a stall touches.
    pub(crate) applied_hit: Delays,
    pub(crate) looks: Vec<Look>,
}

impl Outcome {
    /// The most that was not on its stream.
    pub(crate) fn most_unpublished(&self) -> u64 {
        self.looks.iter().map(|look| look.unpublished).max().unwrap_or(0)
    }

    /// Seconds from the end of a stall until no more waits than at the worst of the ten seconds before it.
    pub(crate) fn recovered_after(&self, stall: &Stall) -> Option<f64> {
        let waits = |look: &Look| look.unpublished + look.unapplied;
        let before = self.looks.iter();
        let before = before.filter(|look| (stall.from - 10.0..stall.from).contains(&look.at));
        let usual = before.map(waits).max()?;
        let mut after = self.looks.iter().filter(|look| look.at >= stall.to);
        let back = after.find(|look| waits(look) <= usual)?;
        Some(back.at - stall.to)
    }
}

#[cfg(test)]
mod tests {
    use super::super::service::Part;
    use super::{Look, Outcome, Stall};

    #[test]
    fn it_has_recovered_when_no_more_waits_than_before() {
        let looks = [
            (5.0, 10),
            (10.5, 400),
            (12.0, 700),
            (13.0, 20),
            (14.0, 9),
            (15.0, 30),
        ];
        let outcome = Outcome {
            looks: looks
                .map(|(at, unpublished)| Look {
                    at,
                    uncommitted: 0,
                    unpublished,
                    unapplied: 0,
                })
                .into(),
            ..Outcome::default()
        };
        let stall = Stall {
            part: Part::Node(0),
            from: 10.0,
            to: 12.0,
        };
        assert_eq!(outcome.recovered_after(&stall), Some(2.0));
        assert_eq!(outcome.most_unpublished(), 700);
    }
}
