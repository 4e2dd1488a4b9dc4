//! A database and its copy publish to the same streams. What one finds of the other its own parcel wipes out, so what was refused stays
//! refused: for later terms, for other relays, until a recovery.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use sqlx::{Connection, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::stream::{Entry, EntryId};
use system_tests::{Relay, Result};
use uuid::Uuid;
use xtask::servers::Postgres;

use system_tests::past::{LIMIT, STREAM, Scene};

const CODE: &str = "STREAM-IS-AHEAD";

async fn epoch(url: &str) -> Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    Ok(
        sqlx::query_scalar("select epoch from outbox.lease where name = 'publish'")
            .fetch_one(&mut connection)
            .await?,
    )
}

/// Three more terms of some relay of this database, none of which leads.
async fn three_terms_later_it_refuses(url: &str, relay: &mut Relay) -> Result {
    let before = epoch(url).await?;
    until("three more terms", LIMIT, async || {
        assert!(!relay.is_leading().await, "a relay that refused leads again");
        Ok((epoch(url).await? >= before + 3).then_some(()))
    })
    .await?;
    relay.not_ready_because(CODE).await?;
    Ok(())
}

/// So many clients have sent a transaction that waits.
async fn parcels_wait(redis: &mut MultiplexedConnection, count: usize) -> Result {
    until("parcels wait", LIMIT, async || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(redis).await?;
        let in_multi = clients
            .lines()
            .filter(|line| {
                line.split(' ')
                    .any(|word| word.starts_with("multi=") && word != "multi=-1" && word != "multi=0")
            })
            .count();
        Ok((in_multi >= count).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_copy_and_its_original_that_both_published_stay_refused() -> Result {
    // GIVEN a database and a copy of it, each with a relay that leads since nothing differs
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let copy = scene.world.postgres()?.copy_beside(Postgres::options())?;
    let copy_url = copy.url(scene.world.log().name());
    let mut original = scene.relay().start()?;
    original.leads().await?;
    let mut other = scene.relay().set("DATABASE_URL", &copy_url).start()?;
    other.leads().await?;
    // WHEN both have sent a parcel before one of them could see the other's
    let mut redis = scene.redis.clone();
    redis::cmd("CLIENT")
        .arg(&["PAUSE", "60000", "WRITE"])
        .query_async::<()>(&mut redis)
        .await?;
    let ours = scene.append(1).await?;
    parcels_wait(&mut redis, 1).await?;
    PgConnection::connect(&copy_url)
        .await?
        .execute("select outbox.append('orders.placed', '{}', 'key-1')")
        .await?;
    parcels_wait(&mut redis, 2).await?;
    redis::cmd("CLIENT")
        .arg("UNPAUSE")
        .query_async::<()>(&mut redis)
        .await?;
    // THEN both refuse
    original.not_ready_because(CODE).await?;
    other.not_ready_because(CODE).await?;
    let before = scene.entries().await?.len();
    // AND stay so, though one of them finds its own mark and its own entry from here on
    let url = scene.url.clone();
    three_terms_later_it_refuses(&url, &mut original).await?;
    three_terms_later_it_refuses(&copy_url, &mut other).await?;
    // AND so does another relay of the original
    let mut second = scene.relay().start()?;
    second.not_ready_because(CODE).await?;
    original.not_ready_because(CODE).await?;
    scene.append(1).await?;
    assert_eq!(scene.entries().await?.len(), before, "nothing is published");
    let inspected = scene.ask(&["recover", "inspect"])?;
    assert_eq!(inspected.code, 4);
    assert!(inspected.output.contains(CODE), "{}", inspected.output);
    // WHEN the copy is stopped and a person decides for the original
    for relay in [&mut other, &mut original, &mut second] {
        relay.terminate().await?;
    }
    drop(copy);
    scene.apply("trust-database")?;
    // THEN it goes on, and the streams have what it has
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    scene.append(1).await?;
    let expected = scene.in_the_log().await?;
    assert_eq!(expected.len(), 8);
    assert!(expected.contains(&ours[0]));
    assert_eq!(scene.arrived(expected.len()).await?, expected);
    // AND what was refused is closed by that recovery
    let mut connection = scene.connect().await?;
    let closed: Vec<(String, Option<i64>)> =
        sqlx::query_as("select code, recovery from outbox_ops.refusals order by number")
            .fetch_all(&mut connection)
            .await?;
    assert_eq!(closed, [(CODE.to_owned(), Some(1))]);
    Ok(())
}

#[tokio::test]
async fn a_parcel_finds_the_mark_of_a_copy() -> Result {
    // GIVEN a relay at work
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    scene.append(1).await?;
    scene.arrived(6).await?;
    // WHEN a copy moves the mark to a batch that this ledger never cut, and an event is appended at once
    let batch = scene.entries().await?.last().map_or(0, |entry| entry.id.0) + 1;
    let mark: Vec<(String, Vec<(String, String)>)> = redis::cmd("XREVRANGE")
        .arg(&["outbox:@mark:orders.placed", "+", "-"])
        .query_async(&mut scene.redis)
        .await?;
    let mut command = redis::cmd("XADD");
    command
        .arg("outbox:@mark:orders.placed")
        .arg(format!("{batch}-0"));
    for (field, value) in &mark[0].1 {
        command.arg(field).arg(value);
    }
    command.query_async::<()>(&mut scene.redis).await?;
    scene.append(1).await?;
    // THEN it notices
    relay.not_ready_because(CODE).await?;
    let before = scene.entries().await?.len();
    // WHEN nothing at the sink tells of it any more
    redis::cmd("DEL")
        .arg("outbox:@mark:orders.placed")
        .query_async::<()>(&mut scene.redis)
        .await?;
    let mut command = redis::cmd("XADD");
    command.arg("outbox:@mark:orders.placed").arg(&mark[0].0);
    for (field, value) in &mark[0].1 {
        command.arg(field).arg(value);
    }
    command.query_async::<()>(&mut scene.redis).await?;
    // THEN it refuses all the same, and so does another relay
    let url = scene.url.clone();
    three_terms_later_it_refuses(&url, &mut relay).await?;
    let mut second = scene.relay().start()?;
    second.not_ready_because(CODE).await?;
    assert_eq!(scene.entries().await?.len(), before, "nothing is published");
    let check = scene.ask(&["check"])?;
    assert_eq!(check.code, 4, "{}", check.output);
    assert!(check.output.contains(CODE), "{}", check.output);
    for relay in [&mut relay, &mut second] {
        relay.terminate().await?;
    }
    // AND a person closes it, who finds that nothing differs
    scene.apply("continue")?;
    let mut relay = scene.relay().start()?;
    relay.leads().await?;
    scene.append(1).await?;
    let expected = scene.in_the_log().await?;
    assert_eq!(scene.arrived(8).await?, expected);
    Ok(())
}

/// Puts a stream down anew.
async fn lay_down(redis: &mut MultiplexedConnection, entries: &[(EntryId, String)]) -> Result {
    redis::cmd("DEL").arg(STREAM).query_async::<()>(redis).await?;
    for (id, json) in entries {
        redis::cmd("XADD")
            .arg(STREAM)
            .arg(id.to_string())
            .arg(&["event", json])
            .query_async::<()>(redis)
            .await?;
    }
    Ok(())
}

fn as_it_was(entry: &Entry) -> (EntryId, String) {
    (entry.id, entry.json.clone())
}

#[tokio::test]
async fn an_entry_of_a_copy_before_ours_is_noticed_by_the_next_term() -> Result {
    // GIVEN a relay that died when its parcel was on the stream and nothing was recorded
    let mut scene = Scene::new(Postgres::options()).await?;
    scene.known = scene.publish(5).await?;
    scene.append(1).await?;
    let mut relay = scene
        .relay()
        .set("OUTBOX_CRASH_POINT", "parcel-sent:exit:1")
        .start()?;
    until("it is dead", LIMIT, async || Ok(relay.has_ended()?.then_some(()))).await?;
    // AND an entry of a copy right before that parcel, which has moved the mark over the copy's
    let entries = scene.entries().await?;
    assert_eq!(entries.len(), 6);
    let (known, ours) = (&entries[4], &entries[5]);
    let theirs = ours
        .json
        .replace(&ours.event_id.to_string(), &Uuid::now_v7().to_string());
    let mut laid: Vec<_> = entries[..5].iter().map(as_it_was).collect();
    laid.push((EntryId(known.id.0 + 1, ours.id.1), theirs));
    laid.push(as_it_was(ours));
    assert!(known.id.0 + 1 < ours.id.0, "there is room between the batches");
    lay_down(&mut scene.redis, &laid).await?;
    // WHEN a relay takes the lead, THEN it refuses, though the mark and the last entry are of this ledger
    let mut relay = scene.relay().start()?;
    let said = relay.not_ready_because(CODE).await?;
    assert!(said.contains(&format!("{}-", known.id.0 + 1)), "{said}");
    relay.terminate().await?;
    let ids: BTreeSet<_> = scene.entries().await?.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 7, "nothing was added");
    Ok(())
}
