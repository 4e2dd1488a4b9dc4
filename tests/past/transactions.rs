//! A database that was loaded elsewhere begins its transaction ids again: nothing is lost by it, and nothing comes twice.

use std::time::Duration;

use sqlx::{Connection, Executor};
use system_tests::Result;
use uuid::Uuid;
use xtask::servers::Postgres;

use system_tests::past::{Scene, TOPIC};

/// A database that published 20 events, cut 5 more that never left, and appended 5 that nobody cut; dumped, and loaded into a
/// cluster whose transaction ids are far below. There producers append 5 before anybody looks.
pub(crate) async fn loaded_elsewhere() -> Result<(Scene, Vec<Uuid>)> {
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.spend_transactions(5_000).await?;
    scene.known = scene.publish(20).await?;
    scene.cut_while_the_sink_is_away(5).await?;
    let uncut = scene.append(5).await?;
    let file = tempfile::NamedTempFile::new()?;
    scene.dump(file.path())?;
    scene.load(file.path()).await?;
    let newer = scene.append(5).await?;
    let mut connection = scene.connect().await?;
    let is_behind: bool = sqlx::query_scalar(
        "select pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax((select snapshot from outbox.batch order by number desc limit 1))",
    )
    .fetch_one(&mut connection)
    .await?;
    assert!(is_behind, "the new cluster is behind the old one");
    connection.close().await?;
    let all = scene.in_the_log().await?;
    assert_eq!(all.len(), 35);
    assert!(uncut.iter().chain(&newer).all(|id| all.contains(id)));
    Ok((scene, all))
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_comes_twice_when_transaction_ids_begin_again() -> Result {
    let (mut scene, all) = loaded_elsewhere().await?;
    let mut relay = scene.relay().start()?;
    relay.not_ready_because("POSTGRES-MOVED").await?;
    relay.terminate().await?;
    // WHEN the move is said to be planned, THEN the streams agree, and everything comes once
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    assert_eq!(scene.arrived(35).await?, all);
    // AND so it stays when the new server comes to the ids that the old rows have
    let mut appended = Vec::new();
    for _ in 0..8 {
        scene.spend_transactions(900).await?;
        appended.extend(scene.append(2).await?);
    }
    let mut connection = scene.connect().await?;
    let is_beyond: bool = sqlx::query_scalar(
        "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint > (select max(transaction_id::text::bigint) from outbox.log l, outbox.era e
         where e.era = 2 and l.position <= e.position_floor)",
    )
    .fetch_one(&mut connection)
    .await?;
    assert!(is_beyond, "the new server has come to the old ids");
    let expected = [all, appended].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    // AND a relay that takes over reads the same, and upkeep knows what is passed
    relay.terminate().await?;
    let more = scene.publish(2).await?;
    assert_eq!(scene.entries().await?.len(), expected.len() + more.len());
    Ok(())
}

#[tokio::test]
async fn a_relay_that_knows_no_eras_cannot_cut_old_rows_again() -> Result {
    let (mut scene, all) = loaded_elsewhere().await?;
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    scene.arrived(all.len()).await?;
    relay.terminate().await?;
    let mut connection = scene.connect().await?;
    let refused = connection
        .execute(
            "insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position, layouts)
             select b.number + 1, b.batch_id + 1, b.era, 1, pg_current_snapshot(), 1, 1, 1, 0 from outbox.batch b order by b.number desc limit 1",
        )
        .await;
    let code = refused.err().and_then(|error| {
        let said = error.as_database_error()?;
        Some(said.code()?.into_owned())
    });
    assert_eq!(code.as_deref(), Some("42703"));
    Ok(())
}

#[tokio::test]
async fn a_relay_that_would_publish_an_era_in_part_gets_no_lease() -> Result {
    // GIVEN an era that has events to put out
    let (mut scene, all) = loaded_elsewhere().await?;
    scene.apply("continue")?;
    // WHEN a relay of before eras asks for the leases, as it did: it says nothing of what it knows
    let mut connection = scene.connect().await?;
    let refused = connection
        .execute(
            "update outbox.lease set epoch = epoch + 1, acquired_at = clock_timestamp(), holder = 'an-old-one', \
             expires_at = clock_timestamp() + interval '10 seconds'",
        )
        .await;
    // THEN it is refused, as one is that belongs to another schema
    let code = refused.err().and_then(|error| {
        let said = error.as_database_error()?;
        Some(said.code()?.into_owned())
    });
    assert_eq!(code.as_deref(), Some("42703"));
    // AND so it is after one of this version had them: what that said is not kept
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    assert_eq!(scene.arrived(all.len()).await?, all);
    relay.terminate().await?;
    let refused = connection
        .execute("update outbox.lease set epoch = epoch + 1, holder = 'an-old-one', expires_at = clock_timestamp() + interval '10 seconds'")
        .await;
    assert!(refused.is_err(), "an older relay would lead");
    Ok(())
}

#[tokio::test]
async fn an_era_waits_for_who_appends_and_says_for_whom() -> Result {
    // GIVEN a transaction that appended and does not end
    let (mut scene, all) = loaded_elsewhere().await?;
    let mut connection = scene.connect().await?;
    connection
        .execute("set application_name = 'the-slow-one'")
        .await?;
    let mut open = connection.begin().await?;
    let late: Uuid = sqlx::query_scalar("select outbox.append($1, '{}')")
        .bind(TOPIC)
        .fetch_one(&mut *open)
        .await?;
    // WHEN the era is to be opened, THEN it is not, and the transaction is named
    let answer = scene.try_apply("continue")?;
    assert_eq!(answer.code, 1, "{}", answer.errors);
    assert!(answer.errors.contains("the-slow-one"), "{}", answer.errors);
    // AND appends of others waited for moments only
    let appended = tokio::time::timeout(Duration::from_secs(10), scene.append(1)).await??;
    // WHEN it has ended, THEN everything comes, in order of position
    open.commit().await?;
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    let expected = [all, vec![late], appended].concat();
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    Ok(())
}

/// The view looks at the locks, then at the sessions: who ends in between still has its locks and has no start.
#[tokio::test]
async fn an_era_waits_for_who_ends_while_it_looks() -> Result {
    // GIVEN a transaction that appended, which the view shows as one that ends at that moment
    let (scene, _) = loaded_elsewhere().await?;
    let mut connection = scene.connect().await?;
    connection
        .execute(
            "create or replace view outbox_ops.waiting_transactions as
             select w.pid, w.kind, w.user_name, w.application, w.state, null::timestamptz as started_at, null::interval as age,
                    w.query_started_at, w.waits_for, w.prepared_name, w.holds_back
             from outbox.waiting_transactions() w",
        )
        .await?;
    connection
        .execute("set application_name = 'the-ending-one'")
        .await?;
    let mut open = connection.begin().await?;
    sqlx::query("select outbox.append($1, '{}')")
        .bind(TOPIC)
        .execute(&mut *open)
        .await?;
    // WHEN the era is to be opened, THEN it waits for that one as for any other
    let answer = scene.try_apply("continue")?;
    assert_eq!(answer.code, 1, "{}", answer.errors);
    assert!(answer.errors.contains("the-ending-one"), "{}", answer.errors);
    // AND opens it when it has ended
    open.commit().await?;
    scene.apply("continue")?;
    Ok(())
}
