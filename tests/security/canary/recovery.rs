//! What is said of events that the streams have and the database no longer does.

use system_tests::Result;
use system_tests::patience::until;

use super::{Ground, LIMIT, PAYLOAD, is_silent, is_silent_throughout};

#[tokio::test]
async fn no_canary_is_in_what_is_said_of_a_database_that_went_back_until_it_is_recovered() -> Result {
    // GIVEN events that were published after the copy of the database was made that takes its place
    let mut ground = Ground::new().await?;
    let mut relay = ground.relay().start()?;
    relay.leads().await?;
    let mut administrator = ground.database.connect().await?;
    ground.append(&mut administrator, "cards", "well", 1).await?;
    ground.published(1).await?;
    let backup = ground.world.postgres()?.back_up()?;
    for _ in 0..3 {
        ground.append(&mut administrator, "cards", "well", 1).await?;
    }
    ground.published(4).await?;
    ground.world.postgres()?.restore(&backup)?;
    // WHEN the relay refuses THEN it says nothing of what the events were
    until("the relay refuses", LIMIT, async || {
        let (status, body) = relay.get("/readyz").await?;
        Ok((status == 503 && body.contains("refused")).then_some(()))
    })
    .await?;
    is_silent_throughout("the relay that refuses", &relay).await?;
    assert_eq!(relay.terminate().await?.code(), Some(0));
    // AND neither does who looks, counts and decides
    let apply = [
        "recover",
        "apply",
        "--strategy",
        "trust-database",
        "--reason",
        "a copy",
    ];
    let inspect = ["recover", "inspect", "--list", "10"];
    for (arguments, code) in [
        (&inspect[..], 4),
        (&["check"], 4),
        // Without --yes nothing is done.
        (&apply[..], 4),
        (&[&apply[..], &["--yes"]].concat(), 0),
    ] {
        for form in ["json", "table"] {
            let arguments = [arguments, &["--output", form]].concat();
            let answer = ground.ask(&arguments)?;
            let said = format!("{}{}", answer.output, answer.errors);
            is_silent(&format!("{arguments:?}"), &said);
            // What is there to be done is done by the first.
            let is_second = arguments.contains(&"--yes") && form == "table";
            assert!(is_second || answer.code == code, "{arguments:?}: {said}");
        }
    }
    // The canaries did sing where they may: what was taken off the streams is kept whole.
    let mut administrator = ground.database.connect().await?;
    let kept: i64 = sqlx::query_scalar(
        "select count(*) from outbox.unknown_entry where convert_from(contents[1], 'UTF8') like '%' || $1 || '%'",
    )
    .bind(PAYLOAD)
    .fetch_one(&mut administrator)
    .await?;
    assert_eq!(kept, 3);
    // AND the relay, which goes on, says as little
    let mut relay = ground.relay().start()?;
    relay.leads().await?;
    ground.append(&mut administrator, "cards", "well", 1).await?;
    ground.published(2).await?;
    is_silent_throughout("the relay that goes on", &relay).await
}
