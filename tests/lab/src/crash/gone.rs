//! Entries that are lost for good: everybody had them, Redis lost them, and the log no longer has them.

use sqlx::Executor;
use system_tests::patience::until;
use system_tests::shop::TOPIC;
use system_tests::stream::{EntryId, entries};
use system_tests::witness::Verdict;
use system_tests::{Failure, Journal, Result, Witness, World};

use super::scene::{LIMIT, PARTITIONS, Scene};
use super::streams::standing;

/// So many of each stream.
const TAKEN: usize = 3;

impl Scene {
    /// Takes the last entries off each stream and out of the log, once the member has settled all and the relay has recorded it.
    pub(super) async fn lose_for_good(&mut self) -> Result {
        self.load(40).await?;
        let events = self.stop_producers().await?;
        self.shop.settled(events, LIMIT).await?;
        let (mut redis, mut connection) = (self.world.redis().await?, self.world.connect().await?);
        let (mut gone, mut commands) = (Vec::new(), Vec::new());
        for partition in 0..PARTITIONS {
            let stream = format!("outbox:{TOPIC}:{partition}");
            let all = entries(&mut redis, &stream).await?;
            let last = all
                .last()
                .ok_or_else(|| Failure::new(format!("{stream} is empty")))?;
            until("the end is recorded", LIMIT, async || {
                let recorded: bool = sqlx::query_scalar(
                    "select exists (select from outbox.progress \
                     where topic = $1 and chain_batch_id = $2 and chain_position = $3)",
                )
                .bind(TOPIC)
                .bind(last.id.0.cast_signed())
                .bind(last.id.1.cast_signed())
                .fetch_one(&mut connection)
                .await?;
                Ok(recorded.then_some(()))
            })
            .await?;
            let mut command = redis::cmd("XDEL");
            command.arg(&stream);
            for entry in all.iter().rev().take(TAKEN) {
                command.arg(entry.id.to_string());
                gone.push(entry.id.1.cast_signed());
            }
            commands.push(command);
        }
        // Off the log first: what a relay had begun to put out again could not vanish from under it.
        connection
            .execute("set session_replication_role = replica")
            .await?;
        sqlx::query("delete from outbox.log where position = any($1)")
            .bind(gone)
            .execute(&mut connection)
            .await?;
        for command in commands {
            command.query_async::<()>(&mut redis).await?;
        }
        self.start_producers().await
    }
}

/// What was taken is recorded as lost, once, with its range, and everything behind that is there. What is left before it ends where
/// the range begins: what all groups have acknowledged is trimmed up to it.
pub(super) async fn judge(world: &World, journal: &Journal) -> Result<Verdict> {
    let mut connection = world.connect().await?;
    until("nothing is left to publish", LIMIT, async || {
        let left: i64 = sqlx::query_scalar("select coalesce(sum(events), 0)::bigint from outbox_ops.backlog")
            .fetch_one(&mut connection)
            .await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    let losses: Vec<(String, String, String)> =
        sqlx::query_as("select stream, after_entry, through_entry from outbox.loss order by number")
            .fetch_all(&mut connection)
            .await?;
    let (_, streams) = standing(world).await?;
    let mut witness = Witness::new(journal);
    for (key, entries) in streams
        .into_iter()
        .filter(|(key, _)| key.matches(':').count() == 2)
    {
        let wrong = || Failure::new(format!("of {key} this is recorded as lost: {losses:?}"));
        let mut of_it = losses.iter().filter(|(stream, _, _)| *stream == key);
        let (Some((_, after, through)), None) = (of_it.next(), of_it.next()) else {
            return Err(wrong());
        };
        let (after, through) = (EntryId::parse(after), EntryId::parse(through));
        let (before, behind): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| Some(entry.id) <= after);
        if before.last().is_some_and(|entry| Some(entry.id) != after)
            || behind.first().and_then(|entry| entry.previous_id) != through
        {
            return Err(wrong());
        }
        witness = witness.rest(TOPIC, &[(key.clone(), before), (key, behind)]);
    }
    Ok(witness.verdict())
}
