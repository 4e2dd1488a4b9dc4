//! `cargo xtask bench peers`: ours beside what else brings events from Postgres to Redis Streams, each set up as its own documentation
//! says (`bench/peers`), on the same servers in the same run, in turns.
//!
//! Authoritative for what was committed are counters in the transactions that insert; for what was published, the stream, as a reader
//! finds it. A peer that fails at something is left out of it from then on, and the page says with what.

mod drain;

mod ground;

mod install;

mod latency;

mod mark;

mod page;

mod peer;

mod producers;

mod row;

mod running;

mod storm;

use std::time::{Duration, Instant};

use system_tests::{Failure, Result};

use super::options::Options;
use super::report::Series;
use ground::{Ground, Room};
use install::Installed;
use peer::Peer;
use row::Row;
use running::Running;

const MIB: f64 = 1024.0 * 1024.0;
/// Rates of the delays, in events a second.
const CALM: u64 = 200;
const BUSY: u64 = 1_000;

/// How large a round is.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Of the backlog.
    events: u64,
    /// Of the backlog in which it is killed.
    storm: u64,
    kills: u64,
    /// For each rate.
    delay: Duration,
    /// For producers, with it and without.
    load: Duration,
}

impl Size {
    const WHOLE: Self = Self {
        events: 100_000,
        storm: 50_000,
        kills: 10,
        delay: Duration::from_secs(15),
        load: Duration::from_secs(8),
    };
    const QUICK: Self = Self {
        events: 10_000,
        storm: 20_000,
        kills: 3,
        delay: Duration::from_secs(3),
        load: Duration::from_secs(2),
    };
}

/// What is done with every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Drain,
    Delay,
    Producers,
    Storm,
}

impl Measure {
    const ALL: [Self; 4] = [Self::Drain, Self::Delay, Self::Producers, Self::Storm];

    /// One run of it, in a room of its own.
    async fn run(
        self,
        peer: Peer,
        ground: &Ground,
        installed: &Installed,
        size: Size,
    ) -> Result<Vec<(Row, f64)>> {
        let mut room = ground.room(peer).await?;
        let mut running = Running::new(peer, installed)?;
        let found = self.within(&mut room, &mut running, size).await;
        running.stop().await?;
        ground.leave(room).await?;
        found
    }

    async fn within(self, room: &mut Room, running: &mut Running<'_>, size: Size) -> Result<Vec<(Row, f64)>> {
        match self {
            Self::Drain => {
                let drained = drain::measure(room, running, size.events).await?;
                Ok(vec![
                    (Row::Drain, drained.rate),
                    (Row::OfRaw, drained.rate / drained.raw),
                    (Row::First, drained.first),
                    (Row::Memory, drained.memory as f64 / MIB),
                ])
            }
            Self::Delay => {
                running.start(room)?;
                running.works(room).await?;
                let calm = latency::measure(room, CALM, size.delay).await?;
                let busy = latency::measure(room, BUSY, size.delay).await?;
                Ok(vec![
                    (Row::P50At200, calm.p50),
                    (Row::P99At200, calm.p99),
                    (Row::P50At1000, busy.p50),
                    (Row::P99At1000, busy.p99),
                ])
            }
            Self::Producers => {
                let bare = producers::bare(room, size.load).await?;
                running.start(room)?;
                running.works(room).await?;
                let beside = producers::beside(room, size.load).await?;
                Ok(vec![(Row::Producers, beside / bare)])
            }
            Self::Storm => {
                let verdict = storm::measure(room, running, size.storm, size.kills).await?;
                Ok(vec![
                    (Row::Lost, verdict.lost as f64),
                    (Row::Doubled, verdict.doubled as f64),
                    (Row::Reordered, verdict.reordered as f64),
                ])
            }
        }
    }
}

/// What was found of one peer.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    peer: Peer,
    rows: Vec<(Row, Series)>,
    /// What it failed at, and with what.
    failures: Vec<(Measure, String)>,
}

impl Found {
    fn new(peer: Peer) -> Self {
        Self {
            peer,
            rows: Row::ALL.map(|row| (row, row.series())).to_vec(),
            failures: Vec::new(),
        }
    }

    fn push(&mut self, row: Row, value: f64) {
        if let Some((_, series)) = self.rows.iter_mut().find(|(other, _)| *other == row) {
            series.push(value);
        }
    }

    /// Its values, if it has any.
    fn of(&self, row: Row) -> Option<&Series> {
        let found = self.rows.iter().find(|(other, _)| *other == row);
        found
            .map(|(_, series)| series)
            .filter(|series| !series.values().is_empty())
    }
}

/// All of it, to the page.
pub(crate) async fn run(options: &Options) -> Result {
    let peers: Vec<Peer> = Peer::ALL
        .into_iter()
        .enumerate()
        .filter(|(number, peer)| *number == 0 || options.wants(peer.name))
        .map(|(_, peer)| peer)
        .collect();
    if peers.len() < 2 {
        let names = Peer::ALL.map(|peer| peer.name).join(", ");
        return Err(Failure::new(format!(
            "no peer has these words in its name: {names}"
        )));
    }
    let installed = Installed::prepare(&peers)?;
    let ground = Ground::prepare().await?;
    let facts = ground.facts().await?;
    let mut size = options.size(Size::WHOLE, Size::QUICK);
    if let Some(events) = options.events {
        size.events = u64::try_from(events)?;
        size.storm = size.events / 2;
    }
    let mut found: Vec<Found> = peers.into_iter().map(Found::new).collect();
    let runs = options.runs(3, 1);
    // The round that warms up is a small one; a quick run has none.
    for run in usize::from(options.quick)..=runs {
        let of_round = if run == 0 { Size::QUICK } else { size };
        for measure in Measure::ALL {
            for found in &mut found {
                round(measure, found, &ground, &installed, of_round, run).await?;
            }
        }
    }
    page::write(&found, facts, options, size)
}

/// One measure of one peer. Ours must not fail.
async fn round(
    measure: Measure,
    found: &mut Found,
    ground: &Ground,
    installed: &Installed,
    size: Size,
    run: usize,
) -> Result {
    if found.failures.iter().any(|(failed, _)| *failed == measure) {
        return Ok(());
    }
    let since = Instant::now();
    let name = found.peer.name;
    match measure.run(found.peer, ground, installed, size).await {
        Ok(values) => {
            let told: Vec<String> = values
                .iter()
                .map(|(row, value)| format!("{} {value:.2}", row.title()))
                .collect();
            let seconds = since.elapsed().as_secs();
            eprintln!(
                "run {run}: {measure:?} of {name} in {seconds} s: {}",
                told.join("; ")
            );
            if run > 0 {
                values.into_iter().for_each(|(row, value)| found.push(row, value));
            }
            Ok(())
        }
        Err(failure) if found.peer.kind == peer::Kind::Ours => Err(failure),
        Err(failure) => {
            eprintln!("run {run}: {measure:?} of {name} failed: {failure}");
            let first = failure.to_string().lines().next().unwrap_or_default().to_owned();
            found.failures.push((measure, first));
            Ok(())
        }
    }
}
