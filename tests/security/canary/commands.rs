//! What is said by commands that follow one event, set a group back, and decide about an event that holds its stream.

use sqlx::PgConnection;
use system_tests::patience::until;
use system_tests::{Answer, Result};

use super::{Ground, LIMIT, is_silent, is_silent_and_longer_than, is_silent_throughout};

const FORMS: [&str; 2] = ["table", "json"];

fn both(answer: &Answer) -> String {
    format!("{}{}", answer.output, answer.errors)
}

/// Asks in both forms; each answers with this code, names what it is about, and no canary.
fn ask(ground: &Ground, user: &str, arguments: &[&str], code: i32, names: &str) -> Result {
    for form in FORMS {
        let arguments = [arguments, &["--output", form]].concat();
        let answer = ground.ask_as(user, &arguments)?;
        assert_eq!(answer.code, code, "{arguments:?}: {}", both(&answer));
        assert!(answer.output.contains(names), "{arguments:?}: {}", answer.output);
        is_silent(&format!("{arguments:?}"), &both(&answer));
    }
    Ok(())
}

async fn count(connection: &mut PgConnection, what: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(what).fetch_one(connection).await?)
}

#[tokio::test]
async fn no_canary_is_in_what_is_said_of_one_event_by_trace_seek_and_topic() -> Result {
    // GIVEN an event that was applied, one that was given up with words of the handler, and one that is too large for its stream
    let ground = Ground::new().await?;
    let mut relay = ground.relay().start()?;
    relay.leads().await?;
    let mut consumer = ground.consumer()?.start()?;
    consumer.ready().await?;
    let mut administrator = ground.database.connect().await?;
    let applied = ground.append(&mut administrator, "cards", "well", 1).await?;
    let dead = ground.append(&mut administrator, "cards", "said", 1).await?;
    let wide = ground.append(&mut administrator, "wide", "well", 500).await?;
    until("one is applied, one given up, one set aside", LIMIT, async || {
        let applied = "select count(*) from outbox.inbox where outcome = 'applied'";
        let dead = "select count(*) from outbox.dead_letter";
        let aside = "select count(*) from outbox_ops.topics where state = 'set_aside'";
        for what in [applied, dead, aside] {
            if count(&mut administrator, what).await? != 1 {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await?;
    // WHEN an onlooker follows each THEN all of its way is told, and nothing of what is in it
    ask(&ground, "onlooker", &["trace", &applied], 0, "applied")?;
    ask(&ground, "onlooker", &["trace", &dead], 0, "dead")?;
    ask(&ground, "onlooker", &["trace", &wide], 0, "wide")?;
    // AND when a group is set back, first to see what would happen
    let seek = [
        "consumer", "seek", "--group", "stock", "--topic", "cards", "--to", "begin", "--reason", "again",
    ];
    ask(&ground, "service", &seek, 4, "cards")?;
    ask(&ground, "service", &[&seek[..], &["--yes"]].concat(), 0, "cards")?;
    // AND when the topic is let go on although the event is as large as it was, and when the event is skipped
    let resume = ["topic", "resume", "wide", "--reason", "tried"];
    let answer = ground.ask(&resume)?;
    assert_eq!(answer.code, 0, "{}", both(&answer));
    is_silent("topic resume", &both(&answer));
    until("it is set aside again", LIMIT, async || {
        let again = "select count(*) from outbox.stream_action where action = 'set_aside'";
        Ok((count(&mut administrator, again).await? == 2).then_some(()))
    })
    .await?;
    let skip = [
        "topic",
        "skip-event",
        "wide",
        "--event",
        &wide,
        "--reason",
        "too large",
        "--yes",
    ];
    let answer = ground.ask(&skip)?;
    assert_eq!(answer.code, 0, "{}", both(&answer));
    is_silent("topic skip-event", &both(&answer));
    let kept = "select count(*) from outbox.unpublished where event::text like '%canary-card%'";
    assert_eq!(count(&mut administrator, kept).await?, 1, "the event is not kept");
    ask(&ground, "onlooker", &["trace", &wide], 0, "wide")?;
    // THEN neither process said anything either
    is_silent_throughout("the relay", &relay).await?;
    // Of two events it says where it listens, which streams it took, and what it gave up.
    is_silent_and_longer_than(3, "the consumer", &consumer).await
}
