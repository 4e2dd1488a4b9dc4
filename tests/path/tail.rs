//! Tailing: what is refused, who may write the ledger, how rows are found.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use system_tests::patience::until;
use system_tests::{Relay, Result, World};

use crate::arrivals::arrived;

const CUT_BATCH: &str = include_str!("../../outbox-core/queries/tail/cut_batch.sql");
const CUT_FEW: &str = include_str!("../../outbox-core/queries/tail/cut_few.sql");
const FIND_FAR: &str = include_str!("../../outbox-core/queries/tail/find_far.sql");
const LOOK: &str = include_str!("../../outbox-core/queries/tail/look.sql");
const CUT_LOOKED: &str = include_str!("../../outbox-core/queries/tail/cut_looked.sql");
const READ_SHARE: &str = include_str!("../../outbox-core/queries/tail/read_share.sql");
const READ_WIDE_SHARE: &str = include_str!("../../outbox-core/queries/tail/read_wide_share.sql");
const READ_PARTITIONS: &str = include_str!("../../outbox-core/queries/tail/read_partitions.sql");
const NEXT_SHARE: &str = include_str!("../../outbox-core/queries/tail/next_share.sql");
const TAKE_LEASE: &str = include_str!("../../outbox-core/queries/tail/take_lease.sql");

/// Nothing takes that long, on a slow machine neither.
const LIMIT: Duration = Duration::from_secs(120);

/// The settings that the relay makes for its sessions.
const SETTINGS: &str = "set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan; set jit = off";

async fn append(connection: &mut PgConnection, topic: &str, count: i32) -> Result {
    sqlx::query("select outbox.append($1, '{}', key => n::text) from generate_series(1, $2) n")
        .bind(topic)
        .bind(count)
        .execute(connection)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_late_commit_with_an_early_position_comes_in_the_next_batch() -> Result {
    // GIVEN a transaction that appended and is still open, and a later one that was published
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut early = world.connect().await?;
    let mut held = early.begin().await?;
    append(&mut held, "t", 1).await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 1).await?;
    let mut redis = world.redis().await?;
    let first = arrived(&mut redis, "outbox:t", 1).await?;
    assert_eq!(first[0].id.1, 2, "the later position went out at once");
    // WHEN the early one commits
    held.commit().await?;
    // THEN it follows in a batch of its own, chained behind
    let both = arrived(&mut redis, "outbox:t", 2).await?;
    assert_eq!((both[1].id.1, both[1].previous_id), (1, Some(both[0].id)));
    assert!(both[1].id.0 > both[0].id.0);
    Ok(())
}

#[tokio::test]
async fn two_leaders_cannot_write_the_same_place_of_the_ledger() -> Result {
    // GIVEN two sessions that both believe to follow batch 0
    let world = World::new().await?;
    let (mut one, mut two) = (world.connect().await?, world.connect().await?);
    let insert = "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position) \
                  values ($1, 100, 1, $2, pg_current_snapshot(), 1, 1, 1)";
    sqlx::query(insert)
        .bind(1_i64)
        .bind(1_i64)
        .execute(&mut one)
        .await?;
    // WHEN the second writes the same number, THEN the database refuses
    let refused = sqlx::query(insert)
        .bind(1_i64)
        .bind(2_i64)
        .execute(&mut two)
        .await
        .err();
    let code = refused.and_then(|error| error.as_database_error()?.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("23505"));
    // AND a gap is refused too
    let gap = sqlx::query(insert)
        .bind(3_i64)
        .bind(2_i64)
        .execute(&mut two)
        .await;
    assert!(gap.is_err());
    Ok(())
}

#[tokio::test]
async fn of_two_that_reach_for_a_free_lease_at_once_one_gets_it() -> Result {
    // GIVEN a free lease, and a relay that takes it and has not committed yet
    let world = World::new().await?;
    let (mut one, mut two) = (world.connect().await?, world.connect().await?);
    let rights = vec!["publish".to_owned(), "tail".to_owned()];
    let mut first = one.begin().await?;
    let taken = sqlx::query(TAKE_LEASE)
        .bind(&rights)
        .bind("one")
        .bind(60_000_i64)
        .bind(None::<&str>)
        .bind(0)
        .bind(None::<&str>)
        .bind(None::<&str>)
        .bind(None::<&str>)
        .fetch_all(&mut *first)
        .await?;
    assert_eq!(taken.len(), 2);
    // WHEN another reaches for it, sees it free, and waits for the first to commit
    let waiting: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut two)
        .await?;
    let second = tokio::spawn(async move {
        sqlx::query(TAKE_LEASE)
            .bind(rights)
            .bind("two")
            .bind(60_000_i64)
            .bind(None::<&str>)
            .bind(0)
            .bind(None::<&str>)
            .bind(None::<&str>)
            .bind(None::<&str>)
            .fetch_all(&mut two)
            .await
    });
    let mut witness = world.connect().await?;
    let blocked = "select coalesce(wait_event_type = 'Lock', false) from pg_stat_activity where pid = $1";
    while !sqlx::query_scalar::<_, bool>(blocked)
        .bind(waiting)
        .fetch_one(&mut witness)
        .await?
    {
        tokio::task::yield_now().await;
    }
    first.commit().await?;
    // THEN it gets nothing, and the first still leads
    assert_eq!(second.await??.len(), 0);
    let holders: Vec<String> =
        sqlx::query_scalar("select distinct holder from outbox.lease where holder is not null")
            .fetch_all(&mut witness)
            .await?;
    assert_eq!(holders, ["one"]);
    Ok(())
}

#[tokio::test]
async fn another_server_and_a_past_are_refused_with_the_reason() -> Result {
    // GIVEN a ledger that says it was written on another server
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    sqlx::query("insert into outbox.era select 2, 42, 1, 0")
        .execute(&mut connection)
        .await?;
    append(&mut connection, "t", 1).await?;
    // WHEN a relay starts, THEN it says so and publishes nothing
    let mut relay = Relay::of(&world).start()?;
    let said = relay.not_ready_because("server 42").await?;
    assert!(said.contains("nothing is published"), "{said}");
    assert_eq!(
        system_tests::stream::length(&mut world.redis().await?, "outbox:t").await?,
        0
    );
    // AND the same for a ledger whose last snapshot is of the future
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 1).await?;
    sqlx::query(
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position) \
         values (1, 1, 1, 1, '900000000:900000000:', 1, 1, 1)",
    )
    .execute(&mut connection)
    .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.not_ready_because("went back in time").await?;
    assert_eq!(
        system_tests::stream::length(&mut world.redis().await?, "outbox:t").await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_standby_is_refused_with_the_reason() -> Result {
    // GIVEN a server that came back as a standby
    let mut world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 1).await?;
    connection.close().await?;
    world.postgres()?.restart_as_standby()?;
    // WHEN a relay is pointed at it, THEN it stays out, not ready, and says why
    let mut relay = Relay::of(&world).start()?;
    relay.not_ready_because("standby").await?;
    assert_eq!(
        system_tests::stream::length(&mut world.redis().await?, "outbox:t").await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_mark_that_the_ledger_does_not_know_is_refused_also_when_the_ledger_has_gone_past_it() -> Result {
    // GIVEN a stream whose mark is of a batch that this ledger never cut, in the past of what it will cut next
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 1).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut redis = world.redis().await?;
    let known = arrived(&mut redis, "outbox:t", 1).await?[0].id.0;
    relay.terminate().await?;
    let database: String =
        sqlx::query_scalar(
            "select database_id || '/' || oid from outbox.settings, pg_database where datname = current_database()",
        )
        .fetch_one(&mut connection)
        .await?;
    let unknown = format!("{}-0", known + 1);
    redis::cmd("XADD")
        .arg(&[
            "outbox:@mark:t",
            unknown.as_str(),
            "database",
            database.as_str(),
            "epoch",
            "1",
        ])
        .query_async::<()>(&mut redis)
        .await?;
    // AND the ledger goes on beyond it
    sqlx::query(
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position) \
         select number + 1, batch_id + 10, era, epoch, snapshot, 0, last_position, last_position from outbox.batch \
         order by number desc limit 1",
    )
    .execute(&mut connection)
    .await?;
    append(&mut connection, "t", 1).await?;
    // WHEN a relay takes over, THEN it refuses
    let mut relay = Relay::of(&world).start()?;
    relay.not_ready_because(&(known + 1).to_string()).await?;
    relay.terminate().await?;
    assert_eq!(system_tests::stream::length(&mut redis, "outbox:t").await?, 1);
    Ok(())
}

#[tokio::test]
async fn polling_alone_finds_everything() -> Result {
    // GIVEN a relay that does not listen
    let world = World::new().await?;
    let mut relay = Relay::of(&world).set("OUTBOX_POSTGRES_LISTEN", "false").start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    // WHEN events come one by one, THEN each arrives
    for n in 1..=5 {
        append(&mut connection, "t", 1).await?;
        assert_eq!(arrived(&mut redis, "outbox:t", n).await?.len(), n);
    }
    Ok(())
}

/// What a statement that cuts finds behind the end of the ledger: number, events, shares, and its rows.
type Found = Vec<(i64, i64, Option<String>, i64, uuid::Uuid)>;

/// Cuts behind the end of the ledger; kept or undone.
async fn cut(connection: &mut PgConnection, sql: &'static str, is_kept: bool) -> Result<Found> {
    let mut transaction = connection.begin().await?;
    let (number, xmax, open): (i64, String, Vec<String>) = sqlx::query_as(
        "select number, pg_snapshot_xmax(snapshot)::text, array(select pg_snapshot_xip(snapshot)::text)
         from outbox.batch order by number desc limit 1",
    )
    .fetch_one(&mut *transaction)
    .await?;
    let query = sqlx::query(sql).bind(number).bind(xmax).bind(open);
    let mut query = query
        .bind(1_i32)
        .bind(1_i64)
        .bind(100_i64)
        .bind(1_i64 << 20)
        .bind(0_i64);
    query = if sql == CUT_FEW {
        query.bind(1_000_000_i64)
    } else {
        query.bind(None::<i64>).bind("[]")
    };
    let rows = query.fetch_all(&mut *transaction).await?;
    let found: std::result::Result<Found, sqlx::Error> = rows
        .iter()
        .map(|row| {
            Ok((
                row.try_get("number")?,
                row.try_get("event_count")?,
                row.try_get("shares")?,
                row.try_get("position")?,
                row.try_get("id")?,
            ))
        })
        .collect();
    if is_kept {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(found?)
}

#[tokio::test]
async fn a_few_are_the_same_batch_as_if_they_were_many() -> Result {
    // GIVEN a batch beside a transaction that has appended and is open, one more that was undone, and events of two topics since
    let world = World::new().await?;
    let mut early = world.connect().await?;
    let mut held = early.begin().await?;
    append(&mut held, "t", 2).await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 3).await?;
    assert_eq!(cut(&mut connection, CUT_FEW, true).await?.len(), 3);
    let mut undone = connection.begin().await?;
    append(&mut undone, "u", 2).await?;
    undone.rollback().await?;
    append(&mut connection, "u", 4).await?;
    held.commit().await?;
    // WHEN either statement cuts what is next, THEN it is the same
    let few = cut(&mut connection, CUT_FEW, false).await?;
    let many = cut(&mut connection, CUT_BATCH, false).await?;
    assert_eq!(few.len(), 6);
    assert_eq!(few, many);
    let positions: Vec<i64> = few.iter().map(|row| row.3).collect();
    assert_eq!(positions, [1, 2, 8, 9, 10, 11]);
    Ok(())
}

/// What the snapshots of the ledger say is in each batch, against what the ledger says: the first difference, if there is one.
const DIFFERENCE: &str = "with pair as materialized (
        select b.number, b.snapshot, before.snapshot as before, b.event_count, b.first_position, b.last_position
        from outbox.batch b join outbox.batch before on before.number = b.number - 1 where b.kind = 'cut'
    ), found as materialized (
        select pair.number, l.topic, l.position, l.transaction_id >= pg_snapshot_xmax(pair.before) as is_new
        from pair join outbox.log l on pg_visible_in_snapshot(l.transaction_id, pair.snapshot) and not pg_visible_in_snapshot(l.transaction_id, pair.before)
    ), share as (
        select number, topic, 0 as partition, count(*) as events, min(position) as first, max(position) as last, min(position) filter (where is_new) as new
        from found where topic is not null group by number, topic
    ), whole as (
        select number, count(topic) as events, min(position) as first, max(position) as last from found group by number
    ), told as (
        select batch_number, topic, partition, event_count, first_position, last_position, first_new_position from outbox.share
    )
    (select 'share', to_json(d)::text from ((table share except table told) union all (table told except table share)) d limit 1)
    union all
    (select 'batch', to_json(d)::text from (
        (table whole except select number, event_count, first_position, last_position from pair)
        union all (select number, event_count, first_position, last_position from pair except table whole)) d limit 1)";

#[tokio::test]
async fn every_batch_is_what_its_snapshots_say_and_what_was_open_for_long_is_in_one() -> Result {
    // GIVEN a relay, a topic that is known, streams, and a transaction that has appended and stays open
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    sqlx::query("insert into outbox.category (name) values ('a')")
        .execute(&mut connection)
        .await?;
    append(&mut connection, "t", 1).await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    let mut early = world.connect().await?;
    let mut held = early.begin().await?;
    append(&mut held, "t", 2).await?;
    // WHEN others commit one by one, some at the same time, of two topics, some in no stream, some undone
    let mut others = world.connect().await?;
    for n in 0..400 {
        let mut one = connection.begin().await?;
        append(&mut one, "t", 1).await?;
        let mut other = others.begin().await?;
        append(&mut other, "u", 1 + n % 3).await?;
        if n % 5 == 0 {
            sqlx::query("select outbox.append_stored('a-' || $1, 0, gen_random_uuid(), null, 'x', null, null, null, null, null, '{}')")
                .bind(n.to_string())
                .execute(&mut *one)
                .await?;
        }
        one.commit().await?;
        if n % 7 == 0 {
            other.rollback().await?;
        } else {
            other.commit().await?;
        }
    }
    held.commit().await?;
    // THEN all of it is on its stream, that of the first one too
    assert_eq!(arrived(&mut redis, "outbox:t", 403).await?.len(), 403);
    let of_u = (0..400_usize).filter(|n| n % 7 != 0).map(|n| 1 + n % 3).sum();
    assert_eq!(arrived(&mut redis, "outbox:u", of_u).await?.len(), of_u);
    // AND both topics are known, whatever statement cut their first events
    let known: Vec<String> = sqlx::query_scalar("select name from outbox.topic order by name")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(known, ["t", "u"]);
    // AND each batch is what the snapshots say
    let (batches, small): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where event_count < 30) from outbox.batch where kind = 'cut'",
    )
    .fetch_one(&mut connection)
    .await?;
    assert!(
        batches > 20 && small > 20,
        "{batches} batches, {small} of them small"
    );
    let stored: i64 = sqlx::query_scalar("select count(*) from outbox.log where topic is null")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(stored, 80);
    let differs: Vec<(String, String)> = sqlx::query_as(DIFFERENCE).fetch_all(&mut connection).await?;
    assert_eq!(differs, []);
    Ok(())
}

#[tokio::test]
async fn what_one_process_of_the_server_saw_no_other_one_cuts() -> Result {
    // GIVEN what a session looked at
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 1).await?;
    let (snapshot, backend, started): (String, i32, i64) = sqlx::query_as(
        "select pg_current_snapshot()::text, pg_backend_pid(), (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint",
    )
    .fetch_one(&mut connection)
    .await?;
    let store = async |connection: &mut PgConnection, started: i64| {
        sqlx::query(CUT_LOOKED)
            .bind(0_i64)
            .bind(0_i64)
            .bind(1_i32)
            .bind(1_i64)
            .bind(&snapshot)
            .bind(1_i64)
            .bind(1_i64)
            .bind(1_i64)
            .bind(backend)
            .bind(started)
            .bind(["t"].as_slice())
            .bind([1_i64].as_slice())
            .bind([1_i64].as_slice())
            .bind([1_i64].as_slice())
            .bind([Some(1_i64)].as_slice())
            .bind(false)
            .fetch_all(connection)
            .await
    };
    // WHEN another one stores it, or a server that was started at another time, THEN nothing is stored
    let mut other = world.connect().await?;
    assert_eq!(store(&mut other, started).await?.len(), 0);
    assert_eq!(store(&mut connection, started + 1).await?.len(), 0);
    let cut = "select count(*) from outbox.batch where number > 0";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(cut)
            .fetch_one(&mut connection)
            .await?,
        0
    );
    // AND the one that looked stores it, once
    assert_eq!(store(&mut connection, started).await?.len(), 1);
    let again = store(&mut connection, started)
        .await
        .expect_err("its place is taken");
    assert_eq!(
        again
            .as_database_error()
            .and_then(|error| error.code())
            .as_deref(),
        Some("23505")
    );
    assert_eq!(
        sqlx::query_scalar::<_, i64>(cut)
            .fetch_one(&mut connection)
            .await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn what_is_drawn_in_a_piece_far_ahead_is_cut() -> Result {
    // GIVEN a leader that leaves out the pieces ahead of what was drawn, pieces that are not laid anew meanwhile, and nobody who looks by the clock
    let world = World::new().await?;
    let mut relay = Relay::of(&world).set("OUTBOX_TAIL_SLOW_POLL", "300s").start()?;
    relay.leads().await?;
    relay.logs("pieces looked after", LIMIT).await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    append(&mut connection, "t", 1).await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    // WHEN the next position is in one of these, for one event and for more than few
    let mut seen = 1;
    for (drawn, count) in [(5_000_000_i64, 1), (20_000_000, 5_000), (50_000_000, 1)] {
        sqlx::query("select setval('outbox.log_position', $1)")
            .bind(drawn)
            .execute(&mut connection)
            .await?;
        append(&mut connection, "t", count).await?;
        // THEN it is published at once
        seen += usize::try_from(count)?;
        assert_eq!(arrived(&mut redis, "outbox:t", seen).await?.len(), seen);
    }
    Ok(())
}

#[tokio::test]
async fn rows_are_found_by_index_on_a_log_full_of_published_ones() -> Result {
    // GIVEN 20,000 published rows, never analysed, and one open transaction
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "t", 20_000).await?;
    for analysed in [false, true] {
        if analysed {
            sqlx::query("analyze outbox.log").execute(&mut connection).await?;
        }
        let mut planner = world.connect().await?;
        sqlx::raw_sql(SETTINGS).execute(&mut planner).await?;
        // WHEN the hot statements are planned without knowing their parameters
        let statements = [
            (
                "cut",
                "bigint, text, text[], integer, bigint, bigint, bigint, bigint, bigint, text",
                CUT_BATCH,
                "0, '3', '{5,9}', 1, 1, 100, 100, 0, null, '[]'",
            ),
            (
                "few",
                "bigint, text, text[], integer, bigint, bigint, bigint, bigint, bigint",
                CUT_FEW,
                "0, '3', '{5,9}', 1, 1, 100, 100, 0, 100000",
            ),
            ("far", "text, bigint", FIND_FAR, "'3', 0"),
            (
                "look",
                "text, text[], bigint, bigint, bigint, integer",
                LOOK,
                "'3', '{5,9}', 0, 100000, 64, 65536",
            ),
            (
                "read",
                "text, bigint, bigint, bigint, text, text[], text, bigint, integer",
                READ_SHARE,
                "'t', 0, 100, 1, '3', '{5,9}', '9:9:', 10, 1000",
            ),
            (
                "read_wide",
                "text, bigint, bigint, bigint, text, text[], text, bigint, bigint",
                READ_WIDE_SHARE,
                "'t', 0, 100, 1, '3', '{5,9}', '9:9:', 10, 1000",
            ),
            (
                "read_partitions",
                "text, bigint, bigint, bigint, text, text[], text, bigint, bigint, integer, integer[]",
                READ_PARTITIONS,
                "'t', 0, 100, 1, '3', '{5,9}', '9:9:', 10, 1000, 8, '{3}'",
            ),
            (
                "next",
                "text, integer[], bigint[], bigint[]",
                NEXT_SHARE,
                "'t', '{0,1}', '{0,0}', '{0,0}'",
            ),
        ];
        for (name, types, sql, arguments) in statements {
            sqlx::raw_sql(AssertSqlSafe(format!("prepare {name} ({types}) as {sql}")))
                .execute(&mut planner)
                .await?;
            let plan: Vec<String> =
                sqlx::raw_sql(AssertSqlSafe(format!("explain execute {name} ({arguments})")))
                    .fetch_all(&mut planner)
                    .await?
                    .iter()
                    .map(|row| row.get(0))
                    .collect();
            // THEN no row of the log is looked at but through an index
            let scans: Vec<&String> = plan
                .iter()
                .filter(|line| line.contains("Seq Scan on log_"))
                .collect();
            assert!(
                scans.is_empty(),
                "{name}, analysed {analysed}: {}",
                plan.join("\n")
            );
            assert!(
                name == "next"
                    || plan.iter().any(|line| {
                        line.contains("Index Scan using log_") || line.contains("Index Only Scan using log_")
                    }),
                "{}",
                plan.join("\n")
            );
            // AND a look for a few finds them by transaction, and leaves out what is ahead before it begins
            if name == "few" || name == "look" {
                let pieces: Vec<&String> = plan
                    .iter()
                    .filter(|line| line.contains(" on log_standard_from_"))
                    .collect();
                assert!(
                    pieces.len() == 2
                        && pieces
                            .iter()
                            .all(|line| line.contains(" log_standard_from_1_transaction_id_position_idx ")),
                    "{name}, analysed {analysed}: {}",
                    plan.join("\n")
                );
            }
            // AND the next share is found from where the stream stands, not from the beginning of the ledger
            if name == "next" {
                let has = |text: &str| plan.iter().any(|line| line.contains(text));
                assert!(
                    has("(batch_number >= wanted.batch_number)") && !has("Merge Join") && !has("Hash Join"),
                    "{}",
                    plan.join("\n")
                );
            }
            // AND a share's new rows are found by topic, its late ones by transaction, in every piece
            if name.starts_with("read") {
                let late = plan
                    .iter()
                    .position(|line| line.contains("unnest late"))
                    .unwrap_or(0);
                let by = |lines: &[String], index: &str| {
                    lines
                        .iter()
                        .filter(|line| line.contains("Index Scan using log_"))
                        .all(|line| line.contains(index))
                };
                assert!(late > 0, "{}", plan.join("\n"));
                assert!(by(&plan[..late], "_topic_position_idx"), "{}", plan.join("\n"));
                assert!(
                    by(&plan[late..], "_transaction_id_position_idx"),
                    "{}",
                    plan.join("\n")
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_warning_at_connect_is_no_doubt_about_a_batch() -> Result {
    // GIVEN a database that warns every session of its collation version
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    sqlx::query("update pg_database set datcollversion = '0.1' where datname = current_database()")
        .execute(&mut connection)
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    // WHEN events are appended
    let mut redis = world.redis().await?;
    for n in 1..=5 {
        append(&mut connection, "t", 1).await?;
        assert_eq!(arrived(&mut redis, "outbox:t", n).await?.len(), n);
    }
    // THEN the first leader leads on
    let epoch: i64 = sqlx::query_scalar("select max(epoch) from outbox.lease")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(epoch, 1);
    Ok(())
}

#[tokio::test]
async fn a_leader_whose_lease_was_taken_steps_down_and_waits_its_turn() -> Result {
    // GIVEN a leader
    let world = World::new().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    // WHEN another holds the leases
    sqlx::query("update outbox.lease set epoch = epoch + 1, holder = 'another', expires_at = clock_timestamp() + interval '4 minutes'")
        .execute(&mut connection)
        .await?;
    // THEN it stands by, and leaves the log to that one
    until("it stands by", Duration::from_secs(120), async || {
        let (_, body) = relay.get("/readyz").await?;
        Ok(body.contains("\"standby\"").then_some(()))
    })
    .await?;
    append(&mut connection, "t", 1).await?;
    // AND leads again when they are free, under an epoch of its own
    sqlx::query("update outbox.lease set expires_at = clock_timestamp()")
        .execute(&mut connection)
        .await?;
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    let epochs: Vec<i64> = sqlx::query_scalar("select epoch from outbox.batch where number > 0")
        .fetch_all(&mut connection)
        .await?;
    assert_eq!(epochs, [3]);
    Ok(())
}
