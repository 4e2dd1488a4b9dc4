//! Input that carries no id of its own: a sender that repeats it under another id has no second effect.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use outbox_core::consume::Identity;
use outbox_core::event::EntryId;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::Executor;
use system_tests::Result;
use time::OffsetDateTime;

use super::bench::{Bench, Member, STREAM, TOPIC, event, note, recorded_before, told};

/// The body of a real webhook, with its kind.
#[derive(serde::Deserialize)]
struct Webhook {
    name: String,
    payload: Box<RawValue>,
}

/// Real webhooks; none where the data is not at hand.
fn webhooks() -> Result<Option<Vec<Webhook>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/github-webhooks.ndjson.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: there is no {}", path.display());
        return Ok(None);
    };
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text)?;
    let webhooks: std::result::Result<Vec<Webhook>, _> = text.lines().map(serde_json::from_str).collect();
    Ok(Some(webhooks?))
}

/// An event of its own id with this payload, byte for byte.
fn delivery(id: usize, kind: &str, payload: &RawValue, correlation: Option<&str>) -> Result<String> {
    let correlation = correlation.map_or(Ok(String::new()), |correlation| {
        serde_json::to_string(correlation).map(|text| format!(r#""correlationid":{text},"#))
    })?;
    Ok(format!(
        r#"{{"specversion":"1.0","id":"delivery-{id}","source":"/webhooks","type":"{kind}",{correlation}"data":{}}}"#,
        payload.get()
    ))
}

async fn deliver(bench: &mut Bench, batch: u64, events: Vec<String>) -> Result {
    let mut pipe = redis::pipe();
    for (n, event) in (1..).zip(events) {
        pipe.cmd("XADD")
            .arg(STREAM)
            .arg(EntryId::new(batch, n).to_string())
            .arg("event")
            .arg(event)
            .ignore();
    }
    Ok(pipe.query_async::<()>(&mut bench.redis).await?)
}

/// Notes the id of each event, one transaction after the other: what is first on the stream is first.
fn describe(bench: &Bench, identity: Identity) -> outbox_core::consume::Builder {
    bench
        .describe()
        .concurrency(1)
        .deduplicate(TOPIC, identity, Duration::from_secs(3600))
        .on(TOPIC, |tx, event| {
            Box::pin(async move {
                sqlx::query("insert into effect (key, number) values ($1, 0)")
                    .bind(&event.id)
                    .execute(tx)
                    .await?;
                Ok(())
            })
        })
}

#[tokio::test]
async fn real_webhooks_that_are_sent_twice_under_two_ids_have_one_effect_each() -> Result {
    // GIVEN real bodies, each delivered twice under ids of their own
    let Some(webhooks) = webhooks()? else {
        return Ok(());
    };
    let mut bodies: Vec<(&str, &str)> = webhooks
        .iter()
        .map(|hook| (hook.name.as_str(), hook.payload.get()))
        .collect();
    bodies.sort_unstable();
    bodies.dedup();
    let (count, distinct) = (webhooks.len(), bodies.len() as i64);
    assert!(distinct > 200, "{distinct}");
    let round = |from: usize| -> Result<Vec<String>> {
        let events = webhooks.iter().enumerate();
        events
            .map(|(n, hook)| delivery(from + n, &hook.name, &hook.payload, None))
            .collect()
    };
    let mut bench = Bench::new().await?;
    bench.listen("inbox_foreign").await?;
    bench
        .pool
        .execute(
            "create trigger tell after insert or update on outbox.inbox_foreign for each row execute function tell();
             create table delivered (events bigint)",
        )
        .await?;
    let all = i64::try_from(2 * count)?;
    sqlx::query("insert into delivered values ($1)")
        .bind(all)
        .execute(&bench.pool)
        .await?;
    let mut events = round(0)?;
    events.extend(round(count)?);
    deliver(&mut bench, 1, events).await?;
    // WHEN they are consumed by what they say
    let member = Member::start(describe(&bench, Identity::Content))?;
    bench
        .until("select count(*) = (select events from delivered) from outbox.inbox_foreign")
        .await?;
    member.stop().await?;
    // THEN the first of each has its effect, and the others are finished as skipped
    let outcomes: Vec<(String, i64)> = sqlx::query_as(
        "select outcome, count(*) from outbox.inbox_foreign group by outcome order by outcome",
    )
    .fetch_all(&bench.pool)
    .await?;
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, distinct);
    assert_eq!(
        outcomes,
        [
            ("applied".to_owned(), distinct),
            ("skipped".to_owned(), all - distinct)
        ]
    );
    Ok(())
}

#[tokio::test]
async fn after_the_window_the_same_input_is_new_and_what_is_over_is_removed() -> Result {
    // GIVEN two requests under one correlation id, of which the first had its effect
    let mut bench = Bench::new().await?;
    let body = |number: i64| serde_json::value::to_raw_value(&json!({ "number": number }));
    let (one, two) = (body(1)?, body(2)?);
    let request = |id: usize, body: &RawValue| delivery(id, "paid", body, Some("payment-7"));
    deliver(&mut bench, 1, vec![request(1, &one)?, request(2, &two)?]).await?;
    let member = Member::start(describe(&bench, Identity::CorrelationId))?;
    bench.effects(1).await?;
    // Its housekeeper has been here: what is over is still there when the same comes again.
    bench
        .until("select count(*) = 1 from outbox.inbox_foreign where outcome = 'skipped'")
        .await?;
    // WHEN the window is over, and the same comes again under a third id
    bench
        .pool
        .execute(
            "update outbox.inbox_keyed set entered_at = entered_at - interval '2 hours', expires_at = expires_at - interval '2 hours'",
        )
        .await?;
    deliver(&mut bench, 2, vec![request(3, &one)?]).await?;
    let effects = bench.effects(2).await?;
    member.stop().await?;
    // THEN it has its effect, and stands for those that follow
    let ids: Vec<&str> = effects.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["delivery-1", "delivery-3"]);
    let stands: String = bench.value("select id from outbox.inbox_keyed").await?;
    assert_eq!(stands, "delivery-3");
    // AND what is over is removed, a bounded number at a time
    bench
        .pool
        .execute(
            "insert into outbox.inbox_keyed (consumer, topic, identity, source, id, entered_at, expires_at, came_at)
             select 'stock', 't', sha256(n::text::bytea), 's', n::text, now() - interval '2 hours', now() - interval '1 hour', now() - interval '2 hours'
             from generate_series(1, 150) n",
        )
        .await?;
    let removed: Vec<i32> = vec![
        bench.value("select outbox.forget_keyed(100)").await?,
        bench.value("select outbox.forget_keyed(100)").await?,
        bench.value("select outbox.forget_keyed(100)").await?,
    ];
    assert_eq!(removed, [100, 50, 0]);
    Ok(())
}

#[tokio::test]
async fn an_attempt_that_fails_leaves_no_identity_to_its_repetition() -> Result {
    // GIVEN a handler that fails once, in a transaction that is lost with it
    let mut bench = Bench::new().await?;
    let body = serde_json::value::to_raw_value(&json!({ "number": 1 }))?;
    deliver(&mut bench, 1, vec![delivery(1, "paid", &body, None)?]).await?;
    let failed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let builder = bench
        .describe()
        .deduplicate(TOPIC, Identity::Content, Duration::from_secs(3600))
        .on(TOPIC, move |tx, event| {
            let is_first = !failed.swap(true, std::sync::atomic::Ordering::SeqCst);
            Box::pin(async move {
                assert!(!is_first, "the first attempt panics");
                sqlx::query("insert into effect (key, number) values ($1, 0)")
                    .bind(&event.id)
                    .execute(tx)
                    .await?;
                Ok(())
            })
        });
    // WHEN it is tried again, and the same input comes again
    let member = Member::start(builder)?;
    bench.effects(1).await?;
    deliver(&mut bench, 2, vec![delivery(2, "paid", &body, None)?]).await?;
    bench
        .until("select count(*) = 1 from outbox.inbox_foreign where outcome = 'skipped'")
        .await?;
    member.stop().await?;
    // THEN the event itself had its effect, and its repetition none
    assert_eq!(bench.effects(1).await?, [("delivery-1".to_owned(), 0)]);
    Ok(())
}

/// The same input under another id, as it was recorded at this time.
fn repetition(number: i64, recorded_at: OffsetDateTime) -> serde_json::Value {
    let mut event = event(None, "a", 7);
    event["id"] = json!(format!("event-{number}"));
    event["recordedtime"] = json!(told(recorded_at));
    event
}

#[tokio::test]
async fn the_window_of_identities_does_not_depend_on_when_the_group_comes_to_the_events() -> Result {
    // GIVEN the same input on two days, each time repeated within a window of an hour
    let mut bench = Bench::new().await?;
    let events = [
        (1, recorded_before(2)),
        (2, recorded_before(2) + Duration::from_secs(59 * 60)),
        (3, recorded_before(0)),
        (4, recorded_before(0) + Duration::from_secs(59 * 60)),
        (5, recorded_before(0) + Duration::from_secs(60 * 60)),
    ];
    let events = events.map(|(number, at)| repetition(number, at));
    bench.put_together(0, events.to_vec()).await?;
    // WHEN a group that was off meanwhile (or is rebuilt) reads them at once
    let describe = bench
        .describe()
        .deduplicate(TOPIC, Identity::Content, Duration::from_secs(3600));
    let member = Member::start(describe.on(TOPIC, note))?;
    bench
        .until("select coalesce(bool_or(passed_entry = '1-5'), false) from outbox_ops.inbox")
        .await?;
    member.stop().await?;
    // THEN those have their effects that would have had them at their time
    let applied: String = bench
        .value("select string_agg(id, ', ' order by id) from outbox.inbox where outcome = 'applied'")
        .await?;
    assert_eq!(applied, "event-1, event-3, event-5");
    assert_eq!(bench.value::<i64>("select count(*) from effect").await?, 3);
    Ok(())
}

#[tokio::test]
async fn an_identity_stays_until_the_group_has_passed_its_window() -> Result {
    // GIVEN two groups, of which one has not passed what is published, and identities whose window was over an hour ago
    let bench = Bench::new().await?;
    bench
        .pool
        .execute(
            "insert into outbox.consumer (name) values ('slow'), ('stock');
             insert into outbox.stream_mark (consumer, stream, published_batch)
             select name, 's', extract(epoch from now()) * 1000 from outbox.consumer;
             insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position)
             values ('slow', 's', extract(epoch from now() - interval '1 day') * 1000, 1),
                    ('stock', 's', extract(epoch from now()) * 1000, 1);
             insert into outbox.inbox_keyed (consumer, topic, identity, source, id, entered_at, expires_at, came_at)
             select name, t, sha256(''), 's', '1', now() - interval '3 hours', now() - interval '2 hours', came_at
             from outbox.consumer, (values ('then', now() - interval '90 minutes'), ('late', now() - interval '30 minutes')) came (t, came_at)",
        )
        .await?;
    // WHEN what is over is removed
    assert_eq!(bench.value::<i32>("select outbox.forget_keyed()").await?, 1);
    // THEN those of the other one are left, and the one that the group came to less than the window ago
    let left: String = bench
        .value("select string_agg(consumer || ' ' || topic, ', ' order by consumer, topic) from outbox.inbox_keyed")
        .await?;
    assert_eq!(left, "slow late, slow then, stock late");
    Ok(())
}
