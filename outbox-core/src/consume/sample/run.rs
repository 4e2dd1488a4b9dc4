//! Looks now and then, and shows what it saw.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::redis::Link;
use crate::consume::Error;
use crate::consume::metric::{GroupMeters, LagMeters};
use crate::consume::shared::Shared;

/// Often enough for a graph, seldom enough to cost nothing.
const EVERY: Duration = Duration::from_secs(10);
/// The first look, when leases were taken.
const FIRST: Duration = Duration::from_secs(2);

/// Shows what waits until the token is cancelled.
pub(in crate::consume) async fn watch(shared: &Shared, token: &CancellationToken) {
    let mut sampler = Sampler {
        shared,
        link: None,
        streams: BTreeMap::new(),
        group: GroupMeters::new(shared.store.consumer()),
    };
    let (mut pause, mut fails) = (FIRST, false);
    while token
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        let Some(outcome) = token.run_until_cancelled(sampler.look()).await else {
            break;
        };
        match outcome {
            Ok(()) => fails = false,
            Err(error) => {
                sampler.link = None;
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(%error, "could not look how far behind this consumer is; its gauges stand still");
                }
            }
        }
        pause = EVERY;
    }
    sampler.let_go();
}

struct Sampler<'a> {
    shared: &'a Shared,
    link: Option<Link>,
    /// The gauges of the streams that were this member's at the last look.
    streams: BTreeMap<String, LagMeters>,
    group: GroupMeters,
}

impl Sampler<'_> {
    async fn look(&mut self) -> Result<(), Error> {
        let (store, member) = (&self.shared.store, &self.shared.settings.member);
        let waiting = store.waiting(member).await?;
        if waiting.streams.is_empty() {
            self.let_go();
            return Ok(());
        }
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::connect(&self.shared.redis).await?,
        };
        let mut seen = BTreeMap::new();
        for of in &waiting.streams {
            let left = link
                .left(&of.stream, store.consumer(), of.passed.as_deref())
                .await?;
            let meters = match self.streams.remove(&of.stream) {
                Some(meters) => meters,
                None => LagMeters::new(store.consumer(), &of.stream),
            };
            meters.events.set(left.events());
            meters.seconds.set(left.seconds(now_milliseconds()));
            meters.parked_keys.set(of.keys as f64);
            meters.waiting_events.set(of.events as f64);
            seen.insert(of.stream.clone(), meters);
        }
        self.link = Some(link);
        self.group.letters.set(waiting.letters.unwrap_or(0) as f64);
        // What another member applies now is that one's to show.
        for meters in std::mem::replace(&mut self.streams, seen).into_values() {
            meters.let_go();
        }
        Ok(())
    }

    fn let_go(&mut self) {
        for meters in std::mem::take(&mut self.streams).into_values() {
            meters.let_go();
        }
        self.group.letters.set(0.0);
    }
}

fn now_milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
