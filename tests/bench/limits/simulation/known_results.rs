//! The simulation beside what is known: mean times of queues with formulas, Little's law, and the same path event by event.

use super::arrivals::{Arrivals, Pattern};
use super::packet::Queue;
use super::plan::{Costs, Outcome, Plan};
use super::run::run;
use super::service::{Part, Service, Stall};

const SEED: u64 = 20_261_122;

fn plan(rate: f64, lasts: f64, costs: Costs) -> Plan {
    Plan {
        databases: 1,
        nodes: 1,
        streams: 1,
        rate,
        pattern: Pattern::Poisson,
        lasts,
        warms: 0.0,
        seed: SEED,
        stalls: Vec::new(),
        look_every: 0.013,
        costs,
    }
}

/// One server that takes one event after the other, and nothing behind it.
fn alone(seconds: f64, is_exponential: bool) -> Costs {
    Costs {
        commit: Service {
            is_exponential,
            ..Service::new(seconds, 0.0, 1)
        },
        cut: Service::NOTHING,
        parcel: Service::NOTHING,
        round_trip: 0.0,
        apply: Service::NOTHING,
    }
}

fn near(found: f64, known: f64, part: f64, what: &str) {
    assert!(
        (found / known - 1.0).abs() < part,
        "{what}: {found} and not {known}"
    );
}

#[test]
fn one_server_with_times_without_memory_waits_as_its_formula_says() {
    for load in [0.5, 0.8] {
        let outcome = run(&plan(load * 1_000.0, 600.0, alone(0.001, true)));
        near(outcome.committed.mean(), 0.001 / (1.0 - load), 0.05, "M/M/1");
        // Delays are exponential too: the median is their mean times the logarithm of 2.
        near(
            outcome.committed.at(0.5),
            0.001 / (1.0 - load) * 2.0_f64.ln(),
            0.06,
            "its median",
        );
    }
}

#[test]
fn one_server_that_always_takes_the_same_time_waits_as_its_formula_says() {
    for load in [0.5, 0.8] {
        let outcome = run(&plan(load * 1_000.0, 400.0, alone(0.001, false)));
        let waits = load / (2.0 * (1.0 - load)) * 0.001;
        near(outcome.committed.mean() - 0.001, waits, 0.05, "M/D/1");
    }
}

#[test]
fn as_many_are_on_their_way_as_rate_and_delay_say() {
    let costs = Costs {
        commit: Service::new(0.001, 0.000_02, 200),
        cut: Service::new(0.002, 0.000_01, 4_000),
        parcel: Service::new(0.000_05, 0.000_005, 500),
        round_trip: 0.000_5,
        apply: Service::new(0.002, 0.000_06, 128),
    };
    for pattern in [Pattern::Poisson, Pattern::BURSTY] {
        let plan = Plan {
            databases: 3,
            nodes: 2,
            streams: 2,
            pattern,
            ..plan(30_000.0, 60.0, costs)
        };
        let outcome = run(&plan);
        let looks = outcome.looks.iter().filter(|look| look.at < plan.lasts);
        let (count, sum) = looks.fold((0.0, 0.0), |(count, sum), look| {
            (
                count + 1.0,
                sum + (look.uncommitted + look.unpublished + look.unapplied) as f64,
            )
        });
        let rate = outcome.applied.count() as f64 / plan.lasts;
        near(sum / count, rate * outcome.applied.mean(), 0.03, "Little's law");
        assert_eq!(outcome.applied.count(), outcome.committed.count());
    }
}

/// When each of these is through a part that takes what waits, up to `most`, and is free again `away` after each.
fn one_by_one(ready: &[f64], service: Service, away: f64) -> Vec<f64> {
    let (mut through, mut free) = (Vec::new(), 0.0_f64);
    while let Some(first) = ready.get(through.len()) {
        let begins = free.max(*first);
        let waiting = ready[through.len()..].iter().take_while(|at| **at <= begins);
        let count = (waiting.count() as u64).min(service.most);
        let end = begins + service.fixed + service.each * count as f64;
        through.extend((0..count).map(|_| end));
        free = end + away;
    }
    through
}

fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() as f64 * part) as usize]
}

#[test]
fn batches_say_the_same_as_each_event_by_itself() {
    let costs = Costs {
        commit: Service::new(0.001, 0.000_05, 200),
        cut: Service::new(0.004, 0.000_1, 4_000),
        parcel: Service::new(0.000_2, 0.000_02, 500),
        round_trip: 0.001,
        apply: Service::new(0.002, 0.000_05, 64),
    };
    for pattern in [Pattern::Poisson, Pattern::BURSTY] {
        let outcome = run(&Plan {
            pattern,
            ..plan(3_000.0, 300.0, costs)
        });
        let (mut arrivals, mut came) = (Arrivals::new(3_000.0, pattern, 300.0, SEED + 1), Vec::new());
        while let Some(at) = arrivals.next() {
            came.push(at);
        }
        let committed = one_by_one(&came, costs.commit, 0.0);
        let cut = one_by_one(&committed, costs.cut, 0.0);
        let way = costs.round_trip / 2.0;
        let sent = Service {
            fixed: costs.parcel.fixed + way,
            ..costs.parcel
        };
        let published = one_by_one(&cut, sent, way);
        let applied = one_by_one(&published, costs.apply, 0.0);
        let since = |ends: &[f64]| {
            ends.iter()
                .zip(&came)
                .map(|(end, came)| end - came)
                .collect::<Vec<_>>()
        };
        for (what, ours, theirs) in [
            ("committed", &outcome.committed, since(&committed)),
            ("published", &outcome.published, since(&published)),
            ("applied", &outcome.applied, since(&applied)),
        ] {
            let mean = theirs.iter().sum::<f64>() / theirs.len() as f64;
            near(ours.mean(), mean, 0.05, what);
            near(ours.at(0.5), quantile(theirs.clone(), 0.5), 0.05, what);
            near(ours.at(0.99), quantile(theirs, 0.99), 0.1, what);
        }
    }
}

#[test]
fn a_redis_that_stands_still_holds_its_own_databases_up_and_no_other_and_a_run_can_be_repeated() {
    let costs = Costs {
        commit: Service::new(0.001, 0.000_01, 200),
        cut: Service::new(0.002, 0.000_01, 4_000),
        parcel: Service::new(0.000_05, 0.000_005, 500),
        round_trip: 0.000_5,
        apply: Service::new(0.002, 0.000_02, 128),
    };
    let stall = Stall {
        part: Part::Node(1),
        from: 10.0,
        to: 15.0,
    };
    let mut plan = Plan {
        databases: 4,
        nodes: 2,
        streams: 2,
        stalls: vec![stall],
        ..plan(20_000.0, 40.0, costs)
    };
    let once = || -> Outcome { run(&plan) };
    let (first, again) = (once(), once());
    assert!((first.applied.mean() - again.applied.mean()).abs() < f64::EPSILON);
    // Half of the events are of its databases; of forty seconds five are in the stall, and those wait half of it in the mean.
    near(first.most_unpublished() as f64, 50_000.0, 0.1, "what waits");
    assert!(first.applied_hit.most() > 5.0 && first.applied_hit.count() * 2 > first.applied.count() * 9 / 10);
    let after = first.recovered_after(&stall);
    assert!(
        after.is_some_and(|after| after > 0.0 && after < 10.0),
        "{after:?}"
    );
    plan.stalls.clear();
    assert!(run(&plan).applied.most() < 1.0);
}

#[test]
fn a_million_events_a_second_are_as_many_as_that() {
    let mut queue = Queue::default();
    Arrivals::new(1e6, Pattern::Poisson, 3.0, SEED).until(3.0, &mut queue);
    near(queue.len() as f64, 3e6, 0.01, "events");
}
