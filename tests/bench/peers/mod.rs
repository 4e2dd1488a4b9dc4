//! `cargo xtask bench peers`: ours beside what else brings events from Postgres to Redis Streams, each set up as its own documentation
//! says (`bench/peers`), on the same servers in the same run, in turns.
//!
//! Authoritative for what was committed are counters in the transactions that insert; for what was published, the stream, as a reader
//! finds it. A peer that ends by itself is started again. One that fails at something has no value of that round, and the page says
//! with what; a goal that has nothing to be judged by fails the whole.

mod drain;

mod ground;

mod install;

mod latency;

pub(crate) mod mark;

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
use super::turn::turns;
use ground::{Ground, Room};
use install::Installed;
use peer::Peer;
use row::Row;
use running::Running;

/// For so long at most somebody has the backlog of ours to be compared with it: well within what a drain may take.
const JUDGED_AT_MOST: Duration = Duration::from_secs(450);
const MIB: f64 = 1024.0 * 1024.0;
/// Rates of the delays, in events a second.
const CALM: u32 = 200;
const BUSY: u32 = 1_000;

/// Rounds that count.
const RUNS: usize = 3;

/// How large a round is.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Of the backlog, at most.
    events: u64,
    /// Who is slow has a backlog for about so long, which is no smaller than that of the round that warms up.
    drain: Option<Duration>,
    /// Of the backlog in which it is killed.
    storm: u64,
    kills: u64,
    /// For each rate, behind the time in which it warms up: a Java program compiles what it does often.
    delay: Duration,
    warm: Duration,
    /// For producers, with it and without.
    load: Duration,
    /// Of the moments at which events come: the same for all of a round.
    seed: u64,
}

impl Size {
    const WHOLE: Self = Self {
        events: 1_000_000,
        drain: Some(Duration::from_secs(30)),
        storm: 50_000,
        kills: 10,
        delay: Duration::from_secs(15),
        warm: Duration::from_secs(10),
        load: Duration::from_secs(8),
        seed: 0,
    };
    const QUICK: Self = Self {
        events: 10_000,
        drain: None,
        storm: 20_000,
        kills: 3,
        delay: Duration::from_secs(3),
        warm: Duration::from_secs(1),
        load: Duration::from_secs(2),
        seed: 0,
    };

    /// How large the backlog of somebody is who published so many a second in a small one. Whoever is within twice the time of the
    /// whole has the whole, so that the fast ones are compared with the same.
    /// Who is judged has the whole too, unless that takes for ever.
    fn backlog(self, small_rate: f64, is_judged: bool) -> u64 {
        let Some(drain) = self.drain else {
            return self.events;
        };
        if is_judged && small_rate * JUDGED_AT_MOST.as_secs_f64() >= self.events as f64 {
            return self.events;
        }
        let fits = (small_rate * drain.as_secs_f64()) as u64;
        if fits * 2 >= self.events {
            return self.events;
        }
        (fits / 10_000 * 10_000).clamp(Self::QUICK.events, self.events)
    }
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
    ) -> Result<(Vec<(Row, f64)>, u32)> {
        let mut room = ground.room(peer).await?;
        let mut running = Running::new(peer, installed)?;
        let found = self.within(&mut room, &mut running, size).await;
        running.stop().await?;
        ground.leave(room).await?;
        if running.ended() > 0 {
            eprintln!("{}: it ended by itself {} times", peer.name, running.ended());
        }
        Ok((found?, running.ended()))
    }

    /// The rows that it gives.
    fn rows(self) -> &'static [Row] {
        match self {
            Self::Drain => &[
                Row::Drain,
                Row::Later,
                Row::OfRaw,
                Row::First,
                Row::Alone,
                Row::Memory,
            ],
            Self::Delay => &[
                Row::P50At200,
                Row::P99At200,
                Row::RateAt200,
                Row::KeptAt200,
                Row::P50At1000,
                Row::P99At1000,
                Row::RateAt1000,
                Row::KeptAt1000,
                Row::BelowZero,
            ],
            Self::Producers => &[Row::Producers, Row::Published, Row::Part, Row::Left],
            Self::Storm => &[
                Row::Waiting,
                Row::Lost,
                Row::Phantom,
                Row::Doubled,
                Row::Reordered,
            ],
        }
    }

    async fn within(self, room: &mut Room, running: &mut Running<'_>, size: Size) -> Result<Vec<(Row, f64)>> {
        match self {
            Self::Drain => {
                let drained = drain::measure(room, running, size.events).await?;
                let mut values = vec![
                    (Row::Drain, drained.rate),
                    (Row::OfRaw, drained.rate / drained.raw),
                    (Row::First, drained.first),
                    (Row::Alone, drained.alone),
                    (Row::Memory, drained.memory as f64 / MIB),
                ];
                values.extend(drained.later.map(|later| (Row::Later, later)));
                Ok(values)
            }
            Self::Delay => {
                running.start(room)?;
                running.works(room).await?;
                let calm = latency::measure(room, CALM, [size.warm, size.delay], size.seed);
                let calm = running.beside(room, calm).await?;
                let busy = latency::measure(room, BUSY, [size.warm, size.delay], size.seed);
                let busy = running.beside(room, busy).await?;
                Ok(vec![
                    (Row::P50At200, calm.seen.at(0.5)),
                    (Row::P99At200, calm.seen.at(0.99)),
                    (Row::RateAt200, calm.rate),
                    (Row::KeptAt200, calm.rate / calm.scheduled),
                    (Row::P50At1000, busy.seen.at(0.5)),
                    (Row::P99At1000, busy.seen.at(0.99)),
                    (Row::RateAt1000, busy.rate),
                    (Row::KeptAt1000, busy.rate / busy.scheduled),
                    (Row::BelowZero, (calm.below_zero + busy.below_zero) as f64),
                ])
            }
            Self::Producers => {
                let bare = producers::bare(room, size.load).await?;
                running.start(room)?;
                running.works(room).await?;
                let beside = producers::beside(room, running, size.load).await?;
                Ok(vec![
                    (Row::Producers, beside.rate / bare),
                    (Row::Published, beside.published),
                    (Row::Part, beside.published / beside.rate),
                    (Row::Left, beside.left as f64),
                ])
            }
            Self::Storm => {
                let stormed = storm::measure(room, running, size.storm, size.kills).await?;
                let verdict = stormed.verdict;
                let least = stormed.waiting.iter().min().copied().unwrap_or_default();
                eprintln!(
                    "{}: events that waited at each kill: {:?}",
                    room.peer().name,
                    stormed.waiting
                );
                Ok(vec![
                    (Row::Waiting, least as f64),
                    (Row::Lost, verdict.lost as f64),
                    (Row::Phantom, verdict.phantom as f64),
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
    /// What it failed at, and with what, each time.
    failures: Vec<(Measure, String)>,
    /// How often it ended by itself, and was started again.
    ended: u32,
    /// Of its backlog.
    events: u64,
}

impl Found {
    fn new(peer: Peer, events: u64) -> Self {
        Self {
            peer,
            rows: Row::ALL.map(|row| (row, row.series())).to_vec(),
            failures: Vec::new(),
            ended: 0,
            events,
        }
    }

    /// The value of a round, or that it has none.
    fn note(&mut self, row: Row, value: Option<f64>) {
        if let Some((_, series)) = self.rows.iter_mut().find(|(other, _)| *other == row) {
            match value {
                Some(value) => series.push(value),
                None => series.miss(),
            }
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
    let mut facts = ground.facts().await?;
    for (what, version) in installed.facts(&peers)? {
        facts.add(&what, version);
    }
    let mut size = options.size(Size::WHOLE, Size::QUICK);
    if let Some(events) = options.events {
        size.events = u64::try_from(events)?;
        size.storm = size.events / 2;
        size.drain = None;
    }
    let mut found: Vec<Found> = peers
        .into_iter()
        .map(|peer| Found::new(peer, size.events))
        .collect();
    let (runs, whole) = (options.runs(RUNS, 1), size);
    // The round that warms up is a small one; a quick run has none.
    for run in usize::from(options.quick)..=runs {
        let mut of_round = if run == 0 { Size::QUICK } else { size };
        of_round.seed = rand::random();
        eprintln!("run {run} of {runs}: moments of seed {}", of_round.seed);
        for measure in Measure::ALL {
            for place in turns(found.len(), run) {
                let found = &mut found[place];
                let mut size = of_round;
                if run > 0 {
                    size.events = found.events;
                }
                let rate = round(measure, found, &ground, &installed, size, run).await?;
                if let (0, Some(rate)) = (run, rate) {
                    found.events = whole.backlog(rate, page::is_judged_by_backlog(found.peer.name));
                }
            }
        }
    }
    facts.add_if_any("asked for", options.told());
    page::write(&found, facts, options, size)
}

/// One measure of one peer, and how fast it was in a backlog. Ours must not fail.
async fn round(
    measure: Measure,
    found: &mut Found,
    ground: &Ground,
    installed: &Installed,
    size: Size,
    run: usize,
) -> Result<Option<f64>> {
    let since = Instant::now();
    let name = found.peer.name;
    let values = match measure.run(found.peer, ground, installed, size).await {
        Ok((values, ended)) => {
            found.ended += ended;
            values
        }
        Err(failure) if found.peer.kind == peer::Kind::Ours => return Err(failure),
        Err(failure) => {
            eprintln!("run {run}: {measure:?} of {name} failed: {failure}");
            let first = failure.to_string().lines().next().unwrap_or_default().to_owned();
            found.failures.push((measure, first));
            Vec::new()
        }
    };
    let told: Vec<String> = values
        .iter()
        .map(|(row, value)| format!("{} {value:.2}", row.title()))
        .collect();
    let seconds = since.elapsed().as_secs();
    eprintln!(
        "run {run}: {measure:?} of {name} in {seconds} s: {}",
        told.join("; ")
    );
    let of = |wanted: Row| {
        let found = values.iter().find(|(row, _)| *row == wanted);
        found.map(|(_, value)| *value)
    };
    if run > 0 {
        measure.rows().iter().for_each(|row| found.note(*row, of(*row)));
    }
    Ok(of(Row::Later).or_else(|| of(Row::Drain)))
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn who_is_slow_has_a_backlog_that_fits_and_who_is_fast_the_whole() {
        for (rate, events) in [
            (100_000.0, 1_000_000),
            (20_000.0, 1_000_000),
            (7_010.0, 210_000),
            (3.0, 10_000),
        ] {
            assert_eq!(Size::WHOLE.backlog(rate, false), events, "{rate}");
        }
        for (rate, events) in [(7_010.0, 1_000_000), (3.0, 10_000)] {
            assert_eq!(Size::WHOLE.backlog(rate, true), events, "{rate}, judged");
        }
        assert_eq!(Size::QUICK.backlog(1.0, false), 10_000);
    }
}
