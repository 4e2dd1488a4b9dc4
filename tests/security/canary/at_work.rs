//! What relay, consumer and commands say while handlers fail and entries cannot be read.

use system_tests::patience::until;
use system_tests::{Collector, Result};

use super::{CANARY, Ground, LIMIT, PAYLOAD, SAID, WAYS, is_silent, is_silent_throughout};

#[tokio::test]
async fn no_canary_is_in_anything_that_relay_consumer_commands_and_views_say() -> Result {
    // GIVEN a relay with its passwords in the environment and a consumer with its in files, both at the loudest level, with spans
    let ground = Ground::new().await?;
    let collector = Collector::start().await?;
    let mut relay = ground
        .relay()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .start()?;
    relay.leads().await?;
    let mut consumer = ground
        .consumer()?
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .start()?;
    consumer.ready().await?;
    // WHEN events are applied, fail in every way, cannot be read, and are too large to be published
    let mut administrator = ground.database.connect().await?;
    for (topic, how, cards) in [("cards", "well", 1), ("wide", "well", 500)]
        .into_iter()
        .chain(WAYS.map(|way| ("cards", way, 1)))
    {
        ground.append(&mut administrator, topic, how, cards).await?;
    }
    // A stranger's ids are of the present: what the relay still has to send would be below them.
    ground.published(8).await?;
    let mut redis = ground.world.redis().await?;
    for broken in [
        format!("{{\"card\": \"{PAYLOAD}\""),
        format!("\"{PAYLOAD}\""),
        PAYLOAD.to_owned(),
    ] {
        redis::cmd("XADD")
            .arg(&["outbox:cards", "*", "event", &broken])
            .query_async::<()>(&mut redis)
            .await?;
    }
    let letters = i64::try_from(WAYS.len() + 3)?;
    until("all that fails is given up", LIMIT, async || {
        let found: i64 = sqlx::query_scalar("select count(*) from outbox.dead_letter")
            .fetch_one(&mut administrator)
            .await?;
        let aside: i64 =
            sqlx::query_scalar("select count(*) from outbox_ops.topics where state = 'set_aside'")
                .fetch_one(&mut administrator)
                .await?;
        Ok((found == letters && aside == 1).then_some(()))
    })
    .await?;
    // The canaries did sing where they may: in the tables.
    let kept: bool =
        sqlx::query_scalar("select bool_or(error like '%' || $1 || '%') from outbox.dead_letter")
            .bind(SAID)
            .fetch_one(&mut administrator)
            .await?;
    assert!(kept, "the handler's words are not kept");
    // THEN neither says anything of them: log, pages, spans
    collector.spans_of(2, |_| true).await?;
    assert!(!collector.holds(CANARY), "a span has a canary");
    is_silent_throughout("the relay", &relay).await?;
    is_silent_throughout("the consumer", &consumer).await?;
    // AND no command, whatever it is asked; those who may read dead letters see keys
    for arguments in [
        &["status"][..],
        &["check"],
        &["config"],
        &["topic", "list"],
        &["topic", "streams"],
        &["consumer", "ls"],
        &["consumer", "show", "--group", "stock"],
        &["dead-letters", "groups"],
        &["version"],
        &[
            "consume",
            "--group",
            "stock",
            "--topic",
            "cards",
            "--call",
            "shop.nothing",
        ],
    ] {
        for form in ["table", "json"] {
            let mut arguments = arguments.to_vec();
            arguments.extend(["--output", form]);
            let answer = ground.ask(&arguments)?;
            assert_ne!(answer.code, 2, "{arguments:?} is no command: {}", answer.errors);
            is_silent(
                &format!("{arguments:?}"),
                &format!("{}{}", answer.output, answer.errors),
            );
        }
    }
    Ok(())
}
