//! Repair where a topic has partitions, or grew.

use system_tests::arrival::{arrived, backlog, stream_of};
use system_tests::stream::{Entry, EntryId, entries};
use system_tests::{Invocation, Relay, Result, Witness};
use uuid::Uuid;

use super::{Bench, LIMIT, TOPIC};

/// The entries of one stream of the topic.
async fn partition(bench: &mut Bench, number: usize) -> Result<Vec<Entry>> {
    entries(&mut bench.redis, &format!("{}:{number}", stream_of(TOPIC))).await
}

async fn vanish(bench: &mut Bench, number: usize, id: EntryId) -> Result {
    let deleted: usize = redis::cmd("XDEL")
        .arg(format!("{}:{number}", stream_of(TOPIC)))
        .arg(id.to_string())
        .query_async(&mut bench.redis)
        .await?;
    assert_eq!(deleted, 1);
    Ok(())
}

fn grow(bench: &Bench, partitions: &str) -> Result {
    let set = ["topic", "set", TOPIC, "--partitions", partitions];
    let answer = Invocation::of(&bench.world, &set)?.ask()?;
    assert_eq!(answer.code, 0, "{}{}", answer.output, answer.errors);
    Ok(())
}

#[tokio::test]
async fn on_a_stream_that_went_on_when_its_topic_grew_only_what_came_since_is_re_issued() -> Result {
    // GIVEN a topic that grew from two partitions to three while its group was away
    let mut bench = Bench::new().await?;
    let topics = [TOPIC.to_owned()];
    let mut relay = Relay::of(&bench.world).start()?;
    relay.leads().await?;
    grow(&bench, "2")?;
    let mut journal = backlog(&bench.world, &topics, 1, 60, 10).await?;
    let member = bench.member("reader").await?;
    bench.effects("reader", 60).await?;
    bench.stop(member).await?;
    journal.merge(backlog(&bench.world, &topics, 2, 60, 10).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    grow(&bench, "3")?;
    journal.merge(backlog(&bench.world, &topics, 2, 60, 10).await?);
    arrived(&bench.world, &topics, LIMIT).await?;
    // WHEN an entry from before vanishes from one stream that went on, and one that came since from the other
    let (first, second) = (partition(&mut bench, 0).await?, partition(&mut bench, 1).await?);
    let end_of = |found: &[Entry]| found.iter().rposition(Entry::is_control).unwrap_or(found.len());
    let (lost, lost_since) = (&first[end_of(&first) - 10], &second[end_of(&second) + 10]);
    vanish(&mut bench, 0, lost.id).await?;
    vanish(&mut bench, 1, lost_since.id).await?;
    let member = bench.member("reader").await?;
    // THEN the former is refused, since what is put out again would come behind the end of its partitions
    bench
        .until("select state = 'refused' and reason like '%before its topic got 3 partitions%' from outbox_ops.holes where partition = 0")
        .await?;
    assert_eq!(
        bench.value::<i64>("select count(*) from outbox.reissue").await?,
        0
    );
    // AND nothing of the three partitions overtakes what waits behind it
    let since: Vec<Uuid> = sqlx::query_scalar(
        "select e.id from public.effect e join outbox.log l on l.id = e.id
         where l.position > (select b.last_position from outbox.batch b where b.kind = 'cut' and b.number <
                             (select max(batch_number) from outbox.topic_layout) order by b.number desc limit 1)",
    )
    .fetch_all(&mut bench.postgres)
    .await?;
    assert_eq!(since, Vec::<Uuid>::new());
    // WHEN a person passes it
    let held = first[end_of(&first) - 9].id.to_string();
    let stream = format!("{}:0", stream_of(TOPIC));
    let pass = [
        "consumer",
        "pass-hole",
        "--group",
        "reader",
        "--stream",
        &stream,
        "--entry",
        &held,
    ];
    let pass = [&pass[..], &["--reason", "counted by hand", "--yes"]].concat();
    let passed = Invocation::of(&bench.world, &pass)?.ask()?;
    assert_eq!(passed.code, 0, "{}", passed.errors);
    // THEN the latter is put out again, and everything but the one event has its effect, each key in its order
    let done = bench.effects("reader", 299).await?;
    bench.nothing_is_missed().await?;
    bench.stop(member).await?;
    assert_eq!(
        bench
            .value::<i64>("select count(*) from outbox.reissue where partition = 2")
            .await?,
        1
    );
    let verdict = Witness::new(&journal).effects("reader", &[TOPIC], done).verdict();
    eprintln!("witness: {verdict}");
    assert_eq!(verdict.lost.len(), 1, "{:?}", verdict.lost);
    assert!(
        verdict.reordered.is_empty() && verdict.doubled.is_empty(),
        "{verdict}"
    );
    Ok(())
}
