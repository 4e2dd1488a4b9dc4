//! Real webhooks, each delivered again by its sender under another id: what says the same has one effect.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::BoxFuture;
use outbox_core::append::NewEvent;
use outbox_core::consume::{HandlerResult, Identity};
use outbox_core::event::Event;
use sqlx::PgConnection;
use system_tests::Result;
use system_tests::patience::until;
use system_tests::real_input::{self, Webhook};

use super::super::bench::Member;
use super::{Path, append};

const TOPIC: &str = "webhooks";
const WINDOW: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(120);

/// Keeps the body as it came.
fn keep<'a>(transaction: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let body = event.data.as_ref().map(|data| data.view().as_bytes());
        sqlx::query("insert into public.delivery (name, body) values ($1, $2)")
            .bind(&event.r#type)
            .bind(body)
            .execute(transaction)
            .await?;
        Ok(())
    })
}

/// One delivery, under an id of its own.
fn delivery(webhook: &Webhook) -> NewEvent {
    NewEvent::new(TOPIC)
        .event_type(&webhook.name)
        .key(&webhook.name)
        .json_text(&webhook.body)
}

#[tokio::test]
async fn real_webhooks_that_come_again_under_other_ids_over_four_partitions_have_one_effect_each() -> Result {
    let Some(webhooks) = real_input::webhooks()? else {
        return Ok(());
    };
    assert!(webhooks.len() > 200, "{} webhooks: another file?", webhooks.len());
    // GIVEN a consumer that knows a webhook by what it says, with three members
    let effects = "create table public.delivery (name text not null, body bytea not null)";
    let mut path = Path::open(TOPIC, 4, effects).await?;
    let mut members = Vec::new();
    for _ in 0..3 {
        let builder = path
            .describe("mirror")
            .deduplicate(TOPIC, Identity::Content, WINDOW);
        members.push(Member::start(builder.on(TOPIC, keep))?);
    }
    // WHEN each is delivered three times, the second time while the first is on its way
    for _ in 0..3 {
        append(path.world.database_url(), webhooks.iter().map(delivery)).await?;
    }
    let deliveries = i64::try_from(3 * webhooks.len())?;
    until("every delivery is finished", LIMIT, async || {
        let finished: i64 =
            sqlx::query_scalar("select count(*) from outbox.inbox where outcome in ('applied', 'skipped')")
                .fetch_one(&path.pool)
                .await?;
        Ok((finished >= deliveries).then_some(()))
    })
    .await?;
    for member in members {
        member.stop().await?;
    }
    assert!(path.relay.terminate().await?.success());
    // THEN each has one effect, byte for byte
    let kept: Vec<(String, Vec<u8>)> = sqlx::query_as("select name, body from public.delivery")
        .fetch_all(&path.pool)
        .await?;
    let count = kept.len();
    let kept: HashSet<(String, Vec<u8>)> = kept.into_iter().collect();
    let expected: HashSet<(String, Vec<u8>)> = webhooks
        .into_iter()
        .map(|webhook| (webhook.name, webhook.body.into_bytes()))
        .collect();
    assert_eq!(count, expected.len());
    assert!(kept == expected, "what was kept is not what was delivered");
    Ok(())
}
