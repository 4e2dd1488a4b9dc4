//! A stream that is put out again without what was removed of its events.

use sqlx::Executor as _;
use system_tests::stream::EntryId;
use system_tests::{Invocation, Result};

use super::bench::{Bench, TOPIC, is_chain};

#[tokio::test]
async fn what_was_removed_is_not_lost_when_its_topic_is_put_out_again() -> Result {
    // GIVEN a topic of which some events were truncated, and some buried
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 5).await?;
    bench.store("points-2", 4).await?;
    let third = bench.store("points-3", 1).await?;
    assert_eq!(bench.remove("points-1", Some(4)).await?, 3);
    assert_eq!(bench.remove("points-2", None).await?, 4);
    let ranges: Vec<(i64,)> = sqlx::query_as(
        "select last_position - first_position + 1 from outbox.removed order by first_position",
    )
    .fetch_all(&mut bench.postgres)
    .await?;
    assert_eq!(ranges, [(3,), (4,)], "a transaction is a row");
    // WHEN the stream is lost
    bench.lose(&[]).await?;
    // THEN what is left is put out, one behind the other, and nothing is given up
    let there = bench.holds(&[&first[3..], &third[..]].concat()).await?;
    is_chain(&there, None);
    assert_eq!(bench.losses().await?, []);
    assert_eq!(bench.reissues().await?, [(3, 7)]);
    // WHEN more of it goes, and the end of what was put out again is lost
    bench.rests().await?;
    assert_eq!(bench.remove("points-1", Some(5)).await?, 1);
    bench.lose(&[there[1].id, there[2].id]).await?;
    // THEN the rest follows what stayed
    let again = bench.holds(&[&first[4..], &third[..]].concat()).await?;
    is_chain(&again, Some(there[0].id));
    let next = bench.store("points-3", 1).await?;
    is_chain(&bench.holds(&next).await?, Some(again[1].id));
    assert_eq!(bench.losses().await?, []);
    assert_eq!(bench.reissues().await?, [(3, 7), (2, 4)]);
    Ok(())
}

#[tokio::test]
async fn what_is_lost_beside_what_was_removed_is_still_told() -> Result {
    // GIVEN a re-issue of what is left, of which one more was removed since, and one row the log lost
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 8).await?;
    assert_eq!(bench.remove("points-1", Some(4)).await?, 3);
    bench.lose(&[]).await?;
    let there = bench.holds(&first[3..]).await?;
    assert_eq!(bench.reissues().await?, [(5, 3)]);
    bench.rests().await?;
    assert_eq!(bench.remove("points-1", Some(5)).await?, 1);
    bench.lose_row(first[5]).await?;
    // WHEN all but the first entry of it is lost
    let gone: Vec<EntryId> = there[1..].iter().map(|entry| entry.id).collect();
    bench.lose(&gone).await?;
    // THEN the one that the log lacks is not taken for removed: what is before it is given up, and said
    bench.until("select exists (select from outbox.loss)").await?;
    let why: Vec<String> = bench.losses().await?.into_iter().map(|loss| loss.0).collect();
    assert_eq!(why, ["log"]);
    assert_eq!(bench.reissues().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_era_has_nothing_of_what_was_removed_before_it() -> Result {
    // GIVEN an event that was removed, two that are in no batch, and a server that is another one, on which all is put out again
    let mut bench = Bench::new().await?;
    let first = bench.store("points-1", 2).await?;
    let second = bench.store("points-2", 3).await?;
    assert_eq!(bench.remove("points-2", Some(2)).await?, 1);
    assert!(bench.relay.terminate().await?.success());
    let third = bench.store("points-3", 2).await?;
    bench
        .postgres
        .execute("update outbox.era set system_identifier = 1")
        .await?;
    let recover = [
        "recover",
        "apply",
        "--strategy",
        "republish",
        "--reason",
        "moved",
        "--yes",
    ];
    let done = Invocation::of(&bench.world, &recover)?.ask()?;
    assert_eq!(done.code, 0, "{} {}", done.output, done.errors);
    bench.lead().await?;
    let there = bench
        .holds(&[&first[..], &second[1..], &third[..]].concat())
        .await?;
    // WHEN its last entry is lost THEN it is put out again
    bench.lose(&[there[5].id]).await?;
    let again = bench.holds(&third).await?;
    is_chain(&again, Some(there[3].id));
    assert_eq!(bench.losses().await?, []);
    // WHEN the log lacks one of those that the era began with THEN what was removed before does not stand for that
    bench.rests().await?;
    bench.lose_row(second[1]).await?;
    let gone = [&there[2..5], &again[1..]].concat();
    bench
        .lose(&gone.iter().map(|entry| entry.id).collect::<Vec<_>>())
        .await?;
    bench.until("select exists (select from outbox.loss)").await?;
    let why: Vec<String> = bench.losses().await?.into_iter().map(|loss| loss.0).collect();
    assert_eq!(why, ["log"]);
    Ok(())
}

#[tokio::test]
async fn a_topic_of_which_nothing_is_left_goes_on() -> Result {
    let mut bench = Bench::new().await?;
    bench.store("points-1", 3).await?;
    assert_eq!(bench.remove("points-1", None).await?, 3);
    let end = bench.entries().await?.last().map(|entry| entry.id);
    // WHEN the stream is lost while no relay runs
    bench.lose(&[]).await?;
    bench.until("select exists (select from outbox.loss)").await?;
    // THEN it is said why nothing is put out, and what comes next goes behind it
    let next = bench.store("points-2", 2).await?;
    is_chain(&bench.holds(&next).await?, end);
    assert_eq!(bench.losses().await?, [("removed".to_owned(), 3)]);
    assert_eq!(bench.reissues().await?, []);
    Ok(())
}

#[tokio::test]
async fn a_person_is_told_how_many_are_not_put_out_again() -> Result {
    // GIVEN a topic of three partitions, of which half was removed
    let mut bench = Bench::new().await?;
    let set = Invocation::of(&bench.world, &["topic", "set", TOPIC, "--partitions", "3"])?.ask()?;
    assert_eq!(set.code, 0, "{}", set.errors);
    for number in 0..12 {
        bench.store(&format!("points-{number}"), 2).await?;
    }
    for number in 0..12 {
        bench.remove(&format!("points-{number}"), Some(2)).await?;
    }
    let expected: Vec<(i32, i64)> = sqlx::query_as(
        "select outbox.partition_of(key, 3), count(*) from outbox.log where topic = 'points' group by 1 order by 1",
    )
    .fetch_all(&mut bench.postgres)
    .await?;
    // WHEN somebody asks for all of it
    let mut ask = vec![
        "recover", "reissue", "--topic", TOPIC, "--from", "0-0", "--reason", "rebuild", "--output", "json",
    ];
    let preview = Invocation::of(&bench.world, &ask)?.ask()?;
    assert_eq!(preview.code, 4, "{}", preview.errors);
    ask.push("--yes");
    let done = Invocation::of(&bench.world, &ask)?.ask()?;
    assert_eq!(done.code, 0, "{} {}", done.output, done.errors);
    // THEN the answers say how many are put out, and how many are not
    for answer in [preview.json()?, done.json()?] {
        let told: Vec<(i32, i64, i64)> = answer["streams"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| {
                let number = |name: &str| row[name].as_i64().unwrap_or(-1);
                (number("partition") as i32, number("events"), number("removed"))
            })
            .collect();
        let wanted: Vec<(i32, i64, i64)> = expected
            .iter()
            .map(|(partition, events)| (*partition, *events, *events))
            .collect();
        assert_eq!(told, wanted, "{answer}");
    }
    Ok(())
}
