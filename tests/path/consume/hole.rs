//! What a member says of a hole to the relay, and what it mends itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use system_tests::Result;
use system_tests::patience::until;
use tokio::sync::{Notify, Semaphore};

use super::bench::{Bench, GROUP, Member, STREAM, TOPIC, chain, event, note};

const HOLES: &str = "outbox:@holes";
const LIMIT: Duration = Duration::from_secs(120);

impl Bench {
    async fn asked(&mut self) -> Result<Option<Value>> {
        let value: Option<String> = redis::cmd("HGET")
            .arg(HOLES)
            .arg(format!("{STREAM}|{GROUP}"))
            .query_async(&mut self.redis)
            .await?;
        Ok(value.and_then(|value| serde_json::from_str(&value).ok()))
    }

    async fn until_asked_for(&mut self, missing: &str) -> Result<Value> {
        until("the relay is asked", LIMIT, async || {
            Ok(self.asked().await?.filter(|asked| asked["missing"] == missing))
        })
        .await
    }

    async fn delete(&mut self, ids: &[&str]) -> Result {
        let mut command = redis::cmd("XDEL");
        command.arg(STREAM).arg(ids);
        Ok(command.query_async::<()>(&mut self.redis).await?)
    }
}

#[tokio::test]
async fn what_somebody_took_and_did_not_apply_is_delivered_again_also_at_the_end_of_the_stream() -> Result {
    // GIVEN a group at work, and a stranger's entry behind what it passed
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put("1-5", None, "s", 99).await?;
    let member = Member::start(bench.describe().concurrency(1).on(TOPIC, note))?;
    bench.effects(2).await?;
    // WHEN an entry is delivered to somebody else and acknowledged, and nothing follows it
    redis::pipe()
        .atomic()
        .cmd("XADD")
        .arg(STREAM)
        .arg("1-6")
        .arg("event")
        .arg(super::bench::event(Some("1-1"), "a", 2).to_string())
        .cmd("XREADGROUP")
        .arg("GROUP")
        .arg(GROUP)
        .arg("zombie")
        .arg("STREAMS")
        .arg(STREAM)
        .arg(">")
        .cmd("XACK")
        .arg(STREAM)
        .arg(GROUP)
        .arg("1-6")
        .query_async::<()>(&mut bench.redis)
        .await?;
    // THEN it is noticed and applied, and the stranger's has no second effect
    let numbers: Vec<i64> = bench
        .effects(3)
        .await?
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert_eq!(numbers, [1, 99, 2]);
    bench
        .until("select passed_entry = '1-6' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_hole_is_asked_for_until_it_is_closed_also_by_the_next_member() -> Result {
    // GIVEN a group that passed e1, and e2 and e4 that vanished
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    member.stop().await?;
    for (n, (id, previous)) in (1..).zip(chain(5)).skip(1) {
        bench.put(&id, Some(&previous), "a", n).await?;
    }
    bench.delete(&["1-2", "1-4"]).await?;
    // WHEN a member finds it THEN it asks for the first, and says what it holds and has passed
    let member = bench.start()?;
    let asked = bench.until_asked_for("1-2").await?;
    assert_eq!((&asked["held"], &asked["passed"]), (&"1-3".into(), &"1-1".into()));
    member.stop().await?;
    // WHEN another member goes on THEN it asks for the same, since then
    let member = bench.start()?;
    redis::cmd("HSET")
        .arg(HOLES)
        .arg(format!("{STREAM}|{GROUP}"))
        .arg("lost its meaning")
        .query_async::<()>(&mut bench.redis)
        .await?;
    bench.until_asked_for("1-2").await?;
    // WHEN it is put out again THEN nothing is asked for any more
    bench.put("2-2", Some("1-1"), "a", 2).await?;
    bench.put("2-3", Some("2-2"), "a", 3).await?;
    bench.put("2-4", Some("2-3"), "a", 4).await?;
    bench.put("2-5", Some("2-4"), "a", 5).await?;
    let effects: Vec<i64> = bench
        .effects(5)
        .await?
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert_eq!(effects, [1, 2, 3, 4, 5]);
    until("nothing is asked", LIMIT, async || {
        Ok(bench.asked().await?.is_none().then_some(()))
    })
    .await?;
    member.stop().await
}

#[tokio::test]
async fn what_was_asked_for_by_a_member_before_is_taken_back_when_nothing_is_missed() -> Result {
    // GIVEN a question of a member that is gone, and nothing missing any more
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let asked = serde_json::json!({ "missing": "0-9", "held": "1-1", "passed": null, "since": "2026-11-21T04:27:41Z" });
    redis::cmd("HSET")
        .arg(HOLES)
        .arg(format!("{STREAM}|{GROUP}"))
        .arg(asked.to_string())
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN a member goes on THEN it is taken back
    let member = bench.start()?;
    bench.effects(1).await?;
    until("nothing is asked", LIMIT, async || {
        Ok(bench.asked().await?.is_none().then_some(()))
    })
    .await?;
    member.stop().await
}

#[tokio::test]
async fn what_was_delivered_to_nobody_is_read_again() -> Result {
    // GIVEN a group that passed e1, and was set behind e3 by somebody
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    bench
        .until("select passed_entry = '1-1' from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    for (n, (id, previous)) in (1..).zip(chain(4)).skip(1) {
        bench.put(&id, Some(&previous), "a", n).await?;
    }
    redis::cmd("XGROUP")
        .arg(&["SETID", STREAM, GROUP, "1-3"])
        .query_async::<()>(&mut bench.redis)
        .await?;
    // WHEN a member goes on THEN nothing is left out
    let member = bench.start()?;
    let effects: Vec<i64> = bench
        .effects(4)
        .await?
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert_eq!(effects, [1, 2, 3, 4]);
    assert!(bench.asked().await?.is_none(), "it is not the relay's to mend");
    member.stop().await
}

#[tokio::test]
async fn the_first_entry_of_a_stream_that_a_group_waited_for_is_missed_when_it_is_lost() -> Result {
    // GIVEN a group at work on a stream on which nothing was yet
    let mut bench = Bench::new().await?;
    let member = bench.start()?;
    bench
        .until("select coalesce(bool_or(passed_entry = '0-0'), false) from outbox_ops.inbox")
        .await?;
    // WHEN the first entry is lost before it is read, and another one follows
    redis::pipe()
        .atomic()
        .cmd("XADD")
        .arg((STREAM, "1-1", "event", event(Some("0-0"), "a", 1).to_string()))
        .cmd("XDEL")
        .arg((STREAM, "1-1"))
        .cmd("XADD")
        .arg((STREAM, "1-2", "event", event(Some("1-1"), "a", 2).to_string()))
        .query_async::<()>(&mut bench.redis)
        .await?;
    // THEN the relay is asked for it, also by the next member, and the next one of its key waits
    let asked = bench.until_asked_for("1-1").await?;
    assert_eq!(
        (&asked["held"], &asked["passed"]),
        (&Value::from("1-2"), &Value::Null)
    );
    member.stop().await?;
    let member = bench.start()?;
    bench.until_looked_again().await?;
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 0);
    // AND a person may pass it
    bench.give_up("1-2").await?;
    assert_eq!(bench.effects(1).await?, [("a".to_owned(), 2)]);
    member.stop().await
}

#[tokio::test]
async fn what_a_stranger_put_first_is_no_reason_to_wait() -> Result {
    // GIVEN a group at work on a stream on which nothing was yet
    let mut bench = Bench::new().await?;
    let member = bench.start()?;
    bench
        .until("select coalesce(bool_or(passed_entry = '0-0'), false) from outbox_ops.inbox")
        .await?;
    // WHEN a stranger's entry is the first one, and the relay's first one follows THEN both are applied
    bench.put("1-1", None, "s", 1).await?;
    bench.put("1-2", Some("0-0"), "a", 2).await?;
    bench.effects(2).await?;
    member.stop().await
}

#[tokio::test]
async fn an_entry_with_leading_zeros_is_the_same_entry() -> Result {
    // GIVEN a hole
    let mut bench = Bench::new().await?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.put("1-3", Some("1-2"), "a", 3).await?;
    let member = bench.start()?;
    bench.effects(1).await?;
    // WHEN a person gives up what is missing, and writes the entry in another way THEN the consumer goes on
    bench.give_up("01-03").await?;
    bench.effects(2).await?;
    member.stop().await
}

#[tokio::test]
async fn what_is_deleted_while_it_is_set_aside_is_asked_for_and_not_passed() -> Result {
    // GIVEN an event of a key whose handler waits, and more of it than a member has in hand
    let mut bench = Bench::new().await?;
    let (arrived, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (at_work, may_go) = (arrived.clone(), gate.clone());
    let describe = bench.describe().lease(Duration::from_secs(60)).concurrency(2);
    let member = Member::start(describe.on(TOPIC, move |tx, event| {
        let (arrived, gate) = (arrived.clone(), gate.clone());
        Box::pin(async move {
            if event.key.as_deref() == Some("slow") {
                arrived.notify_one();
                gate.acquire().await?.forget();
            }
            note(tx, event).await
        })
    }))?;
    bench.put_all(&["slow"]).await?;
    at_work.notified().await;
    bench.put_all(&vec!["slow"; 1100]).await?;
    bench.put_all(&vec!["quick"; 20]).await?;
    // ... so that it was set aside when those behind it are applied
    bench.effects(20).await?;
    // WHEN one of them vanishes from the stream
    bench.delete(&["1-500"]).await?;
    may_go.add_permits(10_000);
    // THEN the relay is asked for it, and nothing behind it is applied
    bench.until_asked_for("1-500").await?;
    let behind: i64 = bench
        .value("select count(*) from effect where key = 'slow' and number > 500")
        .await?;
    member.stop().await?;
    assert_eq!(behind, 0);
    Ok(())
}
