//! What gathered while no relay was there: most of it is counted apart, and the batch is the same.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Invocation, Relay, Result, World};
use tempfile::TempDir;

use crate::arrivals::{LIMIT, arrived};

const CUT_BATCH: &str = include_str!("../../outbox-core/queries/tail/cut_batch.sql");
const WEIGH_KEYS: &str = include_str!("../../outbox-core/queries/tail/weigh_keys.sql");
const COUNT_FAR: &str = include_str!("../../outbox-core/queries/tail/count_far.sql");

/// So far does the sequence jump: more than what is counted as it is cut.
const FAR: i64 = 150_000;

async fn append(connection: &mut PgConnection, topic: &str, count: i32) -> Result {
    sqlx::query("select outbox.append($1, '{}', key => n::text) from generate_series(1, $2) n")
        .bind(topic)
        .bind(count)
        .execute(connection)
        .await?;
    Ok(())
}

async fn jump(connection: &mut PgConnection) -> Result {
    sqlx::query("select setval('outbox.log_position', (select last_value from outbox.log_position) + $1)")
        .bind(FAR)
        .execute(connection)
        .await?;
    Ok(())
}

async fn partition(world: &World, topic: &str) -> Result {
    let answer = Invocation::of(world, &["topic", "set", topic, "--partitions", "4"])?.ask()?;
    assert_eq!(answer.code, 0, "{}{}", answer.output, answer.errors);
    Ok(())
}

/// All that a cut behind the end of the ledger stores and tells but its rows, undone again. `apart`: what is above this position is
/// counted apart, by partition or by topic alone.
async fn cut(connection: &mut PgConnection, apart: Option<(i64, bool)>) -> Result<Value> {
    let mut transaction = connection.begin().await?;
    transaction
        .execute("set transaction isolation level repeatable read")
        .await?;
    let (number, xmax, open): (i64, String, Vec<String>) = sqlx::query_as(
        "select number, pg_snapshot_xmax(snapshot)::text, array(select pg_snapshot_xip(snapshot)::text)
         from outbox.batch order by number desc limit 1",
    )
    .fetch_one(&mut *transaction)
    .await?;
    let counted: String = match apart {
        None => "[]".to_owned(),
        Some((above, by_partition)) => {
            let (layouts, _): (Option<String>, Option<f64>) = sqlx::query_as(WEIGH_KEYS)
                .bind(above)
                .fetch_one(&mut *transaction)
                .await?;
            let layouts = layouts.filter(|_| by_partition);
            sqlx::query_scalar(COUNT_FAR)
                .bind(&xmax)
                .bind(&open)
                .bind(above)
                .bind(layouts)
                .fetch_one(&mut *transaction)
                .await?
        }
    };
    sqlx::query(CUT_BATCH)
        .bind(number)
        .bind(xmax)
        .bind(open)
        .bind(1_i32)
        .bind(1_i64)
        .bind(1_i64)
        .bind(1_i64 << 20)
        .bind(0_i64)
        .bind(apart.map(|(above, _)| above))
        .bind(counted)
        .execute(&mut *transaction)
        .await?;
    let stored: (Value, Value, Value, Value) = sqlx::query_as(
        "select (select to_jsonb(b) - 'batch_id' - 'cut_at' from outbox.batch b order by number desc limit 1),
                (select jsonb_agg(to_jsonb(s) order by topic, partition) from outbox.share s where batch_number > $1),
                (select jsonb_agg(name order by name) from outbox.topic),
                (select jsonb_agg(to_jsonb(m) - 'seen_at' order by topic) from outbox.misnamed_topic m)",
    )
    .bind(number)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(json!([stored.0, stored.1, stored.2, stored.3]))
}

#[tokio::test]
async fn what_is_counted_apart_and_cut_is_what_one_statement_cuts() -> Result {
    // GIVEN a batch beside a transaction that has appended and is open, and behind it: its commit, one that was undone, one that is open,
    // topics of all classes, one with partitions, stored events without a topic, and a row with a topic that is no name
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    connection
        .execute("insert into outbox.topic (name, retention) values ('a', 'audit'), ('d', 'durable')")
        .await?;
    partition(&world, "p").await?;
    let mut relay = Relay::of(&world).start()?;
    let mut early = world.connect().await?;
    let mut held = early.begin().await?;
    append(&mut held, "t", 2).await?;
    append(&mut held, "p", 3).await?;
    append(&mut connection, "t", 1).await?;
    arrived(&mut world.redis().await?, "outbox:t", 1).await?;
    relay.terminate().await?;
    held.commit().await?;
    for topic in ["u", "a", "d", "p"] {
        append(&mut connection, topic, 3).await?;
    }
    let mut undone = connection.begin().await?;
    append(&mut undone, "u", 2).await?;
    undone.rollback().await?;
    let mut still = early.begin().await?;
    append(&mut still, "t", 2).await?;
    connection
        .execute(
            "select outbox.append_to_stream('s-1', 0, '[{\"type\": \"e\", \"data\": 1}, {\"type\": \"e\", \"data\": 2, \"topic\": \"t\"}]');
             insert into outbox.log (retention, topic, id, source, type) values ('standard', 'no name', gen_random_uuid(), '/', 'a')",
        )
        .await?;
    append(&mut connection, "t", 2).await?;
    append(&mut connection, "a", 1).await?;
    // And without a key, which goes by its id.
    connection
        .execute("select outbox.append(topic, '{}') from unnest('{p, t, p, d, p, p}'::text[]) topic")
        .await?;
    append(&mut connection, "p", 5).await?;
    // WHEN what is above any position is counted apart, THEN what is stored is the same
    let drawn: i64 = sqlx::query_scalar("select last_value from outbox.log_position")
        .fetch_one(&mut connection)
        .await?;
    let whole = cut(&mut connection, None).await?;
    assert_eq!(whole[0]["event_count"], json!(32), "{whole}");
    let shares = whole[1].as_array().into_iter().flatten();
    let parted = shares.filter(|share| share["topic"] == json!("p")).count();
    assert!(parted > 2, "{whole}");
    assert_eq!(whole[3][0]["topic"], json!("no name"), "{whole}");
    for (above, by_partition) in (0..=drawn).flat_map(|above| [(above, true), (above, false)]) {
        let mut apart = cut(&mut connection, Some((above, by_partition))).await?;
        // One more transaction was undone in between, and nothing else.
        apart[0]["snapshot"] = whole[0]["snapshot"].clone();
        assert_eq!(
            apart, whole,
            "counted apart above {above}, by partition: {by_partition}"
        );
    }
    still.rollback().await?;
    Ok(())
}

/// A relay that will find what is there to be far behind, and stops for a moment when it has counted it; and where it says so.
fn held_when_counted(world: &World) -> Result<(Relay, TempDir)> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::of(world)
        .set("OUTBOX_TAIL_FIRST_ROWS", 1)
        .set("OUTBOX_CRASH_POINT", "batch-counted:stall:1")
        .set("OUTBOX_CRASH_RECORD", folder.path().join("record").display())
        .start()?;
    Ok((relay, folder))
}

async fn counted(folder: &Path) -> Result {
    until("the batch is counted", LIMIT, async || {
        Ok(folder.join("record").exists().then_some(()))
    })
    .await
}

#[tokio::test]
async fn what_commits_when_a_backlog_is_counted_is_in_the_next_batch() -> Result {
    // GIVEN a backlog, a transaction that has appended in the midst of it and is open, and a relay that has counted and not stored
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut other = world.connect().await?;
    append(&mut connection, "t", 3).await?;
    let mut held = other.begin().await?;
    append(&mut held, "t", 2).await?;
    jump(&mut connection).await?;
    append(&mut connection, "t", 3).await?;
    let (_relay, folder) = held_when_counted(&world)?;
    counted(folder.path()).await?;
    // WHEN that transaction and another one commit
    held.commit().await?;
    append(&mut connection, "t", 4).await?;
    let stored: i64 = sqlx::query_scalar("select max(number) from outbox.batch")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(stored, 0, "nothing was stored yet");
    // THEN the batch is what was counted, and what it did not see follows, each event once
    let entries = arrived(&mut world.redis().await?, "outbox:t", 12).await?;
    let batches: Vec<i64> =
        sqlx::query_scalar("select event_count from outbox.batch where number > 0 order by number")
            .fetch_all(&mut connection)
            .await?;
    assert_eq!((batches[0], batches.iter().sum::<i64>()), (6, 12));
    let mut positions: Vec<u64> = entries.iter().map(|entry| entry.id.1).collect();
    let first: Vec<u64> = positions.drain(..6).collect();
    let far = u64::try_from(FAR)?;
    assert_eq!(first, [1, 2, 3, far + 6, far + 7, far + 8]);
    positions.sort_unstable();
    assert_eq!(positions, [4, 5, far + 9, far + 10, far + 11, far + 12]);
    Ok(())
}

#[tokio::test]
async fn partitions_that_are_set_when_a_backlog_is_counted_begin_behind_it() -> Result {
    // GIVEN a topic that was published, a backlog of it, and a relay that has counted and not stored
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    let mut before = Relay::of(&world).start()?;
    append(&mut connection, "t", 1).await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    before.terminate().await?;
    append(&mut connection, "t", 2).await?;
    jump(&mut connection).await?;
    append(&mut connection, "t", 2).await?;
    let (_relay, folder) = held_when_counted(&world)?;
    counted(folder.path()).await?;
    // WHEN the topic is given partitions, and more is appended
    partition(&world, "t").await?;
    append(&mut connection, "t", 40).await?;
    let stored: i64 = sqlx::query_scalar("select max(number) from outbox.batch")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(stored, 1, "nothing was stored yet");
    // THEN what was counted is on the stream that was, with its last entry behind it, and the rest on the new ones
    let old = arrived(&mut redis, "outbox:t", 6).await?;
    assert_eq!(old.len(), 6);
    assert_eq!(old[5].id.1, 0, "the entry that says so");
    let mut found = 0;
    for partition in 0..4 {
        found += arrived(&mut redis, &format!("outbox:t:{partition}"), 1)
            .await?
            .len();
    }
    until("the others are there", LIMIT, async || {
        found = 0;
        for partition in 0..4 {
            found += arrived(&mut redis, &format!("outbox:t:{partition}"), 1)
                .await?
                .len();
        }
        Ok((found >= 40).then_some(()))
    })
    .await?;
    assert_eq!(found, 40);
    Ok(())
}

#[tokio::test]
async fn a_backlog_that_cannot_be_counted_apart_is_cut_by_one_statement() -> Result {
    // GIVEN a backlog of a topic that nobody has seen, and a relay that has counted it and not stored
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 2).await?;
    jump(&mut connection).await?;
    append(&mut connection, "t", 2).await?;
    let (mut relay, folder) = held_when_counted(&world)?;
    counted(folder.path()).await?;
    // WHEN somebody else makes the topic known, which its snapshot does not show and its insert meets
    connection
        .execute("insert into outbox.topic (name) values ('t') on conflict do nothing")
        .await?;
    // THEN it says so, and the batch is cut all the same
    relay.logs("could not be counted apart", LIMIT).await?;
    let entries = arrived(&mut world.redis().await?, "outbox:t", 4).await?;
    assert_eq!(entries.len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_relay_that_finds_an_older_log_says_so_at_once() -> Result {
    // GIVEN a log that has not what the newest statement of a relay calls
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 2).await?;
    connection
        .execute("alter function outbox.settle_anew() rename to of_later")
        .await?;
    // WHEN a relay leads, THEN it says what is to be done, before it cuts anything
    let mut relay = Relay::of(&world).start()?;
    relay
        .logs(
            "older than this relay, which needs its step 0044: run `outbox-relay migrate`",
            LIMIT,
        )
        .await?;
    let cut: i64 = sqlx::query_scalar("select max(number) from outbox.batch")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(cut, 0);
    // AND it goes on when that was done
    connection
        .execute("alter function outbox.of_later() rename to settle_anew")
        .await?;
    let entries = arrived(&mut world.redis().await?, "outbox:t", 2).await?;
    assert_eq!(entries.len(), 2);
    Ok(())
}
