//! Pure: what is simulated for the page.

use super::assumed::Assumed;
use super::layout::{FULL, Layout, fewest, filled, of_database};
use super::simulation::{Costs, Outcome, Part, Pattern, Plan, Service, Stall, run};

/// When a stall begins.
const STALLED_AT: f64 = 20.0;
const LASTS: f64 = 60.0;
/// Seconds of a point of the curve.
const POINT_LASTS: f64 = 20.0;
const LOADS: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98];

/// One run, as the page tells it.
pub(super) struct Scenario {
    pub(super) title: String,
    pub(super) stall: Option<Stall>,
    pub(super) outcome: Outcome,
}

/// The fewest for a bound.
pub(super) struct Fewest {
    pub(super) pattern: Pattern,
    pub(super) bound: f64,
    pub(super) layout: Option<Layout>,
}

/// How late events are on their stream at a load of one relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Part of what one can do.
    pub(super) load: f64,
    /// p50 and p99 in seconds, of people who know nothing of each other; and p99 of bursts.
    pub(super) delays: [f64; 3],
}

/// All that was simulated.
pub(super) struct Study {
    pub(super) rate: f64,
    pub(super) layout: Layout,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) fewest: Vec<Fewest>,
    pub(super) curve: Vec<Point>,
}

impl Study {
    /// Simulates. What knows nothing of each other goes on threads of its own.
    pub(super) fn make(costs: Costs, assumed: &Assumed, rate: f64, bounds: &[f64]) -> Self {
        let layout = filled(&costs, rate, FULL);
        let stall = |part, lasts: f64| {
            Some(Stall {
                part,
                from: STALLED_AT,
                to: STALLED_AT + lasts,
            })
        };
        let (failover, takeover) = (assumed.failover.value, assumed.takeover.value);
        let wanted = [
            ("Poisson".to_owned(), Pattern::Poisson, None),
            ("bursts".to_owned(), Pattern::BURSTY, None),
            (
                format!("Poisson, one Redis gone for {failover} s"),
                Pattern::Poisson,
                stall(Part::Node(0), failover),
            ),
            (
                format!("Poisson, one relay gone for {takeover} s"),
                Pattern::Poisson,
                stall(Part::Relay(0), takeover),
            ),
        ];
        let cases: Vec<(Pattern, f64)> = [Pattern::Poisson, Pattern::BURSTY]
            .into_iter()
            .flat_map(|pattern| bounds.iter().map(move |bound| (pattern, *bound)))
            .collect();
        std::thread::scope(|threads| {
            let curve = threads.spawn(|| LOADS.map(|load| point(costs, load)).to_vec());
            let searches = threads.spawn(|| {
                let search = |(pattern, bound)| Fewest {
                    pattern,
                    bound,
                    layout: fewest(costs, pattern, rate, bound),
                };
                cases.into_iter().map(search).collect()
            });
            let simulate = |(title, pattern, stall): (String, Pattern, Option<Stall>)| Scenario {
                title,
                stall,
                outcome: run(&plan(costs, layout, rate, pattern, stall)),
            };
            let scenarios = wanted.into_iter().map(simulate).collect();
            let (curve, fewest) = (joined(curve), joined(searches));
            Self {
                rate,
                layout,
                scenarios,
                fewest,
                curve,
            }
        })
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn plan(costs: Costs, layout: Layout, rate: f64, pattern: Pattern, stall: Option<Stall>) -> Plan {
    Plan {
        databases: layout.databases,
        nodes: layout.nodes,
        streams: layout.streams,
        rate,
        pattern,
        lasts: LASTS,
        warms: 5.0,
        seed: 1,
        stalls: stall.into_iter().collect(),
        look_every: 0.1,
        costs,
    }
}

/// One relay that neither its producers nor its consumers hold up.
fn point(costs: Costs, load: f64) -> Point {
    let costs = Costs {
        commit: Service {
            each: 0.0,
            most: u64::MAX,
            ..costs.commit
        },
        apply: Service::NOTHING,
        ..costs
    };
    let of = |pattern| {
        let layout = Layout {
            databases: 1,
            nodes: 1,
            streams: 8,
        };
        run(&Plan {
            lasts: POINT_LASTS,
            ..plan(costs, layout, load * of_database(&costs), pattern, None)
        })
        .published
    };
    let (even, bursts) = (of(Pattern::Poisson), of(Pattern::BURSTY));
    Point {
        load,
        delays: [even.at(0.5), even.at(0.99), bursts.at(0.99)],
    }
}
