//! Pure: what a look says about the streams that this member knows, and since when they are free.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::{Card, Look};
use crate::consume::balance::{Place, State};
use crate::consume::stream::Stream;

/// Since when streams are free, as this member saw it.
#[derive(Debug, Default)]
pub(super) struct Vacancies {
    since: HashMap<String, Instant>,
}

impl Vacancies {
    /// What follows from a look at `now`; `is_ours`: this member has a lane for it. A stream is left when it was free for
    /// longer than `patience`.
    pub(super) fn state(
        &mut self,
        look: &Look,
        me: &Card,
        streams: &BTreeMap<String, Stream>,
        is_ours: impl Fn(&str) -> bool,
        (now, patience): (Instant, Duration),
    ) -> State {
        let rows: HashMap<&str, _> = look.leases.iter().map(|row| (row.stream.as_str(), row)).collect();
        self.since.retain(|key, _| streams.contains_key(key));
        let mut places = Vec::with_capacity(streams.len());
        for (key, stream) in streams {
            let row = rows.get(key.as_str()).filter(|row| row.is_held);
            let mut holder = row.and_then(|row| row.holder.clone());
            // What an earlier process of this name left behind is nobody's until it runs out.
            if holder.as_ref() == Some(&me.name) && !is_ours(key) {
                holder = Some(String::new());
            }
            match &holder {
                Some(_) => drop(self.since.remove(key)),
                None => drop(self.since.entry(key.clone()).or_insert(now)),
            }
            places.push(Place {
                stream: stream.clone(),
                holder,
                is_left: self.is_left(key, now, patience),
            });
        }
        State {
            members: look.live(me),
            places,
            loads: look.loads(),
        }
    }

    /// Whether a stream was free for longer than that.
    pub(super) fn is_left(&self, stream: &str, now: Instant, patience: Duration) -> bool {
        let since = self.since.get(stream);
        since.is_some_and(|since| now.duration_since(*since) > patience)
    }
}
