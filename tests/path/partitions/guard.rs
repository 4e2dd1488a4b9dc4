//! Nobody cuts by an old layout, whatever was interrupted is finished once, and no old stream is forgotten.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use system_tests::patience::until;
use system_tests::plain_reader::layout;
use system_tests::stream::{self, EntryId};
use system_tests::{Relay, Result, World};

use super::{LIMIT, append, keys, set_partitions};
use crate::arrivals::arrived;

const CUT_BATCH: &str = include_str!("../../../outbox-core/queries/tail/cut_batch.sql");
const LAY_PARTITIONS: &str = include_str!("../../../outbox-core/queries/tail/lay_partitions.sql");
const READ_UPKEEP: &str = include_str!("../../../outbox-core/queries/tail/read_upkeep.sql");

/// Cuts the batch behind the one with this number, as a leader does. Returns the SQLSTATE if it is refused.
async fn cut(connection: &mut PgConnection, number: i64) -> Result<Option<String>> {
    let (xmax, open): (String, Vec<String>) = sqlx::query_as(
        "select pg_snapshot_xmax(snapshot)::text, array(select pg_snapshot_xip(snapshot)::text) from outbox.batch where number = $1",
    )
    .bind(number)
    .fetch_one(&mut *connection)
    .await?;
    let cut = sqlx::query(CUT_BATCH)
        .bind(number)
        .bind(xmax)
        .bind(open)
        .bind(1)
        .bind(1_i64)
        .bind(100_i64)
        .bind(100_000_i64)
        .bind(0_i64)
        .bind(None::<i64>)
        .bind("[]")
        .fetch_all(connection)
        .await;
    match cut {
        Ok(rows) => {
            assert!(!rows.is_empty(), "there was something to cut");
            Ok(None)
        }
        Err(error) => match error.as_database_error().and_then(|said| said.code()) {
            Some(code) => Ok(Some(code.into_owned())),
            None => Err(error.into()),
        },
    }
}

/// Lays what is due behind the batch with this number. Returns whether anything was.
async fn lay(connection: &mut PgConnection, number: i64) -> Result<bool> {
    let laid = sqlx::query(LAY_PARTITIONS).bind(number).bind(1).bind(1_i64);
    Ok(laid.fetch_optional(connection).await?.is_some())
}

async fn passed_number(connection: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query(READ_UPKEEP)
        .fetch_one(connection)
        .await?
        .get("passed_number"))
}

/// Records that every stream of the topic but one has come to its end.
async fn pass_all_but(connection: &mut PgConnection, slot: i32) -> Result {
    sqlx::query(
        "insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
         select distinct on (topic, partition) topic, partition, batch_number, last_position, 1, 1, 1 from outbox.share
         where partition <> $1 order by topic, partition, batch_number desc",
    )
    .bind(slot)
    .execute(connection)
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_topic_that_should_have_more_partitions_is_laid_before_anything_is_cut() -> Result {
    // GIVEN events, and a topic that was set up before them
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    set_partitions(&world, "orders", 4)?;
    append(&mut connection, "orders", &keys(40)).await?;
    append(&mut connection, "other", &keys(1)).await?;
    // WHEN a leader cuts without having laid it, THEN it is told to lay first
    assert_eq!(cut(&mut connection, 0).await?.as_deref(), Some("OB428"));
    assert!(lay(&mut connection, 0).await?);
    assert!(!lay(&mut connection, 1).await?, "once is enough");
    assert_eq!(cut(&mut connection, 1).await?, None);
    // AND what is cut goes by it, what has no partitions does not
    let shares: Vec<(String, i32, i64)> =
        sqlx::query_as("select topic, partition, event_count from outbox.share order by topic, partition")
            .fetch_all(&mut connection)
            .await?;
    let of_orders: Vec<_> = shares.iter().filter(|(topic, _, _)| topic == "orders").collect();
    assert_eq!(
        of_orders.iter().map(|(_, slot, _)| *slot).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(of_orders.iter().map(|(_, _, count)| *count).sum::<i64>(), 40);
    assert_eq!(
        shares.last().map(|(topic, slot, _)| (topic.as_str(), *slot)),
        Some(("other", 0))
    );
    Ok(())
}

#[tokio::test]
async fn a_zombie_that_knows_the_old_layout_cannot_cut_by_it() -> Result {
    // GIVEN a leader that is stopped in the middle of a cut: its snapshot is from before the topic grew
    let world = World::new().await?;
    let (mut connection, mut zombie) = (world.connect().await?, world.connect().await?);
    append(&mut connection, "orders", &keys(5)).await?;
    assert_eq!(cut(&mut connection, 0).await?, None);
    append(&mut connection, "orders", &keys(5)).await?;
    let mut stopped = zombie.begin_with("begin isolation level repeatable read").await?;
    sqlx::query("select count(*) from outbox.topic")
        .fetch_one(&mut *stopped)
        .await?;
    // WHEN another one lays four partitions meanwhile, and the first goes on
    set_partitions(&world, "orders", 4)?;
    assert!(lay(&mut connection, 1).await?);
    let refused = cut(&mut stopped, 1).await?;
    // THEN the ledger refuses: its place is taken
    assert_eq!(refused.as_deref(), Some("23505"));
    stopped.rollback().await?;
    // AND the other way round, whoever lays behind a cut that it did not see is refused
    assert_eq!(cut(&mut connection, 2).await?, None);
    set_partitions(&world, "orders", 8)?;
    let error = lay(&mut connection, 2).await.err();
    assert!(error.is_some_and(|error| error.to_string().contains("does not follow")));
    Ok(())
}

#[tokio::test]
async fn a_relay_from_before_partitions_is_refused_where_there_are_some() -> Result {
    // GIVEN a topic with partitions
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let old = "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position)
               select number + 1, batch_id + 1, 1, 1, pg_current_snapshot(), 1, 1, 1 from outbox.batch order by number desc limit 1";
    sqlx::query(old).execute(&mut connection).await?;
    set_partitions(&world, "orders", 2)?;
    assert!(lay(&mut connection, 1).await?);
    // WHEN a relay cuts that does not know them, THEN it is refused as one of another version
    let refused = sqlx::query(old).execute(&mut connection).await.err();
    let code = refused.and_then(|error| error.as_database_error()?.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("42703"));
    Ok(())
}

#[tokio::test]
async fn a_layout_is_a_fact_and_grows_step_by_step() -> Result {
    // GIVEN a topic of four partitions
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    set_partitions(&world, "orders", 4)?;
    assert!(lay(&mut connection, 0).await?);
    // WHEN somebody changes its layout, THEN the database refuses
    for (statement, code) in [
        ("update outbox.topic_layout set partitions = 5", "42501"),
        ("delete from outbox.topic_layout", "42501"),
        (
            "insert into outbox.topic_layout values ('orders', 3, 8, 9, 9, true)",
            "23514",
        ),
        (
            "insert into outbox.topic_layout values ('orders', 2, 4, 9, 9, true)",
            "23514",
        ),
        (
            "insert into outbox.topic_layout values ('orders', 2, 8, 1, 9, true)",
            "23514",
        ),
        (
            "insert into outbox.topic_layout values ('other', 2, 8, 9, 9, true)",
            "23514",
        ),
        ("update outbox.topic set partitions = 3", "23514"),
        (
            "insert into outbox.topic (name, partitions) values ('other', 1025)",
            "23514",
        ),
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.err();
        let said = refused.and_then(|error| error.as_database_error()?.code().map(|code| code.into_owned()));
        assert_eq!(said.as_deref(), Some(code), "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn pieces_wait_for_every_stream_that_a_topic_had() -> Result {
    // GIVEN a topic that grew twice, and all of its streams passed but the first, or one of the second
    for slow in [0, 3] {
        let world = World::new().await?;
        let mut connection = world.connect().await?;
        append(&mut connection, "orders", &keys(40)).await?;
        assert_eq!(cut(&mut connection, 0).await?, None);
        for (number, partitions) in [(1, 4), (3, 8)] {
            set_partitions(&world, "orders", partitions)?;
            assert!(lay(&mut connection, number).await?);
            append(&mut connection, "orders", &keys(40)).await?;
            assert_eq!(cut(&mut connection, number + 1).await?, None);
        }
        pass_all_but(&mut connection, slow).await?;
        // WHEN upkeep asks what was passed, THEN nothing behind that one
        assert_eq!(passed_number(&mut connection).await?, 0, "slot {slow}");
        // AND everything as soon as it has come to its end too
        pass_all_but(&mut connection, -1).await?;
        assert_eq!(passed_number(&mut connection).await?, 5);
    }
    Ok(())
}

#[tokio::test]
async fn a_takeover_in_the_middle_of_a_growth_finishes_it_once() -> Result {
    // GIVEN a topic of four partitions, one stream of which is not taken now
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    set_partitions(&world, "orders", 4)?;
    let mut connection = world.connect().await?;
    append(&mut connection, "orders", &keys(40)).await?;
    let mut redis = world.redis().await?;
    for number in 0..4 {
        arrived(&mut redis, &format!("outbox:orders:{number}"), 1).await?;
    }
    let whole: Vec<u8> = redis::cmd("DUMP")
        .arg("outbox:orders:2")
        .query_async(&mut redis)
        .await?;
    redis::cmd("SET")
        .arg("outbox:orders:2")
        .arg("text")
        .query_async::<()>(&mut redis)
        .await?;
    // WHEN it grows, and the leader is killed after the end of three of the streams was said
    set_partitions(&world, "orders", 8)?;
    let end = until("the layout", LIMIT, async || {
        Ok(layout(&mut redis, "orders")
            .await?
            .get(2)
            .map(|(_, batch)| EntryId(*batch, 0)))
    })
    .await?;
    for number in [0, 1, 3] {
        let key = format!("outbox:orders:{number}");
        until("the end of three streams", LIMIT, async || {
            Ok(stream::entries(&mut redis, &key)
                .await?
                .iter()
                .any(|entry| entry.id == end)
                .then_some(()))
        })
        .await?;
    }
    relay.kill()?;
    redis::cmd("RESTORE")
        .arg("outbox:orders:2")
        .arg(0)
        .arg(whole)
        .arg("REPLACE")
        .query_async::<()>(&mut redis)
        .await?;
    append(&mut connection, "orders", &keys(80)).await?;
    let mut next = Relay::of(&world).start()?;
    next.leads().await?;
    // THEN the next one finishes it: each old stream ends once, and everything is there
    until("everything", LIMIT, async || {
        let streams = stream::of_topic(&mut redis, "orders").await?;
        let count: usize = streams.iter().map(|(_, entries)| entries.len()).sum();
        Ok((count == 40 + 80 + 4).then_some(()))
    })
    .await?;
    for number in 0..4 {
        let entries = stream::entries(&mut redis, &format!("outbox:orders:{number}")).await?;
        let control: Vec<EntryId> = entries
            .iter()
            .filter(|entry| entry.is_control())
            .map(|entry| entry.id)
            .collect();
        assert_eq!(control, [end], "stream {number}");
    }
    let chain: i64 = sqlx::query_scalar("select count(*) from outbox.batch where kind = 'moved'")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(chain, 2);
    Ok(())
}

#[tokio::test]
async fn counting_by_partition_reads_only_what_is_new() -> Result {
    // GIVEN 20,000 published rows of a topic with partitions, never analysed, and three new ones
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    set_partitions(&world, "orders", 8)?;
    append(&mut connection, "orders", &keys(20_000)).await?;
    assert!(lay(&mut connection, 0).await?);
    assert_eq!(cut(&mut connection, 1).await?, None);
    append(&mut connection, "orders", &keys(3)).await?;
    // As one statement counts, and as it counts beside what was counted apart.
    let explained = ["", ", 0, null", ", 0, 9223372036854775807"].map(|bounds| {
        format!(
            "explain (analyze, buffers, format json)
             select * from outbox.partition_shares(
                 (select pg_snapshot_xmax(snapshot)::text from outbox.batch order by number desc limit 1), '{{}}', outbox.layouts_in_force(){bounds})"
        )
    });
    for analysed in [false, true] {
        if analysed {
            sqlx::query("analyze outbox.log").execute(&mut connection).await?;
        }
        for explain in &explained {
            let explain = || AssertSqlSafe(explain.as_str());
            // The first one of a session reads the catalogue.
            sqlx::query(explain()).fetch_one(&mut connection).await?;
            // WHEN they are counted by partition
            let plan: serde_json::Value = sqlx::query_scalar(explain()).fetch_one(&mut connection).await?;
            // THEN what was published before is not read
            let pages = plan[0]["Plan"]["Shared Hit Blocks"].as_i64().unwrap_or(i64::MAX);
            assert!(pages < 200, "{pages} pages, analysed {analysed}");
        }
    }
    Ok(())
}
