//! Pieces: producers never fail or wait because of them, and nothing unpublished is dropped.

use std::time::{Duration, Instant};

use futures_util::stream;
use outbox_core::tail::pg::{Dial, Messages, Session};
use outbox_core::tail::upkeep;
use sqlx::{Connection, Executor, PgConnection};
use system_tests::{Login, Relay, Result, World};

use crate::arrivals::arrived;

/// No append on a quiet server takes this long; one that waits for an open transaction takes as long as that.
const AT_ONCE: Duration = Duration::from_millis(500);

fn dial(url: &str) -> Dial {
    let url = url.to_owned();
    std::sync::Arc::new(move |purpose| {
        let url = url.clone();
        Box::pin(async move {
            let mut config: tokio_postgres::Config = url.parse()?;
            config.application_name(purpose);
            let (client, mut connection) = config.connect(tokio_postgres::NoTls).await?;
            let messages: Messages =
                Box::pin(stream::poll_fn(move |context| connection.poll_message(context)));
            Ok((client, messages))
        })
    })
}

async fn look_after(world: &World) -> Result<upkeep::Report> {
    let session = Session::open(
        &dial(&world.log().url_of(Login::Relay)),
        "maintain",
        false,
        Duration::from_secs(60),
    )
    .await?;
    let report = upkeep::run_once(session).await?;
    // The server gives up what the session had a moment after it was closed: until then there is another keeper.
    let is_there = "select exists (select from pg_locks held join pg_stat_activity keeper using (pid) \
                    where held.locktype = 'advisory' and held.database = (select oid from pg_database where datname = current_database()) \
                      and (held.classid::bigint << 32) + held.objid::bigint = 122550254464889 and keeper.application_name = 'maintain')";
    let mut connection = world.connect().await?;
    while sqlx::query_scalar::<_, bool>(is_there)
        .fetch_one(&mut connection)
        .await?
    {
        tokio::task::yield_now().await;
    }
    Ok(report)
}

async fn append(connection: &mut PgConnection) -> Result<Duration> {
    let began = Instant::now();
    sqlx::query("select outbox.append('t', '{}')")
        .execute(connection)
        .await?;
    Ok(began.elapsed())
}

async fn pieces(connection: &mut PgConnection) -> Result<Vec<(Option<i64>, Option<i64>)>> {
    let found = sqlx::query_as(
        "select lower_bound, upper_bound from outbox.piece where parent = 'log_standard' order by lower_bound nulls first",
    );
    Ok(found.fetch_all(connection).await?)
}

#[tokio::test]
async fn appends_land_far_beyond_every_piece_that_was_made_ahead() -> Result {
    // GIVEN a log that nobody looked after for so long that positions passed every bounded piece
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection).await?;
    let last: i64 =
        sqlx::query_scalar("select max(lower_bound) from outbox.piece where parent = 'log_standard'")
            .fetch_one(&mut connection)
            .await?;
    sqlx::query("select setval('outbox.log_position', $1)")
        .bind(last * 10)
        .execute(&mut connection)
        .await?;
    // WHEN more is appended and a relay comes back
    append(&mut connection).await?;
    append(&mut connection).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    // THEN everything is published in order
    let found = arrived(&mut world.redis().await?, "outbox:t", 3).await?;
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].id.1, 1);
    assert_eq!(found[2].id.1, found[1].id.1 + 1);
    Ok(())
}

#[tokio::test]
async fn pieces_always_cover_every_position() -> Result {
    // GIVEN a log whose head has moved a long way
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut connection = world.connect().await?;
    for head in [10_i64, 30_000_000, 70_000_000, 400_000_000] {
        sqlx::query("select setval('outbox.log_position', $1)")
            .bind(head)
            .execute(&mut connection)
            .await?;
        append(&mut connection).await?;
        // WHEN the pieces are looked after
        look_after(&world).await?;
        // THEN they cover everything without a gap, from the beginning to the open end
        let found = pieces(&mut connection).await?;
        assert_eq!(found.first().map(|piece| piece.0), Some(None));
        assert_eq!(found.last().map(|piece| piece.1), Some(None));
        assert!(
            found
                .windows(2)
                .all(|pair| pair[0].1.is_some() && pair[0].1 == pair[1].0),
            "{found:?}"
        );
        append(&mut connection).await?;
    }
    let made = pieces(&mut connection).await?.len();
    assert!(made > 9, "wide pieces far ahead were split: {made}");
    Ok(())
}

#[tokio::test]
async fn an_append_waits_for_no_step_of_upkeep_beside_an_idle_appender() -> Result {
    // GIVEN an appender that sits idle in its transaction
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut other = world.connect().await?;
    let mut idle = other.begin().await?;
    append(&mut idle).await?;
    let mut connection = world.connect().await?;
    let mut worker = world.connect().await?;
    // WHEN each step of upkeep is made, one by one, THEN an append beside it lands at once
    let steps = [
        "create table outbox.log_standard_from_900000000000 (like outbox.log_standard including defaults including constraints including storage)",
        "create unique index on outbox.log_standard_from_900000000000 (id, source)",
        "alter table outbox.log_standard_from_900000000000 add constraint piece_bounds check (position is not null and position >= 900000000000 and retention is not null and retention = 'standard')",
    ];
    for step in steps {
        sqlx::raw_sql(step).execute(&mut worker).await?;
        assert!(append(&mut connection).await? < AT_ONCE, "{step}");
    }
    let last: String = sqlx::query_scalar(
        "select name from outbox.piece where parent = 'log_standard' and upper_bound is null",
    )
    .fetch_one(&mut connection)
    .await?;
    // The detach waits for the idle appender; appends do not wait for the detach.
    let detach = format!("alter table outbox.log_standard detach partition outbox.{last} concurrently");
    let detaching = tokio::spawn(async move {
        sqlx::raw_sql(sqlx::AssertSqlSafe(detach))
            .execute(&mut worker)
            .await
            .map(|_| worker)
    });
    let pending = "select exists (select from outbox.piece where parent = 'log_standard' and detach_pending)";
    while !sqlx::query_scalar::<_, bool>(pending)
        .fetch_one(&mut connection)
        .await?
    {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        assert!(
            append(&mut connection).await? < AT_ONCE,
            "an append waited for a detach"
        );
    }
    assert!(
        !detaching.is_finished(),
        "the detach must still wait for the idle appender"
    );
    idle.rollback().await?;
    let mut worker = detaching.await??;
    for step in [
        format!("drop table outbox.{last}"),
        "alter table outbox.log_standard attach partition outbox.log_standard_from_900000000000 for values from (900000000000) to (maxvalue)".to_owned(),
    ] {
        let mut idle = other.begin().await?;
        append(&mut idle).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(step.clone())).execute(&mut worker).await?;
        assert!(append(&mut connection).await? < AT_ONCE, "{step}");
        idle.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_piece_goes_only_when_it_is_old_and_every_stream_has_passed_it() -> Result {
    // GIVEN a full first piece of short retention, with one event that is not published
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut connection = world.connect().await?;
    append(&mut connection).await?;
    sqlx::query("update outbox.retention_class set keep = interval '1 millisecond' where name = 'standard'")
        .execute(&mut connection)
        .await?;
    let bound: i64 = pieces(&mut connection).await?[0].1.unwrap_or_default();
    sqlx::query("select setval('outbox.log_position', $1)")
        .bind(bound + 10)
        .execute(&mut connection)
        .await?;
    // WHEN the pieces are looked after, THEN it stays
    assert_eq!(look_after(&world).await?.dropped, 0);
    assert_eq!(pieces(&mut connection).await?[0].1, Some(bound));
    // AND also when the event is on its stream: whoever drew a position of it may not have committed yet
    let mut relay = Relay::of(&world)
        .set("OUTBOX_MAINTAIN_ENABLED", "false")
        .start()?;
    relay.leads().await?;
    let mut redis = world.redis().await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    relay.terminate().await?;
    assert_eq!(look_after(&world).await?.dropped, 0);
    // AND when the batches were beyond it a minute ago, the piece goes and the rest stays in order
    sqlx::query(
        "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position, cut_at) \
         select number + 1, batch_id + 1, era, epoch, pg_current_snapshot(), 0, $1, $1, clock_timestamp() - interval '2 minutes' \
         from outbox.batch order by number desc limit 1",
    )
    .bind(bound + 10)
    .execute(&mut connection)
    .await?;
    assert_eq!(look_after(&world).await?.dropped, 1);
    assert_eq!(pieces(&mut connection).await?[0].0, Some(bound));
    append(&mut connection).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    assert_eq!(arrived(&mut redis, "outbox:t", 2).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn upkeep_waits_for_a_transaction_that_lingers_and_for_another_keeper() -> Result {
    // GIVEN a log with a piece to split, and somebody's prepared transaction, which only its owner's statistics would show
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let name = format!("held-{}", world.log().name());
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "set outbox.notify = 'off'; begin; select outbox.append('t', '{{}}'); prepare transaction '{name}'"
    )))
    .execute(&mut connection)
    .await?;
    // WHEN the pieces are looked after, THEN nothing is detached that would have to wait for it
    assert_eq!(look_after(&world).await?, upkeep::Report::default());
    // AND when it has ended, but another keeper is at work, nothing either
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("commit prepared '{name}'")))
        .execute(&mut connection)
        .await?;
    sqlx::query("select pg_advisory_lock(122550254464889)")
        .execute(&mut connection)
        .await?;
    assert_eq!(look_after(&world).await?, upkeep::Report::default());
    // AND alone it splits the piece
    sqlx::query("select pg_advisory_unlock(122550254464889)")
        .execute(&mut connection)
        .await?;
    assert!(look_after(&world).await?.made > 0);
    Ok(())
}

/// A migration that gives a column to the parent reaches no piece that is being detached.
#[tokio::test]
async fn a_piece_that_a_migration_passed_over_is_attached_again_with_what_it_holds() -> Result {
    // GIVEN a piece with an event that is not published, detached, whose column is as it was before
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection).await?;
    let piece: String = sqlx::query_scalar("select tableoid::regclass::text from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    connection
        .execute(sqlx::AssertSqlSafe(format!(
            "alter table outbox.log_standard detach partition {piece}; alter table {piece} alter column topic drop not null"
        )))
        .await?;
    // WHEN the pieces are looked after
    look_after(&world).await?;
    // THEN it is in the log again, held as the others are
    let held: (i64, bool) = sqlx::query_as(
        "select (select count(*) from outbox.log), (select attnotnull from pg_attribute where attrelid = $1::text::regclass and attname = 'topic')",
    )
    .bind(&piece)
    .fetch_one(&mut connection)
    .await?;
    assert_eq!(held, (1, true));
    Ok(())
}

#[tokio::test]
async fn an_entry_whose_share_is_gone_and_its_batch_is_not_is_no_stranger() -> Result {
    // GIVEN a quiet stream, and a piece of the shares that went before the batches of the same numbers
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut redis = world.redis().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    append(&mut connection).await?;
    arrived(&mut redis, "outbox:t", 1).await?;
    sqlx::query("select outbox.append('later', '{}')")
        .execute(&mut connection)
        .await?;
    arrived(&mut redis, "outbox:later", 1).await?;
    relay.terminate().await?;
    connection
        .execute(
            "do $$ declare since bigint := (select max(batch_number) from outbox.share); begin
                 alter table outbox.share detach partition outbox.share_from_0;
                 execute format('create table outbox.share_later (like outbox.share including defaults including constraints)');
                 insert into outbox.share_later select * from outbox.share_from_0 where batch_number >= since;
                 execute format('alter table outbox.share attach partition outbox.share_later for values from (%s) to (262144)', since);
                 drop table outbox.share_from_0;
             end $$",
        )
        .await?;
    // WHEN a relay takes the lead THEN it leads: what it cannot judge it does not take for a stranger's
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    append(&mut connection).await?;
    arrived(&mut redis, "outbox:t", 2).await?;
    relay.terminate().await?;
    Ok(())
}
