//! `outbox-relay stream archive`.

use serde_json::json;
use system_tests::{Answer, Invocation, Login, Result, World};

fn archive(world: &World, arguments: &[&str]) -> Result<Answer> {
    let mut line = vec!["stream", "archive"];
    line.extend(arguments);
    line.extend(["--output", "json"]);
    Invocation::of(world, &line)?.ask()
}

async fn fill(world: &World, stream: &str, topic: Option<&str>, events: usize) -> Result {
    for _ in 0..events {
        let mut line = vec!["stream", "append", stream, "--type", "noted", "--expected", "any"];
        match topic {
            Some(topic) => line.extend(["--topic", topic]),
            None => line.push("--private"),
        }
        let answer = Invocation::of(world, &line)?.ask()?;
        assert_eq!(answer.code, 0, "{}", answer.errors);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_is_archived_up_to_a_version_and_read_as_before() -> Result {
    let world = World::new().await?;
    fill(&world, "order-1", None, 5).await?;
    let first = archive(&world, &["order-1", "--through", "3", "--reason", "closed"])?;
    assert_eq!(first.code, 0, "{}", first.errors);
    assert_eq!(
        first.json()?,
        json!({ "stream": "order-1", "through": 3, "events": 3 })
    );
    let read = Invocation::of(&world, &["stream", "read", "order-1", "--output", "json"])?
        .ask()?
        .json()?;
    let archived: Vec<bool> = read["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| event["archived"] == true)
        .collect();
    assert_eq!(archived, [true, true, true, false, false]);
    // The rest, and then there is none.
    for events in [2, 0] {
        let answer = archive(&world, &["order-1", "--reason", "closed"])?;
        assert_eq!(
            (answer.code, &answer.json()?["events"]),
            (0, &json!(events)),
            "{}",
            answer.errors
        );
    }
    let mut connection = world.connect().await?;
    let steps: Vec<(String, i64, String, String)> =
        sqlx::query_as("select action, events, reason, actor from outbox.stream_step order by number")
            .fetch_all(&mut connection)
            .await?;
    let by = Login::Maintainer.name();
    let step = |events| ("archive".to_owned(), events, "closed".to_owned(), by.to_owned());
    assert_eq!(steps, [step(3), step(2)]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_archived_is_said() -> Result {
    let world = World::new().await?;
    fill(&world, "order-1", Some("orders"), 1).await?;
    for (line, code, part) in [
        (
            &["order-1", "--reason", "closed"][..],
            4,
            "not yet published to topic orders",
        ),
        (&["order-1", "--reason", "closed"], 4, "nothing was moved"),
        (
            &["order-2", "--reason", "closed"],
            3,
            "there is no stream order-2",
        ),
        (&["order-1"], 2, "--reason"),
        (&["order-1", "--reason", ""], 2, "--reason"),
        (
            &["order-1", "--through", "0", "--reason", "closed"],
            2,
            "--through",
        ),
        (&["order", "--reason", "closed"], 2, "must be <category>-<id>"),
    ] {
        let answer = archive(&world, line)?;
        assert_eq!(answer.code, code, "{line:?}: {}", answer.errors);
        assert!(answer.errors.contains(part), "{line:?}: {}", answer.errors);
    }
    let line = ["stream", "archive", "order-1", "--reason", "closed"];
    let answer = Invocation::of(&world, &line)?.login(Login::Service).ask()?;
    assert_eq!(answer.code, 1, "{}", answer.errors);
    assert!(answer.errors.contains("outbox_maintainer"), "{}", answer.errors);
    Ok(())
}
