//! Cutting: what the model says of every cut, and what breaks other cursors, on the statement that cuts.

use protocol_model::explore::{Finding, look_for, stroll};
use protocol_model::step::to_json;
use protocol_model::tail::{LOST, ONE_ENTRY, ORDER, STRANGER, Tail, Without};
use system_tests::{Failure, Result, World};

use crate::log::{Came, Log, Way};

/// Without the troubles that one connection cannot make.
const CALM: Tail = Tail {
    without: Without::Nothing,
    looks: false,
    crashes: 0,
    troubles: 0,
};

/// Walks that are followed.
const WALKS: u64 = 12;

#[tokio::test]
async fn every_cut_of_a_walk_brings_what_the_model_says() -> Result {
    let seed = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(1, |since| u64::from(since.subsec_nanos()));
    println!("seed {seed}");
    let mut cuts = 0;
    for walk in 0..WALKS {
        let world = World::new().await?;
        // By each way in turn.
        let way = [Way::AtOnce, Way::Looked, Way::LookedWhenTold][walk as usize % 3];
        let mut log = Log::new(&world, 3, way).await?;
        let model = Tail {
            looks: way == Way::LookedWhenTold,
            ..CALM
        };
        for (step, state) in stroll(&model, seed.wrapping_mul(walk * 2 + 1), 40) {
            // WHEN the next step of the walk is done on the real log
            let came = log.follow(&step).await?;
            // THEN it comes to what it comes to in the model
            let expected = match step.does {
                "cut" => Came::Batch(state.batches().pop().unwrap_or_default()),
                "be refused" => Came::Refused,
                _ => Came::Other,
            };
            assert_eq!(came, expected, "seed {seed}, walk {walk}, {way:?}: {step}");
            cuts += usize::from(step.does == "cut");
        }
    }
    assert!(cuts > 0, "seed {seed} cut nothing");
    Ok(())
}

#[tokio::test]
async fn traces_that_break_other_cursors_break_nothing() -> Result {
    let traces = [
        (Without::Snapshots, LOST),
        (Without::OpenArm, LOST),
        (Without::NoLowerBound, LOST),
        (Without::PositionOrder, ORDER),
        (Without::PositionOrder, STRANGER),
        (Without::UniqueNumber, ONE_ENTRY),
    ];
    for (without, property) in traces {
        // GIVEN the shortest trace by which another way of cutting breaks
        let report = look_for(&Tail { without, ..CALM }, 1_000_000, Some(property));
        let Finding::Broken { trace, .. } = report.finding else {
            return Err(Failure::new(format!("the model holds without {without:?}")));
        };
        for way in [Way::AtOnce, Way::Looked, Way::LookedEarly] {
            // WHEN ours goes the same way
            let world = World::new().await?;
            let mut log = Log::new(&world, 3, way).await?;
            for step in &trace {
                log.follow(step).await?;
            }
            log.finish().await?;
            // THEN what was committed is cut, each event in one batch, and the key in the order of its commits
            let told = format!("{way:?}, without {without:?}: {}", to_json(&trace));
            let cut: Vec<u8> = log.batches.concat();
            let of_key = |events: &[u8]| {
                events
                    .iter()
                    .copied()
                    .filter(|event| *event < 2)
                    .collect::<Vec<u8>>()
            };
            assert_eq!(of_key(&cut), of_key(&log.committed), "{told}");
            let (mut all, mut committed) = (cut, log.committed.clone());
            all.sort_unstable();
            committed.sort_unstable();
            assert_eq!(all, committed, "{told}");
        }
    }
    Ok(())
}
