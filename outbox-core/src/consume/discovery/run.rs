//! Follows the layouts: one question about all of them every second, a walk over the keys for new writers now and then, and
//! what is left of older generations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Known;
use super::older::{Closed, finish, show_closed};
use super::opening::Opening;
use super::redis::Link;
use crate::consume::Error;
use crate::consume::layout::Layout;
use crate::consume::retry::OUTAGE;
use crate::consume::shared::Shared;
use crate::consume::stream::{Flow, Stream};
use crate::standing::Standing;

/// How often the layouts are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While an entry waits for its generation.
const LOOK_SOON: Duration = Duration::from_millis(100);
/// A walk that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The line of the board for all of this.
const LINE: &str = "discovery";

/// When what is due, and what was seen last.
struct Clock {
    /// Whether anything is parked that came from a stream which is no longer read: asked as often as a lease lasts.
    back_at: Instant,
    closed: BTreeMap<Flow, Closed>,
}

/// Follows what there is to read until the token is cancelled.
pub(in crate::consume) async fn follow(shared: &Shared, token: &CancellationToken) {
    tokio::join!(follow_layouts(shared, token), follow_writers(shared, token));
}

async fn follow_layouts(shared: &Shared, token: &CancellationToken) {
    let now = Instant::now();
    let mut clock = Clock {
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
                if clock.closed.values().any(Closed::is_lately) {
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

/// Walks over the keys now and then. What is known is read on meanwhile, also where the walk is not allowed.
async fn follow_writers(shared: &Shared, token: &CancellationToken) {
    let Some(every) = shared.settings.discovery else {
        return;
    };
    while !token.is_cancelled() {
        let pause = match token.run_until_cancelled(look_for_writers(shared)).await {
            Some(Err(error)) => {
                tracing::warn!(%error, advice = error.advice(), "could not look for streams of new writers");
                every.min(AGAIN_AFTER)
            }
            _ => every,
        };
        token.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

async fn look_for_writers(shared: &Shared) -> Result<(), Error> {
    let (prefix, topics) = (&shared.settings.prefix, shared.routes.topics());
    let keys = Link::connect(&shared.redis).await?.writers(prefix).await?;
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
    let texts = shared
        .discovery
        .ask(&shared.redis, async |link| link.layouts(&keys).await)
        .await?;
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
