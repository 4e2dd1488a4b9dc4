//! Where it cannot be told what is published, or somebody needs it still, nothing of a topic moves or goes.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Error, Expected, Outcome, StreamName, keep};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use system_tests::patience::until;
use system_tests::{Failure, Relay, Result, World};

const LIMIT: Duration = Duration::from_secs(120);
const REASON: &str = "closed long ago";

/// What the state is, how it is made, and what is said of it.
type State = (&'static str, &'static str, &'static str);

const STATES: [State; 13] = [
    (
        "a dump was loaded",
        "update outbox.era set system_identifier = 1",
        "POSTGRES-MOVED: the ledger was written on server 1",
    ),
    (
        "transactions are behind the ledger",
        "insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position, layouts)
         select number + 1, batch_id + 1, 'cut', era, epoch, '900000000:900000000:', 0, last_position, last_position, layouts
         from outbox.batch order by number desc limit 1",
        "POSTGRES-WENT-BACK: the last batch has seen transactions up to 900000000",
    ),
    (
        "no relay has led since a promotion",
        "set local session_replication_role = replica; delete from outbox.timeline; set local session_replication_role = origin;
         update outbox.era set timeline = timeline + 100",
        "POSTGRES-WENT-BACK: this server is on timeline",
    ),
    (
        "transaction ids were given away a second time",
        "insert into outbox.log (retention, topic, id, source, type, transaction_id)
         select 'standard', 'other', gen_random_uuid(), '/test', 'other', (pg_snapshot_xmin(b.snapshot)::text::bigint - 1)::text::xid8
         from outbox.batch b order by b.number desc limit 1",
        "which the last batch took for seen, and no batch has it",
    ),
    (
        "a relay found what it does not know",
        "insert into outbox.refusal (code, said, epoch) values ('STREAM-IS-AHEAD', 'the mark is of batch 9', 1)",
        "STREAM-IS-AHEAD: the mark is of batch 9",
    ),
    (
        "a recovery was begun",
        "insert into outbox.recovery (strategy, reason, found) values ('continue', 'test', '{}')",
        "(continue) was begun and is not finished",
    ),
    (
        "a recovery has opened its era",
        "insert into outbox.recovery (strategy, reason, found, state) values ('trust-database', 'test', '{}', 'opened')",
        "(trust-database) was begun and is not finished",
    ),
    (
        "the stream lost its end",
        "insert into outbox.stream_action (topic, action, reason) values ('points', 'lost', 'entry 5-1 is gone')",
        "topic points partition 0 is lost (entry 5-1 is gone)",
    ),
    (
        "the stream waits for a person",
        "insert into outbox.stream_action (topic, action, reason) values ('points', 'set_aside', 'too large')",
        "topic points partition 0 is set_aside (too large)",
    ),
    (
        "the sink does not take the stream",
        "insert into outbox.stream_action (topic, action, reason) values ('points', 'blocked', 'wrong type')",
        "topic points partition 0 is blocked (wrong type)",
    ),
    (
        "a group misses an entry",
        "insert into outbox.hole (topic, partition, group_name, stream, epoch, missing, held, since, state)
         values ('points', 0, 'reader', 'outbox:points', 1, '5-1', '5-2', now(), 'asked')",
        "group reader misses entry 5-1 of stream outbox:points",
    ),
    (
        "a person asked for it",
        "insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, is_preview, reason)
         values ('points', 0, 5, 1, false, 'test')",
        "asked to have topic points put out again from 5-1 on (order ",
    ),
    (
        "a person asked for it, after a preview",
        "insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, is_preview, reason)
         values ('points', 0, 5, 1, true, 'test'), ('points', 0, 0, 0, false, 'test')",
        "asked to have topic points put out again from 0-0 on (order ",
    ),
];

/// States in which it is known.
const NONE_OF_THESE: [&str; 4] = [
    "insert into outbox.stream_action (topic, action, reason) values ('points', 'lost', 'gone'), ('points', 'resume', 'mended'),
            ('other', 'lost', 'gone')",
    "insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, is_preview, reason) values ('points', 0, 5, 1, true, 'test')",
    "insert into outbox.recovery (strategy, reason, found, state) values ('continue', 'test', '{}', 'done')",
    "update outbox.era set timeline = timeline + 100",
];

fn name(stream: &str) -> StreamName {
    stream.parse().expect("a good name")
}

async fn store(connection: &mut PgConnection, stream: &str, topic: Option<&str>) -> Result {
    let event = NewEvent::stored("points.earned").json(&7);
    let event = match topic {
        Some(topic) => event.publish_to(topic),
        None => event,
    };
    let outcome = event_store::append(connection, &name(stream), Expected::Any, vec![event]).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    Ok(())
}

/// What each way of moving or removing a stream says, none of which is done.
async fn tried(connection: &mut PgConnection, stream: &str) -> Result<Vec<std::result::Result<u64, String>>> {
    let mut answers = Vec::new();
    for way in ["archive", "truncate", "tombstone"] {
        let mut attempt = connection.begin().await?;
        let done = match way {
            "archive" => keep::archive_stream(&mut attempt, &name(stream), None, REASON, 100).await,
            "truncate" => keep::truncate_stream(&mut attempt, &name(stream), 2, REASON, 100).await,
            _ => keep::tombstone_stream(&mut attempt, &name(stream), REASON, 100).await,
        };
        attempt.rollback().await?;
        answers.push(match done {
            Ok(chunk) => Ok(chunk.events),
            Err(Error::Database { code, message, .. }) => Err(format!("{code} {message}")),
            Err(other) => return Err(other.into()),
        });
    }
    Ok(answers)
}

#[tokio::test]
async fn where_it_cannot_be_told_what_is_published_nothing_of_a_topic_goes() -> Result {
    // GIVEN an event that is published, and one that goes nowhere
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    store(&mut connection, "points-1", Some("points")).await?;
    store(&mut connection, "points-2", None).await?;
    let may_go = vec![Ok(1); 3];
    until("it is published", LIMIT, async || {
        Ok((tried(&mut connection, "points-1").await? == may_go).then_some(()))
    })
    .await?;
    relay.terminate().await?;
    // WHEN the database is in one of these states THEN it stays, and the other may go
    let mut wrong = Vec::new();
    for (state, made, said) in STATES {
        let mut transaction = connection.begin().await?;
        let made = sqlx::raw_sql(AssertSqlSafe(made))
            .execute(&mut *transaction)
            .await;
        made.map_err(|error| Failure::new(format!("{state}: {error}")))?;
        let answers = tried(&mut transaction, "points-1").await?;
        let is_told = |answer: &std::result::Result<u64, String>| matches!(answer, Err(text) if text.starts_with("55000 stream points-1 keeps its events: ") && text.contains(said));
        if !answers.iter().all(is_told) {
            wrong.push(format!("{state}: {answers:?}"));
        }
        assert_eq!(tried(&mut transaction, "points-2").await?, may_go, "{state}");
        transaction.rollback().await?;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for made in NONE_OF_THESE {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(made))
            .execute(&mut *transaction)
            .await?;
        assert_eq!(tried(&mut transaction, "points-1").await?, may_go, "{made}");
        transaction.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_recovery_begins_behind_who_removes_events_and_is_seen_by_who_comes_later() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    store(&mut connection, "points-1", Some("points")).await?;
    until("it is published", LIMIT, async || {
        Ok((tried(&mut connection, "points-1").await? == vec![Ok(1); 3]).then_some(()))
    })
    .await?;
    relay.terminate().await?;
    let begin = "insert into outbox.recovery (strategy, reason, found) values ('continue', 'test', '{}')";
    // GIVEN a removal that is not committed
    let mut removal = connection.begin().await?;
    assert_eq!(
        keep::truncate_stream(&mut removal, &name("points-1"), 2, REASON, 100)
            .await?
            .events,
        1
    );
    // WHEN a recovery begins THEN it waits
    let mut other = world.connect().await?;
    let early = sqlx::raw_sql(AssertSqlSafe(format!("set lock_timeout = '200ms'; {begin}")))
        .execute(&mut other)
        .await
        .expect_err("it waits");
    assert!(early.to_string().contains("lock timeout"), "{early}");
    removal.commit().await?;
    sqlx::raw_sql(begin).execute(&mut other).await?;
    store(&mut connection, "points-2", Some("points")).await?;
    let answers = tried(&mut connection, "points-2").await?;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(text) if text.contains("RECOVERY-UNFINISHED"))),
        "{answers:?}"
    );
    Ok(())
}
