//! What is on the streams after a visit, and what the witness says of it: everything, what is left where old entries were trimmed,
//! or what stands in its place where entries were lost and put out again.

use system_tests::arrival::{self, arrived, events_of};
use system_tests::patience::until;
use system_tests::shop::TOPIC;
use system_tests::stream::{self, Entry, EntryId};
use system_tests::{Failure, Journal, Result, Witness, World};

use super::scene::LIMIT;
use super::table::Provocation;

/// The streams of a topic, by their keys.
type Streams = Vec<(String, Vec<Entry>)>;

pub(super) async fn judge(world: &World, provocation: Provocation, journal: &Journal) -> Result {
    let topics = [TOPIC.to_owned()];
    let verdict = match provocation {
        Provocation::Old => {
            let left = stream::of_topic(&mut world.redis().await?, TOPIC).await?;
            Witness::new(journal).rest(TOPIC, &left).verdict()
        }
        Provocation::Gone => super::gone::judge(world, journal).await?,
        Provocation::Loss => Witness::new(journal)
            .partitions(TOPIC, &in_place(world).await?)
            .verdict(),
        _ => {
            arrived(world, &topics, LIMIT).await?;
            arrival::judge(world, journal, &topics).await?
        }
    };
    eprintln!("streams, {provocation:?}: {verdict}");
    verdict.clean()
}

/// What stands in its place, once everything is there: without what was put out again behind an earlier entry.
async fn in_place(world: &World) -> Result<Streams> {
    let expected = usize::try_from(events_of(world, &[TOPIC.to_owned()]).await?)?;
    let mut seen = 0;
    let came = until("everything is in its place", LIMIT, async || {
        let (reissues, streams) = standing(world).await?;
        if reissues == 0 {
            return Err(Failure::new("nothing was put out again: nothing was shown"));
        }
        seen = streams
            .iter()
            .flat_map(|(_, entries)| entries)
            .filter(|entry| !entry.is_control())
            .count();
        Ok((seen >= expected).then_some(streams))
    });
    came.await
        .map_err(|failure| Failure::new(format!("{failure}: {seen} of {expected} events")))
}

/// How many re-issues there were, and what is on the streams without what they put out again behind an earlier entry.
pub(super) async fn standing(world: &World) -> Result<(usize, Streams)> {
    let (mut redis, mut connection) = (world.redis().await?, world.connect().await?);
    let reissues: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "select s.name, b.batch_id, r.kept_batch_id, r.kept_position from outbox.reissue r \
         join outbox.batch b on b.number = r.batch_number \
         join outbox.topic_stream s on s.topic = r.topic and s.partition = r.partition",
    )
    .fetch_all(&mut connection)
    .await?;
    let mut streams = stream::of_topic(&mut redis, TOPIC).await?;
    for (key, entries) in &mut streams {
        entries.retain(|entry| {
            let is_of = |name: &str| key.strip_prefix("outbox:") == Some(name);
            !reissues.iter().any(|(name, batch, kept, position)| {
                let kept = EntryId(kept.unsigned_abs(), position.unsigned_abs());
                is_of(name) && kept < entry.id && entry.id.0 < batch.unsigned_abs()
            })
        });
    }
    Ok((reissues.len(), streams))
}
