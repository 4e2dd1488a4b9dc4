//! What is asked for, and what must be known of it before anything is said or done.

use super::history::Source;
use super::pg::{Group, Known};
use super::plan::{self, Refusal};
use super::redis::Streams;
use super::target::{Target, before};
use crate::consume::Error;
use crate::consume::stream::{self, Stream};
use crate::event::EntryId;
use crate::tail;
use crate::tail::pg::Dial;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The consumer group.
    pub group: String,
    /// The topic, all of whose streams are set back.
    pub topic: String,
    /// What precedes the topic in a stream's key.
    pub prefix: String,
    /// From where to read again.
    pub target: Target,
    /// Whether the group forgets what it applied, so that effects happen again.
    pub forget: bool,
    /// Why, for the audit.
    pub reason: String,
}

/// The servers of a seek.
pub struct Ends {
    /// The consumer's database.
    pub database: sqlx::PgPool,
    /// The Redis with the streams.
    pub redis: redis::Client,
    /// The producer's log, if it can be reached: what the streams no longer have comes from there.
    pub log: Option<(Dial, tail::Options)>,
}

/// A request with what is known of it.
pub(super) struct Prepared {
    pub(super) group: Group,
    pub(super) redis: Streams,
    pub(super) source: Source,
    /// Everything behind this is read again.
    pub(super) behind: EntryId,
    pub(super) streams: Vec<(Stream, Option<EntryId>)>,
    pub(super) known: Known,
    pub(super) refusal: Option<String>,
}

/// Finds the streams and the place, and whether the request must be refused.
pub(super) async fn prepare(ends: &Ends, request: &Request) -> Result<Prepared, Error> {
    let group = Group {
        pool: ends.database.clone(),
        name: request.group.clone(),
    };
    let mut redis = Streams::connect(&ends.redis).await?;
    let source = Source::open(ends.log.as_ref()).await?;
    let streams = streams(&mut redis, request, &group, &source).await?;
    let names: Vec<String> = streams.iter().map(|(stream, _)| stream.key.clone()).collect();
    let behind = match (&request.target, request.target.behind()) {
        (_, Some(behind)) => behind,
        (Target::Event(event), None) => find(request, &group, &source, &names, event).await?,
        (_, None) => EntryId::MIN,
    };
    let known = group.known(&names).await?;
    let refusal = refusal(behind, &known, request);
    Ok(Prepared {
        group,
        redis,
        source,
        behind,
        streams,
        known,
        refusal,
    })
}

impl Prepared {
    /// Whether the request must be refused after all, by what is known now that nobody applies the streams.
    pub(super) async fn look_again(&mut self, request: &Request) -> Result<Option<String>, Error> {
        let names: Vec<String> = self
            .streams
            .iter()
            .map(|(stream, _)| stream.key.clone())
            .collect();
        self.known = self.group.known(&names).await?;
        Ok(refusal(self.behind, &self.known, request))
    }
}

fn refusal(behind: EntryId, known: &Known, request: &Request) -> Option<String> {
    let forgotten_ms = known
        .forgotten_until
        .map(|seconds| (seconds.max(0.0) * 1000.0) as u64);
    plan::refuse(behind, forgotten_ms, request.forget, known.parked_keys).map(said)
}

/// The streams of the topic that the group applied, those that are there, and those that the log wrote and Redis lost.
async fn streams(
    redis: &mut Streams,
    request: &Request,
    group: &Group,
    source: &Source,
) -> Result<Vec<(Stream, Option<EntryId>)>, Error> {
    let topics = [request.topic.as_str()];
    let parse = |key: &str| Stream::parse(&request.prefix, &topics, key);
    let known = group.streams().await?;
    let mut streams: Vec<(Stream, Option<EntryId>)> = known
        .iter()
        .filter_map(|(key, passed)| Some((parse(key)?, *passed)))
        .collect();
    let pattern = stream::literal(&format!("{}{}", request.prefix, request.topic)) + "*";
    let found = redis.find(&pattern).await?;
    let found = found.iter().filter_map(|key| parse(key));
    let written = source.streams(&request.prefix, &request.topic).await?;
    for stream in found.chain(written) {
        if streams.iter().all(|(known, _)| known.key != stream.key) {
            streams.push((stream, None));
        }
    }
    if streams.is_empty() {
        // Nothing was published yet, or the log is not at hand: the group will begin with the one stream.
        streams.push((Stream::of_topic(&request.prefix, &request.topic), None));
    }
    // In the order in which every seek takes leases.
    streams.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
    Ok(streams)
}

async fn find(
    request: &Request,
    group: &Group,
    source: &Source,
    streams: &[String],
    event: &str,
) -> Result<EntryId, Error> {
    let found = match source.find(&request.topic, event).await? {
        Some(entry) => Some(entry),
        None => group.find(streams, event).await?,
    };
    found.map(before).ok_or_else(|| Error::Refused {
        said: format!(
            "event {event} of topic {} is neither in the log that was given nor known to consumer {}: name a time or an entry",
            request.topic, request.group
        ),
    })
}

fn said(refusal: Refusal) -> String {
    match refusal {
        Refusal::Forgotten => "the place lies before the time from which on the group remembers what it applied: everything \
             from there would become a dead letter, as too old. Name a later time, or forget the inbox to apply it all again"
            .to_owned(),
        Refusal::Parked { keys } => format!(
            "{keys} keys of these streams wait: what is applied again of them would come behind what waits. Redrive or \
             discard their dead letters first, or wait until their retries are over"
        ),
    }
}
