//! Follows the layouts: one question about all of them every second, a walk over the keys for new writers now and then, and
//! what is left of older generations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Known;
use super::opening::{Opening, Part};
use super::redis::Link;
use crate::consume::Error;
use crate::consume::layout::{Layout, Rest};
use crate::consume::retry::OUTAGE;
use crate::consume::shared::Shared;
use crate::consume::stream::{Flow, Stream};
use crate::event::EntryId;
use crate::standing::Standing;

/// How often the layouts are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While an entry waits for its generation.
const LOOK_SOON: Duration = Duration::from_millis(100);
/// Older streams that did not move for so long hold a newer generation back.
const STILL_FOR_LONG: Duration = Duration::from_secs(30);
/// For so long a barrier that closed is looked at often.
const CLOSED_LATELY: Duration = Duration::from_secs(5);
/// The line of the board for all of this.
const LINE: &str = "discovery";

/// When what is due, and what was seen last.
struct Clock {
    writers_at: Option<Instant>,
    /// Whether anything is parked that came from a stream which is no longer read: asked as often as a lease lasts.
    back_at: Instant,
    closed: BTreeMap<Flow, Closed>,
}

/// A flow with a generation that somebody waits for.
struct Closed {
    since: Instant,
    /// How far its older streams were passed, and since when that is so.
    passed: Vec<Option<EntryId>>,
    still_since: Instant,
}

/// Follows what there is to read until the token is cancelled.
pub(in crate::consume) async fn follow(shared: &Shared, token: &CancellationToken) {
    let now = Instant::now();
    let mut clock = Clock {
        writers_at: shared.settings.discovery.map(|_| now),
        back_at: now,
        closed: BTreeMap::new(),
    };
    let mut troubles = 0;
    while !token.is_cancelled() {
        let Some(outcome) = token.run_until_cancelled(look(shared, &mut clock)).await else {
            return;
        };
        let pause = match outcome {
            Ok(()) => {
                troubles = 0;
                shared.board.clear(LINE);
                let is_lately = |closed: &Closed| closed.since.elapsed() < CLOSED_LATELY;
                if clock.closed.values().any(is_lately) {
                    LOOK_SOON
                } else {
                    LOOK_EVERY
                }
            }
            Err(error) => {
                troubles += 1;
                let cause = format!("{error}. {}", error.advice());
                shared.board.set(LINE, Standing::Waiting { cause });
                tracing::warn!(%error, advice = error.advice(), troubles, "could not look for streams");
                OUTAGE.pause(troubles)
            }
        };
        let waited = async {
            // Whoever asks is told soon, and not faster than that.
            tokio::time::sleep(pause.min(LOOK_SOON)).await;
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(LOOK_SOON)) => {}
                () = shared.discovery.asked.notified() => {}
            }
        };
        token.run_until_cancelled(waited).await;
    }
}

async fn look(shared: &Shared, clock: &mut Clock) -> Result<(), Error> {
    let now = Instant::now();
    if clock.writers_at.is_some_and(|at| at <= now) {
        look_for_writers(shared).await?;
        clock.writers_at = shared.settings.discovery.map(|every| now + every);
    }
    let flows = shared.discovery.flows().clone();
    read_layouts(shared, &flows).await?;
    let is_back_due = clock.back_at <= now;
    if is_back_due {
        clock.back_at = now + shared.settings.lease;
    }
    let known = shared.discovery.known.borrow().clone();
    let is_due = |opening: &Opening| {
        !opening.unfinished().is_empty() || (is_back_due && !opening.retired().is_empty())
    };
    let due = known.into_iter().filter(|(_, opening)| is_due(opening)).collect();
    let passed = finish(shared, due).await?;
    show_closed(shared, passed, &mut clock.closed);
    Ok(())
}

/// Learns what holds for a flow at this moment: what follows on its streams is announced there.
pub(in crate::consume) async fn refresh(shared: &Shared, flow: &Flow) -> Result<(), Error> {
    read_layouts(shared, &BTreeSet::from([flow.clone()])).await?;
    let known = || shared.discovery.known.borrow().get(flow).cloned();
    let Some(opening) = known().filter(|opening| opening.layout().newest() > 0) else {
        return Ok(());
    };
    if opening.unfinished().is_empty() {
        // Nothing is left there, unless the group was set back.
        let older: BTreeSet<String> = opening
            .layout()
            .older()
            .map(|(_, partition)| flow.stream(&shared.settings.prefix, partition).key)
            .collect();
        for older in shared.store.older(older.into_iter().take(1).collect()).await? {
            shared.discovery.note_seeks(older.seeks);
        }
    }
    match known() {
        Some(opening) if !opening.unfinished().is_empty() => {
            finish(shared, Known::from([(flow.clone(), opening)]))
                .await
                .map(drop)
        }
        _ => Ok(()),
    }
}

async fn look_for_writers(shared: &Shared) -> Result<(), Error> {
    let (prefix, topics) = (&shared.settings.prefix, shared.routes.topics());
    let mut link = connected(shared).await?;
    let keys = keeping(shared, link.writers(prefix).await).await?;
    let streams = keys.iter().filter_map(|key| Stream::parse(prefix, &topics, key));
    for flow in streams
        .map(|stream| stream.flow())
        .filter(|flow| flow.writer.is_some())
    {
        if shared.discovery.add(flow.clone()) {
            tracing::info!(topic = flow.topic, writer = flow.writer, "found a new writer");
        }
    }
    Ok(())
}

async fn read_layouts(shared: &Shared, flows: &BTreeSet<Flow>) -> Result<(), Error> {
    let prefix = &shared.settings.prefix;
    let keys: Vec<String> = flows.iter().map(|flow| flow.layout_key(prefix)).collect();
    let mut link = connected(shared).await?;
    let texts = keeping(shared, link.layouts(&keys).await).await?;
    for ((flow, key), text) in flows.iter().zip(&keys).zip(texts) {
        let problem = match text.as_deref().map_or(Ok(Layout::single()), Layout::parse) {
            Ok(layout) => learn(shared, flow, layout),
            Err(error) => Some(error.to_string()),
        };
        match problem {
            None => shared.board.clear(key),
            Some(problem) => {
                let cause =
                    format!("{problem}: the streams known before are read on. Look at what wrote this key.");
                shared.board.set(key, Standing::Waiting { cause });
            }
        }
    }
    Ok(())
}

/// Takes a layout over; says what is wrong with it.
fn learn(shared: &Shared, flow: &Flow, layout: Layout) -> Option<String> {
    let mut problem = None;
    shared.discovery.known.send_if_modified(|known| {
        let Some(opening) = known.get_mut(flow) else {
            known.insert(flow.clone(), Opening::new(layout));
            return true;
        };
        let before = opening.layout().clone();
        if !opening.learn(layout) {
            problem = Some("the layout of this topic contradicts the one it had".to_owned());
        }
        *opening.layout() != before
    });
    problem
}

/// Asks what is left on the streams of older generations. Returns how far they were passed.
async fn finish(shared: &Shared, due: Known) -> Result<Vec<(Flow, Option<EntryId>)>, Error> {
    let key = |flow: &Flow, part: Part| flow.stream(&shared.settings.prefix, part.1).key;
    let asked: Vec<(&Flow, Part)> = due
        .iter()
        .flat_map(|(flow, opening)| parts_of(flow, opening))
        .collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let keys = asked.iter().map(|(flow, part)| key(flow, *part)).collect();
    let mut passed = Vec::with_capacity(asked.len());
    let mut seeks = 0;
    for ((flow, part), older) in asked.iter().zip(shared.store.older(keys).await?) {
        let is_retired = due[*flow].retired().contains(&part.1);
        seeks = older.seeks;
        let is_current = shared.discovery.update_at(seeks, Some(flow), |opening| {
            opening.note(*part, Rest::Passed(older.passed));
            if is_retired {
                opening.note_waiting(part.1, older.is_waiting);
            }
        });
        if !is_current {
            return Ok(Vec::new());
        }
        passed.push(((*flow).clone(), older.passed));
    }
    for (flow, before) in &due {
        let left = shared.discovery.known.borrow().get(flow).map(Opening::unfinished);
        let left = left.unwrap_or_default().into_iter();
        for part in left.filter(|part| before.may_be_empty(*part)) {
            let mut link = connected(shared).await?;
            let first = link.first(&key(flow, part), shared.store.consumer()).await;
            let rest = Rest::First(keeping(shared, first).await?);
            shared
                .discovery
                .update_at(seeks, Some(flow), |opening| opening.note(part, rest));
        }
    }
    Ok(passed)
}

fn parts_of<'a>(flow: &'a Flow, opening: &Opening) -> Vec<(&'a Flow, Part)> {
    let (unfinished, retired) = (opening.unfinished(), opening.retired());
    let parts = opening.layout().older();
    parts
        .filter(|part| unfinished.contains(part) || retired.contains(&part.1))
        .map(|part| (flow, part))
        .collect()
}

/// Says which streams hold a generation back when they do not move.
fn show_closed(shared: &Shared, passed: Vec<(Flow, Option<EntryId>)>, closed: &mut BTreeMap<Flow, Closed>) {
    let now = Instant::now();
    for (flow, opening) in shared.discovery.known.borrow().iter() {
        let line = format!("partitions of {flow}");
        if !opening.is_awaited() {
            if closed.remove(flow).is_some() {
                shared.board.clear(&line);
            }
            continue;
        }
        let of_flow = passed.iter().filter(|(of, _)| of == flow);
        let passed: Vec<_> = of_flow.map(|(_, passed)| *passed).collect();
        let seen = closed.entry(flow.clone()).or_insert_with(|| Closed {
            since: now,
            passed: Vec::new(),
            still_since: now,
        });
        if seen.passed != passed {
            (seen.passed, seen.still_since) = (passed, now);
            shared.board.clear(&line);
        } else if now - seen.still_since > STILL_FOR_LONG {
            let older = opening.unfinished().into_iter();
            let keys = older.map(|(_, partition)| flow.stream(&shared.settings.prefix, partition).key);
            let keys: BTreeSet<String> = keys.collect();
            let cause = format!(
                "events wait in the newer partitions until the group has passed what is left of the older ones, and those do \
                 not move: {}. Look at what holds them.",
                keys.into_iter().take(3).collect::<Vec<_>>().join(", ")
            );
            shared.board.set(&line, Standing::Waiting { cause });
        }
    }
}

async fn connected(shared: &Shared) -> Result<Link, Error> {
    let mut link = shared.discovery.link.lock().await;
    if let Some(link) = &*link {
        return Ok(link.clone());
    }
    let new = Link::connect(&shared.redis).await?;
    *link = Some(new.clone());
    Ok(new)
}

/// After trouble the connection is not used again.
async fn keeping<T>(shared: &Shared, outcome: Result<T, Error>) -> Result<T, Error> {
    if outcome.is_err() {
        *shared.discovery.link.lock().await = None;
    }
    outcome
}
