//! Entries that look like the relay's own, which end a generation of partitions, and are not; and those that are, of a layout
//! that is not known.

use std::time::Duration;

use serde_json::json;
use system_tests::{Failure, Result};
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, TOPIC, note};

/// Far longer than a layout may be behind.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the relay puts behind everything of a generation, from this source, at this place in the chain.
fn moved(source: &str, previous: Option<&str>, generation: usize) -> String {
    let mut event = json!({
        "specversion": "1.0", "id": "moved", "source": source, "type": "outbox.moved",
        "data": {"topic": TOPIC, "generation": generation, "from": 1, "to": 4},
    });
    if let Some(previous) = previous {
        event["previousid"] = json!(previous);
    }
    event.to_string()
}

#[tokio::test]
async fn what_only_looks_like_the_end_of_a_generation_is_given_up_and_holds_nothing() -> Result {
    // GIVEN a member at work
    let mut bench = Bench::new().await?;
    let member = bench.start()?;
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.effects(1).await?;
    // WHEN somebody ends a generation outside the chain, in it under another source, or far ahead of the next one
    let forged = [
        ("2-0", moved("/a-stranger", None, 7)),
        ("3-0", moved("/outbox", None, 1)),
        ("4-0", moved("/a-stranger", Some("1-1"), 1)),
        ("5-0", moved("/outbox", Some("4-0"), 7)),
    ];
    for (id, event) in &forged {
        bench.put_raw(id, "event", event.as_bytes()).await?;
    }
    bench.put("6-2", Some("5-0"), "b", 2).await?;
    // THEN what follows is applied
    assert_eq!(
        bench.effects(2).await?,
        [("a".to_owned(), 1), ("b".to_owned(), 2)]
    );
    bench.until("select count(*) = 4 from outbox.dead_letter").await?;
    bench
        .until("select coalesce(bool_or(passed_entry = '6-2'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // AND each of them is kept with its bytes
    let kept: Vec<(String, String, Vec<Vec<u8>>)> = sqlx::query_as(
        "select entry_id, error_class, entry_fields from outbox.dead_letter order by entry_id",
    )
    .fetch_all(&bench.pool)
    .await?;
    let wanted = forged.map(|(id, event)| {
        let fields = vec![b"event".to_vec(), event.into_bytes()];
        (id.to_owned(), "unreadable".to_owned(), fields)
    });
    assert_eq!(kept, wanted);
    assert_eq!(bench.pending().await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_end_of_a_generation_that_no_layout_confirms_is_shown_until_one_does() -> Result {
    // GIVEN a topic whose layout Redis lost
    let mut bench = Bench::new().await?;
    let consumer = bench.describe().on(TOPIC, note).build()?;
    let mut standing = consumer.standing();
    let token = CancellationToken::new();
    let task = tokio::spawn(consumer.run(token.clone()));
    bench.put("1-1", Some("0-0"), "a", 1).await?;
    bench.effects(1).await?;
    // WHEN the relay's entry says that the topic moved on
    let event = moved("/outbox", Some("1-1"), 1);
    bench.put_raw("2-0", "event", event.as_bytes()).await?;
    // THEN the member says which layout does not say so
    let shown = standing.wait_for(|standing| standing.cause().is_some());
    let seen = tokio::time::timeout(PATIENCE, shown).await??.clone();
    let cause = seen.cause().ok_or_else(|| Failure::new("no cause"))?;
    assert!(cause.contains("outbox:@layout:orders.placed"), "{cause}");
    assert!(!seen.is_ready());
    // AND is content when it does
    redis::cmd("SET")
        .arg(format!("outbox:@layout:{TOPIC}"))
        .arg("1@0,4@2")
        .query_async::<()>(&mut bench.redis)
        .await?;
    let content = standing.wait_for(|standing| standing.is_ready());
    tokio::time::timeout(PATIENCE, content).await??;
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.dead_letter")
            .await?,
        0
    );
    token.cancel();
    task.await??;
    Ok(())
}
