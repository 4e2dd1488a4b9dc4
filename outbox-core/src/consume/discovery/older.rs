//! What is left of older generations, and who or what holds a newer one back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::Known;
use super::opening::{Opening, Part};
use super::pg::Older;
use super::redis::Link;
use crate::consume::Error;
use crate::consume::inbox::window::mark;
use crate::consume::layout::Rest;
use crate::consume::shared::Shared;
use crate::consume::stream::Flow;
use crate::event::EntryId;
use crate::hole::{self, Hole};
use crate::standing::Standing;

/// Older streams that did not move for so long hold a newer generation back.
const STILL_FOR_LONG: Duration = Duration::from_secs(30);
/// For so long a barrier that closed is looked at often, and a layout may be behind: the relay compares it every second.
const CLOSED_LATELY: Duration = Duration::from_secs(5);

/// A flow with a generation that somebody waits for, or that its layout does not know.
pub(super) struct Closed {
    since: Instant,
    /// How far its older streams were passed, and since when that is so.
    passed: Vec<Option<EntryId>>,
    still_since: Instant,
}

impl Closed {
    pub(super) fn is_lately(&self) -> bool {
        self.since.elapsed() < CLOSED_LATELY
    }
}

/// Asks what is left on the streams of older generations. Returns how far they were passed.
pub(super) async fn finish(shared: &Shared, due: Known) -> Result<Vec<(Flow, Option<EntryId>)>, Error> {
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
    let (mut seeks, mut answers) = (0, BTreeMap::new());
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
        answers.insert((*flow, *part), older);
    }
    for (flow, before) in &due {
        let left = shared.discovery.known.borrow().get(flow).map(Opening::unfinished);
        let left = left.unwrap_or_default().into_iter();
        for part in left.filter(|part| before.may_be_empty(*part)) {
            // What was not asked for is so with the next look.
            let (Some(older), Some(end)) = (answers.get(&(flow, part)), before.layout().end(part.0)) else {
                continue;
            };
            let rest = shared
                .discovery
                .ask(&shared.redis, async |link| {
                    rest(shared, link, &key(flow, part), older, end).await
                })
                .await?;
            if let Some(rest) = rest {
                shared
                    .discovery
                    .update_at(seeks, Some(flow), |opening| opening.note(part, rest));
            }
        }
    }
    Ok(passed)
}

/// What is left for the group on a stream whose generation has this end; none as long as that is not known.
async fn rest(
    shared: &Shared,
    link: &mut Link,
    stream: &str,
    older: &Older,
    end: EntryId,
) -> Result<Option<Rest>, Error> {
    let passed = older.passed.unwrap_or(EntryId::MIN);
    if older.given_up >= Some(end) {
        // What a seek left is on no stream: the group passes it first.
        return Ok(match older.prelude {
            Some(_) => None,
            None => Some(match link.first_of_chain(stream, passed, end).await? {
                Some(first) => Rest::First(first),
                None => {
                    Question::of(shared, stream, end).take_back(link).await?;
                    Rest::GivenUp
                }
            }),
        });
    }
    if passed > EntryId::MIN {
        // The group was reading there: what it has not passed and does not find is lost, unless a person says that it may go
        // on without.
        return Ok(None);
    }
    let rest = link.rest(stream, older.prelude.as_deref()).await?;
    let Some(Rest::Empty(last)) = rest else {
        return Ok(rest);
    };
    // A stream that was trimmed has had its end, and one that was never in use has no mark beside it.
    let mark = mark::key(&shared.settings.prefix, stream);
    match mark {
        Some(mark) if last < end && link.has_entry(&mark).await? => {
            Question::of(shared, stream, end).put(link).await
        }
        _ => Ok(rest),
    }
}

/// What the relay is asked about a stream of an older generation that was lost before the group passed anything of it: whether its
/// end comes again.
struct Question {
    holes: String,
    beginnings: String,
    field: String,
    hole: Hole,
}

impl Question {
    fn of(shared: &Shared, stream: &str, end: EntryId) -> Self {
        let (prefix, group) = (&shared.settings.prefix, shared.store.consumer());
        Self {
            holes: hole::key(prefix),
            beginnings: hole::beginnings(prefix),
            field: hole::field(stream, group),
            hole: Hole {
                stream: stream.to_owned(),
                group: group.to_owned(),
                missing: end,
                held: end,
                passed: None,
                since: OffsetDateTime::now_utc(),
            },
        }
    }

    /// Asks, and looks for the answer. None: the newer generations wait.
    async fn put(&self, link: &mut Link) -> Result<Option<Rest>, Error> {
        let said = link.field(&self.beginnings, &self.field).await?;
        if said == Some(self.hole.missing.to_string()) {
            self.take_back(link).await?;
            tracing::warn!(
                stream = self.hole.stream, end = %self.hole.missing,
                "the group begins behind an older stream: the relay says that it was lost for good before the group was there"
            );
            return Ok(Some(Rest::GivenUp));
        }
        let asked = link.field(&self.holes, &self.field).await?;
        if asked.is_none() {
            tracing::warn!(
                stream = self.hole.stream, end = %self.hole.missing,
                "held: an older stream of the topic was lost before the group passed anything of it; the relay is asked for it"
            );
            link.set_field(&self.holes, &self.field, &self.hole.value())
                .await?;
        }
        Ok(None)
    }

    async fn take_back(&self, link: &mut Link) -> Result<(), Error> {
        for key in [&self.beginnings, &self.holes] {
            link.drop_field(key, &self.field).await?;
        }
        Ok(())
    }
}

fn parts_of<'a>(flow: &'a Flow, opening: &Opening) -> Vec<(&'a Flow, Part)> {
    let (unfinished, retired) = (opening.unfinished(), opening.retired());
    let parts = opening.layout().older();
    parts
        .filter(|part| unfinished.contains(part) || retired.contains(&part.1))
        .map(|part| (flow, part))
        .collect()
}

/// Says which streams hold a generation back when they do not move, and which layout does not know what was announced.
pub(super) fn show_closed(
    shared: &Shared,
    passed: Vec<(Flow, Option<EntryId>)>,
    closed: &mut BTreeMap<Flow, Closed>,
) {
    let now = Instant::now();
    for (flow, opening) in shared.discovery.known.borrow().iter() {
        let line = format!("partitions of {flow}");
        if !opening.is_awaited() && !opening.is_unconfirmed() {
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
        }
        let cause = if opening.is_unconfirmed() {
            (!seen.is_lately()).then(|| unconfirmed(&flow.layout_key(&shared.settings.prefix)))
        } else {
            let older = opening.unfinished().into_iter();
            let ends = older.filter_map(|(generation, partition)| {
                let end = opening.layout().end(generation)?;
                let stream = flow.stream(&shared.settings.prefix, partition).key;
                Some(format!("{stream} up to {end}"))
            });
            (now - seen.still_since > STILL_FOR_LONG).then(|| still(&ends.collect()))
        };
        match cause {
            Some(cause) => shared.board.set(&line, Standing::Waiting { cause }),
            None => shared.board.clear(&line),
        }
    }
}

fn still(ends: &BTreeSet<String>) -> String {
    let ends: Vec<&str> = ends.iter().take(3).map(String::as_str).collect();
    format!(
        "events wait in the newer partitions until the group has passed what is left of the older ones, and those do not move: \
         {}. Look at what holds them. What a stream lost for good is given up with `outbox-relay consumer pass-hole --entry` and \
         the entry named here.",
        ends.join(", ")
    )
}

fn unconfirmed(key: &str) -> String {
    format!(
        "a stream says that its topic moved on to more partitions, and {key} does not say so: events behind it wait. The relay sets \
         that key within seconds; if it does not, look whether it runs, and who else writes to the streams of the topic."
    )
}
